//! A scope's keys in the store, read into types: what every member sees of the others.
//!
//! Keys and values are Patroni's (`/service/<scope>/...`), so that its tools read our clusters and ours read theirs.
//! Deliberately tolerant when reading (a foreign or damaged value is kept as "unreadable", never a panic) and exact
//! when writing.

mod failover;
mod failsafe;
mod history;
mod keys;
mod member;
pub mod redis;
mod sentinel;
mod sync;
mod write;

pub use failover::FailoverRequest;
pub use failsafe::FailsafeMembers;
pub use history::{HistoryLine, RESERVED, history_from_json, history_to_json};
pub use keys::Keys;
pub use member::{MemberData, Quorate, Role, RunState, Services, Tags};
pub use redis::RedisGroup;
pub use sentinel::EpochClaim;
pub use sync::SyncState;
pub use write::{Fence, StoreWrite};

use crate::config::DynamicConfig;
use kv::{Event, EventKind, KeyValue};
use redis::RedisKeys;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use types::{LeaseId, Lsn, MemberName, Revision};

/// A value with the revision of its last change, which is what a compare-and-swap compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    pub value: T,
    pub revision: Revision,
}

/// The leader key. Its `epoch` (the revision at which it was created) names one leadership for all time: it is the
/// fencing token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    pub name: MemberName,
    pub epoch: Revision,
    pub lease: Option<LeaseId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub data: MemberData,
    pub revision: Revision,
    pub lease: Option<LeaseId>,
}

/// `/status`: where the leader's WAL ends (updated about every `loop_wait`), and the positions of its slots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    #[serde(default)]
    pub optime: Lsn,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub slots: BTreeMap<String, u64>,
}

/// One consistent view of a scope's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// The store's revision this view is of.
    pub revision: Revision,
    /// The system identifier; empty while a member bootstraps; `None` before that.
    pub initialize: Option<Versioned<String>>,
    /// The lease of the member that bootstraps, while `initialize` is empty.
    pub initialize_lease: Option<LeaseId>,
    pub leader: Option<Leader>,
    pub members: BTreeMap<MemberName, Member>,
    pub config: Option<Versioned<DynamicConfig>>,
    /// The configuration as it is written, for showing and editing.
    pub config_text: Option<Versioned<String>>,
    pub status: Option<Versioned<Status>>,
    pub history: Option<Versioned<Vec<HistoryLine>>>,
    pub failover: Option<Versioned<FailoverRequest>>,
    /// The key's revision, also when it holds no request: Patroni empties it (`{}`) instead of deleting it.
    pub failover_revision: Option<Revision>,
    pub sync: Option<Versioned<SyncState>>,
    /// Who may take a leader key while this exists.
    pub failsafe: Option<Versioned<FailsafeMembers>>,
    /// The Redis groups of the scope, by name.
    pub redis: BTreeMap<String, RedisGroup>,
    /// The newest epoch of each master that our sentinels watch without running its servers.
    pub sentinel_epochs: BTreeMap<String, Versioned<u64>>,
    /// Keys whose values could not be read, with why.
    pub unreadable: BTreeMap<String, String>,
}

impl Cluster {
    /// Builds the view from all keys under the scope's prefix, as one range request returned them.
    pub fn from_keys(keys: &Keys, kvs: &[KeyValue], revision: Revision) -> Self {
        let mut cluster = Self { revision, ..Self::default() };
        for kv in kvs {
            cluster.put(keys, kv);
        }
        cluster
    }

    /// Takes up one change. Changes must come in the store's order.
    pub fn apply(&mut self, keys: &Keys, event: &Event) {
        match event.kind {
            EventKind::Put => self.put(keys, &event.kv),
            EventKind::Delete => self.delete(keys, &event.kv.key),
        }
        self.revision = self.revision.max(event.kv.mod_revision);
    }

    pub fn leader_name(&self) -> Option<&MemberName> {
        self.leader.as_ref().map(|leader| &leader.name)
    }

    pub fn is_leader(&self, name: &MemberName) -> bool {
        self.leader_name() == Some(name)
    }

    /// The virtual addresses, each with the member that has it, as those say themselves.
    pub fn virtual_addresses(&self) -> BTreeMap<IpAddr, &MemberName> {
        let postgresql = self.members.iter().flat_map(|(name, member)| {
            let addresses = member.data.quorate.iter().flat_map(|quorate| &quorate.addresses);
            addresses.map(move |ip| (*ip, name))
        });
        let redis = self.redis.values().flat_map(|group| &group.members);
        let redis = redis.flat_map(|(name, member)| member.data.addresses.iter().map(move |ip| (*ip, name)));
        postgresql.chain(redis).collect()
    }

