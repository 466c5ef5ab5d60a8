//! The agent was asked to end: PostgreSQL is stopped in order, and the leadership is handed on.
//!
//! Also in pause, unlike Patroni: the guard that ends takes its PostgreSQL along, so an orderly stop is the better end.

use super::decide::{Draft, Job};
use super::leading;
use super::view::{DataDirectory, Server};
use crate::guard::StopMode;
use crate::reason::Reason;

pub(super) fn decide(draft: &mut Draft<'_>) {
    draft.because(Reason::Stopping);
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
        Server::Running(running) if !running.in_recovery && !checkpointed(draft) => {
            draft.begin(Job::Checkpoint);
        }
        Server::Down => {}
        Server::Unknown | Server::Starting | Server::Stopping | Server::Running(_) | Server::Unresponsive { .. } => {
            draft.begin(Job::Stop { mode: StopMode::Fast });
        }
    }
}

/// The checkpoint before the stop makes the stop itself short; one that fails is not worth waiting for.
fn checkpointed(draft: &Draft<'_>) -> bool {
    draft.view.job.as_ref().is_some_and(|job| matches!(job.job, Job::Checkpoint | Job::Stop { .. })) || draft.job_runs()
}
