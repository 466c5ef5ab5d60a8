//! Where a group's keys are.

use crate::cluster::Keys;
use kv::Key;
use types::MemberName;

/// The keys of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisKeys {
    keys: Keys,
    group: String,
}

impl RedisKeys {
    pub(super) fn new(keys: &Keys, group: &str) -> Self {
        Self { keys: keys.clone(), group: group.to_owned() }
    }

    pub fn key(&self, name: &str) -> Key {
        self.keys.key(&format!("redis/{}/{name}", self.group))
    }

    pub fn leader(&self) -> Key {
        self.key("leader")
    }

    pub fn member(&self, name: &MemberName) -> Key {
        self.key(&format!("members/{name}"))
    }

    pub fn data(&self, name: &MemberName) -> Key {
        self.key(&format!("data/{name}"))
    }

    pub fn overwrite(&self, name: &MemberName) -> Key {
        self.key(&format!("overwrite/{name}"))
    }

    /// Group and name of a key below the scope's prefix; `None`: it is not Redis's.
    pub(in crate::cluster) fn split(name: &str) -> Option<(&str, &str)> {
        name.strip_prefix("redis/")?.split_once('/').filter(|(group, _)| !group.is_empty())
    }
}

impl Keys {
    pub fn redis(&self, group: &str) -> RedisKeys {
        RedisKeys::new(self, group)
    }
}
