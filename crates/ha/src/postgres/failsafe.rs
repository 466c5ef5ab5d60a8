//! Failsafe mode as the leader of PostgreSQL keeps it ready: who is listed in `/failsafe`, and whom the keeper may ask.
//!
//! The invariants, on which `crate::failsafe` rests:
//! - Nobody is asked before the list was written under this leadership, and by this worker or after it began: no older write
//!   of it can arrive any more.
//! - As long as a write of it may be on its way, everybody is asked whom either list names; and while that write may be
//!   the one that removes the key, nobody.

use super::decide::Draft;
use crate::cluster::{FailsafeMembers, Fence, StoreWrite};
use crate::failsafe::{Asks, Bar, bar, possible_takers};
use crate::reason::{Obstacle, Reason};
use std::collections::BTreeMap;
use types::{MemberName, Millis, Revision};

/// A member that is gone stays listed for so long: one that restarts does not lose its right to take over. Until then the
/// primary does not go on without its consent.
const LISTED_AFTER_LEAVING: Millis = Millis(10_000);

/// What the leader remembers about `/failsafe`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailsafeMemory {
    /// The revision of this worker's first view.
    began_at: Option<Revision>,
    sent: Option<Sent>,
    /// Listed members whose entries are gone, since when.
    gone_since: BTreeMap<MemberName, Millis>,
}

/// Writes of the key that were decided: one of them may reach the store at any time, as long as the key has this revision.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sent {
    expected: Option<Revision>,
    members: BTreeMap<MemberName, String>,
    delete: bool,
}

/// This member may not take the leader key now. Says why, and wakes when that is over.
pub(super) fn bars(draft: &mut Draft<'_>) -> bool {
    let view = draft.view;
    let Some(bar) = bar(draft.cluster.failsafe.as_ref(), &view.dcs.failsafe, &view.me, view.now) else { return false };
    let obstacle = match bar {
        Bar::Bound { to, until } => {
            draft.wake(until);
            to.map_or(Obstacle::JustStarted, |to| Obstacle::Promised { to })
        }
        Bar::NotListed => Obstacle::NotInFailsafe,
    };
    draft.because(Reason::Obstacle(obstacle));
    true
}

/// Nobody else can have led since this member did: everybody has promised, and that is in force.
pub(super) fn consent_in_force(draft: &Draft<'_>) -> bool {
    draft.view.dcs.failsafe.consent_in_force(draft.view.now).is_some()
}

pub(super) fn remember(draft: &mut Draft<'_>) {
    let present = draft.cluster.failsafe_revision();
    let memory = &mut draft.memory.failsafe;
    memory.began_at.get_or_insert(draft.cluster.revision);
    memory.sent = memory.sent.take().filter(|sent| sent.expected == present);
    let (now, cluster) = (draft.view.now, draft.cluster);
    let me = &draft.view.me;
    let lives = |name: &MemberName| name == me || possible_takers(cluster).any(|(taker, _)| taker == name);
    let listed = cluster.failsafe.iter().flat_map(|listed| listed.value.members.keys());
    let gone: Vec<MemberName> = listed.filter(|name| !lives(name)).cloned().collect();
    memory.gone_since.retain(|name, _| gone.contains(name));
    for name in gone {
        memory.gone_since.entry(name).or_insert(now);
    }
}

/// As the leader, with PostgreSQL serving: keeps the list as it should be, or removes it.
pub(super) fn step(draft: &mut Draft<'_>, fence: &Fence) {
    let Some(lease) = draft.view.dcs.lease else { return };
    if let Some(until) = draft.memory.failsafe.gone_since.values().map(|since| *since + LISTED_AFTER_LEAVING).min() {
        draft.wake(until);
    }
    // Whoever is added has promised nothing to this leader, whose fence rests on promises.
    if let Some(consent) = draft.view.dcs.failsafe.consent_in_force(draft.view.now) {
        return draft.wake(consent.until);
    }
    let expected = draft.cluster.failsafe_revision();
    if !is_wanted(draft) {
        if let Some(expected) = expected {
            let members = draft.memory.failsafe.sent.take().map(|sent| sent.members).unwrap_or_default();
            draft.memory.failsafe.sent = Some(Sent { expected: Some(expected), members, delete: true });
            draft.write(StoreWrite::DeleteFailsafe { fence: fence.clone(), expected });
        }
        return;
    }
    let members = desired(draft);
    let present = draft.cluster.failsafe.as_ref().map(|listed| &listed.value);
    let names_are_right = present.is_some_and(|listed| listed.members == members && listed.ttl == Some(lease.ttl));
    if names_are_right && is_ours(draft, fence) && !deletes(draft) {
        return;
    }
    let before = draft.memory.failsafe.sent.take();
    let delete = before.as_ref().is_some_and(|sent| sent.delete);
    let mut sent = before.map(|sent| sent.members).unwrap_or_default();
    sent.extend(members.clone());
    draft.memory.failsafe.sent = Some(Sent { expected, members: sent, delete });
    let listed = FailsafeMembers { members, ttl: Some(lease.ttl) };
    draft.write(StoreWrite::PutFailsafe { fence: fence.clone(), listed, expected });
}

