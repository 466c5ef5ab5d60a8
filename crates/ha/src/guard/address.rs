//! The virtual addresses under the guard: each is held until its fence, and removed then whatever the worker says or does
//! not say.
//!
//! Deliberately ignorant of who has which role: the worker asks, up to the fence of its lease. The invariant: from its
//! fence on, an address is being removed; and one whose removal was confirmed, with nothing asked for since, is the only
//! one that is said to be absent. What sets and removes does so in the order in which it was told, and answers each time.

use super::{FromGuard, GuardEffect};
use crate::vip::VirtualAddress;
use serde::{Deserialize, Serialize};
use types::Millis;

/// More than anybody has services on one server.
pub const ADDRESSES_MAX: usize = 16;
/// Announcements after the address was set: caches that missed the first, or heard an old holder's last answer later, are
/// put right.
pub const ANNOUNCE_AFTER: [Millis; 6] = [Millis(0), Millis(100), Millis(300), Millis(1000), Millis(2000), Millis(5000)];
/// And from then on this often: a neighbour that was cut off meanwhile learns of it.
pub const ANNOUNCE_EVERY: Millis = Millis(10_000);
/// A removal that failed is tried again after this time.
pub const REMOVE_AGAIN_AFTER: Millis = Millis(50);
/// The guard does not stay for an address that cannot be removed: its time in the kernel is over by then.
pub const REMOVALS_MAX: u32 = 60;

/// Is the address on the network card?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// It is not, for certain.
    #[default]
    Absent,
    /// Something was asked for and not confirmed yet.
    Uncertain,
    Present,
}

/// What the worker knows of an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressState {
    pub address: VirtualAddress,
    pub presence: Presence,
    /// What the system refused to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Another host answers for the address, with its hardware address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<String>,
}

/// The kernel's own limit on an address, in its whole seconds: it removes what a frozen or dead guard does not renew. Not
/// longer than until the fence, but a second at least, or it would be shorter than a renewal may be late.
pub fn lifetime_s(now: Millis, until: Millis) -> u32 {
    u32::try_from(until.since(now).0 / 1000).unwrap_or(u32::MAX).max(1)
}

#[derive(Clone, Debug)]
struct Held {
    address: VirtualAddress,
    /// The fence; `None`: it is to be gone.
    until: Option<Millis>,
    /// Sent and not answered.
    pending: u32,
    /// What the last answer says about the card, with nothing pending.
    present: bool,
    removals: u32,
    remove_at: Option<Millis>,
    announced: usize,
    announce_at: Option<Millis>,
    problem: Option<String>,
    conflict: Option<String>,
    said: Option<AddressState>,
}

impl Held {
    fn new(address: VirtualAddress) -> Self {
        Self {
            address,
            until: None,
            pending: 0,
            present: false,
            removals: 0,
            remove_at: None,
            announced: 0,
            announce_at: None,
            problem: None,
            conflict: None,
            said: None,
        }
    }

    fn state(&self) -> AddressState {
        let presence = match (self.pending, self.present, self.until) {
            (0, false, _) => Presence::Absent,
            // A renewal that is under way changes nothing.
            (_, true, Some(_)) => Presence::Present,
            (_, _, _) => Presence::Uncertain,
        };
        let (problem, conflict) = (self.problem.clone(), self.conflict.clone());
        AddressState { address: self.address.clone(), presence, problem, conflict }
    }

    /// The worker hears what is news to it.
    fn say(&mut self, effects: &mut Vec<GuardEffect>) {
        let state = self.state();
        if self.said.as_ref() != Some(&state) {
            self.said = Some(state.clone());
            effects.push(GuardEffect::Send(FromGuard::Address(state)));
        }
    }

    fn remove(&mut self, effects: &mut Vec<GuardEffect>) {
        self.until = None;
        self.announce_at = None;
        self.remove_at = None;
        self.conflict = None;
        self.pending += 1;
        effects.push(GuardEffect::RemoveAddress { address: self.address.clone() });
    }

    fn is_gone(&self) -> bool {
        self.state().presence == Presence::Absent || self.removals >= REMOVALS_MAX
    }

    fn next_tick(&self) -> Option<Millis> {
        [self.until, self.remove_at, self.announce_at].into_iter().flatten().min()
    }

