//! Nobody holds the leader key.

use super::decide::{Draft, Job, claim_stands, stop_a_primary_without_lease};
use super::view::{DataDirectory, Server};
use super::{bootstrap, election, entry, failsafe, timelines};
use crate::cluster::{StoreWrite, SyncState};
use crate::guard::StopMode;
use crate::reason::Reason;
use std::collections::BTreeSet;
use types::Millis;

pub(super) fn decide(draft: &mut Draft<'_>) {
    let view = draft.view;
    if draft.cluster.initialize.as_ref().is_none_or(|initialize| initialize.value.is_empty()) {
        return bootstrap::decide(draft);
    }
    if let Some(since) = draft.memory.leader_missing_since {
        draft.because(Reason::NoLeaderSince { since });
    }
    match &view.postgres.server {
        Server::Running(running) if !running.in_recovery => keep_leading(draft),
        Server::Running(_) => stand_for_election(draft),
        Server::Down => start_as_replica(draft),
        Server::Unresponsive { .. } => stop_a_primary_without_lease(draft),
        Server::Unknown | Server::Starting | Server::Stopping => {}
    }
}

/// PostgreSQL is still a primary and its lease is good, but the key is gone (somebody deleted it, or the pause let it
/// run out): take it again before the fence falls, unless somebody else may be writing.
fn keep_leading(draft: &mut Draft<'_>) {
    let now = draft.view.now;
    let fence_holds = draft.view.guard.armed.is_some_and(|until| until > now) || draft.cluster.is_paused();
    let covered = !draft.config.is_synchronous()
        || draft.cluster.sync.as_ref().is_none_or(|sync| sync.value.covers(&draft.view.me));
    // Without the claim, the fence of before stands until the guard is armed under the new lease, which must not end earlier:
    // that fence rests on promises which the new leadership does not renew.
    let outlives = claim_stands(draft)
        || draft.view.dcs.lease.zip(draft.view.guard.armed).is_none_or(|(lease, until)| until <= lease.fence());
    let running = draft.view.postgres.server.running();
    let newest = running.is_some_and(|running| running.timeline >= timelines::newest_timeline(draft.cluster));
    match election::claimed_by_other(draft.cluster, &draft.view.me) {
        None if fence_holds && outlives && covered && newest && draft.memory.unbroken => {
            take(draft, Reason::NoLeaderSince { since: now });
        }
        // Somebody else may have led since: what it has is not the cluster's history any more.
        None if !draft.memory.unbroken && !draft.cluster.is_paused() => {
            draft.begin(Job::Stop { mode: StopMode::Immediate });
        }
        _ => stop_a_primary_without_lease(draft),
    }
}

fn stand_for_election(draft: &mut Draft<'_>) {
    let asked =
        draft.cluster.failover.as_ref().is_some_and(|request| request.value.candidate.as_ref() == Some(&draft.view.me));
    if draft.cluster.is_paused() && !asked {
        return draft.because(Reason::Paused);
    }
    if draft.job_runs() {
        return;
    }
    if failsafe::bars(draft) {
        return;
    }
    match election::verdict(draft) {
        Ok(reason) => take(draft, reason),
        Err(reason) => {
            draft.because(reason);
            if let Some(since) = draft.memory.leader_missing_since {
                let steps = [
                    election::REPORT_WAIT,
                    election::CANDIDATE_WAIT,
                    election::REPORT_WAIT + election::NEXT_BEST_WAIT,
                    election::NEWER_HISTORY_WAIT,
                ];
                let since = draft.view.dcs.failsafe.counted_from(since);
                for at in steps.map(|step| since + step).into_iter().filter(|at| *at > draft.view.now) {
                    draft.wake(at);
                }
            }
        }
    }
}

