//! What is sent without a reason: pings, INFO, hello messages.
//!
//! Deliberately exact times instead of ten looks a second: `due` says when the next one is owed. The invariant: an instance
//! that answers costs one ping a second, one INFO in ten and one hello in two, as with Sentinel.

use super::core::Core;
use super::event::{Reply, Tag};
use super::flags::Flags;
use super::hello;
use super::link::{command, next_connect, ping, reconnect};
use super::master::{At, FailoverState, Master, Mode};
use super::node::{Link, Node, OwnFailover, Role};
use types::Millis;

/// INFO of replicas while the master is down: Sentinel's number.
pub const INFO_PERIOD_IN_TROUBLE: Millis = Millis(1_000);
/// INFO of the replica that is being promoted: what is waited for is a matter of milliseconds. Sentinel asks once a second.
pub const INFO_PERIOD_PROMOTION: Millis = Millis(50);
/// An INFO without a reply is asked for again after this long; Sentinel asks ten times a second.
pub const INFO_RETRY: Millis = Millis(1_000);
/// A hello message that was refused is sent again after this.
pub const PUBLISH_RETRY: Millis = Millis(100);

fn info_period(core: &Core, master: &Master, node: &Node) -> Millis {
    let promoting = master.failover.state == FailoverState::WaitPromotion && node.flags.any(Flags::PROMOTED);
    let trouble = master.node.flags.any(Flags::O_DOWN.and(Flags::FAILOVER_IN_PROGRESS))
        || node.replication.link_down != Millis::ZERO;
    if promoting {
        return INFO_PERIOD_PROMOTION;
    }
    match node.role {
        Role::Replica if trouble => INFO_PERIOD_IN_TROUBLE,
        Role::Replica | Role::Master => core.periods.info,
    }
}

/// When the next INFO is owed.
fn info_due(core: &Core, master: &Master, node: &Node) -> Millis {
    let period = info_period(core, master, node);
    let wanted = node.info_at.map_or(Millis::ZERO, |at| at + period + Millis(1));
    let retry = node.info_asked_at.map_or(Millis::ZERO, |at| at + INFO_RETRY.min(core.periods.info));
    wanted.max(retry)
}

fn ping_due(core: &Core, link: &Link, down_after: Millis) -> Millis {
    let period = down_after.min(core.periods.ping);
    let idle = link.last_pong + period;
    let again = link.last_ping.map_or(Millis::ZERO, |at| at + Millis(period.0 / 2));
    idle.max(again) + Millis(1)
}

/// A hello would block (or be lost) where writes are paused for a switch.
fn publish_blocked(master: &Master, node: &Node) -> bool {
    let coordinated =
        node.flags.any(Flags::COORDINATED_FAILOVER) && master.failover.state <= FailoverState::WaitPromotion;
    coordinated || node.own_failover == OwnFailover::Running
}

/// Connects and sends what is owed to one server.
pub(super) fn node(core: &mut Core, master: &mut Master, at: At) {
    let (id, mode) = (master.id, master.mode);
    match at {
        At::Master => reconnect(core, id, mode, &master.settings, &mut master.node),
        At::Replica(index) => reconnect(core, id, mode, &master.settings, &mut master.replicas[index]),
    }
    let now = core.now;
    if master.at(at).link.command.is_none() || Core::is_clogged(&master.at(at).link, 1) {
        return;
    }
    if info_due(core, master, master.at(at)) <= now {
        ask_info(core, master, at);
    }
    if ping_due(core, &master.at(at).link, master.settings.down_after) <= now {
        let words = command(&master.settings, &["PING"]);
        ping(core, words, &mut master.at_mut(at).link);
    }
    if master.at(at).publish_due < now && !publish_blocked(master, master.at(at)) {
        hello::publish(core, master, at);
    }
}

pub(super) fn ask_info(core: &mut Core, master: &mut Master, at: At) {
    let words = command(&master.settings, &["INFO"]);
    let now = core.now;
    let node = master.at_mut(at);
    if core.send(&mut node.link, Tag::Info, words) {
        node.info_asked_at = Some(now);
    }
}

