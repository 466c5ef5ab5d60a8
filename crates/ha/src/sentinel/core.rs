//! What all masters of a Sentinel share, and the small things every rule needs: ids, sending, publishing.
//!
//! Deliberately separate from the masters themselves, so that a rule can hold one master and this at the same time.

use super::address::Address;
use super::dispatcher::Local;
use super::effect::{Command, Effect, LinkKind, REQUESTS_PENDING_MAX};
use super::event::{LinkId, MasterId, Tag};
use super::names::Names;
use super::node::{Link, NodeId};
use super::peer::{PeerLink, PeerLinkId};
use super::random::Random;
use super::saves::Saves;
use super::scripts::Scripts;
use super::settings::{GlobalSettings, Periods};
use super::tilt::Tilt;
use super::timers::Timers;
use std::collections::BTreeMap;
use types::Millis;

/// To whom a connection belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkOwner {
    Node { master: MasterId, node: NodeId, kind: LinkKind },
    Peer(PeerLinkId),
}

/// SENTINEL SIMULATE-FAILURE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SimulatedFailures {
    pub after_election: bool,
    pub after_promotion: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Core {
    pub now: Millis,
    pub my_id: Box<str>,
    pub current_epoch: u64,
    pub settings: GlobalSettings,
    pub periods: Periods,
    pub local: Local,
    pub random: Random,
    pub effects: Vec<Effect>,
    pub links: BTreeMap<LinkId, LinkOwner>,
    pub peer_links: BTreeMap<PeerLinkId, PeerLink>,
    pub timers: Timers,
    pub saves: Saves,
    pub scripts: Scripts,
    pub tilt: Tilt,
    pub names: Names,
    pub simulated_failures: SimulatedFailures,
    last_link: u64,
    last_id: u32,
}

impl Core {
    pub fn new(now: Millis, my_id: Box<str>, current_epoch: u64, settings: GlobalSettings, local: Local) -> Self {
        Self {
            now,
            my_id,
            current_epoch,
            settings,
            periods: Periods::default(),
            random: Random::new(local.seed),
            local,
            effects: Vec::new(),
            links: BTreeMap::new(),
            peer_links: BTreeMap::new(),
            timers: Timers::default(),
            saves: Saves::default(),
            scripts: Scripts::default(),
            tilt: Tilt::default(),
            names: Names::default(),
            simulated_failures: SimulatedFailures::default(),
            last_link: 0,
            last_id: 0,
        }
    }

    /// For masters, nodes and peer links.
    pub fn next_id(&mut self) -> u32 {
        self.last_id += 1;
        self.last_id
    }

    pub fn open(&mut self, owner: LinkOwner, kind: LinkKind, address: &Address, greeting: Vec<Command>) -> LinkId {
        self.last_link += 1;
        let link = LinkId(self.last_link);
        self.links.insert(link, owner);
        // A name goes to the driver as it is, so that every new connection resolves it afresh.
        let host = address.host.to_string();
        self.effects.push(Effect::Open { link, kind, host, port: address.port, greeting });
        link
    }

    pub fn close(&mut self, link: Option<LinkId>) {
        if let Some(link) = link {
            self.links.remove(&link);
            self.effects.push(Effect::Close { link });
        }
    }

    /// Closes both connections of an instance.
    pub fn close_both(&mut self, link: &mut Link) {
        self.close(link.command.take());
        self.close(link.pubsub.take());
        link.pending = 0;
        link.local = None;
    }

    /// Sends on the command connection; false when there is none.
    pub fn send(&mut self, link: &mut Link, tag: Tag, command: Command) -> bool {
        let Some(id) = link.command else { return false };
        link.pending += 1;
        self.effects.push(Effect::Send { link: id, tag, command });
        true
    }

    /// The same to a peer.
    pub fn send_peer(&mut self, id: PeerLinkId, tag: Tag, command: Command) -> bool {
        let Some(shared) = self.peer_links.get_mut(&id) else { return false };
        let Some(link) = shared.link.command else { return false };
        if Self::is_clogged(&shared.link, shared.users) {
            return false;
        }
        shared.link.pending += 1;
        self.effects.push(Effect::Send { link, tag, command });
        true
    }

    /// Too many requests wait already; more would only pile up.
    pub fn is_clogged(link: &Link, users: u32) -> bool {
        link.pending >= REQUESTS_PENDING_MAX.saturating_mul(users.max(1))
    }

    /// Something that must survive a restart changed.
    pub fn save(&mut self) -> u64 {
        self.saves.want()
    }
}
