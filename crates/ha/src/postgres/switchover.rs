//! The planned change, as the leader carries it out: checkpoint while writes go on, stop, release to the candidate.
//!
//! Nothing waits for a fixed time. A stopping PostgreSQL hands all of its WAL to the replicas that stream before it
//! ends, so the candidate is complete when the key is released. Before it stops the proxies hold who comes anew, and
//! connection poolers their clients (`hold`): a transaction that has ended is not cut.

use super::decide::{Action, Draft, Job};
use super::election::switchover_obstacles;
use super::entry;
use super::memory::{Switchover, SwitchoverStage};
use super::view::{JobState, Running};
use crate::cluster::{FailoverRequest, StoreWrite};
use crate::guard::StopMode;
use crate::hold;
use crate::reason::{Obstacle, Reason};
use types::{MemberName, Millis, Revision};

pub(super) fn step(draft: &mut Draft<'_>, running: &Running) {
    if let Some((candidate, request)) = agreed(draft, running) {
        draft.because(Reason::SwitchoverUnderway { candidate: candidate.clone() });
        advance(draft, candidate, request);
    }
}

/// The candidate and the revision of a request that is due, possible, and names the candidate for all to see.
pub(super) fn agreed(draft: &mut Draft<'_>, running: &Running) -> Option<(MemberName, Revision)> {
    let Some(request) = draft.cluster.failover.clone() else {
        draft.memory.switchover = None;
        return None;
    };
    if request.value.scheduled_at.is_some() && !draft.view.schedule_is_due {
        let at = request.value.scheduled_at.unwrap_or_default();
        draft.because(Reason::SwitchoverScheduled { at });
        return None;
    }
    let candidate = match choose(draft, &request.value, running) {
        Ok(candidate) => candidate,
        Err(why) => {
            draft.memory.switchover = None;
            draft.because(why);
            draft.write(StoreWrite::DeleteFailover { expected: request.revision });
            return None;
        }
    };
    // The others must know whom to leave the key to.
    if request.value.candidate.as_ref() != Some(&candidate) || request.value.scheduled_at.is_some() {
        let named = FailoverRequest {
            leader: Some(draft.view.me.clone()),
            candidate: Some(candidate.clone()),
            scheduled_at: None,
        };
        draft.write(StoreWrite::PutFailover { request: named, expected: Some(request.revision) });
        return None;
    }
    Some((candidate, request.revision))
}

fn advance(draft: &mut Draft<'_>, candidate: MemberName, request: Revision) {
    let same = draft
        .memory
        .switchover
        .as_ref()
        .filter(|underway| underway.request == request && underway.candidate == candidate);
    let checkpointed = draft
        .view
        .job
        .as_ref()
        .is_some_and(|job| job.job == Job::Checkpoint && !matches!(job.state, JobState::Running { .. }));
    let now = draft.view.now;
    let stop = Job::Stop { mode: StopMode::Fast };
    let (stage, job) = match same.map(|underway| underway.stage) {
        Some(SwitchoverStage::Checkpoint) if checkpointed && still_flowing(draft, request, now) => {
            (SwitchoverStage::Hold { since: now }, None)
        }
        Some(SwitchoverStage::Hold { since }) if still_flowing(draft, request, since) => {
            (SwitchoverStage::Hold { since }, None)
        }
        Some(SwitchoverStage::Checkpoint) if checkpointed => (SwitchoverStage::Stop, Some(stop)),
        Some(SwitchoverStage::Hold { .. } | SwitchoverStage::Stop) => (SwitchoverStage::Stop, Some(stop)),
        Some(SwitchoverStage::Checkpoint) | None => (SwitchoverStage::Checkpoint, Some(Job::Checkpoint)),
    };
    if job.is_none_or(|job| draft.begin(job)) {
        draft.memory.switchover = Some(Switchover { candidate, request, stage });
    }
}

/// A stopping PostgreSQL waits until its replicas have everything, also one whose host is gone without a word, for as long as
/// `wal_sender_timeout` says. Without the candidate that is in vain, and nobody could write meanwhile.
pub(super) fn give_up_a_stop_in_vain(draft: &mut Draft<'_>) {
    let Some(switchover) = draft.memory.switchover.clone() else { return };
    let is_gone = !draft.cluster.members.contains_key(&switchover.candidate);
    if is_gone && switchover.stage == SwitchoverStage::Stop && entry::stops(draft) {
        let why = vec![Obstacle::NotAMember];
        draft.because(Reason::SwitchoverImpossible { candidate: Some(switchover.candidate), why });
        draft.memory.switchover = None;
        draft.actions.push(Action::StopImmediately);
    }
}

/// Are there members whose proxy or poolers do not hold clients yet, and are they worth waiting for?
fn still_flowing(draft: &mut Draft<'_>, request: Revision, since: Millis) -> bool {
    let view = draft.view;
    let Some(pause_max) = hold::pause_max(draft.cluster, &view.me, &view.hold) else { return false };
    let names = hold::waiting_for(draft.cluster, &view.me, &view.hold, request);
    if names.is_empty() {
        return false;
    }
    let over = view.now.since(since) >= pause_max;
    if over {
        draft.because(Reason::ClientsNotHeld { names });
    } else {
        draft.because(Reason::HoldingClients { names });
        draft.wake(since + pause_max);
    }
    !over
}

pub(super) fn choose(draft: &Draft<'_>, request: &FailoverRequest, running: &Running) -> Result<MemberName, Reason> {
    if request.leader.as_ref().is_some_and(|leader| *leader != draft.view.me) {
        return Err(Reason::SwitchoverImpossible {
            candidate: request.candidate.clone(),
            why: vec![Obstacle::IsLeader],
        });
    }
    let why_not = |name: &MemberName| {
        let mut found = switchover_obstacles(draft.cluster, draft.config, name);
        let standby = running.standbys.iter().find(|standby| standby.name == name.as_str());
        match standby {
            Some(standby) if standby.streaming => {
                let behind = standby.flush.behind(running.position());
                // The stop waits for this replica to catch up; a long way would be a long pause.
                if behind > draft.config.maximum_lag_on_failover {
                    found.push(Obstacle::Lagging { bytes: behind, max: draft.config.maximum_lag_on_failover });
                }
            }
            Some(_) | None if !found.contains(&Obstacle::NotAMember) && !found.contains(&Obstacle::IsLeader) => {
                found.push(Obstacle::NotStreaming);
            }
            Some(_) | None => {}
        }
        found
    };
    if let Some(candidate) = &request.candidate {
        return match why_not(candidate) {
            why if why.is_empty() => Ok(candidate.clone()),
            why => Err(Reason::SwitchoverImpossible { candidate: Some(candidate.clone()), why }),
        };
    }
    let mut obstacles = Vec::new();
    let mut best: Option<(types::Lsn, &MemberName)> = None;
    for name in draft.cluster.members.keys().filter(|name| **name != draft.view.me) {
        let why = why_not(name);
        if why.is_empty() {
            let flush =
                running.standbys.iter().find(|standby| standby.name == name.as_str()).map(|standby| standby.flush);
            best = best.max(Some((flush.unwrap_or_default(), name)));
        }
        obstacles.extend(why);
    }
    best.map(|(_, name)| name.clone()).ok_or(Reason::SwitchoverImpossible { candidate: None, why: obstacles })
}
