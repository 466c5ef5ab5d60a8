//! What the agent knows at one moment, published for everybody who asks over HTTP.
//!
//! Deliberately plain data. The invariant: one snapshot is one moment, so an answer never mixes two.

use crate::settings::RestApiSettings;
use ha::cluster::{Cluster, Role, RunState, Tags};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use types::{Lsn, MemberName, Scope, SystemId, Timeline};

#[derive(Clone, Debug)]
pub struct Snapshot {
    pub me: MemberName,
    pub scope: Scope,
    /// The last view of the cluster's keys, also while the store is out of reach.
    pub cluster: Arc<Cluster>,
    /// The store answers now. Without it nobody's leadership or synchronous state counts as known.
    pub store_reachable: bool,
    /// Seconds since 1970 when the store last answered.
    pub dcs_last_seen: u64,
    pub local: LocalStatus,
    pub settings: Arc<RestApiSettings>,
    /// Answer of `GET /quorate/explain`.
    pub explanation: Arc<Value>,
    /// When the decision loop last completed; `/liveness` judges by it.
    pub last_decision_at: Instant,
}

impl Snapshot {
    /// The state before the agent has looked at anything.
    pub fn starting(me: MemberName, scope: Scope, settings: Arc<RestApiSettings>) -> Self {
        Self {
            me,
            scope,
            cluster: Arc::default(),
            store_reachable: false,
            dcs_last_seen: 0,
            local: LocalStatus::default(),
            settings,
            explanation: Arc::new(Value::Null),
            last_decision_at: Instant::now(),
        }
    }

    /// The cluster's keys while the store answers.
    pub fn known_cluster(&self) -> Option<&Cluster> {
        Some(self.cluster.as_ref()).filter(|_| self.store_reachable)
    }
}

/// This member and its PostgreSQL.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each a field of Patroni's status")]
pub struct LocalStatus {
    /// [`RunState::Other`] (`unknown`) when PostgreSQL should run but does not answer.
    pub state: RunState,
    pub role: Role,
    /// Holds the leader key, as of its last renewal.
    pub is_leader: bool,
    /// Until when that holds without another renewal; `None` where no lease bounds it (pause).
    pub leader_until: Option<Instant>,
    pub postmaster_start_time: Option<SystemTime>,
    /// As PostgreSQL's `server_version_num`, such as 150002.
    pub server_version: Option<u32>,
    pub timeline: Option<Timeline>,
    pub xlog: Option<Xlog>,
    /// The end of the sender's WAL as the WAL receiver last heard (`latest_end_lsn`); replicas only.
    pub latest_end_lsn: Option<Lsn>,
    /// `streaming` or `in archive recovery`; replicas only.
    pub replication_state: Option<String>,
    pub replication: Vec<ReplicationRow>,
    pub slots: Vec<SlotNow>,
    pub sync_standby: bool,
    pub quorum_standby: bool,
    pub pause: bool,
    /// The leader goes on without the store, by consent: as that leader knows, or as this member has promised it.
    pub failsafe_is_active: bool,
    pub pending_restart: bool,
    /// `{parameter: {"old_value": .., "new_value": ..}}`.
    pub pending_restart_reason: Option<Value>,
    /// `{"schedule": "<ISO 8601>", ..}`.
    pub scheduled_restart: Option<Value>,
    pub tags: Tags,
    pub database_system_identifier: Option<SystemId>,
    /// The watchdog is required and not armed.
    pub watchdog_failed: bool,
}

impl LocalStatus {
    /// Holds the leader lock at `now`. A lease that was not renewed in time does not count, even where the agent has
    /// not come round to saying so.
    pub fn holds_leader_lock(&self, now: Instant) -> bool {
        self.is_leader && self.leader_until.is_none_or(|until| now < until)
    }
}

/// Where the local PostgreSQL stands in the WAL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Xlog {
    Primary { location: Lsn },
    Replica { received: Lsn, replayed: Lsn, replayed_timestamp: Option<SystemTime>, paused: bool },
}

/// One line of `pg_stat_replication`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReplicationRow {
    pub usename: Option<String>,
    pub application_name: String,
    pub client_addr: Option<String>,
    pub state: String,
    pub sync_state: String,
    pub sync_priority: i32,
}

/// One line of `pg_replication_slots`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SlotNow {
    pub name: String,
    /// `physical` or `logical`.
    pub kind: String,
    pub database: Option<String>,
    /// Somebody reads from it now.
    pub active: bool,
    /// It ends with the session that made it.
    pub temporary: bool,
    /// The log that is kept because of it, in bytes; `None`: it keeps none.
    pub kept_bytes: Option<u64>,
    /// `reserved`, `extended`, `unreserved` or `lost`; `None`: it keeps none.
    pub wal_status: Option<String>,
}
