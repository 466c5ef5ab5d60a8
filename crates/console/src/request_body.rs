//! The body of a request: a JSON object of bounded size that arrives in bounded time.

use crate::reply::Reply;
use axum::body::{Body, to_bytes};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use serde_json::{Map, Value};
use std::time::Duration;

/// The largest body is a whole dynamic configuration; real ones have a few kilobytes.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// A client that sends more slowly than this is gone or hostile.
pub const BODY_WAIT_MAX: Duration = Duration::from_secs(10);

/// A body that must be there, and must not be `{}`.
pub async fn required(headers: &HeaderMap, body: Body) -> Result<Map<String, Value>, Reply> {
    if !is_announced(headers) {
        return Err(Reply::text(411, "Length Required"));
    }
    let object = read(headers, body).await?;
    if object.is_empty() { Err(Reply::text(400, "Bad Request: the body must not be empty")) } else { Ok(object) }
}

/// No body counts as `{}`.
pub async fn optional(headers: &HeaderMap, body: Body) -> Result<Map<String, Value>, Reply> {
    if is_announced(headers) { read(headers, body).await } else { Ok(Map::new()) }
}

fn is_announced(headers: &HeaderMap) -> bool {
    headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING)
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Map<String, Value>, Reply> {
    let too_large = || Reply::text(413, format!("the body is larger than {BODY_BYTES_MAX} bytes"));
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > BODY_BYTES_MAX as u64) {
        return Err(too_large());
    }
    let bytes = match tokio::time::timeout(BODY_WAIT_MAX, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(bytes)) => bytes,
        // The limit is the only reason that leaves somebody to answer to.
        Ok(Err(_)) => return Err(too_large()),
        Err(_) => return Err(Reply::text(408, "the body did not arrive in time")),
    };
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Reply::text(400, "Bad Request: the body must be a JSON object")),
        Err(error) => Err(Reply::text(400, format!("Bad Request: the body is not JSON: {error}"))),
    }
}
