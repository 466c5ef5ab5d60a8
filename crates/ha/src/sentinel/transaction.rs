//! The few transactions that change a Redis server.
//!
//! Deliberately without a look at the replies, as in Sentinel: what came of it shows in the next INFO. The invariant: a server that changes its role cuts its clients in the same transaction, so none of them goes on
//! writing to what it takes for the master.

use super::address::Address;
use super::core::Core;
use super::effect::Command;
use super::event::Tag;
use super::link::{built, command};
use super::master::{At, Master};
use super::node::OwnFailover;
use super::periodic::ask_info;
use types::Millis;

/// Sends it as one transaction; false when there is no connection.
fn send(core: &mut Core, master: &mut Master, at: At, commands: Vec<Command>) -> bool {
    if master.at(at).link.command.is_none() {
        return false;
    }
    let multi = command(&master.settings, &["MULTI"]);
    let exec = command(&master.settings, &["EXEC"]);
    let node = master.at_mut(at);
    core.send(&mut node.link, Tag::Ignored, multi);
    for command in commands {
        core.send(&mut node.link, Tag::Ignored, command);
    }
    core.send(&mut node.link, Tag::Ignored, exec)
}

/// What came of a transaction, right behind it. Not where it is repeated until INFO is as it should be: that would be done
/// over and over as fast as the server answers.
pub(super) fn look_at_result(core: &mut Core, master: &mut Master, at: At) {
    ask_info(core, master, at);
}

/// REPLICAOF, in the spelling that old servers know. `to`: the new master; `None`: become one.
pub(super) fn replica_of(core: &mut Core, master: &mut Master, at: At, to: Option<&Address>) -> bool {
    let settings = &master.settings;
    let mut commands = Vec::with_capacity(5);
    if master.at(at).own_failover == OwnFailover::Running {
        // REPLICAOF is refused during the server's own FAILOVER, which may hang.
        commands.push(command(settings, &["FAILOVER", "ABORT"]));
    }
    commands.push(match to {
        None => command(settings, &["SLAVEOF", "NO", "ONE"]),
        Some(address) => {
            let host = address.shown(core.settings.announce_hostnames);
            built(settings, &["SLAVEOF", &host, &address.port.to_string()])
        }
    });
    commands.push(command(settings, &["CONFIG", "REWRITE"]));
    commands.push(command(settings, &["CLIENT", "KILL", "TYPE", "normal"]));
    commands.push(command(settings, &["CLIENT", "KILL", "TYPE", "pubsub"]));
    send(core, master, at, commands)
}

/// The master hands over by itself: it pauses writes, waits until the replica has everything, and changes places with it.
/// Writes stay paused behind it, because clients do not expect to be connected to a replica; they are cut next.
pub(super) fn failover_to(core: &mut Core, master: &mut Master, to: &Address, patience: Millis) -> bool {
    let settings = &master.settings;
    let host = to.shown(core.settings.announce_hostnames);
    let patience = patience.0.to_string();
    let port = to.port.to_string();
    let commands = vec![
        built(settings, &["CLIENT", "PAUSE", &patience, "WRITE"]),
        built(settings, &["FAILOVER", "TO", &host, &port, "TIMEOUT", &patience]),
    ];
    send(core, master, At::Master, commands)
}

/// Takes a hand-over back that did not come about in time. Without effect when it did after all.
pub(super) fn abort_failover_to(core: &mut Core, master: &mut Master) -> bool {
    let settings = &master.settings;
    let commands = vec![command(settings, &["FAILOVER", "ABORT"]), command(settings, &["CLIENT", "UNPAUSE"])];
    send(core, master, At::Master, commands)
}

/// After a hand-over: clients of both servers find out where the master is now.
pub(super) fn kill_clients(core: &mut Core, master: &mut Master, at: At) -> bool {
    let settings = &master.settings;
    let commands = vec![
        command(settings, &["CONFIG", "REWRITE"]),
        command(settings, &["CLIENT", "KILL", "TYPE", "normal"]),
        command(settings, &["CLIENT", "KILL", "TYPE", "pubsub"]),
        command(settings, &["CLIENT", "UNPAUSE"]),
    ];
    send(core, master, at, commands)
}
