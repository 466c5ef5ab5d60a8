//! The status body: what `GET /patroni` and every health check say of this member.
//!
//! Deliberately only what Patroni says, in its order. Fields that do not apply are left out, not null.

use crate::PATRONI_VERSION;
use crate::schedule::python_time;
use crate::snapshot::{ReplicationRow, Snapshot, Xlog};
use ha::cluster::{RunState, Tags};
use serde::Serialize;
use serde_json::Value;
use types::{Lsn, MemberName, Scope, SystemId, Timeline};

#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "the format is Patroni's")]
pub struct StatusBody<'a> {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    postmaster_start_time: Option<String>,
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    xlog: Option<XlogBody>,
    #[serde(skip_serializing_if = "is_false")]
    sync_standby: bool,
    #[serde(skip_serializing_if = "is_false")]
    quorum_standby: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<Timeline>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replication_state: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    replication: &'a [ReplicationRow],
    #[serde(skip_serializing_if = "is_false")]
    pause: bool,
    #[serde(skip_serializing_if = "is_false")]
    cluster_unlocked: bool,
    #[serde(skip_serializing_if = "is_false")]
    failsafe_mode_is_active: bool,
    dcs_last_seen: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<&'a Tags>,
    #[serde(skip_serializing_if = "Option::is_none")]
    database_system_identifier: Option<&'a SystemId>,
    #[serde(skip_serializing_if = "is_false")]
    pending_restart: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_restart_reason: Option<&'a Value>,
    patroni: Identity<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_restart: Option<&'a Value>,
    #[serde(skip_serializing_if = "is_false")]
    watchdog_failed: bool,
}

#[derive(Serialize)]
struct Identity<'a> {
    version: &'static str,
    scope: &'a Scope,
    name: &'a MemberName,
}

#[derive(Serialize)]
#[serde(untagged)]
enum XlogBody {
    Primary { location: Lsn },
    Replica { received_location: Lsn, replayed_location: Lsn, replayed_timestamp: Option<String>, paused: bool },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl<'a> StatusBody<'a> {
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let local = &snapshot.local;
        // What PostgreSQL last said is shown only while it can say it, as Patroni does.
        let answers = answers(local.state);
        Self {
            state: local.state.as_str(),
            postmaster_start_time: local.postmaster_start_time.filter(|_| answers).and_then(python_time),
            role: local.role.as_str(),
            server_version: local.server_version.filter(|_| answers),
            xlog: local.xlog.as_ref().filter(|_| answers).map(XlogBody::of),
            sync_standby: local.sync_standby,
            quorum_standby: local.quorum_standby,
            timeline: local.timeline.filter(|_| answers),
            replication_state: local.replication_state.as_deref().filter(|_| answers),
            replication: if answers { &local.replication } else { &[] },
            pause: local.pause,
            cluster_unlocked: is_unlocked(snapshot),
            failsafe_mode_is_active: local.failsafe_is_active,
            dcs_last_seen: snapshot.dcs_last_seen,
            tags: Some(&local.tags).filter(|tags| !tags.0.is_empty()),
            database_system_identifier: local.database_system_identifier.as_ref(),
            pending_restart: local.pending_restart,
            pending_restart_reason: local.pending_restart_reason.as_ref().filter(|_| local.pending_restart),
            patroni: Identity { version: PATRONI_VERSION, scope: &snapshot.scope, name: &snapshot.me },
            scheduled_restart: local.scheduled_restart.as_ref(),
            watchdog_failed: local.watchdog_failed,
        }
    }
}

impl XlogBody {
    fn of(xlog: &Xlog) -> Self {
        match xlog {
            Xlog::Primary { location } => Self::Primary { location: *location },
            Xlog::Replica { received, replayed, replayed_timestamp, paused } => Self::Replica {
                received_location: *received,
                replayed_location: *replayed,
                replayed_timestamp: replayed_timestamp.and_then(python_time),
                paused: *paused,
            },
        }
    }
}

/// The states in which PostgreSQL is asked about itself.
pub fn answers(state: RunState) -> bool {
    matches!(state, RunState::Running | RunState::Restarting | RunState::Starting)
}

/// Nobody is known to hold the leader lock.
pub fn is_unlocked(snapshot: &Snapshot) -> bool {
    snapshot.known_cluster().is_none_or(|cluster| cluster.leader.is_none())
}
