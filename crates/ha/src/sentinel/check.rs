//! Looking at one group: what is owed, what is down, what is to be done, and when to look again.

use super::core::Core;
use super::flags::Flags;
use super::master::{Master, Mode};
use super::{ask, down, failover, hello, periodic};
use types::Millis;

/// While something is wrong, a group is looked at this often: Sentinel's slower tick.
const PERIOD_IN_TROUBLE: Millis = Millis(100);
/// The same for native masters, where less than a second is to pass until a new one serves.
const PERIOD_IN_TROUBLE_NATIVE: Millis = Millis(50);
/// Nothing is owed later than this: periods longer than it are only looked at more often.
const PERIOD_MAX: Millis = Millis(1_000);
/// What was owed and could not be done is tried again after this.
const PERIOD_STALLED: Millis = Millis(100);

pub(super) fn check(core: &mut Core, master: &mut Master) {
    for at in master.everywhere() {
        periodic::node(core, master, at);
    }
    for index in 0..master.peers.len() {
        if master.peers[index].publish_due < core.now {
            hello::tell_peer(core, master, index);
        }
    }
    if core.tilt.is_on() {
        return;
    }
    for at in master.everywhere() {
        down::check_server(core, master, at);
    }
    for index in 0..master.peers.len() {
        down::check_peer(core, master, index);
    }
    if master.mode == Mode::Supervised {
        return;
    }
    down::check_objectively(core, master);
    failover::start_if_needed(core, master);
    failover::run(core, master);
    ask::peers(core, master, false);
}

pub(super) fn due(core: &Core, master: &Master) -> Millis {
    let now = core.now;
    let trouble = Flags::S_DOWN.and(Flags::O_DOWN).and(Flags::FAILOVER_IN_PROGRESS);
    let longest = match master.mode {
        Mode::Native if master.node.flags.any(trouble) => PERIOD_IN_TROUBLE_NATIVE,
        Mode::Mixed if master.node.flags.any(trouble) => PERIOD_IN_TROUBLE,
        Mode::Native | Mode::Mixed | Mode::Supervised => PERIOD_MAX,
    };
    let mut due = now + longest;
    for at in master.everywhere() {
        due = due.min(periodic::due(core, master, at));
    }
    for peer in &master.peers {
        let sendable = core.peer_links.get(&peer.link).is_some_and(|shared| shared.link.local.is_some());
        if sendable {
            due = due.min(peer.publish_due + Millis(1));
        }
        if !peer.flags.any(Flags::S_DOWN) {
            due = due.min(down::peer_silent_at(&core.peer_links, peer.link, master.settings.down_after));
        }
    }
    if let Some(at) = master.failover.start_at {
        due = due.min(at);
    }
    if due > now { due } else { now + PERIOD_STALLED }
}
