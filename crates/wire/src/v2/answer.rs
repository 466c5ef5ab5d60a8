//! Version 2's answers and refusals: their JSON, their headers, their error numbers.

use crate::api::Api;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A key or a directory.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// None for the root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dir: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration: Option<String>,
    /// Seconds left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<Node>,
    #[serde(skip_serializing_if = "is_zero")]
    pub modified_index: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub created_index: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    pub action: &'static str,
    pub node: Node,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev_node: Option<Node>,
}

impl Answer {
    pub fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }

    pub fn response(&self, api: &Api, index: i64) -> Response {
        (headers(api, index), self.line()).into_response()
    }
}

/// What every answer carries beside its body. `index`: the revision the answer was read at.
pub fn headers(api: &Api, index: i64) -> HeaderMap {
    let header = api.header();
    let status = api.store().status();
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("x-etcd-index", HeaderValue::from(index));
    headers.insert("x-raft-index", HeaderValue::from(status.raft_applied));
    headers.insert("x-raft-term", HeaderValue::from(header.raft_term));
    if let Ok(id) = HeaderValue::from_str(&format!("{:x}", header.cluster_id)) {
        headers.insert("x-etcd-cluster-id", id);
    }
    headers
}

/// Number, words and HTTP status are etcd's.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    status: StatusCode,
    code: u16,
    message: &'static str,
    cause: String,
}

impl Refusal {
    fn new(status: StatusCode, code: u16, message: &'static str, cause: impl Into<String>) -> Self {
        Self { status, code, message, cause: cause.into() }
    }

    pub fn key_not_found(key: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, 100, "Key not found", key)
    }

    pub fn not_a_directory(key: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, 104, "Not a directory", key)
    }

    pub fn index_is_not_a_number(field: &str) -> Self {
        let cause = format!("invalid value for \"{field}\"");
        Self::new(StatusCode::BAD_REQUEST, 203, "The given index in POST form is not a number", cause)
    }

    pub fn invalid_field(field: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, 209, "Invalid field", format!("invalid value for \"{field}\""))
    }

    /// Not one of etcd's causes: it has no read-only version 2.
    pub fn read_only() -> Self {
        let cause = "the version 2 keys are read-only here; write with /v3/kv/put";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, 107, "Root is read only", cause)
    }

    pub fn raft_internal_error(cause: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, 300, "Raft Internal Error", cause)
    }

    pub fn event_index_cleared(oldest: i64, asked: i64) -> Self {
        let cause = format!("the requested history has been cleared [{oldest}/{asked}]");
        Self::new(StatusCode::BAD_REQUEST, 401, "The event in requested index is outdated and cleared", cause)
    }

    pub fn too_many_watches() -> Self {
        Self::raft_internal_error("too many watches")
    }

    pub fn response(&self, api: &Api) -> Response {
        let index = api.header().revision;
        let body = RefusalBody { error_code: self.code, message: self.message, cause: &self.cause, index };
        let mut body = serde_json::to_vec(&body).unwrap_or_default();
        body.push(b'\n');
        (self.status, headers(api, index), body).into_response()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RefusalBody<'a> {
    error_code: u16,
    message: &'a str,
    cause: &'a str,
    index: i64,
}
