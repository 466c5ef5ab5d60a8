//! The cluster as `GET /cluster` and `patronictl list` show it.
//!
//! Deliberately knows nothing of HTTP and of this member: the command line builds the same view from the store's keys.
//! Names and types are those of Patroni's `cluster_as_json`.

use ha::cluster::{Cluster, Member, Role, Tags};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use types::{Lsn, MemberName, Timeline};

/// The view as plain JSON. `scope` is not in it; `GET /cluster` adds it.
pub fn cluster_as_json(cluster: &Cluster) -> Value {
    serde_json::to_value(ClusterView::of(cluster)).unwrap_or_default()
}

/// The same with the fields in Patroni's order.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterView {
    /// Sorted by name.
    pub members: Vec<MemberView>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pause: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_switchover: Option<ScheduledSwitchover>,
    /// Who has which virtual address.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub virtual_addresses: BTreeMap<IpAddr, MemberName>,
}

#[derive(Clone, Debug, Serialize)]
pub struct MemberView {
    pub name: MemberName,
    /// `leader`, `standby_leader`, `sync_standby` or `replica`.
    pub role: &'static str,
    /// How it replicates where that is known, else what PostgreSQL is doing.
    pub state: String,
    pub api_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeline: Option<Timeline>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_restart: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_restart_reason: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_restart: Option<Value>,
    #[serde(skip_serializing_if = "tags_are_empty")]
    pub tags: Tags,
    /// `None` for the leader.
    #[serde(flatten)]
    pub positions: Option<Positions>,
}

fn tags_are_empty(tags: &Tags) -> bool {
    tags.0.is_empty()
}

/// How far a replica is, and how many bytes behind the leader's last published position.
#[derive(Clone, Debug, Serialize)]
pub struct Positions {
    pub receive_lag: Known<u64>,
    pub receive_lsn: Known<String>,
    pub replay_lag: Known<u64>,
    pub replay_lsn: Known<String>,
    pub lag: Known<u64>,
    pub lsn: Known<String>,
}

/// A value, or the word `unknown`.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Known<T> {
    Value(T),
    Unknown(&'static str),
}

impl<T> From<Option<T>> for Known<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Unknown("unknown"), Self::Value)
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct ScheduledSwitchover {
    pub at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<MemberName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<MemberName>,
}

impl ClusterView {
    pub fn of(cluster: &Cluster) -> Self {
        let scheduled_switchover = cluster.failover.as_ref().and_then(|failover| {
            let request = &failover.value;
            let at = request.scheduled_at.clone()?;
            Some(ScheduledSwitchover { at, from: request.leader.clone(), to: request.candidate.clone() })
        });
        let addresses = cluster.virtual_addresses();
        Self {
            members: cluster.members.iter().map(|(name, member)| MemberView::of(cluster, name, member)).collect(),
            pause: cluster.is_paused(),
            scheduled_switchover,
            virtual_addresses: addresses.into_iter().map(|(ip, name)| (ip, name.clone())).collect(),
        }
    }
}

impl MemberView {
    fn of(cluster: &Cluster, name: &MemberName, member: &Member) -> Self {
        let data = &member.data;
        let role = role(cluster, name, data.role);
        let replication_state = data.replication_state.as_deref().filter(|state| role != "leader" && !state.is_empty());
        let (host, port) = host_and_port(data.postgres_address());
        let end = cluster.status.as_ref().map(|status| status.value.optime).unwrap_or_default();
        Self {
            name: name.clone(),
            role,
            state: replication_state.unwrap_or(data.state.as_str()).to_owned(),
            api_url: data.api_url.clone(),
            host,
            port,
            timeline: data.timeline,
            pending_restart: data.pending_restart,
            pending_restart_reason: data.pending_restart_reason.clone(),
            scheduled_restart: data.scheduled_restart.clone(),
            tags: data.tags.clone(),
            positions: (!cluster.is_leader(name))
                .then(|| Positions::of(data.receive_lsn, data.replay_lsn, data.xlog_location, end)),
        }
    }
}

fn role(cluster: &Cluster, name: &MemberName, role: Role) -> &'static str {
    let is_synchronous = cluster.config.as_ref().is_some_and(|config| config.value.is_synchronous());
    if cluster.is_leader(name) {
        if role == Role::StandbyLeader { "standby_leader" } else { "leader" }
    } else if is_synchronous && is_sync_standby(cluster, name) {
        "sync_standby"
    } else {
        "replica"
    }
}

/// Stands in `/sync` as a standby of the leader named there.
pub(crate) fn is_sync_standby(cluster: &Cluster, name: &MemberName) -> bool {
    cluster.sync.as_ref().is_some_and(|sync| sync.value.leader.is_some() && sync.value.standbys.contains(name))
}

impl Positions {
    fn of(receive: Option<Lsn>, replay: Option<Lsn>, end: Option<Lsn>, leader: Lsn) -> Self {
        let known = |lsn: Option<Lsn>| lsn.filter(|lsn| *lsn != Lsn(0));
        let lag = |lsn| Known::from(known(lsn).map(|lsn| lsn.behind(leader)));
        let text = |lsn| Known::from(known(lsn).map(|lsn| lsn.to_string()));
        Self {
            receive_lag: lag(receive),
            receive_lsn: text(receive),
            replay_lag: lag(replay),
            replay_lsn: text(replay),
            lag: lag(end),
            lsn: text(end),
        }
    }
}

/// `10.0.0.1:5432`, `[::1]:5432` or a host alone.
fn host_and_port(address: Option<&str>) -> (Option<String>, Option<u16>) {
    let Some(address) = address else { return (None, None) };
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
        _ => (address, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (Some(host.to_owned()).filter(|host| !host.is_empty()), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        for (address, host, port) in [
            ("10.0.0.1:5432", Some("10.0.0.1"), Some(5432)),
            ("[::1]:5433", Some("::1"), Some(5433)),
            ("[::1]", Some("::1"), None),
            ("db", Some("db"), None),
            (":x", None, None),
        ] {
            assert_eq!(host_and_port(Some(address)), (host.map(str::to_owned), port), "{address}");
        }
    }
}