    fn on_time(&mut self, now: Millis, effects: &mut Vec<GuardEffect>) {
        if self.until.is_some_and(|until| until <= now) || self.remove_at.is_some_and(|at| at <= now) {
            self.remove(effects);
        }
        if self.announce_at.is_some_and(|at| at <= now) {
            let pause = match (ANNOUNCE_AFTER.get(self.announced), ANNOUNCE_AFTER.get(self.announced + 1)) {
                (Some(this), Some(next)) => *next - *this,
                (Some(_) | None, None | Some(_)) => ANNOUNCE_EVERY,
            };
            self.announced += 1;
            self.announce_at = Some(now + pause);
            effects.push(GuardEffect::AnnounceAddress { address: self.address.clone() });
        }
        self.say(effects);
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Addresses {
    held: Vec<Held>,
}

impl Addresses {
    /// For the greeting of a new worker.
    pub fn states(&self) -> Vec<AddressState> {
        self.held.iter().map(Held::state).collect()
    }

    pub fn next_tick(&self) -> Option<Millis> {
        self.held.iter().filter_map(Held::next_tick).min()
    }

    pub fn hold(&mut self, now: Millis, address: VirtualAddress, until: Millis, effects: &mut Vec<GuardEffect>) {
        // A promise that is over already, or one too many.
        if until <= now || self.find(&address).is_none() && self.held.len() >= ADDRESSES_MAX {
            return;
        }
        let held = self.find_or_add(address);
        held.until = Some(held.until.map_or(until, |fence| fence.max(until)));
        held.remove_at = None;
        held.removals = 0;
        held.pending += 1;
        let seconds = lifetime_s(now, until);
        effects.push(GuardEffect::SetAddress { address: held.address.clone(), seconds, until });
    }

    pub fn release(&mut self, address: VirtualAddress, effects: &mut Vec<GuardEffect>) {
        if self.find(&address).is_none() && self.held.len() >= ADDRESSES_MAX {
            return;
        }
        // One that is not of this guard's making is to be gone all the same.
        let held = self.find_or_add(address);
        if held.until.is_some() || held.pending == 0 && held.remove_at.is_none() {
            held.said = None;
            held.remove(effects);
        }
    }

    pub fn was_set(&mut self, now: Millis, address: &VirtualAddress, result: Result<(), String>) {
        let Some(held) = self.find(address) else { return };
        held.pending = held.pending.saturating_sub(1);
        match result {
            Ok(()) => {
                if !held.present {
                    (held.announced, held.announce_at) = (0, held.until.map(|_| now));
                }
                held.present = true;
                held.problem = None;
            }
            // It may be there from before: what is there is removed at its fence.
            Err(why) => held.problem = Some(why),
        }
    }

    pub fn was_removed(&mut self, now: Millis, address: &VirtualAddress, result: Result<(), String>) {
        let Some(held) = self.find(address) else { return };
        held.pending = held.pending.saturating_sub(1);
        match result {
            Ok(()) => {
                held.present = false;
                held.problem = None;
                held.removals = 0;
            }
            Err(why) => {
                held.present = true;
                held.removals = held.removals.saturating_add(1);
                held.remove_at = held.until.is_none().then_some(now + REMOVE_AGAIN_AFTER);
                held.problem = Some(why);
            }
        }
    }

    pub fn conflict(&mut self, address: &VirtualAddress, with: String) {
        if let Some(held) = self.find(address).filter(|held| held.until.is_some()) {
            held.conflict = Some(with);
        }
    }

    pub fn on_time(&mut self, now: Millis, effects: &mut Vec<GuardEffect>) {
        for held in &mut self.held {
            held.on_time(now, effects);
        }
        // What is gone and was said to be is not the guard's any more.
        self.held.retain(|held| held.pending > 0 || held.present || held.until.is_some() || held.remove_at.is_some());
    }

    /// A new worker has heard everything in its greeting.
    pub fn all_said(&mut self) {
        for held in &mut self.held {
            held.said = Some(held.state());
        }
    }

    /// The guard ends, and nothing that it holds may stay. `true`: nothing does.
    pub fn finish(&mut self, effects: &mut Vec<GuardEffect>) -> bool {
        for held in self.held.iter_mut().filter(|held| held.until.is_some()) {
            held.remove(effects);
        }
        self.held.iter().all(Held::is_gone)
    }

    fn find(&mut self, address: &VirtualAddress) -> Option<&mut Held> {
        self.held.iter_mut().find(|held| held.address == *address)
    }

    fn find_or_add(&mut self, address: VirtualAddress) -> &mut Held {
        let at = self.held.iter().position(|held| held.address == address).unwrap_or_else(|| {
            self.held.push(Held::new(address));
            self.held.len() - 1
        });
        &mut self.held[at]
    }
}
