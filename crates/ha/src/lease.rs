//! The member's lease: when to renew it, when not to, and until when PostgreSQL may be a primary under it.
//!
//! All times are the member's own boot clock (it goes on during suspend). The chain that keeps two primaries apart:
//! a renewal is counted from the moment it was *sent*, which is before the store counted it; the guard's fence is a
//! margin before that end; so PostgreSQL is dead before the store can let anybody else take the leader key.

use types::{LeaseId, Millis};

/// Renewals per time to live: four may fail before the fence falls.
const RENEWALS_PER_TTL: u64 = 5;
/// The fence falls this part of the time to live before its end: room for clock rates that differ, for the immediate
/// stop (`KILL_AFTER` in the guard) and for the kernel to end every backend.
const MARGIN_PER_TTL: u64 = 5;
const MARGIN_MIN: Millis = Millis(250);
const MARGIN_MAX: Millis = Millis(5000);
/// The guard must have answered within this time for a renewal to be sent: a frozen guard cannot fence.
pub const GUARD_SILENCE_MAX: Millis = Millis(700);
/// The decision loop must have completed within this time: a leader that no longer decides must not hold its place.
pub const DECISION_SILENCE_MAX: Millis = Millis(5000);

/// A granted lease, as its holder may count on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub id: LeaseId,
    pub ttl: Millis,
    /// The last successful renewal was sent at this time.
    pub renewed_at: Millis,
}

impl Lease {
    pub fn valid_until(&self) -> Millis {
        self.renewed_at + self.ttl
    }

    pub fn is_valid(&self, now: Millis) -> bool {
        now < self.valid_until()
    }

    /// The end of the time in which PostgreSQL may be a primary under this lease.
    pub fn fence(&self) -> Millis {
        self.valid_until() - margin(self.ttl)
    }

    pub fn is_fenced(&self, now: Millis) -> bool {
        now >= self.fence()
    }
}

/// The distance between fence and end of lease.
pub fn margin(ttl: Millis) -> Millis {
    Millis(ttl.0 / MARGIN_PER_TTL).clamp(MARGIN_MIN, MARGIN_MAX)
}

/// How long until the next renewal, `wall_clock` being the time since 1970: never longer than [`renew_interval`]. Members whose
/// clocks agree renew at the same moment, which wakes the store, its disks and its network once for all of them. Nothing else
/// depends on that clock.
pub fn until_renewal(ttl: Millis, wall_clock: Millis) -> Millis {
    let interval = renew_interval(ttl);
    interval - Millis(wall_clock.0 % interval.0)
}

/// The longest time between two renewals.
pub fn renew_interval(ttl: Millis) -> Millis {
    Millis((ttl.0 / RENEWALS_PER_TTL).max(100))
}

/// Why the lease is left to run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withhold {
    GuardSilent {
        since: Millis,
    },
    DecisionsStalled {
        since: Millis,
    },
    /// The fence of the lease that this member led under has fallen: the member takes a new lease when this one is over.
    Fenced,
}

/// The lease that this member leads under, or led under when its fence fell.
#[derive(Clone, Copy, Debug, Default)]
pub struct LedUnder(Option<LeaseId>);

impl LedUnder {
    /// The guard is armed for a server.
    pub fn armed(&mut self, lease: &Lease) {
        self.0 = Some(lease.id);
    }

    /// The guard is disarmed for a server. What the fence has ended is not forgotten by that.
    pub fn disarmed(&mut self, lease: &Lease, now: Millis, others_are_armed: bool) {
        if !others_are_armed && !lease.is_fenced(now) {
            self.0 = None;
        }
    }

    /// This lease, if it is the one.
    pub fn of<'a>(&self, lease: &'a Lease) -> Option<&'a Lease> {
        Some(lease).filter(|lease| self.0 == Some(lease.id))
    }
}

/// May a renewal be sent now? `led_under`: the lease, if this member leads under it or did; `guard_answered_at`: the guard's
/// last answer; `decided_at`: the last completed decision.
pub fn may_renew(
    now: Millis,
    led_under: Option<&Lease>,
    guard_answered_at: Millis,
    decided_at: Millis,
) -> Result<(), Withhold> {
    // Its servers are ended. A renewal that arrives would only keep the others from taking over; and one that is answered
    // would not bring them back. Whoever hears nobody does not learn either that it is over, so it is never renewed again.
    if led_under.is_some_and(|lease| lease.is_fenced(now)) {
        return Err(Withhold::Fenced);
    }
    if now.since(guard_answered_at) > GUARD_SILENCE_MAX {
        return Err(Withhold::GuardSilent { since: guard_answered_at });
    }
    if now.since(decided_at) > DECISION_SILENCE_MAX {
        return Err(Withhold::DecisionsStalled { since: decided_at });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fence_falls_before_the_lease_ends_for_every_time_to_live() {
        for ttl in [1000, 1500, 2000, 5000, 30_000, 3_600_000].map(Millis) {
            let lease = Lease { id: LeaseId(1), ttl, renewed_at: Millis(10_000) };
            assert!(lease.fence() + MARGIN_MIN <= lease.valid_until());
            assert!(
                lease.fence() > lease.renewed_at + renew_interval(ttl) + renew_interval(ttl),
                "{ttl}: two renewals fit"
            );
        }
    }

    #[test]
    fn members_renew_together_and_none_waits_longer_than_the_interval() {
        let wait = |wall_clock| until_renewal(Millis(1500), Millis(wall_clock));
        assert_eq!([0, 1, 299, 300, 90_100].map(wait), [300, 299, 1, 300, 200].map(Millis));
        assert_eq!(until_renewal(Millis(0), Millis(99)), Millis(1), "the shortest interval there is");
    }

    #[test]
    fn a_silent_guard_or_a_stalled_decision_withholds_the_renewal() {
        assert_eq!(may_renew(Millis(1000), None, Millis(900), Millis(900)), Ok(()));
        assert_eq!(
            may_renew(Millis(2000), None, Millis(1000), Millis(1900)),
            Err(Withhold::GuardSilent { since: Millis(1000) })
        );
        assert_eq!(
            may_renew(Millis(9000), None, Millis(8900), Millis(1000)),
            Err(Withhold::DecisionsStalled { since: Millis(1000) })
        );
    }

    #[test]
    fn a_disarmed_server_ends_a_leadership_only_before_the_fence_and_as_the_last() {
        let lease = Lease { id: LeaseId(1), ttl: Millis(1500), renewed_at: Millis(10_000) };
        for (now, others_are_armed, led) in [(11_199, false, false), (11_199, true, true), (11_200, false, true)] {
            let mut led_under = LedUnder::default();
            led_under.armed(&lease);
            led_under.disarmed(&lease, Millis(now), others_are_armed);
            assert_eq!(led_under.of(&lease).is_some(), led, "{now} {others_are_armed}");
            assert_eq!(led_under.of(&Lease { id: LeaseId(2), ..lease }), None);
        }
    }

    #[test]
    fn a_lease_whose_fence_fell_over_a_leader_is_never_renewed_again() {
        let lease = Lease { id: LeaseId(1), ttl: Millis(1500), renewed_at: Millis(10_000) };
        let at = |now, led: Option<&Lease>| may_renew(Millis(now), led, Millis(now), Millis(now));
        assert_eq!(at(11_199, Some(&lease)), Ok(()));
        for now in [11_200, 11_500, 60_000] {
            assert_eq!(at(now, Some(&lease)), Err(Withhold::Fenced));
            assert_eq!(at(now, None), Ok(()), "nothing was fenced");
        }
    }
}
