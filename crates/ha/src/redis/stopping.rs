//! The agent was asked to end: another member takes over first where one can, then Redis is stopped in order.
//!
//! Also in pause: the guard that ends takes its Redis along, so an orderly stop is the better end.

use super::decide::Job;
use super::draft::Draft;
use super::memory::{Stage, Switchover};
use super::reason::Reason;
use super::view::{Running, Server};
use super::{leading, switchover};
use crate::cluster::redis::{RedisFailoverRequest, RedisFence};
use crate::guard::StopMode;

pub(super) fn decide(draft: &mut Draft<'_>) {
    draft.because(Reason::Stopping);
    match (&draft.view.server, draft.fence()) {
        (Server::Down, _) if draft.job_runs() => {}
        (Server::Down, Some(fence)) => leading::given_up(draft, &fence),
        (Server::Down, None) => draft.finished = true,
        (Server::Running(running), Some(fence)) if !draft.memory.stop_as_master => pass_on(draft, &fence, running),
        (Server::Unknown | Server::Starting | Server::Running(_) | Server::Silent { .. }, _) => {
            draft.begin(Job::Stop { mode: StopMode::Fast });
        }
    }
}

fn pass_on(draft: &mut Draft<'_>, fence: &RedisFence, running: &Running) {
    if !running.is_master() {
        if let Some(Switchover { stage: Stage::CatchUp { since, .. }, .. }) = draft.memory.switchover {
            return switchover::catch_up(draft, since);
        }
        // Demoted, or never promoted: whoever is best takes the key.
        return match draft.certainly_no_master() {
            true => leading::given_up(draft, fence),
            false if draft.job_runs() => {}
            false => drop(draft.begin(Job::Stop { mode: StopMode::Fast })),
        };
    }
    if draft.memory.switchover.is_none() && !draft.job_runs() {
        match switchover::choose(draft, running, &RedisFailoverRequest::default()) {
            Ok(candidate) => switchover::begin(draft, candidate, None, false),
            Err(reason) => {
                draft.because(reason);
                draft.memory.stop_as_master = true;
                draft.begin(Job::Stop { mode: StopMode::Fast });
                return;
            }
        }
    }
    if !draft.job_runs() {
        switchover::step(draft, fence, running);
    }
}
