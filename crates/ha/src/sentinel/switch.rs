//! Another server is the master: its entry and the old master's change places.
//!
//! Deliberately without dropping connections: Sentinel forgets all servers of the group and meets them anew. The invariant:
//! no server is lost; the old master is watched as a replica, so that it is put right when it comes back.

use super::address::Address;
use super::core::Core;
use super::effect::Level;
use super::flags::Flags;
use super::master::{At, FailoverState, Master};
use super::node::{Node, NodeId, REPLICA_PRIORITY_DEFAULT, Replication, Role};
use super::publish::Subject;

/// What a master's flags say about a failover that is under way.
const FAILOVER_FLAGS: Flags = Flags::FAILOVER_IN_PROGRESS.and(Flags::FORCE_FAILOVER).and(Flags::COORDINATED_FAILOVER);

/// Publishes `+switch-master` and runs the client-reconfig-script; `role` is what this sentinel has to do with it, `leader`
/// or `observer`.
pub(super) fn announce(core: &mut Core, master: &Master, to: &Address, role: &str) {
    let names = core.settings.announce_hostnames;
    let from = &master.node.address;
    let (from_host, to_host) = (from.shown(names), to.shown(names));
    let text = format!("{} {from_host} {} {to_host} {}", master.name, from.port, to.port);
    let script = master.settings.notification_script.as_deref();
    core.publish(Level::Warning, "+switch-master", text, script);
    if let Some(script) = &master.settings.client_reconfig_script {
        core.scripts.add(vec![
            script.clone(),
            master.name.to_string(),
            role.to_owned(),
            "start".to_owned(),
            from_host.into_owned(),
            from.port.to_string(),
            to_host.into_owned(),
            to.port.to_string(),
        ]);
    }
}

/// Makes the server at this address the master of the group. `ours`: by our own failover, which goes on; otherwise one that is
/// under way is over. Where the old master is now; `None`: nothing changed.
pub(super) fn exchange(core: &mut Core, master: &mut Master, to: &Address, ours: bool) -> Option<At> {
    let now = core.now;
    if master.node.address.same(to) {
        return None;
    }
    if !ours {
        forget_failover(core, master);
    }
    let new = match master.replicas.iter().position(|replica| replica.address.same(to)) {
        Some(index) => master.replicas.remove(index),
        None => Node::new(NodeId(core.next_id()), Role::Master, "", to.clone(), now),
    };
    let flags = master.node.flags;
    let mut old = std::mem::replace(&mut master.node, become_master(core, new, ours));
    if ours {
        master.node.flags.set(flags.only(FAILOVER_FLAGS));
    }
    master.o_down_since = None;
    master.vote.leader = None;
    for replica in &mut master.replicas {
        // What they report is judged against the new master from now on.
        replica.reported_since = now;
        replica.master_changed_at = now;
        replica.flags.clear(Flags::PROMOTED.and(Flags::RECONF_SENT).and(Flags::RECONF_INPROG).and(Flags::RECONF_DONE));
    }
    become_replica(core, &mut old);
    master.replicas.push(old);
    for replica in &master.replicas {
        core.event(Level::Notice, "+slave", master, Subject::Node(replica), "");
    }
    let at = At::Replica(master.replicas.len() - 1);
    if master.at(at).flags.any(Flags::S_DOWN) {
        core.event(Level::Warning, "+sdown", master, Subject::Node(master.at(at)), "");
    }
    core.save();
    Some(at)
}

fn forget_failover(core: &Core, master: &mut Master) {
    master.failover.state = FailoverState::None;
    master.failover.changed_at = core.now;
    master.failover.started_at = None;
    master.failover.start_at = None;
    master.failover.promoted = None;
}

fn become_master(core: &Core, mut node: Node, ours: bool) -> Node {
    let now = core.now;
    node.role = Role::Master;
    node.name = "".into();
    node.flags = Flags::NONE;
    node.s_down_since = None;
    node.reported = Role::Master;
    node.reported_since = now;
    node.replication = Replication { priority: REPLICA_PRIORITY_DEFAULT, announced: true, ..Replication::default() };
    // Its silence so far, if there was any, was a replica's.
    node.link.last_available = now;
    node.link.last_pong = now;
    node.link.refused = false;
    if node.link.ping_waiting_since.is_some() {
        node.link.ping_waiting_since = Some(now);
    }
    if !ours {
        // Ask at once what it says itself.
        node.info_at = None;
        node.info_asked_at = None;
    }
    node
}

fn become_replica(core: &Core, node: &mut Node) {
    let now = core.now;
    node.role = Role::Replica;
    node.name = node.address.host_and_port(core.settings.announce_hostnames).into();
    node.flags = node.flags.only(Flags::S_DOWN.and(Flags::SCRIPT_KILL_SENT));
    node.reported_since = now;
    node.master_changed_at = now;
    node.replication = Replication { priority: REPLICA_PRIORITY_DEFAULT, announced: true, ..Replication::default() };
}