/// Takes the leader key, with the claim, and in synchronous mode with a `/sync` that names nobody else: whatever is
/// acknowledged from here on is certain to be on this member only.
pub(super) fn take(draft: &mut Draft<'_>, reason: Reason) {
    let view = draft.view;
    let Some(lease) = view.dcs.lease.filter(|lease| lease.is_valid(view.now)) else {
        return draft.because(Reason::NoLease);
    };
    if !view.guard.answering {
        return draft.because(Reason::GuardNotArmed);
    }
    if failsafe::bars(draft) {
        return;
    }
    draft.because(reason);
    let members = draft.cluster.members.iter().map(|(name, member)| (name.clone(), member.revision)).collect();
    let present = draft.cluster.sync.as_ref();
    let expected = present.map(|sync| sync.revision);
    let sync = if draft.config.standby_cluster.is_some() {
        // Nothing is acknowledged there: whoever may lead now, everybody may. (The leader that was a primary has been one of them.)
        present.filter(|sync| sync.value != SyncState::default()).map(|_| (SyncState::default(), expected))
    } else {
        draft.config.is_synchronous().then(|| (SyncState::new(&view.me, BTreeSet::new()), expected))
    };
    // A request that names another candidate did not come true; either way this leadership ends it.
    let failover = draft.cluster.failover.as_ref().filter(|request| request.value.scheduled_at.is_none());
    // Whoever is to be promoted takes the number of its timeline along. A history that cannot be read is replaced before the
    // promotion: it keeps nobody from leading.
    let in_recovery = view.postgres.server.running().is_some_and(|running| running.in_recovery);
    let readable = !draft.cluster.unreadable.contains_key("history");
    let promotes = in_recovery && draft.config.standby_cluster.is_none();
    let history = (promotes && readable).then(|| timelines::reserve(draft));
    let write = StoreWrite::TakeLeader {
        me: view.me.clone(),
        lease: lease.id,
        claim_lease: entry::lease_of_claim(draft, lease.id),
        member: Box::new(entry::build(draft, true)),
        members,
        sync,
        history,
        failover: failover.map(|request| request.revision),
        failsafe: draft.cluster.failsafe_revision(),
    };
    draft.write(write);
}

/// A stopped server takes part in the election only once it runs, as a replica without a leader.
fn start_as_replica(draft: &mut Draft<'_>) {
    if draft.cluster.is_paused() {
        return draft.because(Reason::Paused);
    }
    // A leader on its way out leaves the machine to the one on its way in.
    let handed_over = draft.cluster.failover.as_ref().and_then(|request| request.value.candidate.as_ref());
    if let (Some(candidate), Some(since)) = (handed_over, draft.memory.leader_missing_since)
        && *candidate != draft.view.me
        && draft.view.now.since(since) < election::CANDIDATE_WAIT
    {
        draft.because(Reason::WaitingForCandidate { name: candidate.clone() });
        return draft.wake(since + election::CANDIDATE_WAIT);
    }
    match &draft.view.postgres.data {
        DataDirectory::Valid { .. } if !draft.memory.needs_clone => {
            draft.begin(Job::Start { upstream: draft.memory.completed_by.clone(), fence: None });
        }
        DataDirectory::Invalid { why } => draft.because(Reason::DataDirectoryInvalid { why: why.clone() }),
        // In a standby cluster there is somebody to clone from, if nobody here has anything.
        DataDirectory::Valid { .. } | DataDirectory::Empty if may_clone_from_remote(draft) => {
            take(draft, Reason::NothingToCloneFrom);
        }
        DataDirectory::Valid { .. } | DataDirectory::Empty | DataDirectory::Unknown => {
            draft.because(Reason::NothingToCloneFrom);
        }
    }
}

fn may_clone_from_remote(draft: &Draft<'_>) -> bool {
    let has_data = |member: &crate::cluster::Member| member.data.timeline.is_some();
    let mut others = draft.cluster.members.iter().filter(|(name, _)| **name != draft.view.me);
    let waited = draft.memory.leader_missing_since.map_or(Millis::ZERO, |since| draft.view.now.since(since));
    draft.config.standby_cluster.is_some()
        && !draft.view.tags.nofailover()
        && waited >= election::CANDIDATE_WAIT
        && !others.any(|(_, member)| has_data(member))
}
