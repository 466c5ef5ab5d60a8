//! This member holds the leader key of a standby cluster: its PostgreSQL stays in recovery and follows the remote primary.
//!
//! Deliberately without a promotion: while `standby_cluster` stands nobody begins one, nor starts as a primary. A primary that was
//! one when the section was added goes on until it is certain that the remote is of the same system, and is then stopped to
//! follow it. The invariant: the leadership is handed on while PostgreSQL runs only when it certainly is a replica and is
//! under no fence, which would mean that it was to be promoted.

use super::decide::{Action, Draft, Job};
use super::leading::{self, release};
use super::view::{DataDirectory, JobState, Request, Running, Server};
use super::{Source, failsafe, following, switchover, synchronous};
use crate::cluster::{Fence, StoreWrite};
use crate::config::StandbyCluster;
use crate::guard::StopMode;
use crate::reason::Reason;
use types::Millis;

/// After so many failures, about half a minute with their pauses, another member that can has its turn.
const REJOIN_FAILURES_MAX: u32 = 6;

pub(super) fn lead(draft: &mut Draft<'_>, fence: &Fence, remote: &StandbyCluster) {
    let view = draft.view;
    match &view.postgres.server {
        Server::Running(running) if running.in_recovery => serve(draft, fence, remote, running),
        Server::Running(running) => demote(draft, fence, remote, running),
        Server::Unresponsive { since, .. } => draft.because(Reason::Unresponsive { since: *since }),
        Server::Starting => {
            synchronous::forget(draft, fence);
            leading::starting(draft);
        }
        Server::Down => {
            // What it has acknowledged itself is given up for what the remote has, so nobody is needed for that.
            synchronous::forget(draft, fence);
            if !draft.job_runs() {
                down(draft, fence, remote);
            }
        }
        Server::Stopping | Server::Unknown => {}
    }
}

fn serve(draft: &mut Draft<'_>, fence: &Fence, remote: &StandbyCluster, running: &Running) {
    draft.because(Reason::LeadingStandby { epoch: fence.epoch, remote: remote.to_string() });
    if draft.config.is_synchronous() {
        draft.because(Reason::SynchronousIgnored);
    }
    if draft.job_runs() {
        return;
    }
    if draft.view.postgres.following.as_ref() != Some(&Source::remote(remote)) && !draft.cluster.is_paused() {
        draft.memory.not_streaming_since = None;
        draft.actions.push(Action::Follow { source: Source::remote(remote) });
    }
    if let Some(initialize) = draft.cluster.initialize.as_ref().filter(|initialize| initialize.value.is_empty()) {
        let DataDirectory::Valid { system_id, .. } = &draft.view.postgres.data else { return };
        let (system_id, expected) = (system_id.clone(), initialize.revision);
        return draft.write(StoreWrite::PublishSystemId { system_id, expected });
    }
    leading::note_status(draft, fence, running);
    leading::keep_slots(draft, running);
    failsafe::step(draft, fence);
    synchronous::leave(draft, fence, running);
    if take_up_request(draft) {
        return;
    }
    match switchover::agreed(draft, running) {
        Some((candidate, _)) => hand_over(draft, fence, running, candidate),
        None => look_at_a_stall(draft, remote),
    }
}

/// PostgreSQL need not stop: it follows the candidate as soon as that one leads.
fn hand_over(draft: &mut Draft<'_>, fence: &Fence, running: &Running, candidate: types::MemberName) {
    draft.because(Reason::SwitchoverUnderway { candidate });
    if is_surely_replica(draft) {
        release(draft, fence, Some(running.position()));
    }
}

/// It is in recovery, and nothing that was begun can change that.
pub(super) fn is_surely_replica(draft: &Draft<'_>) -> bool {
    let view = draft.view;
    let in_recovery = view.postgres.server.running().is_some_and(|running| running.in_recovery);
    in_recovery && !draft.memory.promoting && view.guard.armed.is_none() && !draft.job_runs()
}

