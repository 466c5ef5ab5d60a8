//! Which request gets which answer.
//!
//! Paths are told apart by method and first segment, as Patroni does; every other path is a health check.

use crate::access::{Asking, Certified};
use crate::api::Api;
use crate::cluster_json::ClusterView;
use crate::health::{self, Query};
use crate::reply::Reply;
use crate::snapshot::Snapshot;
use crate::status::StatusBody;
use crate::switchover::Action;
use crate::{access, config_change, metrics, redis, request_body, restart, switchover};
use axum::body::Body;
use axum::extract::Query as QueryOf;
use axum::http::header::ALLOW;
use axum::http::{HeaderMap, Method, Request, Response, Uri};
use ha::cluster::history_to_json;
use serde::Serialize;
use serde_json::Value;
use std::net::IpAddr;
use std::time::Instant;
use types::Scope;

impl Api {
    /// Answers one request from `peer`. Never fails: what is wrong with a request is said in the answer.
    pub async fn answer(&self, peer: IpAddr, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let asking = Asking { peer, certified: head.extensions.get::<Certified>().is_some() };
        let reply = match head.method {
            Method::GET => self.read(&head.uri, true),
            Method::HEAD | Method::OPTIONS => self.read(&head.uri, false),
            _ => match self.change(asking, &head.method, &head.uri, &head.headers, body).await {
                Ok(reply) | Err(reply) => reply,
            },
        };
        tracing::debug!(%peer, method = %head.method, path = head.uri.path(), status = reply.status.as_u16(), "answered");
        reply.into_response(&self.snapshot().settings)
    }

    /// `whole`: with the body.
    fn read(&self, uri: &Uri, whole: bool) -> Reply {
        let snapshot = self.snapshot();
        let now = Instant::now();
        let query = || Query(QueryOf::try_from_uri(uri).map(|QueryOf(pairs)| pairs).unwrap_or_default());
        let reply = match segments(uri.path()) {
            ("liveness", _) => Reply::status_only(health::is_alive(&snapshot, now)),
            ("readiness", _) => {
                let ready = health::is_ready(&snapshot, &query(), now);
                if let Err(why) = &ready {
                    tracing::debug!(%why, "not ready");
                }
                Reply::status_only(ready.is_ok())
            }
            ("patroni", _) => Reply::json(200, &StatusBody::of(&snapshot)),
            ("cluster", _) => cluster(&snapshot),
            ("history", _) => history(&snapshot),
            ("config", _) => config(&snapshot),
            ("failsafe", _) => failsafe_is_off(),
            ("metrics", _) => Reply::metrics(self.metrics_text(&snapshot, now)),
            ("quorate", "explain") => Reply::json(200, &self.explanation(&snapshot)),
            ("redis", what) => redis::read(self, what),
            _ => {
                let healthy = health::is_healthy(uri.path(), &query(), &snapshot, now);
                if whole {
                    Reply::json(if healthy { 200 } else { 503 }, &StatusBody::of(&snapshot))
                } else {
                    Reply::status_only(healthy)
                }
            }
        };
        if whole { reply } else { reply.without_body() }
    }

    fn metrics_text(&self, snapshot: &Snapshot, now: Instant) -> String {
        let redis = self.redis.as_ref().map(|redis| redis.snapshots.borrow().clone());
        metrics::text(snapshot, redis.as_deref(), self.metrics.as_ref(), now)
    }

    fn explanation(&self, snapshot: &Snapshot) -> Value {
        let mut explanation = Value::clone(&snapshot.explanation);
        if let Some(redis) = &self.redis {
            if !explanation.is_object() {
                explanation = serde_json::json!({});
            }
            explanation["redis"] = Value::clone(&redis.snapshots.borrow().explanation);
        }
        let mut vips = self.vips.as_ref().map_or(Value::Null, |vips| vips());
        if let Some(vips) = vips.as_array_mut().filter(|vips| !vips.is_empty()) {
            let holders = snapshot.cluster.virtual_addresses();
            for vip in &mut *vips {
                let ip = vip["address"].as_str().and_then(|text| text.split('/').next()?.parse().ok());
                let holder = ip.and_then(|ip: IpAddr| holders.get(&ip));
                vip["holder"] = serde_json::json!(holder);
            }
            if !explanation.is_object() {
                explanation = serde_json::json!({});
            }
            explanation["vip"] = vips.clone().into();
        }
        explanation
    }

