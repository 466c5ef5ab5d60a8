//! Asking the other sentinels whether they think the master is down, and for their vote.

use super::core::Core;
use super::directives::RUN_ID_LENGTH;
use super::effect::Command;
use super::event::{Reply, Tag};
use super::flags::Flags;
use super::master::{FailoverState, Master, Mode};
use super::peer::PeerLinkId;
use types::Millis;

/// What a peer said counts for so many ask periods.
pub const OPINION_PERIODS_MAX: u64 = 5;
/// In native mode a peer that does not agree yet is asked again this soon: it sees the refused connection a moment later.
pub const NATIVE_ASK: Millis = Millis(50);

/// Asks every peer that is owed a question; `forced`: all of them.
pub(super) fn peers(core: &mut Core, master: &mut Master, forced: bool) {
    let now = core.now;
    let opinion_max = Millis(core.periods.ask.0.saturating_mul(OPINION_PERIODS_MAX));
    for peer in &mut master.peers {
        if now.since(peer.last_reply) > opinion_max {
            peer.flags.clear(Flags::MASTER_DOWN);
            peer.leader = None;
        }
    }
    let electing = master.failover.state == FailoverState::WaitStart;
    if !master.node.flags.any(Flags::S_DOWN) && !electing && !forced {
        return;
    }
    // Native epochs come from the store, so nobody is asked for a vote there.
    let votes = master.mode == Mode::Mixed && master.failover.state > FailoverState::None;
    let candidate = if votes { core.my_id.to_string() } else { "*".to_owned() };
    // Votes are for the epoch of the failover, also when a newer one has come up for another master.
    let epoch = if votes { master.failover.epoch } else { core.current_epoch };
    let host = master.node.address.shown(core.settings.announce_hostnames).into_owned();
    for peer in &mut master.peers {
        let agrees = peer.flags.any(Flags::MASTER_DOWN);
        let period = match master.mode {
            Mode::Native if !agrees => NATIVE_ASK.min(core.periods.ask),
            Mode::Native | Mode::Mixed | Mode::Supervised => core.periods.ask,
        };
        let replied = now.since(peer.last_reply) < period;
        let asked = peer.last_asked.is_some_and(|at| now.since(at) < period);
        if !forced && (replied || asked) {
            continue;
        }
        let words = [
            "SENTINEL",
            "is-master-down-by-addr",
            &host,
            &master.node.address.port.to_string(),
            &epoch.to_string(),
            &candidate,
        ];
        let command = Command::Built(words.iter().map(|&word| word.to_owned()).collect());
        if core.send_peer(peer.link, Tag::IsMasterDown(master.id), command) {
            peer.last_asked = Some(now);
        }
    }
}

/// A peer answered. Anything but the three expected elements is as if it had not.
pub(super) fn take_reply(core: &Core, master: &mut Master, link: PeerLinkId, reply: &Reply) {
    let Some(peer) = master.peers.iter_mut().find(|peer| peer.link == link) else { return };
    let Reply::Array(elements) = reply else { return };
    let [Reply::Integer(down), Reply::Bulk(leader), Reply::Integer(epoch)] = elements.as_slice() else { return };
    peer.last_reply = core.now;
    if *down == 1 {
        peer.flags.set(Flags::MASTER_DOWN);
    } else {
        peer.flags.clear(Flags::MASTER_DOWN);
    }
    if leader != "*" && leader.len() <= RUN_ID_LENGTH {
        peer.leader = Some(leader.as_str().into());
        peer.leader_epoch = u64::try_from(*epoch).unwrap_or(0);
    }
}
