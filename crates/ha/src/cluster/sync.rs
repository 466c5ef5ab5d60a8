//! `/sync`: which members certainly have every acknowledged commit.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeSet;
use types::MemberName;

/// Patroni's `/sync`. While a member stands here, every commit that was acknowledged is on its disk; nobody else may
/// be promoted in synchronous mode.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncState {
    #[serde(default)]
    pub leader: Option<MemberName>,
    #[serde(default)]
    pub quorum: u32,
    #[serde(default, rename = "sync_standby", serialize_with = "joined", deserialize_with = "split")]
    pub standbys: BTreeSet<MemberName>,
}

impl SyncState {
    pub fn new(leader: &MemberName, standbys: BTreeSet<MemberName>) -> Self {
        Self { leader: Some(leader.clone()), quorum: 0, standbys }
    }

    /// Has this member every acknowledged commit? Without a leader in the key synchronous mode is not in force yet.
    pub fn covers(&self, name: &MemberName) -> bool {
        match &self.leader {
            None => true,
            Some(leader) => leader == name || self.standbys.contains(name),
        }
    }

    pub(super) fn from_text(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        super::read(text)
    }
}

fn joined<S: Serializer>(names: &BTreeSet<MemberName>, serializer: S) -> Result<S::Ok, S::Error> {
    if names.is_empty() {
        return serializer.serialize_none();
    }
    let names: Vec<&str> = names.iter().map(MemberName::as_str).collect();
    serializer.serialize_str(&names.join(","))
}

fn split<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<MemberName>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    Ok(text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(MemberName::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_written_and_read_as_patroni_does() {
        let state = SyncState::new(&"a".into(), ["c".into(), "b".into()].into());
        let text = r#"{"leader":"a","quorum":0,"sync_standby":"b,c"}"#;
        assert_eq!(serde_json::to_string(&state).unwrap(), text);
        assert_eq!(SyncState::from_text(text).unwrap(), state);
        let empty = SyncState::from_text(r#"{"leader":null,"sync_standby":null}"#).unwrap();
        assert_eq!(empty, SyncState::default());
        assert!(empty.covers(&"x".into()));
        assert!(state.covers(&"c".into()) && !state.covers(&"x".into()));
    }
}
