//! Failsafe mode: the store cannot be reached, and the primary goes on because everybody who could take over has promised
//! not to.
//!
//! **Why there are never two primaries.** `/failsafe` lists the members that may take a leader key while it exists, and
//! whoever takes one compares it ([`crate::cluster::StoreWrite::TakeLeader`]). The leader asks every member that is listed,
//! or may be by a write of its own whose outcome it does not know. Each promises, at its receipt of the question, to take
//! no leader key for as long as the leader's lease lives. So unanimous consent is what a renewal is: the leader noted the
//! time, then asked, and for `ttl` from that time nobody else can lead; the fence falls a margin before.
//!
//! [`Word`] is the side that promises, [`Asking`] the side that asks. Deliberately no network here: who carries the question
//! is the agent, or the simulator. The invariants:
//! 1. No leader key is taken by a member that has promised not to, nor by one that was started so lately that the worker
//!    before it may have (`Word`).
//! 2. Nothing that this member has sent, and that may still give it a leader key, is on its way when it promises (`Word`).
//! 3. Who is listed changes only while the leader's fence rests on the store's confirmation (`Asking::may_write`): whoever
//!    is added has not promised anything.

mod asking;
#[cfg(test)]
mod tests;
mod word;

pub use asking::{Asking, Asks, Consent, Missing};
pub use word::{Refusal, Seen, Word};

use crate::cluster::{Cluster, FailsafeMembers, Versioned};
use types::{MemberName, Millis};

/// Where the question is put: `POST /failsafe`, with this beside Patroni's `name`, `conn_url`, `api_url` and `slots`. Milliseconds.
pub const TTL_FIELD: &str = "quorate_ttl_ms";
/// The answer's header that says that it is a promise, for how many milliseconds. An agent that knows no promises may accept
/// too; that says nothing.
pub const PROMISED_HEADER: &str = "quorate-promised-ms";
/// Nobody is bound for longer, whatever is asked.
pub const PROMISE_MAX: Millis = crate::config::TTL_MAX;

/// What a decision may know of all this.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailsafeView {
    /// This worker has written the own entry since it started, so nothing of the worker before it can take a key any more.
    pub introduced: bool,
    /// Until then this member takes no leader key.
    pub bound_until: Option<Millis>,
    /// To whom that was promised. `None`: the worker before this one may have.
    pub bound_to: Option<MemberName>,
    /// As the leader: this fence rests on the consent of the others, not on the store.
    pub consent: Option<Consent>,
    /// As the leader: who did not consent when they were last asked.
    pub missing: Vec<Missing>,
}

impl FailsafeView {
    pub fn is_bound(&self, now: Millis) -> bool {
        self.bound_until.is_some_and(|until| now < until)
    }

    /// From when an election's waits count, nobody having led since then: from when this member may take part in it.
    pub fn counted_from(&self, leader_missing_since: Millis) -> Millis {
        self.bound_until.map_or(leader_missing_since, |until| until.max(leader_missing_since))
    }

    /// The consent under which this member goes on.
    pub fn consent_in_force(&self, now: Millis) -> Option<&Consent> {
        self.consent.as_ref().filter(|consent| now < consent.until)
    }
}

/// Why this member may not take a leader key now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bar {
    /// It has promised that, or the worker before it may have.
    Bound { to: Option<MemberName>, until: Millis },
    /// It is not listed in `/failsafe`, so nobody has asked it.
    NotListed,
}

/// Asked before a leader key is taken, of PostgreSQL or of Redis.
pub fn bar(
    failsafe: Option<&Versioned<FailsafeMembers>>,
    view: &FailsafeView,
    me: &MemberName,
    now: Millis,
) -> Option<Bar> {
    if let Some(until) = view.bound_until.filter(|until| now < *until) {
        return Some(Bar::Bound { to: view.bound_to.clone(), until });
    }
    failsafe.is_some_and(|listed| !listed.value.lists(me)).then_some(Bar::NotListed)
}

/// Everybody who could take a leader key, as their entries say: of PostgreSQL's, and of Redis's, which share the lease. Who
/// never leads need not be asked.
pub(crate) fn possible_takers(cluster: &Cluster) -> impl Iterator<Item = (&MemberName, &String)> {
    let redis = cluster.redis.values().flat_map(|group| &group.members);
    let redis = redis.filter(|(_, member)| !member.data.nofailover());
    let redis = redis.map(|(name, member)| (name, &member.data.api_url));
    let postgresql = cluster.members.iter().filter(|(_, member)| !member.data.tags.nofailover());
    postgresql.map(|(name, member)| (name, &member.data.api_url)).chain(redis)
}
