//! Synchronous mode: keeping `/sync` and PostgreSQL's `synchronous_standby_names` in step, always on the safe side.
//!
//! The invariant: a member stands in `/sync` only while every acknowledged commit waited for it. So a member is added
//! to PostgreSQL first and to `/sync` only when it has caught up with everything from before; and it is taken out of
//! `/sync` first and out of PostgreSQL only when the store has confirmed that.

use super::decide::{Action, Draft};
use super::memory::{Enforced, SyncSent};
use super::view::{Running, Standby};
use crate::cluster::{Cluster, Fence, StoreWrite, SyncState};
use crate::config::DynamicConfig;
use crate::reason::Reason;
use std::collections::BTreeSet;
use types::{MemberName, Revision};

/// Patroni's name for a standby that does not exist: in strict mode commits wait for it when there is nobody else.
pub(super) const PLACEHOLDER: &str = "__patroni_strict_sync_replica_placeholder__";

/// How an observer begins a setting that PostgreSQL shows and does not go by yet.
pub const NOT_IN_FORCE: &str = "? ";

pub(super) fn step(draft: &mut Draft<'_>, fence: &Fence, running: &Running) {
    if !draft.config.is_synchronous() {
        return leave(draft, fence, running);
    }
    let present = draft.cluster.sync.as_ref();
    let listed = present.map(|sync| sync.value.standbys.clone()).unwrap_or_default();
    let expected = present.map(|sync| sync.revision);
    let me = &draft.view.me;
    if present.is_none_or(|sync| sync.value.leader.as_ref() != Some(me)) {
        // Synchronous mode begins here: nobody else is known to have everything.
        let state = SyncState::new(me, BTreeSet::new());
        return draft.write(StoreWrite::PutSync { fence: fence.clone(), state, expected });
    }
    let desired = choose(draft, running, &listed);
    draft.memory.sync_sent = draft.memory.sync_sent.take().filter(|sent| sent.expected == expected);
    let overdue = draft.memory.sync_sent.as_ref().is_some_and(|sent| !sent.standbys.is_subset(&desired));
    if overdue && listed.is_subset(&desired) {
        // What was sent may arrive late and list a member that commits no longer wait for. A write in its place, even
        // of what stands there, makes the store refuse it.
        return put(draft, fence, listed, expected);
    }
    if let Some(lost) = listed.difference(&desired).next().cloned() {
        draft.because(Reason::SynchronousStandbyLost { name: lost });
        let kept = listed.intersection(&desired).cloned().collect();
        return put(draft, fence, kept, expected);
    }
    if desired.is_empty() {
        draft.because(Reason::NoSynchronousStandby { strict: draft.config.synchronous_mode_strict });
    }
    // From here on everything listed is desired: PostgreSQL may be told to wait for all desired members.
    let Some(names) = enforce(draft, running, &desired, draft.config.synchronous_mode_strict) else {
        draft.memory.enforced = None;
        return;
    };
    let enforced = match &draft.memory.enforced {
        Some(enforced) if enforced.names == names => enforced.clone(),
        _ => {
            // What was written up to now may have been acknowledged without them.
            let enforced = Enforced { names, since_lsn: running.write };
            draft.memory.enforced = Some(enforced);
            if listed != desired {
                // Seen again with the next probe, which then shows how far they are.
                draft.actions.push(Action::Probe);
            }
            return;
        }
    };
    let caught_up = |name: &MemberName| {
        standby(running, name).is_some_and(|standby| standby.synchronous && standby.flush >= enforced.since_lsn)
    };
    let ready: BTreeSet<MemberName> =
        desired.iter().filter(|name| listed.contains(*name) || caught_up(name)).cloned().collect();
    if ready != listed {
        for name in ready.difference(&listed) {
            draft.because(Reason::SynchronousStandbyAdded { name: name.clone() });
        }
        put(draft, fence, ready, expected);
    } else if ready != desired {
        draft.actions.push(Action::Probe);
    }
}

/// Synchronous mode is not in force (any more).
pub(super) fn leave(draft: &mut Draft<'_>, fence: &Fence, running: &Running) {
    if !forget(draft, fence) {
        enforce(draft, running, &BTreeSet::new(), false);
    }
}

/// `/sync` is to name nobody. `true`: it does not yet.
pub(super) fn forget(draft: &mut Draft<'_>, fence: &Fence) -> bool {
    let Some(sync) = draft.cluster.sync.as_ref().filter(|sync| sync.value != SyncState::default()) else {
        return false;
    };
    let expected = Some(sync.revision);
    draft.write(StoreWrite::PutSync { fence: fence.clone(), state: SyncState::default(), expected });
    true
}

