//! Nobody holds the leader key.

use super::decide::Job;
use super::draft::Draft;
use super::reason::Reason;
use super::view::Server;
use super::{election, entry};
use crate::cluster::redis::RedisWrite;

pub(super) fn decide(draft: &mut Draft<'_>) {
    if let Some(since) = draft.memory.leader_missing_since {
        draft.because(Reason::NoLeaderSince { since });
    }
    match &draft.view.server {
        Server::Running(running) if running.is_master() => keep_leading(draft),
        Server::Running(_) => stand_for_election(draft),
        Server::Silent { since, last, .. } => {
            draft.because(Reason::Unresponsive { since: *since });
            if last.is_master() {
                draft.stop_a_master_without_lease();
            }
        }
        Server::Down if draft.is_paused() => draft.because(Reason::Paused),
        // As a replica of nobody; the election decides what becomes of it.
        Server::Down => {
            draft.begin(Job::Start { upstream: None });
        }
        Server::Unknown | Server::Starting => {}
    }
}

/// Redis is still a master and its lease is good, but the key is gone (somebody deleted it, or the pause let it run out):
/// take it again before the fence falls, unless somebody else may be writing.
fn keep_leading(draft: &mut Draft<'_>) {
    let fence_holds = draft.is_armed() || draft.is_paused();
    match election::claimed_by_other(draft.group, &draft.view.me) {
        None if fence_holds && draft.memory.unbroken => {
            let since = draft.memory.leader_missing_since.unwrap_or(draft.view.now);
            take(draft, Reason::NoLeaderSince { since });
        }
        // Somebody else may have led since, or it never was one of ours.
        _ if !draft.memory.unbroken && !draft.is_paused() => {
            draft.because(Reason::MasterWithoutKey);
            draft.begin(Job::Follow { leader: None });
        }
        _ => draft.stop_a_master_without_lease(),
    }
}

fn stand_for_election(draft: &mut Draft<'_>) {
    let asked = draft.group.failover.as_ref();
    let asked = asked.is_some_and(|request| request.value.candidate.as_ref() == Some(&draft.view.me));
    if draft.is_paused() && !asked {
        return draft.because(Reason::Paused);
    }
    if draft.job_runs() {
        return;
    }
    if draft.is_barred() {
        let since = draft.memory.leader_missing_since.unwrap_or(draft.view.now);
        if draft.view.now.since(since) >= election::CANDIDATE_WAIT {
            draft.park_without_link();
        }
        return;
    }
    match election::verdict(draft) {
        Ok(reason) => {
            let mine = draft.group.members.get(&draft.view.me);
            draft.memory.took_without_data = !mine.is_some_and(|mine| election::has_data(draft.group, &mine.data));
            draft.memory.overrule_data = draft.group.failover.as_ref().is_some_and(|request| request.value.force);
            take(draft, reason);
        }
        Err(reason) => {
            draft.because(reason);
            let Some(since) = draft.memory.leader_missing_since else { return };
            let since = draft.view.dcs.failsafe.counted_from(since);
            if draft.view.now.since(since) >= election::CANDIDATE_WAIT {
                draft.park_without_link();
            }
            let turns = (0..=draft.group.members.len() as u64)
                .map(|turn| types::Millis(election::REPORT_WAIT.0 + election::NEXT_BEST_WAIT.0 * turn));
            let others = [election::CANDIDATE_WAIT, election::FIRST_WAIT, election::EMPTY_WAIT, election::NEWER_WAIT];
            for step in turns.chain(others) {
                draft.wake(since + step);
            }
        }
    }
}

/// Takes the leader key, with the claim.
fn take(draft: &mut Draft<'_>, reason: Reason) {
    let view = draft.view;
    let Some(lease) = view.dcs.lease.filter(|lease| lease.is_valid(view.now)) else {
        return draft.because(Reason::NoLease);
    };
    if !view.guard.answering {
        return draft.because(Reason::GuardNotArmed);
    }
    if draft.is_barred() {
        return;
    }
    draft.because(reason);
    let members = draft.group.members.iter().map(|(name, member)| (name.clone(), member.revision)).collect();
    // A request that names another candidate did not come true; either way this leadership ends it.
    let failover = draft.group.failover.as_ref().map(|request| request.revision);
    let member = Box::new(entry::build(draft, true));
    let claim_lease = entry::lease_of_claim(draft, lease.id);
    draft.write(RedisWrite::TakeLeader {
        me: view.me.clone(),
        lease: lease.id,
        claim_lease,
        member,
        members,
        failover,
        failsafe: draft.failsafe.map(|listed| listed.revision),
    });
}
