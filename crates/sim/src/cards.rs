//! Network cards: the virtual addresses on them, what the guard does to them, and what the kernel does by itself.
//!
//! The oracle's rule about them: an address is on one host at a time. (Exceptions: worker and guard of the other host both
//! stopped; and where its guard was stopped, so that only the kernel removes it, the kernel's whole seconds being coarser
//! than what was left of the lease, or its clock having stood still with the host.)

use crate::clock::{MS, SECOND, Time};
use crate::guard::GuardInput;
use crate::mutant::Mutant;
use crate::say;
use crate::world::{Happening, World};
use ha::guard::{FromGuard, GuardEvent, Presence, ServerKind, ToGuard};
use ha::vip::{Standing, VipLine, VipRole, VirtualAddress};
use std::collections::BTreeMap;
use std::net::IpAddr;
use types::Millis;

/// One address on a card.
#[derive(Clone, Copy, Debug)]
pub struct OnCard {
    /// The kernel removes it then, by the host's clock.
    expires_at: Millis,
    /// The same by the world's clock, if the host's does not stand still.
    expires: Time,
    /// That is later than the end of the lease that it was set under.
    outlives_lease: bool,
}

#[derive(Debug, Default)]
pub struct Card {
    addresses: BTreeMap<VirtualAddress, OnCard>,
    /// Requests of the guard are carried out in their order.
    busy_until: Time,
}

#[derive(Clone, Debug)]
pub enum CardChange {
    Set { address: VirtualAddress, seconds: u32, until: Millis },
    Remove { address: VirtualAddress },
}

/// The primary's address, the Redis master's, and the standby leader's.
pub fn line(redis: bool, standby: bool) -> VipLine {
    let address = |ip: &str| VirtualAddress {
        ip: ip.parse().unwrap_or(IpAddr::from([0, 0, 0, 0])),
        prefix: 24,
        interface: "eth0".to_owned(),
    };
    let redis = redis.then(|| (VipRole::RedisMaster, address("10.0.0.43")));
    let standby = standby.then(|| (VipRole::StandbyLeader, address("10.0.0.44")));
    VipLine::new([(VipRole::Primary, address("10.0.0.42"))].into_iter().chain(redis).chain(standby))
}

impl World {
    /// From the guard to the thread that changes the card.
    pub(crate) fn card_soon(&mut self, host: usize, change: CardChange) {
        // Somebody else may hold the kernel's lock over all network settings.
        let takes =
            if self.random.percent(3) { self.random.between(MS, 400 * MS) } else { self.random.between(20, MS) };
        let now = self.now;
        let state = &mut self.hosts[host];
        let Some(guard) = &state.guard else { return };
        let run = guard.run;
        state.card.busy_until = state.card.busy_until.max(now) + takes;
        let after = state.card.busy_until - now;
        self.plan(after, Happening::Card { host, run, change });
    }

    pub(crate) fn card_changes(&mut self, host: usize, run: u64, change: CardChange) {
        let Some(guard) = self.hosts[host].guard.as_mut().filter(|guard| guard.run == run) else { return };
        if guard.frozen > 0 {
            // With all of its threads.
            return guard.backlog.push(Happening::Card { host, run, change });
        }
        let now = self.hosts[host].clock.read(self.now);
        let event = match change {
            CardChange::Set { address, until, .. } if now >= until => {
                GuardEvent::AddressSet { address, result: Err("the time for which it was asked is over".to_owned()) }
            }
            CardChange::Set { address, seconds, .. } => {
                let expires_at = now + Millis(u64::from(seconds) * 1000);
                let lease = self.hosts[host].worker.as_ref().and_then(|worker| worker.lease);
                let outlives_lease = lease.is_none_or(|lease| expires_at > lease.valid_until());
                let is_new = !self.is_on_card(host, &address);
                let expires = self.now + u64::from(seconds) * SECOND;
                let found = OnCard { expires_at, expires, outlives_lease };
                self.hosts[host].card.addresses.insert(address.clone(), found);
                if is_new {
                    say!(self, host, "card: {} is set", address.ip);
                    self.look_at_holders(host, &address);
                }
                GuardEvent::AddressSet { address, result: Ok(()) }
            }
            CardChange::Remove { address } => {
                if self.hosts[host].card.addresses.remove(&address).is_some() {
                    say!(self, host, "card: {} is removed", address.ip);
                }
                GuardEvent::AddressRemoved { address, result: Ok(()) }
            }
        };
        self.guard_soon(host, 10, GuardInput::Address(event));
    }

