//! What this view adds to the memory, and what the guard is to be told.

use super::decide::{Arming, Job};
use super::draft::Draft;
use super::memory::Stage;
use super::reason::Reason;
use super::view::{JobState, Server, ServerRole};
use super::{entry, switchover};

pub(super) fn take_up_job(draft: &mut Draft<'_>) {
    let Some(job) = &draft.view.job else { return };
    let now = draft.view.now;
    match &job.state {
        JobState::Running { since } => draft.because(Reason::JobRunning { what: job.job.kind(), since: *since }),
        JobState::Done { offset } => {
            if !matches!(job.job, Job::Start { .. }) {
                draft.memory.succeeded(&job.job);
            }
            done(draft, &job.job, *offset);
        }
        JobState::Failed { why } => {
            draft.because(Reason::JobFailed { what: job.job.kind(), why: why.clone() });
            match &job.job {
                Job::Start { .. } => {}
                // Another switchover is another matter.
                Job::Pause { .. } | Job::WaitOffset { .. } | Job::StepDown { .. } => switchover::abort(draft, why),
                Job::Stop { .. } | Job::Promote { .. } | Job::Follow { .. } | Job::Unpause => {
                    draft.memory.failed(&job.job, now);
                }
            }
        }
    }
}

fn done(draft: &mut Draft<'_>, job: &Job, offset: Option<u64>) {
    let now = draft.view.now;
    let stage = draft.memory.switchover.as_ref().map(|switchover| switchover.stage);
    match job {
        Job::Follow { .. } => draft.memory.demoted = true,
        Job::Unpause => draft.memory.unpause = false,
        Job::Pause { .. } => switchover::advance(draft, Stage::WaitOffset),
        Job::WaitOffset { .. } => match (stage, offset) {
            (Some(Stage::WaitOffset), Some(_)) => switchover::advance(draft, Stage::Demote { candidate_has: offset }),
            (Some(Stage::CatchUp { end, .. }), Some(has)) if has >= end => {
                switchover::advance(draft, Stage::HandOver { since: now });
            }
            (Some(Stage::WaitOffset | Stage::CatchUp { .. }), _) => {
                switchover::abort(draft, "nobody knows that the candidate has everything");
            }
            // Of one that was given up meanwhile.
            (Some(Stage::Pause | Stage::Demote { .. } | Stage::HandOver { .. }) | None, _) => {}
        },
        Job::StepDown { .. } => {
            draft.memory.demoted = true;
            match (stage, offset) {
                (Some(Stage::Demote { candidate_has: Some(has) }), Some(end)) if has < end => {
                    switchover::advance(draft, Stage::CatchUp { end, since: now });
                }
                (Some(Stage::Demote { candidate_has: Some(_) }), None) => {
                    switchover::abort(draft, "nobody knows where the master's stream ended");
                }
                (Some(Stage::Demote { .. }), _) => switchover::advance(draft, Stage::HandOver { since: now }),
                // Given up meanwhile: Redis is promoted again.
                (Some(Stage::Pause | Stage::WaitOffset | Stage::CatchUp { .. } | Stage::HandOver { .. }) | None, _) => {
                }
            }
        }
        Job::Start { .. } | Job::Stop { .. } | Job::Promote { .. } => {}
    }
}

pub(super) fn remember(draft: &mut Draft<'_>) {
    let now = draft.view.now;
    draft.memory.first_revision.get_or_insert(draft.revision);
    match &draft.group.leader {
        Some(leader) => {
            draft.memory.last_epoch = draft.memory.last_epoch.max(leader.epoch);
            let mine = leader.name == draft.view.me;
            draft.memory.overrule_data &= mine;
            draft.memory.took_without_data &= mine;
            draft.memory.leader_missing_since = None;
        }
        None => draft.memory.leader_missing_since = draft.memory.leader_missing_since.or(Some(now)),
    }
    match &draft.view.server {
        Server::Running(running) => {
            draft.memory.retries.remove("start");
            draft.memory.down_since = None;
            let leader = draft.group.leader.as_ref();
            match &running.role {
                ServerRole::Master => {
                    draft.memory.promoting = false;
                    if running.keys > 0 {
                        draft.memory.took_without_data = false;
                        draft.memory.overrule_data = false;
                    }
                    let online = running.replicas.iter().filter(|replica| replica.online);
                    draft.memory.in_sync = online.map(|replica| replica.name.clone()).collect();
                    if let Some(fence) = draft.fence() {
                        draft.memory.data_epoch = Some(fence.epoch);
                    }
                }
                ServerRole::Replica { of, link_up } => {
                    draft.memory.began_empty &= draft.memory.promoting;
                    if let Some(leader) = leader.filter(|leader| *link_up && of.as_ref() == Some(&leader.name)) {
                        draft.memory.data_epoch = Some(leader.epoch);
                    }
                }
            }
        }
        Server::Down => {
            draft.memory.promoting = false;
            draft.memory.unpause = false;
        }
        Server::Unknown | Server::Starting | Server::Silent { .. } => {}
    }
    let claim_stands = draft.group.members.get(&draft.view.me).is_some_and(|mine| mine.data.claim);
    let led = draft.memory.unbroken && draft.group.leader_name().is_none_or(|leader| *leader == draft.view.me);
    draft.memory.unbroken = claim_stands && (led || draft.fence().is_some());
    if draft.fence().is_none() {
        draft.memory.switchover = None;
        draft.memory.down_since = None;
        draft.memory.status_written = None;
        draft.memory.unpause = false;
    }
}

pub(super) fn arm(draft: &mut Draft<'_>) {
    let free = draft.certainly_no_master();
    draft.arming = if draft.is_paused() && (free || entry::claim_is_durable(draft)) {
        Arming::Disarm
    } else if draft.fence().is_some_and(|fence| draft.memory.given_up != Some(fence.epoch))
        || may_take_the_key_again(draft)
    {
        Arming::Arm
    } else if free {
        Arming::Disarm
    } else {
        Arming::Leave
    };
}

/// The key is gone and the claim stands: the guard first, then the key.
fn may_take_the_key_again(draft: &Draft<'_>) -> bool {
    let lease = draft.view.dcs.lease.is_some_and(|lease| lease.is_valid(draft.view.now));
    draft.memory.unbroken && draft.group.leader.is_none() && draft.view.server.is_master() && lease
}
