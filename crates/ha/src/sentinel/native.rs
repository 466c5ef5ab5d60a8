//! Native masters: all sentinels are ours, so the store says who may fail over. An epoch is one compare-and-swap.
//!
//! Deliberately no votes: they are a store of their own, with weaker promises. The invariant: an epoch has one owner, so two
//! sentinels that are told to fail over at the same moment lead to one master.

use super::core::Core;
use super::dispatcher::Sentinel;
use super::effect::{Effect, Level};
use super::failover;
use super::master::{FailoverState, Mode};
use super::publish::Subject;
use super::request::Answer;
use types::Millis;

/// When somebody else owns the epoch, it is given this long. A promotion takes a fraction of a second.
pub const RETRY_AFTER: Millis = Millis(2_000);

impl Sentinel {
    /// A failover that has not promoted anybody yet is given up: it was begun under other rules.
    pub(super) fn set_mode(&mut self, name: &str, mode: Mode) {
        let Some(id) = self.names.get(name).copied() else { return };
        let Some(master) = self.masters.get_mut(&id) else { return };
        if master.mode == mode {
            return;
        }
        if (FailoverState::WaitStart..=FailoverState::WaitPromotion).contains(&master.failover.state) {
            self.core.event(Level::Warning, "-failover-abort-not-elected", master, Subject::Master, "");
            failover::abort(&mut self.core, master);
        }
        master.mode = mode;
        master.failover.started_at = None;
        self.look(id);
    }

    pub(super) fn epoch_claimed(&mut self, name: &str, epoch: u64) {
        let core = &mut self.core;
        core.current_epoch = core.current_epoch.max(epoch);
        core.save();
        let Some(id) = self.names.get(name).copied() else { return };
        let Some(master) = self.masters.get_mut(&id) else { return };
        let expected = master.mode == Mode::Native
            && master.failover.state == FailoverState::WaitStart
            && master.failover.epoch == epoch;
        if !expected {
            // It came too late: the epoch stays unused.
            return;
        }
        master.failover.claimed = true;
        core.new_epoch(master);
        if let Some(token) = master.failover.asked_by.take() {
            core.effects.push(Effect::Answer { token, answer: Answer::Ok });
        }
        self.look(id);
    }

    pub(super) fn epoch_refused(&mut self, name: &str, epoch: u64) {
        let core = &mut self.core;
        if epoch > core.current_epoch {
            core.current_epoch = epoch;
            core.save();
        }
        let Some(id) = self.names.get(name).copied() else { return };
        let Some(master) = self.masters.get_mut(&id) else { return };
        let waiting = master.failover.state == FailoverState::WaitStart && !master.failover.claimed;
        if master.mode != Mode::Native || !waiting {
            return;
        }
        core.event(Level::Warning, "-failover-abort-not-elected", master, Subject::Master, "");
        failover::abort(core, master);
        master.failover.started_at = Some(core.now);
        self.look(id);
    }
}

/// The client that asked for a failover hears that there is none.
pub(super) fn turn_down(core: &mut Core, asked_by: Option<super::request::Token>) {
    if let Some(token) = asked_by {
        let answer = Answer::Error("INPROG Failover already in progress".to_owned());
        core.effects.push(Effect::Answer { token, answer });
    }
}
