//! What must be durable, and who waits for that.
//!
//! Deliberately no file. The invariant: at most one save is under way, and what was changed after it began is in the next
//! one; so a burst of news (a thousand masters that find their replicas) costs two writes, not thousands.

use super::effect::Effect;
use super::event::MasterId;
use super::request::{Answer, Token};
use std::collections::VecDeque;
use types::Millis;

/// After a failed save the next is tried when this has passed, or when somebody waits for one: a full disk must not keep a core
/// or the log busy.
pub const RETRY_AFTER: Millis = Millis(5_000);

/// Why somebody waits for a save.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Waiter {
    /// A client that is answered OK.
    Client(Token),
    /// A candidate that is told our vote.
    Vote { token: Token, down: bool, leader: Box<str>, epoch: u64 },
    /// A failover that goes on.
    Failover(MasterId),
    /// A crash that somebody asked for.
    Crash,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Saves {
    /// Grows with everything that must be saved.
    wanted: u64,
    under_way: Option<u64>,
    /// Everything up to here is on the disk.
    done: u64,
    retry_at: Option<Millis>,
    waiting: VecDeque<(u64, Waiter)>,
}

impl Saves {
    /// Something changed; the version that will contain it.
    pub fn want(&mut self) -> u64 {
        self.wanted += 1;
        self.wanted
    }

    pub fn is_done(&self, version: u64) -> bool {
        version <= self.done
    }

    pub fn wait(&mut self, version: u64, waiter: Waiter) {
        // Somebody waits, so a retry that lies in the future is made now; the client is answered either way.
        self.retry_at = None;
        self.waiting.push_back((version, waiter));
    }

    /// At the end of every event: begin what is wanted.
    pub fn begin(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let held = self.retry_at.is_some_and(|at| now < at);
        if self.under_way.is_none() && self.wanted > self.done && !held {
            self.under_way = Some(self.wanted);
            self.retry_at = None;
            effects.push(Effect::Save { version: self.wanted });
        }
    }

    /// Who waited for it, with the outcome. A failure concerns all who wait for no more than that version.
    pub fn finish(&mut self, now: Millis, version: u64, ok: bool) -> Vec<Waiter> {
        if self.under_way != Some(version) {
            return Vec::new();
        }
        self.under_way = None;
        if ok {
            self.done = version;
        } else {
            self.retry_at = Some(now + RETRY_AFTER);
        }
        let mut ready = Vec::new();
        self.waiting.retain(|(wanted, waiter)| {
            let concerned = *wanted <= version;
            if concerned {
                ready.push(waiter.clone());
            }
            !concerned
        });
        ready
    }

    pub fn next_tick(&self) -> Option<Millis> {
        if self.under_way.is_none() { self.retry_at } else { None }
    }
}

/// Sentinel's words for a client that wanted something saved.
pub(super) fn save_failed() -> Answer {
    Answer::error("Failed to save config file. Check server logs.")
}
