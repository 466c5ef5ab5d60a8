//! The moment a replica says that it is the master: everything that depends on who the master is changes here, at once.
//!
//! Deliberately earlier than in Sentinel, whose leader keeps the old address until the other replicas are reconfigured. The
//! invariant: the new address has the epoch of the failover, so whoever hears of both takes the newer one.

use super::core::Core;
use super::effect::Level;
use super::flags::Flags;
use super::master::{At, FailoverState, Master, Mode};
use super::publish::Subject;
use super::{failover, hello, switch, transaction};

/// The promoted replica reports the role of a master.
pub(super) fn promoted(core: &mut Core, master: &mut Master, index: usize) {
    let coordinated = master.node.flags.any(Flags::COORDINATED_FAILOVER);
    master.config_epoch = master.failover.epoch;
    master.failover.state = FailoverState::ReconfReplicas;
    master.failover.changed_at = core.now;
    core.save();
    core.event(Level::Warning, "+promoted-slave", master, Subject::Node(&master.replicas[index]), "");
    if core.simulated_failures.after_promotion {
        failover::crash(core);
    }
    if coordinated {
        transaction::kill_clients(core, master, At::Master);
        transaction::kill_clients(core, master, At::Replica(index));
    }
    core.event(Level::Warning, "+failover-state-reconf-slaves", master, Subject::Master, "");
    let to = master.replicas[index].address.clone();
    switch::announce(core, master, &to, "leader");
    let old = switch::exchange(core, master, &to, true);
    demote_old(core, master, old, coordinated);
    hello::force(core, master);
}

/// The old master follows the new one as soon as it can be told. Sentinel leaves it alone for eight seconds (until its
/// INFO has been a contradiction for four hello periods), and clients go on writing to it.
///
/// One that is down is told too if its host has accepted a connection: the process is stopped then, and finds the order among
/// the first things when it goes on. (A connection through a network that is cut is usually replaced before the master is found
/// down, and the new one is never accepted, so nothing old is on its way there.)
fn demote_old(core: &mut Core, master: &mut Master, old: Option<At>, already_follows: bool) {
    let Some(at) = old else { return };
    // It does not take one of the places that parallel-syncs grants, and nobody waits for it.
    master.at_mut(at).flags.set(Flags::RECONF_DONE);
    let accepted = master.at(at).link.command.is_some() && master.at(at).link.local.is_some();
    if already_follows || !accepted {
        return;
    }
    let down = master.at(at).flags.any(Flags::S_DOWN);
    if down && master.mode == Mode::Native {
        // It has been told before the promotion.
        return;
    }
    let to = master.node.address.clone();
    if transaction::replica_of(core, master, at, Some(&to)) && !down {
        core.event(Level::Notice, "+convert-to-slave", master, Subject::Node(master.at(at)), "");
        transaction::look_at_result(core, master, at);
    }
}
