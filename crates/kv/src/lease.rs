//! The leases and which keys hang on them.
//!
//! Deliberately without a clock: a lease ends when a command says so. The moment of the last renewal is replicated
//! state, so a new leader of the store goes on counting where the old one stopped (etcd gives every lease its whole
//! time again). A lease that has run out but was not revoked yet can still be renewed: its keys are all still there,
//! so nobody else can have taken its place. The invariant: `by_deadline` has exactly one entry for each lease.

use crate::api::{Key, KvError, LeaseStatus};
use std::collections::{BTreeMap, BTreeSet};
use types::{LeaseId, Millis};

/// etcd's `MaxLeaseTTL`.
pub const LEASE_TTL_MAX: Millis = Millis::from_secs(9_000_000_000);
/// A shorter time is raised to this, as etcd raises it to its own minimum: no renewal reaches the store faster.
pub const LEASE_TTL_MIN: Millis = Millis(100);

/// Leases that the store names itself are numbered from here, far from the numbers that people choose. A number is
/// never given twice, so that a late renewal by a former owner cannot prolong somebody else's lease.
const LEASE_ID_FIRST: i64 = 0x6c65_6173_0000_0000;

#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub ttl: Millis,
    /// By the store's clock.
    pub renewed: Millis,
    pub keys: BTreeSet<Key>,
}

