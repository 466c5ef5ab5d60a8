//! When the service manager is told that the agent works: only while the guard runs and the worker decides.
//!
//! Deliberately not a fence: the fence is `server`'s, and it falls seconds earlier. This is for what the fence cannot
//! reach, a guard that is frozen itself, and for a worker that would stay frozen for ever. The invariant: a worker that
//! has not said for `WORKER_SILENCE_MAX` that it decides is not vouched for.

use types::Millis;

/// A worker whose decisions stand still for five seconds has lost its lease by then (`lease::DECISION_SILENCE_MAX`), and
/// says that it is well once a second. Four times that is no stall of a busy machine any more.
pub const WORKER_SILENCE_MAX: Millis = Millis(20_000);
/// Signs of life in the time after which the service manager gives up; three may be late.
const SIGNS_PER_TIMEOUT: u64 = 4;

#[derive(Clone, Debug)]
pub struct Watchdog {
    interval: Millis,
    next_at: Millis,
    /// A worker that has just been started counts as well.
    well_at: Millis,
}

impl Watchdog {
    /// `timeout`: without a sign of life for so long the service manager ends the agent.
    pub fn new(now: Millis, timeout: Millis) -> Self {
        Self { interval: Millis((timeout.0 / SIGNS_PER_TIMEOUT).max(1)), next_at: now, well_at: now }
    }

    pub fn worker_is_well(&mut self, now: Millis) {
        self.well_at = now;
    }

    pub fn next_tick(&self) -> Millis {
        self.next_at
    }

    /// Whether a sign of life is due and deserved. `worker`: there is one.
    pub fn sign_of_life(&mut self, now: Millis, worker: bool) -> bool {
        if now < self.next_at {
            return false;
        }
        self.next_at = now + self.interval;
        !worker || now.since(self.well_at) <= WORKER_SILENCE_MAX
    }
}
