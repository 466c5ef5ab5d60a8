//! The address in the hands of a program without a guard: on a card, the guard's own machine, with the card as its only part; or
//! led here by the provider.
//!
//! The invariant: the address is held as `ha::guard` says, up to a moment that was promised, and not longer.

use crate::failover_ip::Asked as FailoverIp;
use ha::guard::{AddressState, FromGuard, Guard, GuardEffect, GuardEvent, Presence, ToGuard};
use ha::vip::VirtualAddress;
use platform::{Addresses, CardAddress, boot_clock};
use std::collections::VecDeque;
use types::Millis;

pub enum Holder {
    Card(Box<CardHolder>),
    Provider(FailoverIp),
}

impl Holder {
    pub fn hold(&mut self, until: Millis) {
        match self {
            Self::Card(card) => card.hold(until),
            Self::Provider(provider) => provider.ask(Some(until)),
        }
    }

    pub fn release(&mut self) {
        match self {
            Self::Card(card) => card.release(),
            Self::Provider(provider) => provider.ask(None),
        }
    }

    pub fn tick(&mut self) {
        match self {
            Self::Card(card) => card.tick(),
            Self::Provider(_) => {}
        }
    }

    /// When `tick` must come at the latest.
    pub fn next_tick(&self) -> Option<Millis> {
        match self {
            Self::Card(card) => card.next_tick(),
            Self::Provider(_) => None,
        }
    }

    /// It is here, or may be, and by this program's doing: the provider leads it elsewhere for the next one that asks.
    pub fn is_here(&self) -> bool {
        match self {
            Self::Card(card) => card.is_here(),
            Self::Provider(provider) => provider.is_asked(),
        }
    }
}

pub struct CardHolder {
    guard: Guard,
    addresses: Addresses,
    address: VirtualAddress,
    said: Option<AddressState>,
}

impl CardHolder {
    pub fn new(addresses: Addresses, address: VirtualAddress) -> Self {
        Self { guard: Guard::new(boot_clock()), addresses, address, said: None }
    }

    fn hold(&mut self, until: Millis) {
        self.handle(GuardEvent::FromWorker(ToGuard::Hold { address: self.address.clone(), until }));
    }

    fn release(&mut self) {
        self.handle(GuardEvent::FromWorker(ToGuard::Release { address: self.address.clone() }));
    }

    fn tick(&mut self) {
        self.handle(GuardEvent::Tick);
    }

    fn next_tick(&self) -> Option<Millis> {
        self.guard.next_tick()
    }

    fn is_here(&self) -> bool {
        self.said.as_ref().is_some_and(|said| said.presence != Presence::Absent)
    }

    fn handle(&mut self, event: GuardEvent) {
        let mut queue = VecDeque::from([event]);
        while let Some(event) = queue.pop_front() {
            for effect in self.guard.handle(boot_clock(), event) {
                self.carry_out(effect, &mut queue);
            }
        }
    }

    fn carry_out(&mut self, effect: GuardEffect, queue: &mut VecDeque<GuardEvent>) {
        match effect {
            GuardEffect::SetAddress { address, seconds, until } => {
                let result = self.addresses.set(&card(&address), seconds, until).map_err(|error| error.to_string());
                queue.push_back(GuardEvent::AddressSet { address, result });
            }
            GuardEffect::RemoveAddress { address } => {
                let result = self.addresses.remove(&card(&address)).map_err(|error| error.to_string());
                queue.push_back(GuardEvent::AddressRemoved { address, result });
            }
            GuardEffect::AnnounceAddress { address } => match self.addresses.announce(&card(&address)) {
                Ok(Some(with)) => queue.push_back(GuardEvent::AddressConflict { address, with }),
                Ok(None) => {}
                Err(error) => tracing::warn!("{address} cannot be announced: {error}"),
            },
            GuardEffect::Send(FromGuard::Address(state)) => self.say(&state),
            // There is no worker, and there are no servers.
            GuardEffect::Send(_)
            | GuardEffect::SignOfLife
            | GuardEffect::SpawnWorker
            | GuardEffect::Spawn { .. }
            | GuardEffect::Signal { .. }
            | GuardEffect::KillTree { .. }
            | GuardEffect::Exit => {}
        }
    }

    fn say(&mut self, state: &AddressState) {
        let before = self.said.replace(state.clone());
        let was = before.as_ref().map_or(Presence::Absent, |before| before.presence);
        match (was, state.presence) {
            (Presence::Absent | Presence::Uncertain, Presence::Present) => tracing::info!("{} is set", state.address),
            (Presence::Present | Presence::Uncertain, Presence::Absent) => {
                tracing::info!("{} is removed", state.address);
            }
            (Presence::Present, Presence::Present | Presence::Uncertain)
            | (Presence::Uncertain | Presence::Absent, Presence::Uncertain)
            | (Presence::Absent, Presence::Absent) => {}
        }
        let new = |of: fn(&AddressState) -> &Option<String>| {
            of(state).clone().filter(|text| before.as_ref().is_none_or(|before| of(before).as_ref() != Some(text)))
        };
        if let Some(why) = new(|state| &state.problem) {
            tracing::error!("{}: the system refuses: {why}", state.address);
        }
        if let Some(other) = new(|state| &state.conflict) {
            tracing::error!("{}: another host answers for it, with the hardware address {other}", state.address);
        }
    }
}

fn card(address: &VirtualAddress) -> CardAddress {
    CardAddress { ip: address.ip, prefix: address.prefix, interface: address.interface.clone() }
}
