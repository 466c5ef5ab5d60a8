//! An answer before it becomes HTTP.

use crate::PATRONI_VERSION;
use crate::command::Outcome;
use crate::json_text::json_text;
use crate::schedule::ScheduleError;
use crate::settings::{RestApiSettings, ServerTokens};
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, SERVER};
use axum::http::{Response, StatusCode};
use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: StatusCode,
    content_type: &'static str,
    pub body: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Reply {
    /// Patroni labels its sentences `text/html`. Some of them repeat what the client sent, so here they are what they
    /// are: plain text.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", text.into())
    }

    pub fn json(status: u16, value: &impl Serialize) -> Self {
        Self::new(status, "application/json", json_text(value))
    }

    /// A document that is JSON already.
    pub fn described(text: &str) -> Self {
        Self::new(200, "application/json", text.to_owned())
    }

    pub fn metrics(text: String) -> Self {
        Self::new(200, "text/plain; version=0.0.4; charset=utf-8", text)
    }

    /// The status line alone, for a load balancer that reads no more.
    pub fn status_only(healthy: bool) -> Self {
        Self::new(if healthy { 200 } else { 503 }, "", String::new())
    }

    fn new(status: u16, content_type: &'static str, body: String) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, content_type, body, headers: Vec::new() }
    }

    pub fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    pub fn with_number(mut self, name: HeaderName, value: u64) -> Self {
        self.headers.push((name, HeaderValue::from(value)));
        self
    }

    pub fn without_body(mut self) -> Self {
        self.body.clear();
        self.content_type = "";
        self
    }

    pub fn into_response(self, settings: &RestApiSettings) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        // A setting that is no valid header is left out; the configuration is checked where it is read.
        for (name, value) in &settings.http_extra_headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
        match settings.server_tokens {
            ServerTokens::Original => {}
            ServerTokens::ProductOnly => {
                headers.insert(SERVER, HeaderValue::from_static("Patroni"));
            }
            ServerTokens::Minimal => {
                let product = HeaderValue::try_from(format!("Patroni/{PATRONI_VERSION}"));
                headers.extend(product.ok().map(|product| (SERVER, product)));
            }
        }
        if !self.content_type.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        }
        headers.extend(self.headers);
        response
    }
}

impl From<Outcome> for Reply {
    fn from(outcome: Outcome) -> Self {
        Self::text(outcome.status, outcome.text)
    }
}

impl From<ScheduleError> for Reply {
    fn from(error: ScheduleError) -> Self {
        Self::text(error.status, error.text)
    }
}
