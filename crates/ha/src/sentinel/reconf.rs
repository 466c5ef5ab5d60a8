//! After the promotion: the other replicas follow the new master, a few at a time.
//!
//! Deliberately not in the way of the clients: they have the new master already.

use super::core::Core;
use super::effect::Level;
use super::flags::Flags;
use super::master::{At, FailoverState, Master};
use super::publish::Subject;
use super::transaction;

const UNDER_WAY: Flags = Flags::RECONF_SENT.and(Flags::RECONF_INPROG);

/// Tells as many replicas as may be told, and ends the failover when nobody is left.
pub(super) fn next(core: &mut Core, master: &mut Master) {
    let mut under_way = master.replicas.iter().filter(|replica| replica.flags.any(UNDER_WAY)).count() as i64;
    for index in 0..master.replicas.len() {
        if under_way >= master.settings.parallel_syncs {
            break;
        }
        let at = At::Replica(index);
        let replica = master.at(at);
        if replica.flags.any(Flags::RECONF_DONE) {
            continue;
        }
        let waited = core.now.since(replica.reconf_sent_at) > core.periods.replica_reconf_timeout;
        if replica.flags.any(Flags::RECONF_SENT) && waited {
            // Left as it is: it shows as misconfigured and is put right later.
            core.event(Level::Notice, "-slave-reconf-sent-timeout", master, Subject::Node(replica), "");
            let replica = master.at_mut(at);
            replica.flags.clear(Flags::RECONF_SENT);
            replica.flags.set(Flags::RECONF_DONE);
            continue;
        }
        if replica.flags.any(UNDER_WAY) || replica.link.command.is_none() {
            continue;
        }
        if tell(core, master, at, "+slave-reconf-sent") {
            under_way += 1;
        }
    }
    end_if_done(core, master);
}

fn tell(core: &mut Core, master: &mut Master, at: At, channel: &'static str) -> bool {
    let to = master.node.address.clone();
    if !transaction::replica_of(core, master, at, Some(&to)) {
        return false;
    }
    transaction::look_at_result(core, master, at);
    let now = core.now;
    let replica = master.at_mut(at);
    replica.flags.set(Flags::RECONF_SENT);
    replica.reconf_sent_at = now;
    core.event(Level::Notice, channel, master, Subject::Node(master.at(at)), "");
    true
}

fn end_if_done(core: &mut Core, master: &mut Master) {
    let timeout = core.now.since(master.failover.changed_at) > master.settings.failover_timeout;
    // The new master failed too: the next failover does not wait for this one. Sentinel's leader waits here.
    let failed = master.node.flags.any(Flags::O_DOWN);
    let left =
        |replica: &super::node::Node| !replica.flags.any(Flags::RECONF_DONE) && !replica.flags.any(Flags::S_DOWN);
    let done = !master.node.flags.any(Flags::S_DOWN) && !master.replicas.iter().any(left);
    if !(done || timeout || failed) {
        return;
    }
    if timeout && !done {
        core.event(Level::Warning, "+failover-end-for-timeout", master, Subject::Master, "");
        for index in 0..master.replicas.len() {
            let replica = &master.replicas[index];
            if !replica.flags.any(Flags::RECONF_DONE.and(Flags::RECONF_SENT)) && replica.link.command.is_some() {
                tell(core, master, At::Replica(index), "+slave-reconf-sent-be");
            }
        }
    }
    core.event(Level::Warning, "+failover-end", master, Subject::Master, "");
    finish(core, master);
}

/// The next failover may begin at any time.
pub(super) fn finish(core: &mut Core, master: &mut Master) {
    master.failover.state = FailoverState::None;
    master.failover.changed_at = core.now;
    master.failover.started_at = None;
    master.failover.promoted = None;
    master.node.flags.clear(Flags::FAILOVER_IN_PROGRESS.and(Flags::FORCE_FAILOVER).and(Flags::COORDINATED_FAILOVER));
    for replica in &mut master.replicas {
        replica.flags.clear(UNDER_WAY.and(Flags::RECONF_DONE).and(Flags::PROMOTED));
    }
}
