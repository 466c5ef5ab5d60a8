//! The plain pages: version, health, metrics.

use crate::api::Api;
use crate::limits::HEALTH_WITHIN;
use crate::metrics;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use std::sync::atomic::Ordering::Relaxed;

/// What we speak. Clients choose their dialect by it: from 3.4 on Patroni uses `/v3`.
pub const SERVER_VERSION: &str = "3.5.21";
pub const CLUSTER_VERSION: &str = "3.5.0";

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/version", get(version))
        .route("/health", get(health))
        // The process answers, so it lives.
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(page_of_metrics))
}

async fn version() -> Response {
    let body = format!(r#"{{"etcdserver":"{SERVER_VERSION}","etcdcluster":"{CLUSTER_VERSION}"}}"#);
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[derive(Deserialize)]
struct HealthQuery {
    /// Content with this member alone: no question to the others.
    #[serde(default)]
    serializable: String,
}

async fn health(State(api): State<Api>, Query(query): Query<HealthQuery>) -> Response {
    let reason = unhealthy(&api, query.serializable == "true").await;
    let counter = if reason.is_none() { &api.metrics().health_success } else { &api.metrics().health_failures };
    counter.fetch_add(1, Relaxed);
    let status = if reason.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = format!(r#"{{"health":"{}","reason":"{}"}}"#, reason.is_none(), reason.unwrap_or_default());
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Why not, in etcd's words.
async fn unhealthy(api: &Api, serializable: bool) -> Option<&'static str> {
    if serializable {
        return None;
    }
    if !api.has_leader() {
        return Some("RAFT NO LEADER");
    }
    match tokio::time::timeout(HEALTH_WITHIN, api.linearizable()).await {
        Ok(Ok(())) => None,
        Ok(Err(_)) => Some("RANGE ERROR"),
        Err(_) => Some("RANGE TIMEOUT"),
    }
}

async fn ready(State(api): State<Api>) -> Response {
    match unhealthy(&api, false).await {
        None => "ok\n".into_response(),
        Some(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("[-]linearizable_read failed: {reason}\n")).into_response()
        }
    }
}

async fn page_of_metrics(State(api): State<Api>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::render(&api)).into_response()
}
