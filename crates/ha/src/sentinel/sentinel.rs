//! The dispatcher: one event in, effects out.
//!
//! Deliberately no rule; those are in the files named after them.

use super::configuration::{Configuration, MasterConfiguration};
use super::core::Core;
use super::effect::Effect;
use super::event::{Event, MasterId};
use super::master::{Master, Mode};
use super::secret::Secret;
use std::collections::BTreeMap;
use types::Millis;

/// What a Sentinel is told about the process it lives in.
#[derive(Clone, Debug)]
pub struct Local {
    /// The port to announce when `announce-port` says nothing: the TLS port with `tls-replication yes`.
    pub port: u16,
    /// `requirepass`: also used towards peers when `sentinel-pass` says nothing.
    pub own_password: Option<Secret>,
    /// Forty hexadecimal digits for a Sentinel that has no id yet.
    pub fresh_id: String,
    /// For chance. Different for each process.
    pub seed: u64,
    /// For masters that are added while it runs.
    pub mode: Mode,
}

#[derive(Clone, Debug)]
pub struct Sentinel {
    pub(super) core: Core,
    pub(super) masters: BTreeMap<MasterId, Box<Master>>,
    pub(super) names: BTreeMap<Box<str>, MasterId>,
}

impl Sentinel {
    /// `now`: the boot clock, as in every event.
    pub fn new(now: Millis, configuration: Configuration, local: Local) -> Self {
        let _ = (now, configuration, local);
        todo!()
    }

    /// Takes one event. Carry out the effects in their order, then look at `next_tick`.
    pub fn handle(&mut self, now: Millis, event: Event) -> Vec<Effect> {
        let _ = (now, event);
        todo!()
    }

    /// When `Event::Tick` is wanted at the latest.
    pub fn next_tick(&self) -> Millis {
        todo!()
    }

    /// What must be on the disk, as it is now.
    pub fn configuration(&self) -> Configuration {
        let core = &self.core;
        let master = |master: &Master| MasterConfiguration {
            name: master.name.to_string(),
            mode: master.mode,
            address: master.node.address.clone(),
            settings: master.settings.clone(),
            config_epoch: master.config_epoch,
            leader_epoch: master.vote.epoch,
            replicas: master.replicas.iter().map(|replica| replica.address.clone()).collect(),
            sentinels: master.peers.iter().map(|peer| (peer.run_id.to_string(), peer.address.clone())).collect(),
        };
        Configuration {
            my_id: Some(core.my_id.to_string()),
            current_epoch: core.current_epoch,
            settings: core.settings.clone(),
            masters: self.masters().map(master).collect(),
        }
    }
}
