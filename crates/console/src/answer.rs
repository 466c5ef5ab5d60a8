//! Which request gets which answer.
//!
//! Paths are told apart by method and first segment, as Patroni does; every other path is a health check. The tables here
//! are what `openapi.json` describes; a test compares the two.

use crate::access::{Asking, Certified};
use crate::api::Api;
use crate::cluster_json::ClusterView;
use crate::health::{self, Query};
use crate::reply::Reply;
use crate::snapshot::Snapshot;
use crate::status::StatusBody;
use crate::switchover::Action;
use crate::{
    access, config_change, drill, failsafe, joining, members, metrics, redis, request_body, restart, switchover,
};
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
        if head.method == Method::GET && head.uri.path() == STREAM {
            return self.stream().unwrap_or_else(|reply| reply.into_response(&self.snapshot().settings));
        }
        let certified = head.extensions.get::<Certified>().cloned();
        let reply = match head.method {
            Method::GET => self.read(&head.uri, true).await,
            Method::HEAD | Method::OPTIONS => self.read(&head.uri, false).await,
            _ => match self.change((peer, certified), &head.method, &head.uri, &head.headers, body).await {
                Ok(reply) | Err(reply) => reply,
            },
        };
        tracing::debug!(%peer, method = %head.method, path = head.uri.path(), status = reply.status.as_u16(), "answered");
        reply.into_response(&self.snapshot().settings)
    }

    /// `whole`: with the body.
    async fn read(&self, uri: &Uri, whole: bool) -> Reply {
        let snapshot = self.snapshot();
        let now = Instant::now();
        let query = || Query(QueryOf::try_from_uri(uri).map(|QueryOf(pairs)| pairs).unwrap_or_default());
        let (first, second) = segments(uri.path());
        let reply = match Read::of(first, second) {
            Read::Liveness => Reply::status_only(health::is_alive(&snapshot, now)),
            Read::Readiness => {
                let ready = health::is_ready(&snapshot, &query(), now);
                if let Err(why) = &ready {
                    tracing::debug!(%why, "not ready");
                }
                Reply::status_only(ready.is_ok())
            }
            Read::Patroni => Reply::json(200, &StatusBody::of(&snapshot)),
            Read::Cluster => cluster(&snapshot),
            Read::History => history(&snapshot),
            Read::Config => config(&snapshot),
            Read::Failsafe => failsafe::list(&snapshot),
            Read::Metrics => Reply::metrics(self.metrics_text(&snapshot, now)),
            Read::Explain => Reply::json(200, &self.explanation(&snapshot)),
            Read::Overview => Reply::json(200, &self.overview()),
            Read::Stream => Reply::status_only(true),
            Read::Samples => Reply::json(200, &self.extras.recorder.samples()),
            Read::Slots => Reply::json(200, &snapshot.local.slots),
            Read::Member => members::read(self, uri.path()).await,
            Read::Notes => Reply::json(200, &self.extras.recorder.notes()),
            Read::ConnectionStrings => {
                let source = self.extras.connection_strings.as_ref();
                Reply::json(200, &source.map(|source| source(&snapshot.cluster)).unwrap_or_default())
            }
            Read::OpenApi => Reply::described(OPENAPI),
            Read::Redis => redis::read(self, second),
            Read::Health => {
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
        (peer, certified): (IpAddr, Option<Certified>),
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Reply, Reply> {
        let (name, what) = segments(uri.path());
        let change = Change::of(method, name, what).ok_or_else(method_not_allowed)?;
        // A server that joins has nothing but its token, and one that renews nothing but its certificate.
        if !matches!(change, Change::Join | Change::Renew) {
            let asking = Asking { peer, certified: certified.is_some() };
            // As in Patroni: for the failsafe mode a list of the members alone restricts nobody, because a member that is
            // new to the list must be heard too.
            access::check(&self.snapshot(), headers, asking, change != Change::Failsafe).await?;
        }
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
            Change::Member => members::change(self, uri.path(), request_body::optional(headers, body).await?).await,
            Change::Drill => drill::run(self, &request_body::required(headers, body).await?).await,
            Change::Failsafe => failsafe::promise(self, &request_body::required(headers, body).await?),
            Change::Redis => redis::change(self, what, &request_body::optional(headers, body).await?).await,
            // Only the leader of a Citus coordinator does something here, and there is none.
            Change::Mpp => request_body::required(headers, body).await.map(|_| Reply::text(200, "OK"))?,
            // Patroni's own tests stop it this way on Windows; elsewhere it only says so.
            Change::Sigterm => Reply::text(202, "shutdown scheduled"),
            Change::Join => {
                let joining = self.extras.joining.as_ref().ok_or_else(joining::not_here)?;
                joining::reply(joining.join(peer, request_body::required(headers, body).await?).await)
            }
            Change::Renew => {
                let joining = self.extras.joining.as_ref().ok_or_else(joining::not_here)?;
                let Certified(shown) = certified.ok_or_else(|| Reply::text(403, "client certificate required"))?;
                let body = request_body::required(headers, body).await?;
                joining::reply(joining.renew(shown.to_vec(), body).await)
            }
        })
    }
}