    fn is_on_card(&self, host: usize, address: &VirtualAddress) -> bool {
        let state = &self.hosts[host];
        let found = state.card.addresses.get(address);
        state.up && found.is_some_and(|found| found.expires_at > state.clock.read(self.now))
    }

    fn look_at_holders(&mut self, new: usize, address: &VirtualAddress) {
        for old in (0..self.hosts.len()).filter(|old| *old != new) {
            if !self.is_on_card(old, address) || self.is_excused(old) || self.is_excused(new) {
                continue;
            }
            let state = &self.hosts[old];
            let guard_is_stopped = state.guard.as_ref().is_none_or(|guard| guard.frozen > 0);
            let late = |found: &OnCard| found.outlives_lease || found.expires <= self.now;
            if !(guard_is_stopped && state.card.addresses.get(address).is_some_and(late)) {
                self.violation(format!("the address {} is on m{} and on m{}", address.ip, old + 1, new + 1));
            }
        }
    }

    /// The power is gone, or a new agent has removed what was left.
    pub(crate) fn card_is_cleared(&mut self, host: usize) {
        self.hosts[host].card = Card::default();
    }

    /// A decision about a role was made.
    pub(crate) fn vip_decided(&mut self, host: usize, role: VipRole, standing: Standing) {
        let now = self.hosts[host].clock.read(self.now);
        let Some(worker) = &mut self.hosts[host].worker else { return };
        let messages = worker.vips.decided(now, role, standing);
        self.vip_asks(host, messages);
    }

    pub(crate) fn vip_lease(&mut self, host: usize) {
        let now = self.hosts[host].clock.read(self.now);
        let Some(worker) = &mut self.hosts[host].worker else { return };
        let messages = worker.vips.lease(now, worker.lease);
        self.vip_asks(host, messages);
    }

    pub(crate) fn vip_heard(&mut self, host: usize, message: &FromGuard) {
        if let Some(worker) = &mut self.hosts[host].worker {
            worker.vips.heard(message);
        }
    }

    /// What the decisions know of the addresses here.
    pub(crate) fn addresses_here(&self, host: usize, server: ServerKind) -> Vec<IpAddr> {
        if self.setup.mutant == Some(Mutant::VipKeptBeyondRole) {
            return Vec::new();
        }
        self.hosts[host].worker.as_ref().map_or_else(Vec::new, |worker| worker.vips.here(server))
    }

    fn vip_asks(&mut self, host: usize, messages: Vec<ToGuard>) {
        for message in messages {
            // The mutant gives an address up when its lease is over, and not with its role.
            let kept = self.setup.mutant == Some(Mutant::VipKeptBeyondRole);
            if !(kept && matches!(message, ToGuard::Release { .. })) {
                self.tell_guard(host, message);
            }
        }
    }

    /// After healing: the leader's address is on the leader's host.
    pub(crate) fn address_is_missing(&self, leader: usize, role: VipRole) -> Option<String> {
        let worker = self.hosts[leader].worker.as_ref()?;
        let vip = worker.vips.vips().iter().find(|vip| vip.role == role)?;
        let there = self.is_on_card(leader, &vip.state.address) && vip.state.presence == Presence::Present;
        (!there).then(|| format!("{} leads and has not the address {}", self.hosts[leader].name, vip.state.address.ip))
    }
}

impl World {
    /// Nobody has the role.
    pub(crate) fn address_is_there(&self, role: VipRole) -> Option<String> {
        self.hosts.iter().enumerate().find_map(|(at, host)| {
            let vip = host.worker.as_ref()?.vips.vips().iter().find(|vip| vip.role == role)?;
            self.is_on_card(at, &vip.state.address)
                .then(|| format!("m{} has the address of a {}", at + 1, role.as_str()))
        })
    }
}

/// So that a lifetime in the model is in the model's time.
const _: () = assert!(SECOND == 1000 * MS);
