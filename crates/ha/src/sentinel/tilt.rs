//! TILT: this process was stopped or could not keep up, so everything seems to have timed out at once. For a while it
//! watches and does not act.
//!
//! Deliberately measured as the lateness of a timer on the clock that never jumps; Sentinel compares readings of the wall
//! clock, which an NTP step can move. The invariant: nothing is found down, started or promoted in TILT.

use super::core::Core;
use super::effect::Level;
use types::Millis;

/// Without masters there is nothing else that asks to be called, and a stop would not be noticed.
const HEARTBEAT: Millis = Millis(1_000);

#[derive(Clone, Debug, Default)]
pub(super) struct Tilt {
    pub since: Option<Millis>,
    /// How often, since the start.
    pub total: u64,
    /// When this Sentinel wanted to be called at the latest.
    expected: Option<Millis>,
}

impl Tilt {
    pub fn is_on(&self) -> bool {
        self.since.is_some()
    }

    /// When to call at the latest, given when the timers want it.
    pub fn expect(&mut self, now: Millis, timers: Option<Millis>) -> Millis {
        let at = timers.map_or(now + HEARTBEAT, |at| at.min(now + HEARTBEAT));
        self.expected = Some(at);
        at
    }
}

/// At the beginning of every event. True when TILT began just now.
pub(super) fn check(core: &mut Core) -> bool {
    let now = core.now;
    let late = core.tilt.expected.is_some_and(|at| now.since(at) > core.periods.tilt_trigger);
    if late {
        core.tilt.since = Some(now);
        core.tilt.total += 1;
        core.publish(Level::Warning, "+tilt", "#tilt mode entered".to_owned(), None);
        return true;
    }
    if core.tilt.since.is_some_and(|since| now.since(since) >= core.periods.tilt) {
        core.tilt.since = None;
        core.publish(Level::Warning, "-tilt", "#tilt mode exited".to_owned(), None);
    }
    false
}
