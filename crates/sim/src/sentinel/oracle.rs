//! What must hold, whatever goes wrong.
//!
//! - One master and one epoch have at most one elected leader.
//! - A vote that was answered is never contradicted, also not after a crash.
//! - One master and one epoch have at most one address (native, or without a person's hand in it).
//! - When everything is mended, all sentinels agree on a server that is a master, and all others of its group follow it.

use super::redis::Life;
use super::world::{World, master_name};
use crate::clock::Time;
use ha::sentinel::Mode;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub struct Oracle {
    pub violation: Option<String>,
    /// Master and epoch: the process that was elected.
    leaders: BTreeMap<(String, u64), usize>,
    /// Voter, group and epoch: for whom.
    votes: BTreeMap<(usize, usize, u64), String>,
    /// Master and epoch of a configuration: the address.
    addresses: BTreeMap<(String, u64), (String, u16)>,
    pub elections: u64,
    pub switches: u64,
    pub first_switch_at: Option<Time>,
    pub votes_given: u64,
}

impl World {
    fn violate(&mut self, text: String) {
        self.say("!!", &text);
        self.oracle.violation.get_or_insert(text);
    }

    /// A sentinel published something.
    pub fn witness(&mut self, index: usize, channel: &str, payload: &str) {
        match channel {
            "+elected-leader" => self.witness_leader(index, payload),
            "+switch-master" => {
                self.oracle.switches += 1;
                self.oracle.first_switch_at.get_or_insert(self.now);
                self.witness_address(index, payload);
            }
            _ => {}
        }
    }

    fn witness_leader(&mut self, index: usize, payload: &str) {
        // master <name> <ip> <port>
        let name = payload.split(' ').nth(1).unwrap_or_default();
        let Some(master) = self.processes[index].sentinel.as_ref().and_then(|sentinel| sentinel.master(name)) else {
            return;
        };
        self.oracle.elections += 1;
        let key = (name.to_owned(), master.failover.epoch);
        let before = *self.oracle.leaders.entry(key.clone()).or_insert(index);
        if before != index {
            self.violate(format!("two leaders of {name} in epoch {}: sentinels {before} and {index}", key.1));
        }
    }

    fn witness_address(&mut self, index: usize, payload: &str) {
        let name = payload.split(' ').next().unwrap_or_default();
        let Some(sentinel) = &self.processes[index].sentinel else { return };
        let (Some(master), Some(address)) = (sentinel.master(name), sentinel.master_address(name)) else { return };
        let key = (name.to_owned(), master.config_epoch);
        debug_assert!(master.mode != Mode::Supervised);
        let before = self.oracle.addresses.entry(key.clone()).or_insert_with(|| address.clone()).clone();
        if before != address {
            self.violate(format!("epoch {} of {name} has two addresses: {before:?} and {address:?}", key.1));
        }
    }

    pub fn witness_vote(&mut self, index: usize, group: usize, epoch: u64, leader: &str) {
        self.oracle.votes_given += 1;
        let before = self.oracle.votes.entry((index, group, epoch)).or_insert_with(|| leader.to_owned()).clone();
        if before != leader {
            self.violate(format!("sentinel {index} voted twice in epoch {epoch} of {}", master_name(group)));
        }
    }

    /// At the end, long after everything was mended.
    pub fn check_agreement(&mut self) {
        for group in 0..self.setup.masters {
            if let Err(text) = self.agreement(group) {
                self.violate(format!("{} at the end: {text}", master_name(group)));
            }
        }
    }

    /// Everything about this group is as it should be.
    pub fn agreement(&self, group: usize) -> Result<(), String> {
        let name = master_name(group);
        let believed: Vec<Option<(String, u16)>> = self
            .processes
            .iter()
            .map(|process| process.sentinel.as_ref().and_then(|sentinel| sentinel.master_address(&name)))
            .collect();
        let Some(Some((host, port))) = believed.first().cloned() else {
            return Err("a sentinel is not there".to_owned());
        };
        if believed.iter().any(|other| *other != believed[0]) {
            return Err(format!("the sentinels do not agree: {believed:?}"));
        }
        let Some(master) = self.server_at(&host, &port.to_string()) else {
            return Err("nobody lives there".to_owned());
        };
        for (index, server) in self.servers.iter().enumerate().filter(|(_, server)| server.group == group) {
            let who = self.server_name(index);
            if server.life != Life::Up {
                return Err(format!("{who} is not up"));
            }
            let expected = (index != master).then_some(master);
            if server.follows != expected {
                return Err(format!("{who} follows {:?}", server.follows.map(|at| self.server_name(at))));
            }
            if index != master && !server.link_up {
                return Err(format!("{who} is not in step"));
            }
        }
        Ok(())
    }
}
