//! `sentinel/<master>/epoch`: the newest epoch of a master whose servers something else runs. Our sentinels claim epochs
//! here instead of voting.
//!
//! The invariant: the number only grows, and each number has one owner: whoever wrote it.

use super::write::{put, unchanged};
use super::{Keys, Versioned};
use kv::TxnRequest;
use types::Revision;

/// Makes this epoch the claimant's; refused when the key is not as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochClaim {
    pub master: String,
    pub epoch: u64,
    /// `None`: the key did not exist.
    expected: Option<Revision>,
}

impl EpochClaim {
    /// `known`: the key as it was seen. An error is the epoch that is taken already.
    pub fn new(master: &str, epoch: u64, known: Option<&Versioned<u64>>) -> Result<Self, u64> {
        match known {
            Some(known) if known.value >= epoch => Err(known.value),
            known => Ok(Self { master: master.to_owned(), epoch, expected: known.map(|known| known.revision) }),
        }
    }

    pub fn to_txn(&self, keys: &Keys) -> TxnRequest {
        let key = keys.key(&format!("sentinel/{}/epoch", self.master));
        TxnRequest {
            compare: vec![unchanged(&key, self.expected)],
            success: vec![put(key, self.epoch.to_string().into_bytes(), None)],
            failure: Vec::new(),
        }
    }
}

/// The master of an epoch's key, as it is behind the scope's prefix.
pub(super) fn master_of(name: &str) -> Option<&str> {
    name.strip_prefix("sentinel/")?.strip_suffix("/epoch")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_that_is_taken_is_not_claimed_again() {
        let known = Versioned { value: 7, revision: Revision(3) };
        assert_eq!(EpochClaim::new("db1", 7, Some(&known)), Err(7));
        let claim = EpochClaim::new("db1", 8, Some(&known)).unwrap();
        let keys = Keys::new(None, &"demo".into());
        let txn = claim.to_txn(&keys);
        assert_eq!(txn.compare, [unchanged(&keys.key("sentinel/db1/epoch"), Some(Revision(3)))]);
        assert!(EpochClaim::new("db1", 1, None).is_ok());
        assert_eq!(master_of("sentinel/db1/epoch"), Some("db1"));
        assert_eq!(master_of("sentinel/db1"), None);
    }
}
