//! What this member has given its word for: to take no leader key for a while.
//!
//! One for the whole member, shared by both decision loops and by whoever hears the question. A decision may be older than
//! a promise, so [`Word::take`] is asked again at the moment in which a transaction is sent; from then on no promise is
//! given until it is certain that this transaction can give no key any more.

use super::{FailsafeView, PROMISE_MAX};
use crate::cluster::{FailsafeMembers, Versioned};
use crate::guard::{PerServer, ServerKind};
use std::collections::BTreeMap;
use types::{MemberName, Millis, Revision};

/// Why no promise is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// This member leads, or its PostgreSQL may accept writes.
    Leads,
    /// A transaction that takes a leader key is on its way, or nobody knows what became of it.
    Takes,
    /// The worker has just started: one of the worker before may be on its way.
    NotIntroduced,
}

impl Refusal {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leads => "this member leads, or its PostgreSQL may accept writes",
            Self::Takes => "this member may be taking a leader key",
            Self::NotIntroduced => "this member was just started",
        }
    }
}

/// What a decision was made on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The revision of the own entry.
    pub entry: Option<Revision>,
    /// The revision of `/failsafe`.
    pub failsafe: Option<Revision>,
    /// This member leads PostgreSQL, or its server is or may become a primary.
    pub leads: bool,
}

#[derive(Clone, Debug)]
pub struct Word {
    started_at: Millis,
    promised: Option<(MemberName, Millis)>,
    /// `None`: this member has no such server.
    roles: PerServer<Option<Role>>,
}

/// What a transaction that takes a leader key compares: the revisions of the own entry and of `/failsafe`.
type Compared = (Option<Revision>, Option<Revision>);

#[derive(Clone, Debug, Default)]
struct Role {
    /// The own entry as this worker first saw it; revision 0 where there was none.
    found: Option<Revision>,
    introduced: bool,
    leads: bool,
    /// Transactions that may still take the key. All but the last one are of unknown outcome.
    taking: BTreeMap<Compared, u32>,
    sent_last: Compared,
}

impl Word {
    /// `roles`: which servers this member has.
    pub fn new(started_at: Millis, roles: PerServer<bool>) -> Self {
        let begun = |there: bool| there.then(Role::default);
        let roles = PerServer { postgres: begun(roles.postgres), redis: begun(roles.redis) };
        Self { started_at, promised: None, roles }
    }

    /// The question has come: no leader key is taken for `ttl` from now on.
    ///
    /// # Errors
    /// This cannot be promised.
    pub fn promise(&mut self, now: Millis, to: &MemberName, ttl: Millis) -> Result<(), Refusal> {
        for (_, role) in self.roles.iter() {
            let Some(role) = role else { continue };
            if role.leads {
                return Err(Refusal::Leads);
            }
            if !role.taking.is_empty() {
                return Err(Refusal::Takes);
            }
            if !role.introduced {
                return Err(Refusal::NotIntroduced);
            }
        }
        let until = now + ttl.min(PROMISE_MAX);
        if self.promised.as_ref().is_none_or(|(_, earlier)| *earlier < until) {
            self.promised = Some((to.clone(), until));
        }
        Ok(())
    }

    /// To whom a promise is in force.
    pub fn promised_to(&self, now: Millis) -> Option<&MemberName> {
        self.promised.as_ref().filter(|(_, until)| now < *until).map(|(to, _)| to)
    }

    /// For the view of the next decision about this server.
    pub fn view(&self, server: ServerKind, failsafe: Option<&Versioned<FailsafeMembers>>) -> FailsafeView {
        // Nobody was asked for more than the lease of the leader that wrote the list.
        let before = failsafe.and_then(|listed| Some(self.started_at + listed.value.ttl?));
        let promised = self.promised.as_ref().filter(|(_, until)| before.is_none_or(|before| before <= *until));
        FailsafeView {
            introduced: self.roles[server].as_ref().is_some_and(|role| role.introduced),
            bound_until: promised.map(|(_, until)| *until).or(before),
            bound_to: promised.map(|(to, _)| to.clone()),
            ..FailsafeView::default()
        }
    }

    /// After every decision about a server, before anything of it is sent.
    pub fn decided(&mut self, server: ServerKind, seen: Seen) {
        let Some(role) = &mut self.roles[server] else { return };
        let found = *role.found.get_or_insert(seen.entry.unwrap_or_default());
        // Whatever the worker before had sent compares the entry that it knew, which is not the present one any more.
        role.introduced |= seen.entry.is_some_and(|entry| entry != found);
        role.leads = seen.leads;
        // A revision never comes back, so a comparison with an older one never succeeds again. (One that there is no list may;
        // but whoever counts on promises has written one.)
        role.taking.retain(|(entry, list), _| {
            let entry_stands = entry.is_none() || *entry == seen.entry;
            entry_stands && *list == seen.failsafe
        });
    }

    /// A transaction that takes the leader key is about to be sent: may it? `entry`, `failsafe`: what it compares (`None`: that
    /// there is none).
    #[must_use = "false: it must not be sent"]
    pub fn take(
        &mut self,
        now: Millis,
        server: ServerKind,
        entry: Option<Revision>,
        failsafe: Option<Revision>,
    ) -> bool {
        let free = self.promised_to(now).is_none();
        if let Some(role) = self.roles[server].as_mut().filter(|_| free) {
            role.sent_last = (entry, failsafe);
            *role.taking.entry(role.sent_last).or_default() += 1;
        }
        free
    }

    /// The store has said that the transaction which was sent last did not take the key.
    pub fn was_refused(&mut self, server: ServerKind) {
        let Some(role) = &mut self.roles[server] else { return };
        if let Some(count) = role.taking.get_mut(&role.sent_last) {
            *count = count.saturating_sub(1);
        }
        role.taking.retain(|_, count| *count > 0);
    }
}
