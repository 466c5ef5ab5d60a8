//! `/members/<name>`: what a member says of itself.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::net::IpAddr;
use types::{Lsn, Millis, Revision, Timeline};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Older Patroni versions write `master`.
    #[serde(alias = "master")]
    Primary,
    #[default]
    Replica,
    StandbyLeader,
    Demoted,
    Promoted,
    Uninitialized,
    #[serde(other)]
    Other,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
            Self::StandbyLeader => "standby_leader",
            Self::Demoted => "demoted",
            Self::Promoted => "promoted",
            Self::Uninitialized => "uninitialized",
            Self::Other => "other",
        }
    }
}

/// What the local PostgreSQL is doing, in Patroni's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunState {
    #[serde(rename = "initializing new cluster")]
    Initdb,
    #[serde(rename = "initdb failed")]
    InitdbFailed,
    #[serde(rename = "running custom bootstrap script")]
    CustomBootstrap,
    #[serde(rename = "custom bootstrap failed")]
    CustomBootstrapFailed,
    #[serde(rename = "creating replica")]
    CreatingReplica,
    #[serde(rename = "running")]
    Running,
    #[serde(rename = "starting")]
    Starting,
    #[serde(rename = "starting after custom bootstrap")]
    BootstrapStarting,
    #[serde(rename = "start failed")]
    StartFailed,
    #[serde(rename = "restarting")]
    Restarting,
    #[serde(rename = "restart failed")]
    RestartFailed,
    #[serde(rename = "stopping")]
    Stopping,
    #[default]
    #[serde(rename = "stopped")]
    Stopped,
    #[serde(rename = "stop failed")]
    StopFailed,
    #[serde(rename = "crashed")]
    Crashed,
    /// A word of a version we do not know.
    #[serde(other, rename = "unknown")]
    Other,
}

impl RunState {
    /// The number in Patroni's metric `patroni_postgres_state`.
    pub fn metric(self) -> i64 {
        match self {
            Self::Initdb => 0,
            Self::InitdbFailed => 1,
            Self::CustomBootstrap => 2,
            Self::CustomBootstrapFailed => 3,
            Self::CreatingReplica => 4,
            Self::Running => 5,
            Self::Starting => 6,
            Self::BootstrapStarting => 7,
            Self::StartFailed => 8,
            Self::Restarting => 9,
            Self::RestartFailed => 10,
            Self::Stopping => 11,
            Self::Stopped => 12,
            Self::StopFailed => 13,
            Self::Crashed => 14,
            Self::Other => -1,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initdb => "initializing new cluster",
            Self::InitdbFailed => "initdb failed",
            Self::CustomBootstrap => "running custom bootstrap script",
            Self::CustomBootstrapFailed => "custom bootstrap failed",
            Self::CreatingReplica => "creating replica",
            Self::Running => "running",
            Self::Starting => "starting",
            Self::BootstrapStarting => "starting after custom bootstrap",
            Self::StartFailed => "start failed",
            Self::Restarting => "restarting",
            Self::RestartFailed => "restart failed",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::StopFailed => "stop failed",
            Self::Crashed => "crashed",
            Self::Other => "unknown",
        }
    }
}

/// Tags as they stand in the configuration: Patroni's own and any custom ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tags(pub Map<String, Value>);

impl Tags {
    pub fn flag(&self, name: &str) -> bool {
        match self.0.get(name) {
            Some(Value::Bool(value)) => *value,
            Some(Value::String(text)) => matches!(text.to_lowercase().as_str(), "true" | "on" | "yes" | "1"),
            Some(Value::Number(number)) => number.as_f64() != Some(0.0),
            _ => false,
        }
    }

    /// `failover_priority`, 1 by default; 0 where the member must never lead (`nofailover`).
    pub fn failover_priority(&self) -> i64 {
        if self.flag("nofailover") {
            return 0;
        }
        self.0.get("failover_priority").and_then(Value::as_i64).unwrap_or(1).max(0)
    }

    pub fn nofailover(&self) -> bool {
        self.failover_priority() == 0
    }

    pub fn nosync(&self) -> bool {
        self.flag("nosync")
    }

    pub fn noloadbalance(&self) -> bool {
        self.flag("noloadbalance")
    }

    pub fn replicatefrom(&self) -> Option<&str> {
        self.0.get("replicatefrom").and_then(Value::as_str)
    }
}

