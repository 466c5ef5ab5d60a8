//! When this member stands for election.
//!
//! Overrides the `raft` crate's random timeouts with our own seeded ones, and brings the election forward when the
//! leader's process is known to be dead (its host refuses connections) instead of merely silent. That only moves timers:
//! whether the election is won, and that two cannot be, is raft's own business.

use crate::{MemberId, limits, log::Log, random::Random};
use raft::{Raft, StateRole};

pub struct Election {
    random: Random,
    ticks: usize,
    timeout: usize,
    /// Term, role and leader the timeout was drawn for.
    drawn_for: Option<(u64, StateRole, MemberId)>,
    gone: Option<Gone>,
}

/// The leader's process is dead.
struct Gone {
    attempts: u32,
    /// Between this member's attempts; differs between members.
    retry_ticks: usize,
}

impl Election {
    pub fn new(seed: u64, ticks: usize) -> Self {
        Self { random: Random::seeded(seed), ticks, timeout: ticks, drawn_for: None, gone: None }
    }

    /// To be called after everything that can make raft draw a timeout, before the next tick.
    pub fn pin(&mut self, raft: &mut Raft<Log>) {
        let present = (raft.term, raft.state, raft.leader_id);
        if raft.leader_id != raft::INVALID_ID && self.drawn_for.is_some_and(|(_, _, leader)| leader != raft.leader_id) {
            self.gone = None;
        }
        if self.drawn_for != Some(present) {
            self.drawn_for = Some(present);
            self.timeout = self.random.between(self.ticks, 2 * self.ticks);
            self.hurry(raft);
        }
        raft.set_randomized_election_timeout(self.timeout);
    }

    /// After a failed quick election the next one comes soon too.
    fn hurry(&mut self, raft: &mut Raft<Log>) {
        let standing = matches!(raft.state, StateRole::PreCandidate | StateRole::Candidate);
        if let Some(gone) = &mut self.gone
            && standing
            && gone.attempts < limits::PROCESS_GONE_ATTEMPTS_MAX
        {
            gone.attempts += 1;
            self.timeout = 2 * self.ticks - 1;
            raft.election_elapsed = self.timeout.saturating_sub(gone.retry_ticks);
        }
    }

    /// The process of member `id` is dead. If it was the leader, the follower of the lowest id stands at the next tick,
    /// the others a little later. They stop protecting the dead leader at once: their timers pass raft's minimum.
    pub fn process_gone(&mut self, id: MemberId, raft: &mut Raft<Log>, voters: &[MemberId]) {
        if raft.state != StateRole::Follower || raft.leader_id != id || self.gone.is_some() {
            return;
        }
        let rank = voters.iter().filter(|&&voter| voter != id && voter < raft.id).count();
        let stagger = rank * limits::PROCESS_GONE_STAGGER_TICKS;
        self.gone = Some(Gone { attempts: 0, retry_ticks: 2 + stagger });
        self.timeout = 2 * self.ticks - 1;
        raft.set_randomized_election_timeout(self.timeout);
        let near_the_end = self.timeout.saturating_sub(1 + stagger);
        raft.election_elapsed = raft.election_elapsed.max(near_the_end);
    }

    /// There is nobody to wait for.
    pub fn stand_at_the_next_tick(&self, raft: &mut Raft<Log>) {
        raft.election_elapsed = self.timeout;
    }

    /// The leader was heard after all.
    pub fn leader_heard(&mut self, from: MemberId, raft: &Raft<Log>) {
        if raft.leader_id == from {
            self.gone = None;
        }
    }
}
