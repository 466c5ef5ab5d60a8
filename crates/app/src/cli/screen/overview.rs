//! The parts of `GET /quorate/overview` and `/quorate/notes` that fit on a terminal.
//!
//! Deliberately a reading of the public API and nothing more: what an older or newer member does not say is left out.

use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Overview {
    pub scope: String,
    /// The member that says so.
    pub member: String,
    pub store_reachable: bool,
    pub pause: bool,
    pub leader: Option<String>,
    pub writable: bool,
    pub members: Vec<Member>,
    pub scheduled_switchover: Option<Scheduled>,
    pub virtual_addresses: BTreeMap<String, String>,
    pub redis: Vec<RedisGroup>,
    pub store: Store,
    pub loss: Loss,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Member {
    pub name: String,
    pub role: String,
    pub state: String,
    pub timeline: Option<u32>,
    pub lsn: String,
    pub lag: Option<u64>,
    pub streaming: bool,
    pub cloned_percent: Option<u8>,
    pub pending_restart: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Scheduled {
    pub at: String,
    pub to: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct RedisGroup {
    pub name: String,
    pub members: Vec<RedisServer>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct RedisServer {
    pub name: String,
    pub role: String,
    pub state: String,
    pub lag: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Store {
    /// `embedded` or `etcd`.
    pub kind: String,
    pub leader: Option<String>,
    pub term: Option<u64>,
    pub voters: Vec<Voter>,
    pub spare: Option<usize>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Voter {
    pub name: String,
    pub witness: bool,
    pub absent: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Loss {
    pub code: String,
    pub sentence: String,
    pub because: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Note {
    /// Milliseconds since 1970.
    pub at: i64,
    pub code: String,
    pub text: String,
}
