//! What a server's INFO leads to: who it is, what it says it is, and putting right what is not as it should be.
//!
//! Deliberately patient: a role that contradicts ours may be news that has not reached us, so nothing is forced before a hello
//! message had time to arrive. The invariant: nothing is put right in TILT, or towards a master that is not sound itself.

use super::core::Core;
use super::effect::Level;
use super::flags::Flags;
use super::info::{Info, parse};
use super::master::{At, FailoverState, Master, Mode};
use super::names::HOST_BYTES_MAX;
use super::node::{Node, NodeId, OwnFailover, Role};
use super::promotion;
use super::publish::Subject;
use super::transaction;
use types::Millis;

/// Hello periods that a replica which says it is a master is left alone.
const RENEGADE_PERIODS: u64 = 4;
/// A longer INFO is read and not kept for INFO-CACHE: there may be thousands of servers, and not all need mean well.
const INFO_BYTES_KEPT_MAX: usize = 256 * 1024;
/// How many INFO periods old a sound master's INFO may be.
const SOUND_INFO_PERIODS: u64 = 2;

pub(super) fn take_info(core: &mut Core, master: &mut Master, at: At, text: &str) {
    let info = parse(text);
    let now = core.now;
    let node = master.at_mut(at);
    node.info_at = Some(now);
    node.info_asked_at = None;
    if text.len() > INFO_BYTES_KEPT_MAX {
        node.info = None;
    } else if node.info.as_deref() != Some(text) {
        node.info = Some(text.into());
    }
    take_identity(core, master, at, &info);
    take_replication(core, master, at, &info);
    if at == At::Master {
        add_replicas(core, master, &info);
    }
    take_role(core, master, at, &info);
    if !core.tilt.is_on() && master.mode != Mode::Supervised {
        act(core, master, at);
    }
}

fn take_identity(core: &mut Core, master: &mut Master, at: At, info: &Info<'_>) {
    let Some(run_id) = info.run_id else { return };
    let node = master.at(at);
    let rebooted = node.run_id.as_deref().is_some_and(|known| known != run_id);
    if node.run_id.as_deref() == Some(run_id) {
        return;
    }
    if rebooted {
        core.event(Level::Notice, "+reboot", master, Subject::Node(node), "");
        if at == At::Master && master.settings.reboot_down_after != Millis::ZERO {
            master.node.flags.set(Flags::MASTER_REBOOT);
            master.node.reboot_since = core.now;
        }
    }
    master.at_mut(at).run_id = Some(run_id.into());
}

fn take_replication(core: &Core, master: &mut Master, at: At, info: &Info<'_>) {
    let now = core.now;
    let node = master.at_mut(at);
    node.replication.link_down = info.link_down;
    if let Some(running) = info.own_failover {
        let state = if running { OwnFailover::Running } else { OwnFailover::No };
        if node.own_failover != state {
            node.own_failover = state;
            node.own_failover_since = now;
        }
    }
    if info.role != Some(Role::Replica) {
        return;
    }
    let replication = &mut node.replication;
    if let Some(host) = info.master_host.filter(|host| host.len() <= HOST_BYTES_MAX)
        && !replication.master_host.as_deref().is_some_and(|known| known.eq_ignore_ascii_case(host))
    {
        replication.master_host = Some(host.into());
        node.master_changed_at = now;
    }
    if let Some(port) = info.master_port
        && replication.master_port != port
    {
        replication.master_port = port;
        node.master_changed_at = now;
    }
    replication.link_up = info.link_up.unwrap_or(replication.link_up);
    replication.priority = info.priority.unwrap_or(replication.priority);
    replication.offset = info.offset.unwrap_or(replication.offset);
    replication.announced = info.announced.unwrap_or(replication.announced);
}

/// Replicas that the master names and that are not known yet.
fn add_replicas(core: &mut Core, master: &mut Master, info: &Info<'_>) {
    for &(host, port) in &info.replicas {
        add_replica(core, master, host, port);
    }
}

pub(super) fn add_replica(core: &mut Core, master: &mut Master, host: &str, port: u16) {
    let resolve = core.settings.resolve_hostnames;
    let same = |node: &Node| node.address.port == port && node.address.host.eq_ignore_ascii_case(host);
    if port == 0 || master.replicas.iter().any(same) || master.replicas.len() >= super::info::REPLICAS_MAX {
        return;
    }
    let address = core.names.address(host, port, resolve, &mut core.effects);
    let unusable = address.ip.is_none() && !resolve || !is_plain(host);
    if unusable
        || address.same(&master.node.address)
        || master.replicas.iter().any(|known| known.address.same(&address))
    {
        return;
    }
    let name = address.host_and_port(core.settings.announce_hostnames);
    let replica = Node::new(NodeId(core.next_id()), Role::Replica, &name, address, core.now);
    core.event(Level::Notice, "+slave", master, Subject::Node(&replica), "");
    master.replicas.push(replica);
    core.save();
}

/// Fit for a line of a configuration file: what servers and peers say is not to be trusted with that.
pub(super) fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= HOST_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',' && byte != b'"' && byte != b'\'')
}

