//! What a Sentinel remembers across a restart: everything in `sentinel ...` lines, as data.
//!
//! Deliberately no text; `directives` reads and writes the lines. The invariant: what is read back is what was written.

use super::address::Address;
use super::master::Mode;
use super::settings::{GlobalSettings, MasterSettings};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Forty hexadecimal digits. `None`: this sentinel runs for the first time and needs one.
    pub my_id: Option<String>,
    pub current_epoch: u64,
    pub settings: GlobalSettings,
    /// In the order of the file.
    pub masters: Vec<MasterConfiguration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterConfiguration {
    pub name: String,
    /// Not in the file: it follows from the agent's configuration.
    pub mode: Mode,
    pub address: Address,
    pub settings: MasterSettings,
    pub config_epoch: u64,
    pub leader_epoch: u64,
    pub replicas: Vec<Address>,
    /// Run id and address.
    pub sentinels: Vec<(String, Address)>,
}

impl Configuration {
    pub fn master(&self, name: &str) -> Option<&MasterConfiguration> {
        self.masters.iter().find(|master| master.name == name)
    }

    pub fn master_mut(&mut self, name: &str) -> Option<&mut MasterConfiguration> {
        self.masters.iter_mut().find(|master| master.name == name)
    }
}
