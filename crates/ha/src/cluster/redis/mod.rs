//! The keys of a Redis group: `/<namespace>/<scope>/redis/<group>/...`, one group per name that Sentinel would call a master.
//!
//! Deliberately the same discipline as PostgreSQL's keys beside them: tolerant when reading, exact when writing, one
//! closed list of compare-and-swaps. The invariant: whoever holds `leader` under a lease that lives is the only one whose
//! Redis may be a master, and `epoch` names one such leadership for all time.

mod keys;
mod member;
mod write;

pub use keys::RedisKeys;
pub use member::{RedisMemberData, RedisRole, RedisRunState};
pub use write::{HandOver, RedisFence, RedisWrite};

use super::{Versioned, read};
use kv::KeyValue;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use types::{LeaseId, MemberName, Revision};

/// So many leaderships are remembered; the oldest go first.
pub const HISTORY_LINES_MAX: usize = 100;

/// The leader key. `epoch` is the revision of its last change: it changes when the key is taken and when it is handed over,
/// never otherwise. (PostgreSQL's is the revision of creation; a key that passes on in one transaction keeps that.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisLeader {
    pub name: MemberName,
    pub epoch: Revision,
    pub lease: Option<LeaseId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisMember {
    pub data: RedisMemberData,
    pub revision: Revision,
    pub lease: Option<LeaseId>,
}

/// `status`: how far the master's data was last known to go (updated about every `loop_wait`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisStatus {
    /// The master's replication id.
    #[serde(default)]
    pub replid: String,
    /// Bytes of the replication stream.
    #[serde(default)]
    pub offset: u64,
    /// Keys in all databases.
    #[serde(default)]
    pub keys: u64,
    /// Whose they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<MemberName>,
    /// Who had everything but the last moments. Needed after everything was down, when offsets have begun anew.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub in_sync: BTreeSet<MemberName>,
}

/// `failover`: what an operator asked for. With `leader` a switchover (the leader must be that one), without it a manual
/// failover. `force`: also at the price of writes, with the old leader alive or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisFailoverRequest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<MemberName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<MemberName>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// One leadership, noted by its leader as soon as it serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisHistoryLine {
    pub epoch: Revision,
    pub leader: MemberName,
    /// The replication id of this leadership, and where it began.
    #[serde(default)]
    pub replid: String,
    #[serde(default)]
    pub offset: u64,
    /// It began without any data.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty: bool,
    /// ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
}

/// `data/<member>`: the leadership from which its data come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisDataNote {
    pub epoch: Revision,
}

/// Everything the store says about one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisGroup {
    pub leader: Option<RedisLeader>,
    pub members: BTreeMap<MemberName, RedisMember>,
    pub status: Option<Versioned<RedisStatus>>,
    pub history: Option<Versioned<Vec<RedisHistoryLine>>>,
    pub failover: Option<Versioned<RedisFailoverRequest>>,
    /// The leadership from which each member's data certainly come. Not bound to a lease: it is needed after everything was
    /// down, when a restart has forgotten the replication id.
    pub data: BTreeMap<MemberName, Versioned<Revision>>,
}

impl RedisGroup {
    pub fn leader_name(&self) -> Option<&MemberName> {
        self.leader.as_ref().map(|leader| &leader.name)
    }

    pub fn is_leader(&self, name: &MemberName) -> bool {
        self.leader_name() == Some(name)
    }

    /// The leader's own entry, when the leader is registered as a member.
    pub fn leader_member(&self) -> Option<(&MemberName, &RedisMember)> {
        self.leader_name().and_then(|name| self.members.get_key_value(name))
    }

    /// The master that certainly accepts writes now.
    pub fn writable_master(&self) -> Option<(&MemberName, &RedisMember)> {
        self.leader_member().filter(|(_, member)| member.data.is_writable())
    }

    pub fn history(&self) -> &[RedisHistoryLine] {
        self.history.as_ref().map_or(&[], |history| &history.value)
    }

    /// The leadership that data with these replication ids come from; zero where nobody has noted it.
    pub fn generation(&self, data: &RedisMemberData) -> Revision {
        let of = |id: &Option<String>| {
            let id = id.as_ref()?;
            self.history().iter().filter(|line| line.replid == *id).map(|line| line.epoch).max()
        };
        of(&data.replid).or_else(|| of(&data.replid2)).unwrap_or(Revision(0))
    }

    /// The same, and what the member has noted of itself.
    pub fn lineage(&self, name: &MemberName, data: &RedisMemberData) -> Revision {
        let noted = self.data.get(name).filter(|_| data.keys > 0).map_or(Revision(0), |noted| noted.value);
        self.generation(data).max(noted)
    }

    /// Takes up `redis/<group>/<name>`; an error says why the value could not be read.
    pub(super) fn put(&mut self, name: &str, text: &str, kv: &KeyValue) -> Result<(), String> {
        let revision = kv.mod_revision;
        match name {
            "leader" => {
                self.leader = Some(RedisLeader { name: MemberName::new(text), epoch: revision, lease: kv.lease });
                Ok(())
            }
            "status" => read(text).map(|value| self.status = Some(Versioned { value, revision })),
            "history" => read(text).map(|value| self.history = Some(Versioned { value, revision })),
            "failover" => read(text).map(|value: RedisFailoverRequest| {
                let asked = value != RedisFailoverRequest::default();
                self.failover = asked.then_some(Versioned { value, revision });
            }),
            _ => match (name.strip_prefix("members/"), name.strip_prefix("data/")) {
                (Some(member), _) => read(text).map(|data| {
                    self.members.insert(MemberName::new(member), RedisMember { data, revision, lease: kv.lease });
                }),
                (None, Some(member)) => read(text).map(|value: RedisDataNote| {
                    self.data.insert(MemberName::new(member), Versioned { value: value.epoch, revision });
                }),
                (None, None) => Ok(()),
            },
        }
    }

    pub(super) fn delete(&mut self, name: &str) {
        match name {
            "leader" => self.leader = None,
            "status" => self.status = None,
            "history" => self.history = None,
            "failover" => self.failover = None,
            _ => {
                if let Some(member) = name.strip_prefix("members/") {
                    self.members.remove(&MemberName::new(member));
                } else if let Some(member) = name.strip_prefix("data/") {
                    self.data.remove(&MemberName::new(member));
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