/// Remembers when the role changed.
fn take_role(core: &mut Core, master: &mut Master, at: At, info: &Info<'_>) {
    let Some(role) = info.role else { return };
    let now = core.now;
    let node = master.at_mut(at);
    if node.reported == role {
        return;
    }
    node.reported = role;
    node.reported_since = now;
    if role == Role::Replica {
        node.master_changed_at = now;
    }
    let channel = if node.role == role { "+role-change" } else { "-role-change" };
    let more = format!(" new reported role is {}", role.word());
    core.event(Level::Verbose, channel, master, Subject::Node(master.at(at)), &more);
}

fn act(core: &mut Core, master: &mut Master, at: At) {
    // A master that says it is a replica is taken for down after a while (`down`).
    let At::Replica(index) = at else { return };
    match master.replicas[index].reported {
        Role::Master => {
            let promoting = master.failover.state == FailoverState::WaitPromotion;
            if master.replicas[index].flags.any(Flags::PROMOTED) && promoting {
                promotion::promoted(core, master, index);
            } else {
                tame_renegade(core, master, at);
            }
        }
        Role::Replica => {
            free_stuck(core, master, at);
            fix_master(core, master, at);
            follow_reconf(core, master, at);
        }
    }
}

/// The master is what it should be, and we would know if it were not.
fn is_sound(core: &Core, master: &Master) -> bool {
    let node = &master.node;
    let info_age_max = Millis(core.periods.info.0.saturating_mul(SOUND_INFO_PERIODS));
    node.reported == Role::Master
        && !node.flags.any(Flags::S_DOWN.and(Flags::O_DOWN))
        && node.info_at.is_some_and(|at| core.now.since(at) < info_age_max)
}

/// Not down now or within this time.
fn was_up_for(core: &Core, node: &Node, time: Millis) -> bool {
    node.s_down_since.is_none_or(|since| core.now.since(since) > time)
}

/// A replica says it is a master: an old one that came back, or somebody's mistake.
fn tame_renegade(core: &mut Core, master: &mut Master, at: At) {
    let node = master.at(at);
    // Whoever promoted it tells us within one period, so half of Sentinel's time will do where all sentinels are ours. None
    // at all would not: a promotion would be undone by those that hear of it last.
    let periods = match master.mode {
        Mode::Native => RENEGADE_PERIODS / 2,
        Mode::Mixed | Mode::Supervised => RENEGADE_PERIODS,
    };
    let patience = Millis(core.periods.publish.0.saturating_mul(periods));
    let waited = core.now.since(node.reported_since) > patience;
    let was_up = was_up_for(core, node, patience);
    if node.flags.any(Flags::PROMOTED) || !is_sound(core, master) || !was_up || !waited {
        return;
    }
    let to = master.node.address.clone();
    if transaction::replica_of(core, master, at, Some(&to)) {
        core.event(Level::Notice, "+convert-to-slave", master, Subject::Node(master.at(at)), "");
    }
}

/// A replica hangs in its own FAILOVER.
fn free_stuck(core: &mut Core, master: &mut Master, at: At) {
    let node = master.at(at);
    let patience = master.settings.failover_timeout;
    let stuck = node.own_failover == OwnFailover::Running && core.now.since(node.own_failover_since) > patience;
    if stuck {
        fix(core, master, at, patience);
    }
}

/// A replica follows somebody else.
fn fix_master(core: &mut Core, master: &mut Master, at: At) {
    let node = master.at(at);
    let patience = master.settings.failover_timeout;
    if core.now.since(node.master_changed_at) <= patience {
        return;
    }
    let Some(host) = node.replication.master_host.as_deref() else { return };
    if !follows(core, node, host, &master.node.address) {
        fix(core, master, at, patience);
    }
}

fn fix(core: &mut Core, master: &mut Master, at: At, patience: Millis) {
    if !is_sound(core, master) || !was_up_for(core, master.at(at), patience) {
        return;
    }
    let to = master.node.address.clone();
    if transaction::replica_of(core, master, at, Some(&to)) {
        core.event(Level::Notice, "+fix-slave-config", master, Subject::Node(master.at(at)), "");
    }
}

fn follows(core: &mut Core, node: &Node, host: &str, master: &super::address::Address) -> bool {
    let port = node.replication.master_port;
    if master.port == port && master.host.eq_ignore_ascii_case(host) {
        return true;
    }
    let resolve = core.settings.resolve_hostnames;
    core.names.address(host, port, resolve, &mut core.effects).same(master)
}

/// A replica that was told to follow the new master is seen doing so, and then in step with it.
fn follow_reconf(core: &mut Core, master: &mut Master, at: At) {
    let node = master.at(at);
    if node.flags.any(Flags::RECONF_SENT)
        && let Some(host) = node.replication.master_host.as_deref()
        && follows(core, node, host, &master.node.address)
    {
        let node = master.at_mut(at);
        node.flags.clear(Flags::RECONF_SENT);
        node.flags.set(Flags::RECONF_INPROG);
        core.event(Level::Notice, "+slave-reconf-inprog", master, Subject::Node(master.at(at)), "");
    }
    let node = master.at(at);
    if node.flags.any(Flags::RECONF_INPROG) && node.replication.link_up {
        let node = master.at_mut(at);
        node.flags.clear(Flags::RECONF_INPROG);
        node.flags.set(Flags::RECONF_DONE);
        core.event(Level::Notice, "+slave-reconf-done", master, Subject::Node(master.at(at)), "");
    }
}