/// The earliest time at which `node` or the judgement about this server has something to do.
pub(super) fn due(core: &Core, master: &Master, at: At) -> Millis {
    let node = master.at(at);
    if node.address.port == 0 {
        return Millis::MAX;
    }
    let down_after = master.settings.down_after;
    let mut due = Millis::MAX;
    due = due.min(next_connect(core, master.mode, node));
    if node.link.command.is_some() {
        due = due.min(info_due(core, master, node)).min(ping_due(core, &node.link, down_after));
        if !publish_blocked(master, node) && node.link.local.is_some() {
            due = due.min(node.publish_due + Millis(1));
        }
    }
    if !node.flags.any(Flags::S_DOWN) {
        due = due.min(silent_at(&node.link, node.link.command.is_none(), down_after));
    }
    due
}

/// When the silence of an instance has lasted too long, if it goes on.
pub(super) fn silent_at(link: &Link, disconnected: bool, down_after: Millis) -> Millis {
    let since = link.ping_waiting_since.or(disconnected.then_some(link.last_available));
    since.map_or(Millis::MAX, |since| since + down_after + Millis(1))
}

/// Pings a peer when it is owed one; the next time to look.
pub(super) fn peer_link(core: &mut Core, id: super::peer::PeerLinkId) -> Millis {
    super::link::reconnect_peer(core, id);
    let now = core.now;
    let Some(shared) = core.peer_links.get(&id) else { return Millis::MAX };
    if shared.disconnected() {
        return now + core.periods.ping;
    }
    if ping_due(core, &shared.link, shared.down_after) <= now {
        super::link::ping_peer(core, id);
    }
    // A stuck connection is replaced, as for servers.
    let Some(shared) = core.peer_links.get(&id) else { return Millis::MAX };
    if is_stuck(core, &shared.link, shared.down_after) {
        let link = core.peer_links.get_mut(&id).and_then(|shared| shared.link.command.take());
        core.close(link);
        return now + super::timers::GRAIN;
    }
    let Some(shared) = core.peer_links.get(&id) else { return Millis::MAX };
    ping_due(core, &shared.link, shared.down_after)
}

/// Open for long enough, and a ping has waited for half of `down_after` without any answer.
pub(super) fn is_stuck(core: &Core, link: &Link, down_after: Millis) -> bool {
    let half = Millis(down_after.0 / 2);
    link.command.is_some()
        && core.now.since(link.command_since) > core.periods.link_reconnect_min
        && link.ping_waiting_since.is_some_and(|since| core.now.since(since) > half)
        && core.now.since(link.last_pong) > half
}

/// What an answer to a ping says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pong {
    Ready,
    /// It lives, and is loading or has no master.
    Alive,
    Busy,
    /// An answer that does not count as life.
    Other,
}

pub(super) fn take_pong(now: Millis, link: &mut Link, reply: &Reply) -> Pong {
    let pong = match reply {
        Reply::Status(text) | Reply::Error(text) => match text.as_str() {
            text if text.starts_with("PONG") => Pong::Ready,
            text if text.starts_with("LOADING") || text.starts_with("MASTERDOWN") => Pong::Alive,
            text if text.starts_with("BUSY") => Pong::Busy,
            _ => Pong::Other,
        },
        Reply::Integer(_) | Reply::Bulk(_) | Reply::Array(_) | Reply::Null | Reply::Other => Pong::Other,
    };
    match pong {
        Pong::Ready | Pong::Alive => {
            link.last_available = now;
            link.ping_waiting_since = None;
        }
        Pong::Busy | Pong::Other => {}
    }
    link.last_pong = now;
    pong
}

/// A server answered a ping. True when somebody should look at its master.
pub(super) fn pong(core: &mut Core, master: &mut Master, at: At, reply: &Reply) -> bool {
    let now = core.now;
    let node = master.at_mut(at);
    let pong = take_pong(now, &mut node.link, reply);
    let was_down = node.flags.any(Flags::S_DOWN);
    match pong {
        Pong::Ready => node.flags.clear(Flags::MASTER_REBOOT),
        Pong::Busy if was_down && !node.flags.any(Flags::SCRIPT_KILL_SENT) => {
            let words = command(&master.settings, &["SCRIPT", "KILL"]);
            let node = master.at_mut(at);
            core.send(&mut node.link, Tag::Ignored, words);
            node.flags.set(Flags::SCRIPT_KILL_SENT);
        }
        Pong::Alive | Pong::Busy | Pong::Other => {}
    }
    was_down || master.mode == Mode::Native && master.failover_in_progress()
}