    /// The leader's own entry, when the leader is registered as a member.
    pub fn leader_member(&self) -> Option<(&MemberName, &Member)> {
        self.leader_name().and_then(|name| self.members.get_key_value(name))
    }

    /// The configuration in force; the defaults before there is one.
    pub fn config(&self) -> DynamicConfig {
        self.config.as_ref().map(|config| config.value.clone()).unwrap_or_default()
    }

    /// The revision that a transaction which takes a leader key compares.
    pub fn failsafe_revision(&self) -> Option<Revision> {
        self.failsafe.as_ref().map(|listed| listed.revision)
    }

    pub fn is_paused(&self) -> bool {
        self.config.as_ref().is_some_and(|config| config.value.pause)
    }

    fn put(&mut self, keys: &Keys, kv: &KeyValue) {
        let Some(name) = keys.name_of(&kv.key) else { return };
        self.unreadable.remove(name);
        let text = String::from_utf8_lossy(&kv.value).into_owned();
        let revision = kv.mod_revision;
        let result: Result<(), String> = match name {
            "initialize" => {
                self.initialize = Some(Versioned { value: text, revision });
                self.initialize_lease = kv.lease;
                Ok(())
            }
            "leader" => {
                self.leader = Some(Leader { name: MemberName::new(text), epoch: kv.create_revision, lease: kv.lease });
                Ok(())
            }
            "config" => match DynamicConfig::from_json(&text) {
                Ok(value) => {
                    self.config = Some(Versioned { value, revision });
                    self.config_text = Some(Versioned { value: text, revision });
                    Ok(())
                }
                // The last readable configuration stays in force.
                Err(error) => Err(error.to_string()),
            },
            "status" => read(&text).map(|value| self.status = Some(Versioned { value, revision })),
            "history" => history_from_json(&text).map(|value| self.history = Some(Versioned { value, revision })),
            "failover" => {
                self.failover_revision = Some(revision);
                FailoverRequest::from_text(&text)
                    .map(|value| self.failover = value.map(|value| Versioned { value, revision }))
            }
            "sync" => SyncState::from_text(&text).map(|value| self.sync = Some(Versioned { value, revision })),
            // One that cannot be read lists nobody: who may take over is not known.
            "failsafe" => {
                let read = FailsafeMembers::from_text(&text);
                let value = read.clone().unwrap_or_default();
                self.failsafe = Some(Versioned { value, revision });
                read.map(|_| ())
            }
            _ => match (name.strip_prefix("members/"), RedisKeys::split(name)) {
                (Some(member), _) => MemberData::from_text(&text).map(|data| {
                    self.members.insert(MemberName::new(member), Member { data, revision, lease: kv.lease });
                }),
                (None, Some((group, name))) => self.redis.entry(group.to_owned()).or_default().put(name, &text, kv),
                (None, None) => match sentinel::master_of(name) {
                    Some(master) => read(&text).map(|value| {
                        self.sentinel_epochs.insert(master.to_owned(), Versioned { value, revision });
                    }),
                    None => Ok(()),
                },
            },
        };
        if let Err(why) = result {
            self.unreadable.insert(name.to_owned(), why);
        }
    }

    fn delete(&mut self, keys: &Keys, key: &[u8]) {
        let Some(name) = keys.name_of(key) else { return };
        self.unreadable.remove(name);
        match name {
            "initialize" => (self.initialize, self.initialize_lease) = (None, None),
            "leader" => self.leader = None,
            "config" => (self.config, self.config_text) = (None, None),
            "status" => self.status = None,
            "history" => self.history = None,
            "failover" => (self.failover, self.failover_revision) = (None, None),
            "sync" => self.sync = None,
            "failsafe" => self.failsafe = None,
            _ => {
                if let Some(member) = name.strip_prefix("members/") {
                    self.members.remove(&MemberName::new(member));
                } else if let Some((group, name)) = RedisKeys::split(name) {
                    let Some(keys) = self.redis.get_mut(group) else { return };
                    keys.delete(name);
                    if keys.is_empty() {
                        self.redis.remove(group);
                    }
                } else if let Some(master) = sentinel::master_of(name) {
                    self.sentinel_epochs.remove(master);
                }
            }
        }
    }

    /// The group of this name; an empty one before it has any keys.
    pub fn redis_group(&self, name: &str) -> RedisGroup {
        self.redis.get(name).cloned().unwrap_or_default()
    }
}

fn read<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}