/// What our members say beyond Patroni's fields (its readers ignore it).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorate {
    /// This member's PostgreSQL may be writable. Set in the transaction that takes the leader key, cleared only in one
    /// that is sent after PostgreSQL has stopped. While it stands, nobody else may take the leader key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub claim: bool,
    /// The revision of a view in which this member saw no leader, and to which the positions beside it belong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaderless_at: Option<Revision>,
    /// PostgreSQL accepts writes (promotion finished). The proxies route by it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub writable: bool,
    /// This member has a proxy or connection poolers, and holding the clients there may take so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pools: Option<Millis>,
    /// As the leader: everybody is to hold new clients, and those of poolers, for this request of `/failover`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_pools: Option<Revision>,
    /// The request for which the clients of this member's proxy and poolers are held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pools_paused: Option<Revision>,
    /// The virtual addresses of the primary that this member has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// How much of another member's data this one has copied while it is being cloned, as estimated. Nothing is decided by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloned_percent: Option<u8>,
    #[serde(default, skip_serializing_if = "Services::is_empty")]
    pub services: Services,
}

/// Where this member's other services are reached, for people and for the console. Nothing is decided by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Services {
    /// A URL without a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<String>,
    /// `host:port` that leads to the primary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<String>,
}

impl Services {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberData {
    #[serde(default)]
    pub conn_url: String,
    #[serde(default)]
    pub api_url: String,
    #[serde(default)]
    pub state: RunState,
    #[serde(default)]
    pub role: Role,
    #[serde(default)]
    pub version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_url: Option<String>,
    #[serde(default, skip_serializing_if = "tags_are_empty")]
    pub tags: Tags,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_restart: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_restart_reason: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xlog_location: Option<Lsn>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receive_lsn: Option<Lsn>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_lsn: Option<Lsn>,
    /// `streaming` or `in archive recovery`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_state: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<Timeline>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_restart: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<bool>,
    /// `None` for a member that is a real Patroni.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorate: Option<Quorate>,
}

fn tags_are_empty(tags: &Tags) -> bool {
    tags.0.is_empty()
}

impl MemberData {
    /// The end of this member's WAL as it last said.
    pub fn position(&self) -> Lsn {
        [self.xlog_location, self.receive_lsn, self.replay_lsn].into_iter().flatten().max().unwrap_or_default()
    }

    /// May this member's PostgreSQL be accepting writes, as far as it has told?
    pub fn claims_primary(&self) -> bool {
        match &self.quorate {
            Some(quorate) => quorate.claim,
            None => {
                matches!(self.role, Role::Primary | Role::Promoted)
                    && matches!(
                        self.state,
                        RunState::Running | RunState::Starting | RunState::Restarting | RunState::Stopping
                    )
            }
        }
    }

    pub fn is_running(&self) -> bool {
        self.state == RunState::Running
    }

    /// Certainly accepting writes: promotion is over.
    pub fn is_writable(&self) -> bool {
        self.is_running() && self.role == Role::Primary && self.quorate.as_ref().is_none_or(|quorate| quorate.writable)
    }

    /// `host:port` of PostgreSQL, taken from `conn_url`.
    pub fn postgres_address(&self) -> Option<&str> {
        address_in(&self.conn_url)
    }

    /// `host:port` of the pooler beside PostgreSQL, taken from `proxy_url`.
    pub fn pooler_address(&self) -> Option<&str> {
        self.proxy_url.as_deref().and_then(address_in)
    }

    pub fn from_text(text: &str) -> Result<Self, String> {
        super::read(text)
    }
}

fn address_in(url: &str) -> Option<&str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['/', '?']).next().unwrap_or(rest);
    Some(rest.rsplit_once('@').map_or(rest, |(_, address)| address)).filter(|address| !address.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_written_by_patroni_is_read_and_missing_parts_are_left_out_again() {
        let text = r#"{"conn_url":"postgres://10.0.0.1:5432/postgres","api_url":"http://10.0.0.1:8008/patroni","state":"running","role":"primary","version":"4.1.4","xlog_location":50331648,"timeline":3}"#;
        let data = MemberData::from_text(text).unwrap();
        assert_eq!(serde_json::to_string(&data).unwrap(), text);
        assert_eq!(data.postgres_address(), Some("10.0.0.1:5432"));
        assert!(data.claims_primary() && data.is_writable());
        assert_eq!(data.position(), Lsn(50_331_648));
        let old = MemberData::from_text(r#"{"role":"master","state":"something new"}"#).unwrap();
        assert_eq!((old.role, old.state), (Role::Primary, RunState::Other));
        assert!(MemberData::from_text("[]x").is_err());
    }

    #[test]
    fn nofailover_and_priority_zero_are_the_same() {
        let tags = |text: &str| serde_json::from_str::<Tags>(text).unwrap();
        assert!(tags(r#"{"nofailover":true}"#).nofailover());
        assert!(tags(r#"{"failover_priority":0}"#).nofailover());
        assert_eq!(tags(r#"{"failover_priority":5}"#).failover_priority(), 5);
        assert_eq!(tags("{}").failover_priority(), 1);
    }
}
