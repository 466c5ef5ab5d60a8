//! The store's replicated clock, by which leases run.
//!
//! Only the leader stamps entries. Everybody else estimates: the time of an entry plus the local time since it was
//! applied. An entry takes time to arrive, so an estimate is never ahead of the leader's clock; a new leader goes on from
//! its own. So a change of leader neither ends a lease early nor starts it afresh. The clock stands still while the whole
//! cluster is down.

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

    /// An entry of this time was applied. Never turns the clock back: an older estimate that is ahead stays right.
    pub fn observe(&mut self, entry: Millis, local: Millis) {
        if entry > self.at(local) {
            *self = Self { store: entry, local };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_is_the_newest_of_all_entries_and_never_goes_back() {
        let mut clock = StoreClock::starting_at(Millis(1_000), Millis(50));
        assert_eq!(clock.at(Millis(150)), Millis(1_100));
        clock.observe(Millis(1_050), Millis(150));
        assert_eq!(clock.at(Millis(150)), Millis(1_100), "an entry that was long on its way changes nothing");
        clock.observe(Millis(5_000), Millis(200));
        assert_eq!(clock.at(Millis(260)), Millis(5_060));
        assert_eq!(clock.at(Millis(0)), Millis(5_000), "a local clock that goes back does not take the store's along");
    }
}
