//! The leader's side: whom it asks, and what their consent is worth.
//!
//! Shared by the decision loop of PostgreSQL, which says who is to be asked, and the keeper of the lease, which asks. The
//! invariant: a lease is extended only when everybody consented who is to be asked at that moment.

use crate::lease::Lease;
use std::collections::{BTreeMap, BTreeSet};
use types::{LeaseId, MemberName, Millis};

/// Whom the leader asks when it cannot reach the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asks {
    /// The lease of this leadership.
    pub lease: LeaseId,
    /// Everybody else who may take a leader key, with the URL of the REST API.
    pub members: BTreeMap<MemberName, String>,
}

/// Everybody has promised to take no leader key before the lease is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    pub lease: LeaseId,
    /// The fence that rests on it.
    pub until: Millis,
    pub by: Vec<MemberName>,
}

/// Somebody who was asked and did not consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    pub name: MemberName,
    pub why: String,
}

#[derive(Clone, Debug, Default)]
pub struct Asking {
    asks: Option<Asks>,
    consent: Option<Consent>,
    missing: Vec<Missing>,
}

impl Asking {
    /// After every decision about PostgreSQL, before anything of it is sent.
    pub fn decided(&mut self, asks: Option<Asks>) {
        if asks.is_none() {
            self.missing.clear();
        }
        self.asks = asks;
    }

    /// Whom to ask for this lease. `None`: failsafe mode is not in use.
    pub fn whom(&self, lease: &Lease) -> Option<&BTreeMap<MemberName, String>> {
        self.asks.as_ref().filter(|asks| asks.lease == lease.id).map(|asks| &asks.members)
    }

    /// The members were asked at `asked_at`, these have consented by now: the lease as it is then, if that was enough.
    pub fn answered(
        &mut self,
        now: Millis,
        lease: &Lease,
        asked_at: Millis,
        accepted: &BTreeSet<MemberName>,
        refused: &BTreeMap<MemberName, String>,
    ) -> Option<Lease> {
        let members = self.whom(lease)?;
        let missing = members.keys().filter(|name| !accepted.contains(name));
        let why = |name: &MemberName| refused.get(name).cloned().unwrap_or_else(|| "it was not asked yet".to_owned());
        let missing: Vec<Missing> = missing.map(|name| Missing { name: name.clone(), why: why(name) }).collect();
        let by: Vec<MemberName> = members.keys().cloned().collect();
        self.missing = missing;
        if !self.missing.is_empty() || lease.is_fenced(now) {
            return None;
        }
        let extended = Lease { renewed_at: lease.renewed_at.max(asked_at), ..*lease };
        self.consent = Some(Consent { lease: lease.id, until: extended.fence(), by });
        Some(extended)
    }

    /// The store has confirmed a renewal.
    pub fn confirmed(&mut self, lease: &Lease) {
        self.missing.clear();
        let rests_on_it = |consent: &Consent| consent.lease != lease.id || lease.fence() < consent.until;
        self.consent = self.consent.take().filter(rests_on_it);
    }

    pub fn consent(&self) -> Option<&Consent> {
        self.consent.as_ref()
    }

    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// May anything be sent now but what takes the key (again)? Not while the fence rests on promises. A write that changes who
    /// is listed, because whoever is added has not promised anything, and that fence may fall later than the lease ends in the
    /// store. Another, because as long as the store is away nothing arrives, and a write that hangs keeps the one waiting that
    /// matters when the store is back.
    pub fn may_write(&self, now: Millis) -> bool {
        self.consent.as_ref().is_none_or(|consent| consent.until <= now)
    }
}
