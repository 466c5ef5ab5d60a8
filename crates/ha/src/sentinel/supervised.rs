//! Masters whose servers our agents run: what the store says is shown, as it comes.
//!
//! Deliberately without decisions: this sentinel watches those servers like any others, for its flags and INFO, and never
//! changes one. The invariants: the address shown is the one of the newest epoch in the store, and such a server has one
//! name, so nobody fails it over under another.

use super::address::Address;
use super::dispatcher::Sentinel;
use super::effect::Level;
use super::event::MasterId;
use super::master::{Master, Mode};
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
        self.drop_other_names(id);
    }

    /// The supervised master one of whose servers is at this address.
    pub(super) fn group_of(&self, address: &Address) -> Option<&Master> {
        let runs = |master: &Master| {
            let mut servers = std::iter::once(&master.node).chain(&master.replicas);
            servers.any(|server| server.address.same(address))
        };
        self.masters.values().map(|master| &**master).find(|master| master.mode == Mode::Supervised && runs(master))
    }

    /// Masters of the configuration, or of a time before the agents ran these servers.
    fn drop_other_names(&mut self, id: MasterId) {
        let others = self.masters.iter().filter(|(_, master)| master.mode != Mode::Supervised);
        let doubles = others.filter(|(_, master)| self.group_of(&master.node.address).is_some_and(|it| it.id == id));
        for double in doubles.map(|(id, _)| *id).collect::<Vec<_>>() {
            let names =
                [double, id].map(|id| self.masters.get(&id).map(|master| master.name.clone()).unwrap_or_default());
            let text =
                format!("'{}' is watched no more: agents run its server, and it is called '{}'", names[0], names[1]);
            self.core.log(Level::Warning, text);
            self.stop_watching(double);
        }
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
