//! The health checks: is this member what the path asks for?
//!
//! Pure: path, query and snapshot in, yes or no out. Words are looked for anywhere in the path, as Patroni does, so
//! that whatever a load balancer was configured with years ago keeps its meaning.

use crate::snapshot::{Snapshot, Xlog};
use crate::units;
use ha::cluster::{Role, RunState};
use serde_json::Value;
use std::time::{Duration, Instant};
use types::Lsn;

/// The query's names and values, decoded, in order.
pub struct Query(pub Vec<(String, String)>);

impl Query {
    /// The first value with this name; an empty one counts as absent.
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }
}

/// The generic check, for every path that is not an endpoint of its own. `false`: 503.
pub fn is_healthy(path: &str, query: &Query, snapshot: &Snapshot, now: Instant) -> bool {
    let path = if path == "/" { "/primary" } else { path };
    let has = |word: &str| path.contains(word);
    let roles = Roles::of(snapshot, query, now);
    if has("standby_leader") || has("standby-leader") {
        return roles.standby_leader;
    }
    if has("leader") {
        return roles.leader;
    }
    if has("master") || has("primary") || has("read-write") {
        return roles.primary();
    }
    let healthy = if has("replica") {
        roles.replica
    } else if has("read-only") && !has("sync") && !has("quorum") {
        roles.replica || roles.leader
    } else if has("health") {
        snapshot.local.state == RunState::Running
    } else {
        // Who is synchronous is known only from the store.
        snapshot.store_reachable && is_synchronous_as_asked(path, &roles, snapshot)
    };
    healthy && tags_match(query, snapshot)
}

fn is_synchronous_as_asked(path: &str, roles: &Roles, snapshot: &Snapshot) -> bool {
    let (sync, quorum) = (snapshot.local.sync_standby, snapshot.local.quorum_standby);
    match path {
        "/sync" | "/synchronous" => sync && roles.replica,
        "/quorum" => quorum && roles.replica,
        "/async" | "/asynchronous" => !sync && !quorum && roles.replica,
        "/read-only-sync" | "/read-only-synchronous" => roles.leader || sync && roles.replica,
        "/read-only-quorum" => roles.leader || quorum && roles.replica,
        _ => false,
    }
}

/// What this member may be used as.
struct Roles {
    /// Of either kind of cluster.
    leader: bool,
    standby_leader: bool,
    /// A replica that the query accepts.
    replica: bool,
}

impl Roles {
    fn of(snapshot: &Snapshot, query: &Query, now: Instant) -> Self {
        let local = &snapshot.local;
        let replica = !local.tags.noloadbalance()
            && local.role == Role::Replica
            && local.state == RunState::Running
            && query.get("replication_state").is_none_or(|wanted| local.replication_state.as_deref() == Some(wanted))
            && !lags(snapshot, query);
        // In a pause without the store PostgreSQL stays what it was, and there is no lock to go by.
        let by_role = !snapshot.store_reachable && local.pause;
        let leader = if by_role {
            matches!(local.role, Role::Primary | Role::StandbyLeader)
        } else {
            local.holds_leader_lock(now)
        };
        let standby_leader = leader && local.role == Role::StandbyLeader;
        Self { leader, standby_leader, replica }
    }

    fn primary(&self) -> bool {
        self.leader && !self.standby_leader
    }
}

/// Further behind than `lag` allows. Without a readable `lag` nothing is too far.
fn lags(snapshot: &Snapshot, query: &Query) -> bool {
    let Some(allowed) = query.get("lag").and_then(units::bytes) else { return false };
    let end = leader_end(snapshot);
    end != Lsn(0) && i128::from(replayed(snapshot).behind(end)) > i128::from(allowed)
}

/// The end of the leader's WAL as far as it is known here.
fn leader_end(snapshot: &Snapshot) -> Lsn {
    let published =
        snapshot.known_cluster().and_then(|cluster| cluster.status.as_ref()).map(|status| status.value.optime);
    published.max(snapshot.local.latest_end_lsn).unwrap_or_default()
}

fn replayed(snapshot: &Snapshot) -> Lsn {
    match snapshot.local.xlog {
        Some(Xlog::Replica { replayed, .. }) => replayed,
        _ => Lsn(0),
    }
}

/// Every `tag_x=y` of the query must be a tag of this member.
fn tags_match(query: &Query, snapshot: &Snapshot) -> bool {
    let wanted = query.0.iter().filter_map(|(name, value)| Some((name.strip_prefix("tag_")?, value)));
    wanted.filter(|(_, value)| !value.is_empty()).all(|(name, value)| match snapshot.local.tags.0.get(name) {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => text == value,
        // As JSON writes it: `true`, `5`.
        Some(other) => serde_json::to_string(other).is_ok_and(|text| text == *value),
    })
}

/// `/liveness`: the decision loop still turns. In a pause a stuck loop does no harm.
pub fn is_alive(snapshot: &Snapshot, now: Instant) -> bool {
    let local = &snapshot.local;
    let config = snapshot.cluster.config();
    let leases = if local.role == Role::Primary && local.state == RunState::Running { 1 } else { 2 };
    // The loop may rest for `loop_wait`; only what is beyond that counts.
    let allowed = Duration::from(config.loop_wait) + Duration::from(config.ttl) * leases;
    local.pause || now.saturating_duration_since(snapshot.last_decision_at) < allowed
}

/// `/readiness`: `Err` says why this member should not get clients.
pub fn is_ready(snapshot: &Snapshot, query: &Query, now: Instant) -> Result<(), String> {
    let local = &snapshot.local;
    if local.holds_leader_lock(now) {
        return Ok(());
    }
    if local.state != RunState::Running {
        return Err("PostgreSQL is not running".into());
    }
    if local.replication_state.as_deref() != Some("streaming") {
        return Err("PostgreSQL replication state is not streaming".into());
    }
    if !snapshot.store_reachable && local.latest_end_lsn.is_none() {
        return Err("DCS is not accessible".into());
    }
    let (mode, position) = match (query.get("mode"), &local.xlog) {
        (Some("write"), Some(Xlog::Replica { received, .. })) => ("write", *received),
        (Some("write"), _) => ("write", Lsn(0)),
        _ => ("apply", replayed(snapshot)),
    };
    let allowed = query
        .get("lag")
        .and_then(units::bytes)
        .map_or_else(|| i128::from(snapshot.cluster.config().maximum_lag_on_failover), i128::from);
    let lag = position.behind(leader_end(snapshot));
    if i128::from(lag) > allowed {
        return Err(format!("Replication {mode} lag {lag} exceeds maximum allowable {allowed}"));
    }
    Ok(())
}