/// The description of this API, as `GET /openapi.json` gives it.
pub const OPENAPI: &str = include_str!("../openapi.json");
/// The one answer that does not end.
const STREAM: &str = "/quorate/stream";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    Liveness,
    Readiness,
    Patroni,
    Cluster,
    History,
    Config,
    Failsafe,
    Metrics,
    Explain,
    Overview,
    Stream,
    Samples,
    Notes,
    Slots,
    Member,
    ConnectionStrings,
    OpenApi,
    Redis,
    Health,
}

/// First segment, second segment (empty: any), and what is read. What is not here is a health check.
const READS: &[(&str, &str, Read)] = &[
    ("liveness", "", Read::Liveness),
    ("readiness", "", Read::Readiness),
    ("patroni", "", Read::Patroni),
    ("cluster", "", Read::Cluster),
    ("history", "", Read::History),
    ("config", "", Read::Config),
    ("failsafe", "", Read::Failsafe),
    ("metrics", "", Read::Metrics),
    ("quorate", "explain", Read::Explain),
    ("quorate", "overview", Read::Overview),
    ("quorate", "stream", Read::Stream),
    ("quorate", "samples", Read::Samples),
    ("quorate", "notes", Read::Notes),
    ("quorate", "slots", Read::Slots),
    ("members", "", Read::Member),
    ("quorate", "connection-strings", Read::ConnectionStrings),
    ("openapi.json", "", Read::OpenApi),
    ("redis", "", Read::Redis),
];

impl Read {
    fn of(first: &str, second: &str) -> Self {
        let is_it = |row: &&(&str, &str, Self)| row.0 == first && (row.1.is_empty() || row.1 == second);
        READS.iter().find(is_it).map_or(Self::Health, |row| row.2)
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
    Member,
    Drill,
    Failsafe,
    Redis,
    Mpp,
    Sigterm,
    Join,
    Renew,
}

/// Method, first segment, second segment (empty: any), and what is done.
const CHANGES: &[(&str, &str, &str, Change)] = &[
    ("PATCH", "config", "", Change::PatchConfig),
    ("PUT", "config", "", Change::PutConfig),
    ("POST", "switchover", "", Change::Switchover),
    ("DELETE", "switchover", "", Change::CancelSwitchover),
    ("POST", "failover", "", Change::Failover),
    ("POST", "restart", "", Change::Restart),
    ("DELETE", "restart", "", Change::CancelRestart),
    ("POST", "reload", "", Change::Reload),
    ("POST", "reinitialize", "", Change::Reinitialize),
    ("POST", "members", "", Change::Member),
    ("POST", "quorate", "drill", Change::Drill),
    ("POST", "redis", "", Change::Redis),
    ("POST", "failsafe", "", Change::Failsafe),
    ("POST", "citus", "", Change::Mpp),
    ("POST", "mpp", "", Change::Mpp),
    ("POST", "sigterm", "", Change::Sigterm),
    ("POST", "join", "", Change::Join),
    ("POST", "renew", "", Change::Renew),
];

impl Change {
    fn of(method: &Method, first: &str, second: &str) -> Option<Self> {
        let is_it = |row: &&(&str, &str, &str, Self)| {
            row.0 == method.as_str() && row.1 == first && (row.2.is_empty() || row.2 == second)
        };
        CHANGES.iter().find(is_it).map(|row| row.3)
    }
}

/// Method and beginning of the path of every endpoint with a name of its own.
pub fn endpoints() -> Vec<(&'static str, String)> {
    let path = |first: &str, second: &str| {
        if second.is_empty() { format!("/{first}") } else { format!("/{first}/{second}") }
    };
    let reads = READS.iter().map(|row| ("GET", path(row.0, row.1)));
    reads.chain(CHANGES.iter().map(|row| (row.0, path(row.1, row.2)))).collect()
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