/// This member, everybody with an entry who may lead, and who was listed and has left only a moment ago.
fn desired(draft: &Draft<'_>) -> BTreeMap<MemberName, String> {
    let (now, memory) = (draft.view.now, &draft.memory.failsafe);
    let stays =
        |name: &MemberName| memory.gone_since.get(name).is_some_and(|since| now.since(*since) < LISTED_AFTER_LEAVING);
    let listed = draft.cluster.failsafe.iter().flat_map(|listed| &listed.value.members);
    let mut members: BTreeMap<MemberName, String> =
        listed.filter(|(name, _)| stays(name)).map(|(name, url)| (name.clone(), url.clone())).collect();
    let view = draft.view;
    for (name, url) in possible_takers(draft.cluster).chain([(&view.me, &view.identity.api_url)]) {
        // A member has one URL in both of its entries, and none in the entry of an older version.
        let known = members.entry(name.clone()).or_default();
        if !url.is_empty() {
            known.clone_from(url);
        }
    }
    members
}

/// The list was written under this leadership, since this worker began.
fn is_ours(draft: &Draft<'_>, fence: &Fence) -> bool {
    let began = draft.memory.failsafe.began_at.unwrap_or(Revision(i64::MAX));
    draft.cluster.failsafe_revision().is_some_and(|revision| revision > fence.epoch && revision > began)
}

fn deletes(draft: &Draft<'_>) -> bool {
    draft.memory.failsafe.sent.as_ref().is_some_and(|sent| sent.delete)
}

/// A standby cluster has no primary that could go on.
fn is_wanted(draft: &Draft<'_>) -> bool {
    draft.config.failsafe_mode && draft.config.standby_cluster.is_none()
}

/// Whom the keeper asks when the store cannot be reached. `None`: failsafe mode is not in use.
pub(super) fn asks(draft: &Draft<'_>) -> Option<Asks> {
    let fence = draft.fence()?;
    let lease = draft.view.dcs.lease?;
    let listed = &draft.cluster.failsafe.as_ref()?.value;
    let given_up = draft.gives_up || draft.memory.released == Some(fence.epoch);
    let in_use = is_wanted(draft) && !draft.cluster.is_paused() && !given_up && !draft.view.stopping;
    let covers_the_lease = listed.ttl.is_some_and(|ttl| lease.ttl <= ttl);
    if !in_use || !covers_the_lease || !is_ours(draft, &fence) || deletes(draft) {
        return None;
    }
    let mut members = listed.members.clone();
    for (name, url) in draft.memory.failsafe.sent.iter().flat_map(|sent| &sent.members) {
        members.entry(name.clone()).or_insert_with(|| url.clone());
    }
    members.remove(&draft.view.me);
    Some(Asks { lease: lease.id, members })
}

/// This member's PostgreSQL is a primary or may become one, or the leader key is its own.
pub(super) fn leads(draft: &Draft<'_>) -> bool {
    let view = draft.view;
    let primary = view.postgres.server.running().is_some_and(|running| !running.in_recovery);
    primary || draft.memory.promoting || view.guard.armed.is_some() || draft.cluster.is_leader(&view.me)
}

pub(super) fn explain(draft: &mut Draft<'_>) {
    let failsafe = &draft.view.dcs.failsafe;
    if let Some(consent) = failsafe.consent_in_force(draft.view.now) {
        draft.because(Reason::GoesOnByConsent { by: consent.by.clone() });
    }
    for missing in &failsafe.missing {
        draft.because(Reason::ConsentMissing { name: missing.name.clone(), why: missing.why.clone() });
    }
}
