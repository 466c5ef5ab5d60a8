//! The agent was asked to end: PostgreSQL is stopped in order, and the leadership is handed on.
//!
//! Where somebody can take over this is a switchover, asked for by the leader itself, so that clients are held as in any
//! other. Nothing that keeps it from happening keeps PostgreSQL from being stopped.
//!
//! Also in pause, unlike Patroni: the guard that ends takes its PostgreSQL along, so an orderly stop is the better end.

use super::decide::{Action, Draft, Job};
use super::view::{DataDirectory, Running, Server};
use super::{leading, switchover};
use crate::cluster::{FailoverRequest, StoreWrite};
use crate::guard::StopMode;
use crate::reason::Reason;
use types::Millis;

/// The store takes a request within this time, or PostgreSQL is stopped without.
const REQUEST_TIME_MAX: Millis = Millis(1000);

pub(super) fn decide(draft: &mut Draft<'_>) {
    draft.because(Reason::Stopping);
    switchover::give_up_a_stop_in_vain(draft);
    match &draft.view.postgres.server {
        Server::Down if !draft.job_runs() => match draft.fence() {
            Some(fence) => {
                let end = match &draft.view.postgres.data {
                    DataDirectory::Valid { clean: true, checkpoint, .. } => Some(*checkpoint),
                    _ => None,
                };
                leading::release(draft, &fence, end);
            }
            None => draft.finished = true,
        },
        Server::Running(running) if !running.in_recovery && switches_over(draft, running) => {}
        Server::Running(running) if !running.in_recovery && !checkpointed(draft) => {
            draft.begin(Job::Checkpoint);
        }
        Server::Down => {}
        Server::Unknown | Server::Starting | Server::Stopping | Server::Running(_) | Server::Unresponsive { .. } => {
            draft.begin(Job::Stop { mode: StopMode::Fast });
        }
    }
}

/// As the primary. `false`: nobody can take over, so it is only stopped.
fn switches_over(draft: &mut Draft<'_>, running: &Running) -> bool {
    if draft.fence().is_none() || draft.cluster.is_paused() {
        return false;
    }
    if draft.job_runs() {
        return draft.memory.switchover.is_some();
    }
    match &draft.cluster.failover {
        Some(request) if request.value.scheduled_at.is_some() && !draft.view.schedule_is_due => false,
        Some(_) => {
            switchover::step(draft, running);
            let refused = draft.actions.iter().any(|a| matches!(a, Action::Write(StoreWrite::DeleteFailover { .. })));
            if refused {
                // Nothing is waited for any more.
                draft.memory.leaving_since = Some(Millis::default());
            }
            !refused
        }
        None => asks_for_it(draft, running),
    }
}

/// A candidate is named, and the store given the time to show it.
fn asks_for_it(draft: &mut Draft<'_>, running: &Running) -> bool {
    let now = draft.view.now;
    if let Some(since) = draft.memory.leaving_since {
        let waits = now.since(since) < REQUEST_TIME_MAX;
        if waits {
            draft.wake(since + REQUEST_TIME_MAX);
        }
        return waits;
    }
    let mut request = FailoverRequest { leader: Some(draft.view.me.clone()), candidate: None, scheduled_at: None };
    let Ok(candidate) = switchover::choose(draft, &request, running) else { return false };
    request.candidate = Some(candidate);
    draft.memory.leaving_since = Some(now);
    draft.wake(now + REQUEST_TIME_MAX);
    draft.write(StoreWrite::PutFailover { request, expected: None });
    true
}

/// The checkpoint before the stop makes the stop itself short; one that fails is not worth waiting for.
fn checkpointed(draft: &Draft<'_>) -> bool {
    draft.view.job.as_ref().is_some_and(|job| matches!(job.job, Job::Checkpoint | Job::Stop { .. })) || draft.job_runs()
}