impl Lease {
    fn deadline(&self) -> Millis {
        self.renewed + self.ttl
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Leases {
    by_id: BTreeMap<LeaseId, Lease>,
    by_deadline: BTreeSet<(Millis, LeaseId)>,
    /// How many the store has named itself, ever.
    named: u64,
}

impl Leases {
    pub fn restored(named: u64) -> Self {
        Self { named, ..Self::default() }
    }

    pub fn named(&self) -> u64 {
        self.named
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn contains(&self, id: LeaseId) -> bool {
        self.by_id.contains_key(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (LeaseId, &Lease)> {
        self.by_id.iter().map(|(id, lease)| (*id, lease))
    }

    /// Returns the lease's name and the time it really got.
    pub fn grant(&mut self, id: Option<LeaseId>, ttl: Millis, now: Millis) -> Result<(LeaseId, Millis), KvError> {
        if ttl > LEASE_TTL_MAX {
            return Err(KvError::LeaseTtlTooLarge);
        }
        // 0 is how the wire says "choose one".
        let id = match id.filter(|id| id.0 != 0) {
            Some(id) if self.contains(id) => return Err(KvError::LeaseExists),
            Some(id) => id,
            None => self.name(),
        };
        let ttl = ttl.max(LEASE_TTL_MIN);
        self.insert(id, ttl, now);
        Ok((id, ttl))
    }

    fn name(&mut self) -> LeaseId {
        loop {
            let id = LeaseId(LEASE_ID_FIRST.wrapping_add(self.named as i64));
            self.named += 1;
            if !self.contains(id) {
                return id;
            }
        }
    }

    /// The caller has seen that there is none of this name.
    pub fn insert(&mut self, id: LeaseId, ttl: Millis, renewed: Millis) {
        let lease = Lease { ttl, renewed, keys: BTreeSet::new() };
        self.by_deadline.insert((lease.deadline(), id));
        let replaced = self.by_id.insert(id, lease);
        assert!(replaced.is_none(), "lease {id} is there twice");
    }

    pub fn renew(&mut self, id: LeaseId, now: Millis) -> Result<Millis, KvError> {
        let lease = self.by_id.get_mut(&id).ok_or(KvError::LeaseNotFound)?;
        self.by_deadline.remove(&(lease.deadline(), id));
        lease.renewed = now;
        self.by_deadline.insert((lease.deadline(), id));
        Ok(lease.ttl)
    }

    /// Ends the lease and returns the keys that go with it.
    pub fn remove(&mut self, id: LeaseId) -> Result<BTreeSet<Key>, KvError> {
        let lease = self.by_id.remove(&id).ok_or(KvError::LeaseNotFound)?;
        self.by_deadline.remove(&(lease.deadline(), id));
        Ok(lease.keys)
    }

    /// Without effect when the lease is gone (a key may outlive the record of it only inside one command).
    pub fn attach(&mut self, id: LeaseId, key: &[u8]) {
        if let Some(lease) = self.by_id.get_mut(&id) {
            lease.keys.insert(key.to_vec());
        }
    }

    pub fn detach(&mut self, id: LeaseId, key: &[u8]) {
        if let Some(lease) = self.by_id.get_mut(&id) {
            lease.keys.remove(key);
        }
    }

    pub fn has_run_out(&self, id: LeaseId, at: Millis) -> bool {
        self.by_id.get(&id).is_some_and(|lease| lease.deadline() <= at)
    }

    pub fn expired(&self, at: Millis) -> Vec<LeaseId> {
        self.by_deadline.iter().take_while(|(deadline, _)| *deadline <= at).map(|(_, id)| *id).collect()
    }

    pub fn next_expiry(&self) -> Option<Millis> {
        self.by_deadline.first().map(|(deadline, _)| *deadline)
    }

    pub fn status(&self, id: LeaseId, at: Millis) -> Option<LeaseStatus> {
        let lease = self.by_id.get(&id)?;
        Some(LeaseStatus {
            id,
            granted: lease.ttl,
            remaining: lease.deadline().since(at),
            keys: lease.keys.iter().cloned().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_is_ordered_by_deadline_and_moves_with_renewal() {
        let mut leases = Leases::default();
        leases.grant(Some(LeaseId(1)), Millis(3000), Millis(0)).unwrap();
        leases.grant(Some(LeaseId(2)), Millis(1000), Millis(0)).unwrap();
        leases.grant(Some(LeaseId(3)), Millis(2000), Millis(0)).unwrap();
        assert_eq!(leases.next_expiry(), Some(Millis(1000)));
        assert_eq!(leases.expired(Millis(999)), vec![]);
        assert_eq!(leases.expired(Millis(2000)), vec![LeaseId(2), LeaseId(3)]);
        assert_eq!(leases.renew(LeaseId(2), Millis(1500)), Ok(Millis(1000)));
        assert_eq!(leases.expired(Millis(2000)), vec![LeaseId(3)]);
        assert_eq!(leases.remove(LeaseId(3)), Ok(BTreeSet::new()));
        assert_eq!(leases.next_expiry(), Some(Millis(2500)));
        assert_eq!(leases.renew(LeaseId(3), Millis(1600)), Err(KvError::LeaseNotFound));
    }

    #[test]
    fn names_are_never_given_twice_and_avoid_those_taken() {
        let mut leases = Leases::default();
        leases.grant(Some(LeaseId(LEASE_ID_FIRST)), Millis(1000), Millis(0)).unwrap();
        let (first, _) = leases.grant(None, Millis(1000), Millis(0)).unwrap();
        leases.remove(first).unwrap();
        let (second, _) = leases.grant(Some(LeaseId(0)), Millis(1000), Millis(0)).unwrap();
        assert_eq!((first.0, second.0), (LEASE_ID_FIRST + 1, LEASE_ID_FIRST + 2));
    }

    #[test]
    fn times_out_of_bounds() {
        let mut leases = Leases::default();
        let check = |leases: &mut Leases, ttl, expected| {
            assert_eq!(leases.grant(None, ttl, Millis(0)).map(|(_, ttl)| ttl), expected, "{ttl}");
        };
        check(&mut leases, Millis(0), Ok(LEASE_TTL_MIN));
        check(&mut leases, LEASE_TTL_MAX, Ok(LEASE_TTL_MAX));
        check(&mut leases, LEASE_TTL_MAX + Millis(1), Err(KvError::LeaseTtlTooLarge));
        assert_eq!(leases.grant(Some(LeaseId(LEASE_ID_FIRST)), Millis(1000), Millis(0)), Err(KvError::LeaseExists));
    }
}
