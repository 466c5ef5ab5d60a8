//! The network between members: delays, and cuts that may concern one kind of traffic or one direction only.

use crate::clock::{MS, Time};
use crate::random::Random;
use std::collections::BTreeMap;

/// Each kind of traffic has its own port, and may be cut alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plane {
    /// Between stores.
    Peers,
    /// From an agent to a store.
    Store,
    /// From PostgreSQL to PostgreSQL, clones and rewinds included.
    Replication,
    /// From clients, through a proxy, to PostgreSQL.
    Clients,
    /// From agent to agent: the question of failsafe mode.
    Rest,
}

pub const PLANES: [Plane; 5] = [Plane::Peers, Plane::Store, Plane::Replication, Plane::Clients, Plane::Rest];

#[derive(Debug, Default)]
pub struct Network {
    /// How many faults cut this link now.
    cuts: BTreeMap<(Plane, usize, usize), u32>,
    /// Added to every message, one way, at most.
    pub slow: Time,
    /// Of a hundred messages between stores.
    pub loss_percent: u64,
}

impl Network {
    pub fn cut(&mut self, plane: Plane, from: usize, to: usize) {
        *self.cuts.entry((plane, from, to)).or_default() += 1;
    }

    pub fn mend(&mut self, plane: Plane, from: usize, to: usize) {
        if let Some(count) = self.cuts.get_mut(&(plane, from, to)) {
            *count = count.saturating_sub(1);
        }
        self.cuts.retain(|_, count| *count > 0);
    }

    pub fn passes(&self, plane: Plane, from: usize, to: usize) -> bool {
        from == to || !self.cuts.contains_key(&(plane, from, to))
    }

    /// A conversation needs both directions.
    pub fn connects(&self, plane: Plane, one: usize, other: usize) -> bool {
        self.passes(plane, one, other) && self.passes(plane, other, one)
    }

    pub fn delay(&self, random: &mut Random, from: usize, to: usize) -> Time {
        if from == to {
            return random.between(20, 120);
        }
        let ordinary = random.between(100, 900);
        let hiccup = if random.percent(1) { random.between(0, 15 * MS) } else { 0 };
        ordinary + hiccup + if self.slow > 0 { random.between(0, self.slow) } else { 0 }
    }
}
