//! `redis/<group>/members/<name>`: what a member says of its Redis.

use crate::cluster::Services;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use types::{MemberName, Revision};

/// In Redis's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedisRole {
    Master,
    #[default]
    #[serde(alias = "slave")]
    Replica,
    /// A word of a version we do not know.
    #[serde(other)]
    Other,
}

impl RedisRole {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Replica => "replica",
            Self::Other => "other",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedisRunState {
    Running,
    /// The process lives and loads its data, or has not answered yet.
    Starting,
    Stopping,
    #[default]
    Stopped,
    /// It runs and does not answer.
    Unresponsive,
    #[serde(other)]
    Other,
}

impl RedisRunState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Unresponsive => "unresponsive",
            Self::Other => "unknown",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(clippy::struct_excessive_bools)] // facts that do not depend on each other
pub struct RedisMemberData {
    /// `host:port` where clients and replicas reach it.
    pub address: String,
    /// Of the member's REST API, as in PostgreSQL's entry.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_url: String,
    pub role: RedisRole,
    pub state: RedisRunState,
    /// Of the server: `7.2.4`, `valkey 8.1.1`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replid: Option<String>,
    /// The replication id before its last promotion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replid2: Option<String>,
    /// Bytes of the replication stream it has.
    pub offset: u64,
    /// Keys in all databases.
    pub keys: u64,
    /// A replica's link to its master is up, and the first synchronization over.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub link_up: bool,
    /// Whom it replicates from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub following: Option<MemberName>,
    /// As with PostgreSQL: the higher is preferred, and 0 never leads.
    pub failover_priority: i64,
    /// This member's Redis may be a master. Set in the transaction that takes or hands over the leader key, cleared only in
    /// one that is sent after Redis has stopped or was seen as a replica for certain. While it stands, nobody else may take
    /// the leader key.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub claim: bool,
    /// It is the master, promotion is over, and it is not about to stop. The proxies route by it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub writable: bool,
    /// The revision of a view in which this member saw no leader, and to which `offset` belongs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaderless_at: Option<Revision>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pause: bool,
    /// What is wrong with its Redis, for people: it refuses its own agent, or ends at its start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The virtual addresses of the master that this member has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// Of a member without PostgreSQL; the others tell it in PostgreSQL's entry.
    #[serde(skip_serializing_if = "Services::is_empty")]
    pub services: Services,
}

impl Default for RedisMemberData {
    fn default() -> Self {
        Self {
            address: String::new(),
            api_url: String::new(),
            role: RedisRole::default(),
            state: RedisRunState::default(),
            version: String::new(),
            run_id: None,
            replid: None,
            replid2: None,
            offset: 0,
            keys: 0,
            link_up: false,
            following: None,
            failover_priority: 1,
            claim: false,
            writable: false,
            leaderless_at: None,
            pause: false,
            trouble: None,
            addresses: Vec::new(),
            services: Services::default(),
        }
    }
}

impl RedisMemberData {
    pub fn is_running(&self) -> bool {
        self.state == RedisRunState::Running
    }

    pub fn is_writable(&self) -> bool {
        self.writable && self.is_running() && self.role == RedisRole::Master
    }

    /// Redis has told how much it has. A server that does not run has told nothing, which is not the same as nothing.
    pub fn has_told(&self) -> bool {
        self.run_id.is_some() || self.replid.is_some()
    }

    pub fn nofailover(&self) -> bool {
        self.failover_priority <= 0
    }
}
