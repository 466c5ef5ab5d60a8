//! What would happen: "what can I lose right now?" and "what if this server died?".
//!
//! Pure questions to the present view of the store, answered by the rules that the decisions themselves follow
//! (`postgres::successor`, `redis::successor`). Deliberately no promise: positions in the store are as old as `loop_wait`, and
//! what a server has told last is not what it has now. The invariant: where it says that nothing can be lost, no commit has
//! been acknowledged that only one server has.

mod loss;
#[cfg(test)]
mod tests;
mod without;

pub use loss::{Loss, LossReason, loss};
pub use without::{AfterPostgres, AfterRedis, AfterStore, Without, without};

use crate::cluster::Cluster;
use std::collections::BTreeSet;
use types::MemberName;

/// The voters of the embedded store. `None` in its place: the store is a real etcd, of which nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Voters {
    pub names: BTreeSet<MemberName>,
    /// Voters that should have an entry in the scope and have none. A witness has none, and counts as there.
    pub absent: BTreeSet<MemberName>,
}

impl Voters {
    /// `witnesses`: those of which no entry is expected.
    pub fn of(names: BTreeSet<MemberName>, witnesses: &BTreeSet<MemberName>, cluster: &Cluster) -> Self {
        let has_entry = |name: &MemberName| {
            cluster.members.contains_key(name) || cluster.redis.values().any(|group| group.members.contains_key(name))
        };
        let absent = names.iter().filter(|name| !witnesses.contains(*name) && !has_entry(name)).cloned().collect();
        Self { names, absent }
    }

    pub fn majority(&self) -> usize {
        self.names.len() / 2 + 1
    }

    /// How many more may fail before the store stops.
    pub fn spare(&self) -> usize {
        (self.names.len() - self.absent.len()).saturating_sub(self.majority())
    }
}
