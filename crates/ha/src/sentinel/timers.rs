//! Who wants to be looked at when.
//!
//! Deliberately not a scan of everything ten times a second, as Sentinel does it: with a thousand masters that alone is a
//! good part of a core. The invariant: each master and each peer link has exactly one entry.

use super::event::MasterId;
use super::peer::PeerLinkId;
use std::collections::BTreeSet;
use types::Millis;

/// Times are rounded up to this, so that what is due at about the same moment is done in one go.
pub const GRAIN: Millis = Millis(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Master(MasterId),
    Peer(PeerLinkId),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Timers(BTreeSet<(Millis, Timer)>);

impl Timers {
    /// Moves a timer; `due` is where its owner keeps the time.
    pub fn set(&mut self, timer: Timer, due: &mut Millis, at: Millis) {
        let at = Millis(at.0.div_ceil(GRAIN.0).saturating_mul(GRAIN.0));
        if *due != at {
            self.0.remove(&(*due, timer));
            *due = at;
        }
        self.0.insert((at, timer));
    }

    pub fn remove(&mut self, timer: Timer, due: Millis) {
        self.0.remove(&(due, timer));
    }

    pub fn next(&self) -> Option<Millis> {
        self.0.first().map(|(at, _)| *at)
    }

    /// The next one that is due; it has no entry until it is set again.
    pub fn take_due(&mut self, now: Millis) -> Option<Timer> {
        let (at, timer) = *self.0.first()?;
        if at > now {
            return None;
        }
        self.0.pop_first();
        Some(timer)
    }
}
