//! What the REST API is shown.

use console::{LocalStatus, ReplicationRow, SlotNow, Xlog};
use ha::cluster::{Cluster, MemberData, Role};
use ha::lease::Lease;
use ha::postgres::{Decision, explain};
use postgres::sql::{SqlStatus, WalPosition};
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime};
use types::{MemberName, Millis};

/// `GET /quorate/explain`.
pub fn explanation(cluster: &Cluster, decision: &Decision) -> Value {
    let explanation = explain(cluster);
    let texts = |items: &[ha::reason::Reason]| items.iter().map(ToString::to_string).collect::<Vec<_>>();
    let members: Vec<Value> = explanation
        .members
        .iter()
        .map(|(name, obstacles)| {
            json!({"name": name, "obstacles": obstacles.iter().map(ToString::to_string).collect::<Vec<_>>()})
        })
        .collect();
    json!({
        "leader": {"name": explanation.leader, "because": texts(&explanation.because)},
        "members": members,
        "here": texts(&decision.reasons),
    })
}

/// The parts of the snapshot that come from this member alone.
pub fn local_status(
    me: &MemberName,
    cluster: &Cluster,
    entry: &MemberData,
    status: Option<&SqlStatus>,
    lease: Option<Lease>,
    now: Millis,
) -> LocalStatus {
    let leads = cluster
        .leader
        .as_ref()
        .is_some_and(|leader| leader.name == *me && lease.is_some_and(|lease| leader.lease == Some(lease.id)));
    let left = lease.map(|lease| Duration::from(lease.valid_until().since(now)));
    let mut local = LocalStatus {
        state: entry.state,
        role: match entry.role {
            _ if leads && entry.is_writable() => Role::Primary,
            // Not a moment with the leader key and as a primary.
            Role::Replica if leads && cluster.config().standby_cluster.is_some() => Role::StandbyLeader,
            role => role,
        },
        is_leader: leads,
        leader_until: left.filter(|_| leads).map(|left| Instant::now() + left),
        timeline: entry.timeline,
        replication_state: entry.replication_state.clone(),
        sync_standby: cluster.sync.as_ref().is_some_and(|sync| sync.value.standbys.contains(me)),
        pause: cluster.is_paused(),
        pending_restart: entry.pending_restart == Some(true),
        tags: entry.tags.clone(),
        ..LocalStatus::default()
    };
    let Some(status) = status else { return local };
    local.server_version = Some(status.server_version);
    local.postmaster_start_time = time_of(&status.postmaster_start_time);
    local.database_system_identifier = Some(status.system_identifier.clone());
    local.latest_end_lsn = status.receiver.as_ref().and_then(|receiver| receiver.latest_end_lsn);
    local.xlog = Some(match &status.position {
        WalPosition::Primary { flush, .. } => Xlog::Primary { location: *flush },
        WalPosition::Standby { receive, replay, replay_timestamp, replay_paused } => Xlog::Replica {
            received: receive.or(*replay).unwrap_or_default(),
            replayed: replay.unwrap_or_default(),
            replayed_timestamp: replay_timestamp.as_deref().and_then(time_of),
            paused: *replay_paused,
        },
    });
    local.replication = status
        .replication
        .iter()
        .map(|row| ReplicationRow {
            usename: row.usename.clone(),
            application_name: row.application_name.clone().unwrap_or_default(),
            client_addr: row.client_addr.clone(),
            state: row.state.clone().unwrap_or_default(),
            sync_state: row.sync_state.clone().unwrap_or_default(),
            sync_priority: row.sync_priority.unwrap_or_default(),
        })
        .collect();
    let end = match &status.position {
        WalPosition::Primary { flush, .. } => *flush,
        WalPosition::Standby { receive, replay, .. } => (*receive).max(*replay).unwrap_or_default(),
    };
    local.slots = status
        .slots
        .iter()
        .map(|row| SlotNow {
            name: row.name.clone(),
            kind: row.kind.clone(),
            database: row.database.clone(),
            active: row.active,
            temporary: row.temporary,
            kept_bytes: row.restart_lsn.map(|from| from.behind(end)),
            wal_status: row.wal_status.clone(),
        })
        .collect();
    local.pending_restart_reason =
        status.pending_restart.as_ref().filter(|pending| !pending.is_empty()).map(|pending| {
            let reasons = pending
                .iter()
                .map(|one| (one.name.clone(), json!({"old_value": one.old_value, "new_value": one.new_value})));
            Value::Object(reasons.collect())
        });
    local
}

/// PostgreSQL writes times as `2026-11-23 02:47:42.123+00`.
fn time_of(text: &str) -> Option<SystemTime> {
    text.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
}
