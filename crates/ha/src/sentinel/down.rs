//! Down: subjectively (I cannot reach it) and objectively (enough sentinels say so).
//!
//! Deliberately as weak as Sentinel's: the others' opinions may be some seconds apart. What must be exact, the election, does
//! not rest on it.

use super::core::Core;
use super::effect::Level;
use super::flags::Flags;
use super::master::{At, Master, Mode};
use super::node::{Node, Role};
use super::peer::{PeerLink, PeerLinkId};
use super::periodic::{is_stuck, silent_at};
use super::publish::Subject;
use super::settings::Periods;
use std::collections::BTreeMap;
use types::Millis;

/// A pub/sub connection without a message for so many hello periods is replaced: our own hellos come back on it.
const PUBSUB_PERIODS_IDLE_MAX: u64 = 3;

/// Is this server down, as far as this sentinel can see?
pub(super) fn seems_down(now: Millis, periods: &Periods, master: &Master, node: &Node) -> bool {
    let down_after = master.settings.down_after;
    let silent = silent_at(&node.link, node.link.command.is_none(), down_after) <= now;
    let is_master = node.role == Role::Master;
    // A master that says it is a replica is of no use as a master; two INFO periods give news of a switch time to arrive.
    let patience = down_after + periods.info + periods.info;
    let wrong_role = is_master && node.reported == Role::Replica && now.since(node.reported_since) > patience;
    let rebooting =
        node.flags.any(Flags::MASTER_REBOOT) && now.since(node.reboot_since) > master.settings.reboot_down_after;
    // Native only: somebody on the master's host said that nobody listens. Not before it was seen alive, so that a cluster
    // can be started in any order.
    let refused = is_master && master.mode == Mode::Native && node.link.refused && node.run_id.is_some();
    silent || wrong_role || rebooting || refused
}

/// Replaces connections that only seem to be open, then judges one server.
pub(super) fn check_server(core: &mut Core, master: &mut Master, at: At) {
    let now = core.now;
    let down_after = master.settings.down_after;
    let link = &mut master.at_mut(at).link;
    if is_stuck(core, link, down_after) {
        core.close(link.command.take());
        link.pending = 0;
    }
    let idle_max = Millis(core.periods.publish.0.saturating_mul(PUBSUB_PERIODS_IDLE_MAX));
    if link.pubsub.is_some()
        && now.since(link.pubsub_since) > core.periods.link_reconnect_min
        && now.since(link.pubsub_activity) > idle_max
    {
        core.close(link.pubsub.take());
    }
    let node = master.at(at);
    let down = seems_down(now, &core.periods, master, node);
    match (down, node.flags.any(Flags::S_DOWN)) {
        (true, false) => {
            core.event(Level::Warning, "+sdown", master, Subject::Node(master.at(at)), "");
            let node = master.at_mut(at);
            node.s_down_since = Some(now);
            node.flags.set(Flags::S_DOWN);
        }
        (false, true) => {
            core.event(Level::Warning, "-sdown", master, Subject::Node(master.at(at)), "");
            master.at_mut(at).flags.clear(Flags::S_DOWN.and(Flags::SCRIPT_KILL_SENT));
        }
        (true, true) | (false, false) => {}
    }
}

/// A peer is down when its link is; the link is judged once for all masters, the periods may differ.
pub(super) fn check_peer(core: &mut Core, master: &mut Master, index: usize) {
    let now = core.now;
    let peer = &master.peers[index];
    let silent = peer_silent_at(&core.peer_links, peer.link, master.settings.down_after);
    match (silent <= now, peer.flags.any(Flags::S_DOWN)) {
        (true, false) => {
            core.event(Level::Warning, "+sdown", master, Subject::Peer(peer), "");
            let peer = &mut master.peers[index];
            peer.s_down_since = Some(now);
            peer.flags.set(Flags::S_DOWN);
        }
        (false, true) => {
            core.event(Level::Warning, "-sdown", master, Subject::Peer(peer), "");
            master.peers[index].flags.clear(Flags::S_DOWN);
        }
        (true, true) | (false, false) => {}
    }
}

pub(super) fn peer_silent_at(links: &BTreeMap<PeerLinkId, PeerLink>, link: PeerLinkId, down_after: Millis) -> Millis {
    links.get(&link).map_or(Millis::MAX, |shared| silent_at(&shared.link, shared.disconnected(), down_after))
}

/// How many sentinels say that the master is down, this one included; 0 while it does not say so itself.
pub(super) fn sentinels_that_say_down(master: &Master) -> u32 {
    if !master.node.flags.any(Flags::S_DOWN) {
        return 0;
    }
    1 + master.peers.iter().filter(|peer| peer.flags.any(Flags::MASTER_DOWN)).count() as u32
}

pub(super) fn check_objectively(core: &mut Core, master: &mut Master) {
    let say_down = sentinels_that_say_down(master);
    let down = say_down >= master.settings.quorum.max(1);
    match (down, master.node.flags.any(Flags::O_DOWN)) {
        (true, false) => {
            let more = format!(" #quorum {say_down}/{}", master.settings.quorum);
            core.event(Level::Warning, "+odown", master, Subject::Master, &more);
            master.node.flags.set(Flags::O_DOWN);
            master.o_down_since = Some(core.now);
        }
        (false, true) => {
            core.event(Level::Warning, "-odown", master, Subject::Master, "");
            master.node.flags.clear(Flags::O_DOWN);
            master.failover.start_at = None;
        }
        (true, true) | (false, false) => {}
    }
}
