//! The store's replicated clock, by which leases run.
//!
//! Only the leader stamps entries. Everybody else estimates: the time of the newest entry plus the local time since it
//! arrived. An entry takes time to arrive, so an estimate is never ahead of the leader's clock; a new leader goes on
//! from its own. So a change of leader neither ends a lease early nor starts it afresh. The clock stands still while the
//! whole cluster is down.
//!
//! From when it arrived, not from when it is applied: a leader that hears nobody leaves renewals behind that only its
//! successor commits, a second later, and that second has passed. Until one arrives, what was on disk when this
//! member started tells the time as it is applied, and an estimate from before it counts for nothing, also when it is ahead: a member that was
//! up while the others were not has counted time in which the store's clock stood still, and as a leader would end every lease.

use types::Millis;

#[derive(Clone, Copy, Debug)]
pub struct StoreClock {
    /// The store's time at the local time `local`.
    store: Millis,
    local: Millis,
}

impl StoreClock {
    pub fn starting_at(store: Millis, local: Millis) -> Self {
        Self { store, local }
    }

    pub fn at(&self, local: Millis) -> Millis {
        self.store + local.since(self.local)
    }

    /// An entry that another member stamped with this time arrived, or one from before the start was applied. (A leader's
    /// own entries say nothing new to it, and would turn its clock back by the time they took.)
    pub fn observe(&mut self, entry: Millis, local: Millis) {
        *self = Self { store: entry, local };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_goes_on_from_the_newest_entry() {
        let mut clock = StoreClock::starting_at(Millis(1_000), Millis(50));
        assert_eq!(clock.at(Millis(150)), Millis(1_100));
        clock.observe(Millis(5_000), Millis(200));
        assert_eq!(clock.at(Millis(260)), Millis(5_060));
        assert_eq!(clock.at(Millis(0)), Millis(5_000), "a local clock that goes back does not take the store's along");
    }

    #[test]
    fn a_member_that_was_up_before_the_others_is_not_ahead_of_their_leader() {
        let mut early = StoreClock::starting_at(Millis(1_000), Millis(0));
        assert_eq!(early.at(Millis(60_000)), Millis(61_000), "a minute alone");
        early.observe(Millis(1_010), Millis(60_005));
        assert_eq!(early.at(Millis(60_105)), Millis(1_110));
    }
}
