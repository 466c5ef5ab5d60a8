//! Masters whose servers our agents run: what the store says is shown, as it comes.
//!
//! Deliberately without decisions: this sentinel watches those servers like any others, for its flags and INFO, and never
//! changes one. The invariant: the address shown is the one of the newest epoch in the store.

use super::address::Address;
use super::dispatcher::Sentinel;
use super::effect::Level;
use super::event::MasterId;
use super::master::Mode;
use super::publish::Subject;
use super::settings::MasterSettings;
use super::{roles, switch};

impl Sentinel {
    pub(super) fn store_says(&mut self, name: &str, quorum: u32, address: &Address, epoch: u64, replicas: &[Address]) {
        let id = match self.names.get(name).copied() {
            Some(id) => id,
            None => self.meet_supervised(name, quorum, address.clone()),
        };
        let core = &mut self.core;
        let Some(master) = self.masters.get_mut(&id) else { return };
        if master.mode != Mode::Supervised {
            master.mode = Mode::Supervised;
            if master.failover_in_progress() {
                // The agents have taken over; whatever was begun here is theirs to settle.
                super::reconf::finish(core, master);
            }
        }
        // Older news. Not compared with the configuration's epoch: that may come from before the agents ran these servers.
        if epoch < master.store_epoch {
            return;
        }
        master.store_epoch = epoch;
        let settings = &mut master.settings;
        let changed = settings.quorum != quorum.max(1) || master.config_epoch != epoch;
        settings.quorum = quorum.max(1);
        master.config_epoch = epoch;
        core.current_epoch = core.current_epoch.max(epoch);
        if changed {
            core.save();
        }
        if !address.same(&master.node.address) {
            switch::announce(core, master, address, "observer");
            switch::exchange(core, master, address, false);
        }
        for replica in replicas {
            roles::add_replica(core, master, &replica.host, replica.port);
        }
        let listed = |known: &Address| replicas.iter().any(|replica| replica.same(known));
        let mut index = 0;
        while index < master.replicas.len() {
            if listed(&master.replicas[index].address) {
                index += 1;
            } else {
                let mut gone = master.replicas.remove(index);
                core.close_both(&mut gone.link);
                core.save();
            }
        }
        self.look(id);
    }

    fn meet_supervised(&mut self, name: &str, quorum: u32, address: Address) -> MasterId {
        let settings = MasterSettings::new(quorum.max(1), &self.core.periods);
        let id = self.add_master(name, Mode::Supervised, address, settings);
        if let Some(master) = self.masters.get(&id) {
            let more = format!(" quorum {}", master.settings.quorum);
            self.core.event(Level::Warning, "+monitor", master, Subject::Master, &more);
        }
        self.core.save();
        id
    }
}
