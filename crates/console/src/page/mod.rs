//! The web console: the page, a login, and the REST API under `/api` for a browser that has signed in.
//!
//! Deliberately no API of its own: whatever the page shows or does goes through [`Api::answer`], as for everybody else. The
//! invariants: without `restapi.authentication` nothing can be changed here; with it nothing is answered without a session;
//! and a change is accepted only from the page itself (same site, same origin, a header that no form can send).

mod assets;
mod headers;
mod session;

use crate::api::Api;
use crate::reply::Reply;
use crate::request_body;
use crate::service::Service;
use crate::settings::BasicAuth;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue, RETRY_AFTER, SET_COOKIE};
use axum::http::{Method, Request, Response, Uri};
use serde_json::json;
use session::{Refused, SESSION_AGE_MAX, Sessions};
use std::net::IpAddr;
use std::time::Instant;

/// Of this name whatever the port: two members on one host sign each other's browsers out, and nothing worse.
const COOKIE_NAME: &str = "quorate_session";
/// The page sends it with every change. A form of another site cannot, and a script of one would have to ask first.
const PAGE_HEADER: &str = "x-quorate-console";
const READ_ONLY: &str = "the console only shows, because restapi.authentication is not set\nhint: set restapi.authentication with a username and a password on every member, and restart the agents one after the other";

/// Serves the page. Cheap to make; holds the sessions.
pub struct Console {
    api: Api,
    sessions: Sessions,
    /// Served in TLS only; then browsers send the cookie only there.
    secured: bool,
}

impl Console {
    pub fn new(api: Api, secured: bool) -> Self {
        Self { api, sessions: Sessions::default(), secured }
    }

    /// The name and password, when changes need one.
    fn authentication(&self) -> Option<BasicAuth> {
        self.api.snapshot().settings.authentication.clone()
    }

    async fn api(&self, peer: IpAddr, path: &str, request: Request<Body>) -> Response<Body> {
        let (mut head, body) = request.into_parts();
        let reads = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let session = self.user_of(&head.headers).is_some();
        let authentication = self.authentication();
        let refusal = match &authentication {
            None if !reads => Some(Reply::text(403, READ_ONLY)),
            Some(_) if !session => Some(Reply::text(401, "sign in first")),
            Some(_) if !reads && !is_from_the_page(&head.headers) => Some(foreign()),
            None | Some(_) => None,
        };
        if let Some(refusal) = refusal {
            return plain(refusal);
        }
        let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let Ok(uri) = Uri::try_from(format!("{path}{query}")) else {
            return plain(Reply::text(400, "the path cannot be read"));
        };
        head.uri = uri;
        head.headers.remove(COOKIE);
        head.headers.remove(AUTHORIZATION);
        if let Some(value) = authentication.and_then(|it| HeaderValue::try_from(it.header()).ok()) {
            head.headers.insert(AUTHORIZATION, value);
        }
        self.api.answer(peer, Request::from_parts(head, body)).await
    }

    /// `GET`: who is signed in; `POST`: sign in; `DELETE`: sign out.
    async fn session(&self, peer: IpAddr, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        if head.method == Method::GET {
            return plain(self.who(&head.headers));
        }
        if !is_from_the_page(&head.headers) {
            return plain(foreign());
        }
        match head.method {
            Method::POST => match request_body::required(&head.headers, body).await {
                Ok(body) => self.sign_in(peer, &body),
                Err(reply) => plain(reply),
            },
            Method::DELETE => {
                if let Some(token) = token(&head.headers) {
                    self.sessions.sign_out(token);
                }
                self.with_cookie(Reply::text(200, "signed out"), "", 0)
            }
            _ => plain(Reply::text(405, "there is GET, POST and DELETE")),
        }
    }

    fn who(&self, headers: &HeaderMap) -> Reply {
        let user = self.user_of(headers);
        let needed = self.authentication().is_some();
        Reply::json(
            200,
            &json!({
                "login_needed": needed,
                "user": user,
                "may_change": user.is_some(),
                "why_not": if needed { "sign in first" } else { READ_ONLY },
            }),
        )
    }

    fn sign_in(&self, peer: IpAddr, body: &serde_json::Map<String, serde_json::Value>) -> Response<Body> {
        let Some(expected) = self.authentication() else { return plain(Reply::text(403, READ_ONLY)) };
        let text = |key: &str| body.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
        match self.sessions.sign_in(Instant::now(), peer, &expected, text("username"), text("password")) {
            Ok(token) => {
                tracing::info!(%peer, user = text("username"), "signed in to the web console");
                self.with_cookie(Reply::text(200, "signed in"), &token, SESSION_AGE_MAX.as_secs())
            }
            Err(Refused::Wrong) => {
                tracing::warn!(%peer, "a wrong name or password at the web console");
                plain(Reply::text(401, "the name or the password is wrong"))
            }
            Err(Refused::TooOften { wait }) => {
                let text = format!("too many wrong passwords; try again in {} seconds", wait.as_secs().max(1));
                let mut response = plain(Reply::text(429, text));
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
                response
            }
            Err(Refused::NoRandomness) => plain(Reply::text(503, "the system gives no random numbers; try again")),
        }
    }

    fn user_of(&self, headers: &HeaderMap) -> Option<String> {
        self.sessions.user(Instant::now(), token(headers)?, &self.authentication()?)
    }

    /// Out of reach of scripts, sent to this host only and from its own pages only.
    fn with_cookie(&self, reply: Reply, token: &str, seconds: u64) -> Response<Body> {
        let mut response = plain(reply);
        let secure = if self.secured { "; Secure" } else { "" };
        let cookie = format!("{COOKIE_NAME}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
        if let Ok(value) = HeaderValue::try_from(cookie) {
            response.headers_mut().insert(SET_COOKIE, value);
        }
        response
    }
}

impl Service for Console {
    const NAME: &'static str = "web console";

    async fn respond(&self, peer: IpAddr, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let mut response = match path.strip_prefix("/api") {
            Some(rest) if rest.starts_with('/') => self.api(peer, rest, request).await,
            Some(_) | None if path == "/session" => self.session(peer, request).await,
            Some(_) | None if request.method() == Method::GET => assets::answer(&path),
            Some(_) | None => plain(Reply::text(405, "there is only GET here")),
        };
        headers::protect(&mut response, &self.api.snapshot());
        response
    }
}

/// A file of the wizard's page, for whoever serves it. Its other answers need the headers, too: [`protect`].
pub fn setup_page(path: &str) -> Response<Body> {
    let mut response = assets::answer_setup(path);
    protect(&mut response);
    response
}

/// What browsers are told not to do with an answer of the wizard.
pub fn protect(response: &mut Response<Body>) {
    headers::protect_with(response, std::iter::empty());
}

fn plain(reply: Reply) -> Response<Body> {
    reply.into_response(&crate::settings::RestApiSettings::default())
}

fn foreign() -> Reply {
    Reply::text(403, "the request does not come from the console's own page")
}

fn token(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE_NAME).map(|(_, token)| token)
}

/// Browsers say where a request comes from, and scripts of other sites cannot change what they say.
fn is_from_the_page(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let same_site = text("sec-fetch-site").is_none_or(|site| site == "same-origin");
    let same_origin = text("origin").is_none_or(|origin| {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority.is_some() && authority == text("host")
    });
    headers.contains_key(PAGE_HEADER) && same_site && same_origin
}