/// Before this leader's PostgreSQL starts again: is `/sync` certain to stay as it is seen? It is told whom to wait for at
/// its start, and a write from before, of this worker or the one before it, may still be on its way and list another.
/// Writing what stands there makes the store refuse that one.
pub(super) fn is_settled(draft: &mut Draft<'_>, fence: &Fence) -> bool {
    let Some(sync) = draft.cluster.sync.as_ref().filter(|sync| sync.value.leader.as_ref() == Some(&draft.view.me))
    else {
        return true;
    };
    if draft.memory.sync_settling.is_some_and(|from| from != sync.revision) {
        return true;
    }
    draft.memory.sync_settling = Some(sync.revision);
    let (standbys, expected) = (sync.value.standbys.clone(), Some(sync.revision));
    put(draft, fence, standbys, expected);
    false
}

fn put(draft: &mut Draft<'_>, fence: &Fence, standbys: BTreeSet<MemberName>, expected: Option<Revision>) {
    let mut sent = standbys.clone();
    // Of two writes that expect the same, either may be the one that arrives.
    sent.extend(draft.memory.sync_sent.take().into_iter().flat_map(|before| before.standbys));
    draft.memory.sync_sent = Some(SyncSent { expected, standbys: sent });
    let state = SyncState::new(&draft.view.me, standbys);
    draft.write(StoreWrite::PutSync { fence: fence.clone(), state, expected });
}

fn standby<'a>(running: &'a Running, name: &MemberName) -> Option<&'a Standby> {
    running.standbys.iter().find(|standby| standby.name == name.as_str() && standby.streaming)
}

/// Up to `synchronous_node_count` members that stream; those already listed first, then those that PostgreSQL waits for
/// already (who is ahead changes with every look, and every change begins anew), then by how far they are.
fn choose(draft: &Draft<'_>, running: &Running, listed: &BTreeSet<MemberName>) -> BTreeSet<MemberName> {
    let mut candidates: Vec<(&MemberName, &Standby)> = draft
        .cluster
        .members
        .iter()
        .filter(|(name, member)| **name != draft.view.me && !member.data.tags.nosync() && member.data.is_running())
        .filter_map(|(name, _)| standby(running, name).map(|standby| (name, standby)))
        .collect();
    candidates.sort_by_key(|(name, standby)| {
        let nofailover = draft.cluster.members.get(*name).is_some_and(|member| member.data.tags.nofailover());
        let enforced = running.synchronous_standby_names.contains(&quoted(name));
        (!listed.contains(*name), nofailover, !enforced, std::cmp::Reverse(standby.flush), (*name).clone())
    });
    candidates.into_iter().take(draft.config.synchronous_node_count).map(|(name, _)| name.clone()).collect()
}

/// Tells PostgreSQL whom commits wait for. Returns the setting's text once PostgreSQL goes by it.
///
/// What was asked for last must have been seen before anything else is asked for or believed: a change that is still on
/// its way would otherwise take effect after an answer from before it.
fn enforce(draft: &mut Draft<'_>, running: &Running, members: &BTreeSet<MemberName>, strict: bool) -> Option<String> {
    let wanted = setting(members, strict);
    let shown = running.synchronous_standby_names.as_str();
    let on_its_way = draft.memory.names_asked.clone().filter(|asked| shown.trim_start_matches(NOT_IN_FORCE) != *asked);
    let names = on_its_way.clone().unwrap_or_else(|| wanted.clone());
    if shown != names {
        draft.memory.names_asked = Some(names.clone());
        draft.actions.push(Action::SetSynchronousStandbyNames { names });
        return None;
    }
    Some(wanted).filter(|wanted| on_its_way.is_none() && shown == wanted)
}

/// What a server that starts or is promoted as the primary must enforce from its first commit on: everybody in `/sync`,
/// because any of them may be promoted next. Also when the mode has just been switched off: until `/sync` is cleared it
/// may be switched on again.
pub fn names_at_start(cluster: &Cluster, config: &DynamicConfig) -> String {
    let listed = cluster.sync.as_ref().map(|sync| sync.value.standbys.clone()).unwrap_or_default();
    setting(&listed, config.is_synchronous() && config.synchronous_mode_strict)
}

fn quoted(name: &MemberName) -> String {
    format!("\"{}\"", name.as_str().replace('"', "\"\""))
}

fn setting(members: &BTreeSet<MemberName>, strict: bool) -> String {
    let quoted: Vec<String> = members.iter().map(quoted).collect();
    match quoted.as_slice() {
        [] if strict => PLACEHOLDER.to_owned(),
        [] => String::new(),
        [only] => only.clone(),
        several => format!("{} ({})", several.len(), several.join(",")),
    }
}