    async fn change(
        &self,
        asking: Asking,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Reply, Reply> {
        let (name, what) = segments(uri.path());
        let change = Change::of(method, name).ok_or_else(method_not_allowed)?;
        // As in Patroni: for the failsafe mode a list of the members alone restricts nobody, because a member that is
        // new to the list must be heard too.
        access::check(&self.snapshot(), headers, asking, change != Change::Failsafe).await?;
        Ok(match change {
            Change::PatchConfig => config_change::patch(self, &request_body::required(headers, body).await?).await,
            Change::PutConfig => config_change::put(self, request_body::required(headers, body).await?).await,
            Change::Switchover => {
                switchover::begin(self, Action::Switchover, &request_body::required(headers, body).await?).await
            }
            Change::Failover => {
                switchover::begin(self, Action::Failover, &request_body::required(headers, body).await?).await
            }
            Change::CancelSwitchover => switchover::cancel(self).await,
            Change::Restart => restart::restart(self, &request_body::optional(headers, body).await?).await,
            Change::CancelRestart => restart::cancel_restart(self).await,
            Change::Reload => restart::reload(self).await,
            Change::Reinitialize => restart::reinitialize(self, &request_body::optional(headers, body).await?).await,
            Change::Failsafe => failsafe_is_off(),
            Change::Redis => redis::change(self, what, &request_body::optional(headers, body).await?).await,
            // Only the leader of a Citus coordinator does something here, and there is none.
            Change::Mpp => request_body::required(headers, body).await.map(|_| Reply::text(200, "OK"))?,
            // Patroni's own tests stop it this way on Windows; elsewhere it only says so.
            Change::Sigterm => Reply::text(202, "shutdown scheduled"),
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    PatchConfig,
    PutConfig,
    Switchover,
    Failover,
    CancelSwitchover,
    Restart,
    CancelRestart,
    Reload,
    Reinitialize,
    Failsafe,
    Redis,
    Mpp,
    Sigterm,
}

impl Change {
    fn of(method: &Method, name: &str) -> Option<Self> {
        Some(match (method.as_str(), name) {
            ("PATCH", "config") => Self::PatchConfig,
            ("PUT", "config") => Self::PutConfig,
            ("POST", "switchover") => Self::Switchover,
            ("POST", "failover") => Self::Failover,
            ("DELETE", "switchover") => Self::CancelSwitchover,
            ("POST", "restart") => Self::Restart,
            ("DELETE", "restart") => Self::CancelRestart,
            ("POST", "reload") => Self::Reload,
            ("POST", "reinitialize") => Self::Reinitialize,
            ("POST", "failsafe") => Self::Failsafe,
            ("POST", "redis") => Self::Redis,
            ("POST", "citus" | "mpp") => Self::Mpp,
            ("POST", "sigterm") => Self::Sigterm,
            _ => return None,
        })
    }
}

fn method_not_allowed() -> Reply {
    Reply::text(405, "Method Not Allowed").with_header(ALLOW, "GET, HEAD, OPTIONS")
}

/// The first two segments of a path; empty where there are none.
fn segments(path: &str) -> (&str, &str) {
    let mut segments = path.trim_start_matches('/').split('/');
    (segments.next().unwrap_or_default(), segments.next().unwrap_or_default())
}

#[derive(Serialize)]
struct ClusterBody<'a> {
    #[serde(flatten)]
    view: ClusterView,
    scope: &'a Scope,
}

fn cluster(snapshot: &Snapshot) -> Reply {
    Reply::json(200, &ClusterBody { view: ClusterView::of(&snapshot.cluster), scope: &snapshot.scope })
}

fn history(snapshot: &Snapshot) -> Reply {
    let lines = snapshot.cluster.history.as_ref().map_or(&[][..], |history| &history.value);
    match serde_json::from_str::<Value>(&history_to_json(lines)) {
        Ok(lines) => Reply::json(200, &lines),
        Err(_) => Reply::json(200, &Value::Array(Vec::new())),
    }
}

fn config(snapshot: &Snapshot) -> Reply {
    let text = snapshot.cluster.config_text.as_ref().map(|config| config.value.as_str());
    match text.map(serde_json::from_str::<Value>) {
        Some(Ok(config)) => Reply::json(200, &config),
        Some(Err(_)) | None => Reply::text(502, "Bad Gateway: there is no configuration in the DCS"),
    }
}

fn failsafe_is_off() -> Reply {
    Reply::text(502, "Bad Gateway: the failsafe mode is not enabled")
}
