//! Votes: whom this sentinel lets lead a failover.
//!
//! Deliberately only the rule and its bookkeeping; `election` counts. The invariants: at most one vote per master and epoch,
//! also across a restart; and nobody hears of a vote before it is on the disk. Sentinel answers even when it could not save
//! its vote, and may so vote twice after a crash on a full disk.

use super::core::Core;
use super::dispatcher::Sentinel;
use super::effect::{Effect, Level};
use super::flags::Flags;
use super::hello::EPOCH_MAX;
use super::master::{Master, Mode};
use super::request::{Answer, Token};
use super::saves::Waiter;
use types::Millis;

/// Added by chance to the time before a next attempt, so that sentinels do not stay in step.
pub const DESYNC_MAX: u64 = 1_000;

/// Does a request for a vote in this epoch get one? `voted`: the epoch of the last vote for this master.
pub(super) fn is_granted(current_epoch: u64, voted: u64, requested: u64) -> bool {
    voted < requested && current_epoch <= requested
}

/// Votes for the candidate if that is allowed. What counts then is `master.vote`, which may be an older one.
pub(super) fn vote(core: &mut Core, master: &mut Master, epoch: u64, candidate: &str) {
    if epoch > EPOCH_MAX {
        return;
    }
    if epoch > core.current_epoch {
        core.current_epoch = epoch;
        core.save();
        core.new_epoch(master);
    }
    if !is_granted(core.current_epoch, master.vote.epoch, epoch) {
        return;
    }
    master.vote.leader = Some(candidate.into());
    master.vote.epoch = core.current_epoch;
    master.vote.save = core.save();
    let text = format!("{candidate} {}", master.vote.epoch);
    core.publish(Level::Warning, "+vote-for-leader", text, master.settings.notification_script.as_deref());
    if !candidate.eq_ignore_ascii_case(&core.my_id) {
        // Its turn now: no attempt of our own for a while.
        master.failover.started_at = Some(core.now + Millis(core.random.below(DESYNC_MAX)));
        master.failover.start_at = None;
    }
}

impl Sentinel {
    /// SENTINEL IS-MASTER-DOWN-BY-ADDR. Masters are found by address: two sentinels may know one by different names.
    pub(super) fn is_master_down(&mut self, token: Token, host: &str, port: u16, epoch: u64, candidate: &str) {
        let core = &mut self.core;
        let address = core.names.address(host, port, core.settings.resolve_hostnames, &mut core.effects);
        let master = self.masters.values_mut().find(|master| master.node.address.same(&address));
        let Some(master) = master else {
            core.effects.push(Effect::Answer { token, answer: no_vote(false) });
            return;
        };
        let down = !core.tilt.is_on() && master.node.flags.any(Flags::S_DOWN);
        let asks_for_vote = candidate != "*";
        match master.mode {
            Mode::Mixed if asks_for_vote => vote(core, master, epoch, candidate),
            // Elsewhere epochs come from the store, and a vote would promise what it cannot keep.
            Mode::Mixed | Mode::Native | Mode::Supervised => {
                core.effects.push(Effect::Answer { token, answer: no_vote(down) });
                return;
            }
        }
        let Some(leader) = master.vote.leader.clone() else {
            core.effects.push(Effect::Answer { token, answer: no_vote(down) });
            return;
        };
        let epoch = master.vote.epoch;
        if core.saves.is_done(master.vote.save) {
            let leader = Some(leader.to_string());
            core.effects.push(Effect::Answer { token, answer: Answer::MasterDown { down, leader, epoch } });
        } else {
            core.saves.wait(master.vote.save, Waiter::Vote { token, down, leader, epoch });
        }
    }
}

pub(super) fn no_vote(down: bool) -> Answer {
    Answer::MasterDown { down, leader: None, epoch: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every case of three small numbers: one vote per epoch, never in an older epoch than the newest that is known.
    #[test]
    fn a_vote_is_granted_once_per_epoch_and_only_in_the_newest() {
        for current in 0..5 {
            for voted in 0..5 {
                for requested in 0..5 {
                    let granted = is_granted(current, voted, requested);
                    assert_eq!(granted, requested > voted && requested >= current, "{current} {voted} {requested}");
                    if granted {
                        // After it the same request, and any in the same epoch, gets none.
                        assert!(!is_granted(requested, requested, requested));
                    }
                }
            }
        }
    }
}
