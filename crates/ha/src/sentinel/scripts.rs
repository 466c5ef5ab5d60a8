//! The user's scripts: a bounded queue, a few at a time, killed when they take too long, tried again when they ask for it.
//!
//! Deliberately no processes: the driver starts and kills them. The invariant: a job leaves the queue only when it ended for
//! good or when it is the oldest one waiting in a full queue.

use super::core::Core;
use super::effect::{Effect, Level};
use super::event::{ScriptEnd, ScriptId};
use std::collections::VecDeque;
use types::Millis;

/// Jobs in the queue, running ones included. All numbers here are Sentinel's.
pub const QUEUE_MAX: usize = 256;
pub const RUNNING_MAX: usize = 16;
/// Executions of one job.
pub const TRIES_MAX: u32 = 10;
/// The exit code with which a script asks to be run again.
const EXIT_RETRY: i32 = 1;
/// Reported in place of a signal for a script that could not be started.
const SIGNAL_NOT_STARTED: i32 = 99;
const EXIT_KILLED: i32 = 0;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptState {
    /// `not_before`: a retry waits until then.
    Waiting {
        not_before: Option<Millis>,
    },
    Running {
        since: Millis,
        pid: Option<u32>,
        killed: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptJob {
    pub id: ScriptId,
    pub arguments: Vec<String>,
    pub state: ScriptState,
    /// How often it was started.
    pub tries: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Scripts {
    pub queue: VecDeque<ScriptJob>,
    last_id: u64,
}

impl Scripts {
    pub fn add(&mut self, arguments: Vec<String>) {
        self.last_id += 1;
        let state = ScriptState::Waiting { not_before: None };
        self.queue.push_back(ScriptJob { id: ScriptId(self.last_id), arguments, state, tries: 0 });
        if self.queue.len() > QUEUE_MAX {
            let oldest = self.queue.iter().position(|job| matches!(job.state, ScriptState::Waiting { .. }));
            if let Some(oldest) = oldest {
                self.queue.remove(oldest);
            }
        }
    }

    pub fn running(&self) -> usize {
        self.queue.iter().filter(|job| matches!(job.state, ScriptState::Running { .. })).count()
    }

    pub fn started(&mut self, script: ScriptId, started_pid: u32) {
        if let Some(job) = self.queue.iter_mut().find(|job| job.id == script)
            && let ScriptState::Running { pid, .. } = &mut job.state
        {
            *pid = Some(started_pid);
        }
    }

    pub fn next_tick(&self, runtime_max: Millis) -> Option<Millis> {
        let room = self.running() < RUNNING_MAX;
        self.queue
            .iter()
            .filter_map(|job| match job.state {
                ScriptState::Waiting { not_before } => room.then(|| not_before.unwrap_or(Millis::ZERO)),
                ScriptState::Running { killed: true, .. } => None,
                ScriptState::Running { since, .. } => Some(since + runtime_max + Millis(1)),
            })
            .min()
    }
}

/// The delay doubles with every try: 30 s, 60 s, 2 min, ... 128 min.
fn retry_delay(first: Millis, tries: u32) -> Millis {
    Millis(first.0.saturating_mul(1 << tries.saturating_sub(1).min(TRIES_MAX)))
}

/// At the end of every event: kill what takes too long, start what may start.
pub(super) fn run(core: &mut Core) {
    if core.scripts.queue.is_empty() {
        return;
    }
    let now = core.now;
    let mut running = core.scripts.running();
    let mut timeouts = Vec::new();
    for job in &mut core.scripts.queue {
        match &mut job.state {
            ScriptState::Running { since, pid, killed } => {
                if !*killed && now.since(*since) > core.periods.script_runtime_max {
                    *killed = true;
                    timeouts.push(format!("{} {}", job.arguments[0], pid.unwrap_or(0)));
                    core.effects.push(Effect::KillScript { script: job.id });
                }
            }
            ScriptState::Waiting { not_before } => {
                if running < RUNNING_MAX && not_before.is_none_or(|at| at <= now) {
                    running += 1;
                    job.tries += 1;
                    job.state = ScriptState::Running { since: now, pid: None, killed: false };
                    core.effects.push(Effect::RunScript { script: job.id, arguments: job.arguments.clone() });
                }
            }
        }
    }
    for text in timeouts {
        core.publish(Level::Warning, "-script-timeout", text, None);
    }
}

pub(super) fn ended(core: &mut Core, script: ScriptId, end: &ScriptEnd) {
    let Some(at) = core.scripts.queue.iter().position(|job| job.id == script) else { return };
    let (again, failed, signal, status) = match end {
        ScriptEnd::Exited(status) => (*status == EXIT_RETRY, *status != 0, 0, *status),
        ScriptEnd::Signalled(signal) => (true, true, *signal, EXIT_KILLED),
        ScriptEnd::NotStarted => (true, true, SIGNAL_NOT_STARTED, EXIT_KILLED),
    };
    let now = core.now;
    let delay = core.periods.script_retry_delay;
    let job = &mut core.scripts.queue[at];
    let program = job.arguments[0].clone();
    if again && job.tries < TRIES_MAX {
        job.state = ScriptState::Waiting { not_before: Some(now + retry_delay(delay, job.tries)) };
        if *end != ScriptEnd::NotStarted {
            return;
        }
    } else {
        core.scripts.queue.remove(at);
    }
    if failed {
        core.publish(Level::Warning, "-script-error", format!("{program} {signal} {status}"), None);
    }
}