/// Nothing arrives. A remote that is away is waited for; one that is there may have begun another history.
fn look_at_a_stall(draft: &mut Draft<'_>, remote: &StandbyCluster) {
    let Some(since) = draft.memory.not_streaming_since else { return };
    draft.because(Reason::RemoteSilent { since });
    // Each time in vain doubles the wait, without end: what is there may be an archive only.
    let wait = Millis(following::STREAM_WAIT.0.saturating_mul(1 << draft.memory.futile_starts.min(16)));
    draft.wake(since + wait);
    if draft.cluster.is_paused() || draft.view.now.since(since) < wait {
        return;
    }
    if !surveyed(draft, remote) {
        draft.begin(Job::Survey { remote: Box::new(remote.clone()) });
    } else if draft.begin(Job::Stop { mode: StopMode::Fast }) {
        draft.memory.futile_starts = draft.memory.futile_starts.saturating_add(1);
        draft.memory.rejoined = None;
        draft.memory.realigning = true;
    }
}

fn demote(draft: &mut Draft<'_>, fence: &Fence, remote: &StandbyCluster, running: &Running) {
    draft.because(Reason::Demoting { remote: remote.to_string() });
    let creating = draft.cluster.initialize.as_ref().is_some_and(|initialize| initialize.value.is_empty());
    let may = !draft.cluster.is_paused() && !creating;
    if may && surveyed(draft, remote) {
        draft.memory.realigning |= draft.begin(Job::Stop { mode: StopMode::Fast });
        return;
    }
    leading::serve(draft, fence, running);
    if may {
        draft.begin(Job::Survey { remote: Box::new(remote.clone()) });
    }
}

/// Just now the remote has said that it is of the same system.
fn surveyed(draft: &Draft<'_>, remote: &StandbyCluster) -> bool {
    let asked = |job: &Job| matches!(job, Job::Survey { remote: asked } if **asked == *remote);
    draft.view.job.as_ref().is_some_and(|job| job.state == JobState::Done && asked(&job.job))
}

fn down(draft: &mut Draft<'_>, fence: &Fence, remote: &StandbyCluster) {
    let view = draft.view;
    if draft.cluster.is_paused() {
        draft.because(Reason::Paused);
        return release(draft, fence, None);
    }
    let others = leading::somebody_can_take_over(draft);
    let was_primary = match &view.postgres.data {
        DataDirectory::Invalid { why } if !draft.memory.needs_clone => {
            draft.because(Reason::DataDirectoryInvalid { why: why.clone() });
            return release(draft, fence, None);
        }
        DataDirectory::Unknown => return,
        DataDirectory::Valid { was_primary, .. } if !draft.memory.needs_clone => *was_primary,
        // Whoever has data should lead rather.
        DataDirectory::Valid { .. } | DataDirectory::Empty | DataDirectory::Invalid { .. } if others => {
            draft.because(Reason::NothingToCloneFrom);
            return release(draft, fence, None);
        }
        DataDirectory::Valid { .. } | DataDirectory::Empty | DataDirectory::Invalid { .. } => {
            draft.because(Reason::Cloning { from: Source::remote(remote) });
            draft.begin(Job::Clone { from: Source::remote(remote) });
            return;
        }
    };
    let since = leading::not_serving_since(draft);
    let in_vain = draft.memory.failures("rejoin") >= REJOIN_FAILURES_MAX;
    if others && (in_vain || leading::is_over(draft, since)) {
        draft.because(Reason::StartTimeoutOver { after: view.now.since(since) });
        return release(draft, fence, None);
    }
    let in_doubt = draft.memory.failures("start") >= 2 || draft.memory.futile_starts > 0;
    if draft.memory.rejoined.is_none() && (was_primary || in_doubt) {
        draft.because(Reason::Rejoining { leader: Source::remote(remote) });
        draft.begin(Job::Rejoin { leader: Source::remote(remote) });
    } else {
        draft.begin(Job::Start { upstream: Some(Source::remote(remote)), fence: None });
    }
}

/// `true`: it changes what runs.
fn take_up_request(draft: &mut Draft<'_>) -> bool {
    let alone = !leading::somebody_can_take_over(draft);
    match draft.view.requests.first() {
        Some(Request::Reinitialize { .. }) if alone && !draft.memory.restarting => {
            draft.because(Reason::RequestedReinitialize);
            (draft.memory.needs_clone, draft.memory.restarting) = (true, true);
            draft.begin(Job::Stop { mode: StopMode::Immediate });
            draft.actions.push(Action::AnswerRequest { result: Ok(()) });
            true
        }
        Some(Request::Reinitialize { .. } | Request::Restart) => {
            leading::take_up_request(draft);
            draft.memory.restarting
        }
        None => false,
    }
}
