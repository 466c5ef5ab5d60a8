//! `GET` and `POST /failsafe`: who may take over while failsafe mode is on, and the leader's question whether this member will
//! not.
//!
//! Deliberately without a rule: the agent decides what it promises (`ha::failsafe`). The answer to a promise is Patroni's,
//! with one header that says that it is one.

use crate::api::Api;
use crate::reply::Reply;
use crate::snapshot::{Snapshot, Xlog};
use axum::http::HeaderName;
use ha::failsafe::{PROMISE_MAX, PROMISED_HEADER, TTL_FIELD};
use serde_json::{Map, Value};
use std::sync::Arc;
use types::{MemberName, Millis};

/// Why nothing is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailsafeRefusal(pub &'static str);

/// Gives this member's word to the one that is named, for so long. Must not wait for anything.
pub type FailsafePromises = Arc<dyn Fn(&MemberName, Millis) -> Result<(), FailsafeRefusal> + Send + Sync>;

const LSN_HEADER: HeaderName = HeaderName::from_static("lsn");

pub(crate) fn list(snapshot: &Snapshot) -> Reply {
    match &snapshot.cluster.failsafe {
        Some(listed) if snapshot.cluster.config().failsafe_mode => Reply::json(200, &listed.value.members),
        Some(_) | None => is_off(),
    }
}

pub(crate) fn promise(api: &Api, body: &Map<String, Value>) -> Reply {
    let snapshot = api.snapshot();
    let (Some(_), Some(promises)) = (&snapshot.cluster.failsafe, &api.extras.failsafe) else { return is_off() };
    let Some(name) = body.get("name").and_then(Value::as_str) else {
        return Reply::text(400, "Bad Request: name is missing");
    };
    let ttl = body.get(TTL_FIELD).and_then(Value::as_u64).map(Millis);
    // A Patroni asks without it, and takes no for an answer.
    let Some(ttl) = ttl.filter(|ttl| *ttl <= PROMISE_MAX) else {
        return Reply::text(500, format!("nothing is promised: the question does not say for how long ({TTL_FIELD})"));
    };
    match promises(&MemberName::new(name), ttl) {
        Ok(()) => {
            let lsn = match &snapshot.local.xlog {
                Some(Xlog::Primary { location }) => location.0,
                Some(Xlog::Replica { received, replayed, .. }) => received.0.max(replayed.0),
                None => 0,
            };
            let for_how_long = HeaderName::from_static(PROMISED_HEADER);
            Reply::text(200, "Accepted").with_number(LSN_HEADER, lsn).with_number(for_how_long, ttl.0)
        }
        Err(FailsafeRefusal(why)) => Reply::text(500, why),
    }
}

fn is_off() -> Reply {
    Reply::text(502, "Failsafe mode is disabled.")
}
