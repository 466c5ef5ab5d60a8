//! The dispatcher: one event in, effects out.
//!
//! Deliberately no rule; those are in the files named after them.

use super::address::Address;
use super::admin::Unresolved;
use super::configuration::{Configuration, MasterConfiguration};
use super::core::{Core, LinkOwner};
use super::effect::{Effect, Level, LinkKind};
use super::event::{Event, LinkId, MasterId, Reply, Tag};
use super::master::{FailoverState, Master, Mode};
use super::node::{Node, NodeId, Role};
use super::peer::PeerLinkId;
use super::publish::Subject;
use super::request::Answer;
use super::saves::{Waiter, save_failed};
use super::settings::MasterSettings;
use super::timers::Timer;
use super::{ask, check, failover, hello, native, periodic, roles, scripts, tilt, vote};
use std::collections::BTreeMap;
use std::net::IpAddr;
use types::Millis;
use types::Secret;

/// At the start so many masters a millisecond are connected to, so that a thousand do not come at once.
const MASTERS_PER_MS: u64 = 10;

/// What a Sentinel is told about the process it lives in.
#[derive(Clone, Debug)]
pub struct Local {
    /// The port to announce when `announce-port` says nothing: the TLS port with `tls-replication yes`.
    pub port: u16,
    /// `requirepass`: also used towards peers when `sentinel-pass` says nothing.
    pub own_password: Option<Secret>,
    /// Forty hexadecimal digits for a Sentinel that has no id yet.
    pub fresh_id: String,
    /// For chance. Different for each process.
    pub seed: u64,
    /// For masters that are added while it runs.
    pub mode: Mode,
}

#[derive(Clone, Debug)]
pub struct Sentinel {
    pub(super) core: Core,
    pub(super) masters: BTreeMap<MasterId, Box<Master>>,
    pub(super) names: BTreeMap<Box<str>, MasterId>,
    /// MONITOR requests that wait for a name to be resolved.
    pub(super) unresolved: Vec<Unresolved>,
    next: Millis,
}

impl Sentinel {
    /// `now`: the boot clock, as in every event.
    pub fn new(now: Millis, configuration: Configuration, local: Local) -> Self {
        let is_new = configuration.my_id.is_none();
        let my_id = configuration.my_id.unwrap_or_else(|| local.fresh_id.clone());
        let core = Core::new(now, my_id.into(), configuration.current_epoch, configuration.settings, local);
        let (masters, names, unresolved) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let mut sentinel = Self { core, masters, names, unresolved, next: now };
        for master in configuration.masters {
            sentinel.restore(master);
        }
        if is_new {
            sentinel.core.save();
        }
        sentinel
    }

    fn restore(&mut self, remembered: MasterConfiguration) {
        let id = self.add_master(&remembered.name, remembered.mode, remembered.address, remembered.settings);
        let core = &mut self.core;
        let Some(master) = self.masters.get_mut(&id) else { return };
        master.config_epoch = remembered.config_epoch;
        master.vote.epoch = remembered.leader_epoch;
        for address in remembered.replicas {
            let name = address.host_and_port(core.settings.announce_hostnames);
            master.replicas.push(Node::new(NodeId(core.next_id()), Role::Replica, &name, address, core.now));
        }
        for (run_id, address) in remembered.sentinels {
            if *run_id != *core.my_id {
                hello::add_peer(core, master, &run_id, address);
            }
        }
    }

    pub(super) fn add_master(
        &mut self,
        name: &str,
        mode: Mode,
        address: Address,
        settings: MasterSettings,
    ) -> MasterId {
        let core = &mut self.core;
        let id = MasterId(core.next_id());
        let node = Node::new(NodeId(core.next_id()), Role::Master, "", address, core.now);
        let mut master = Box::new(Master::new(id, name, mode, settings, node));
        core.timers.set(Timer::Master(id), &mut master.due, core.now);
        self.masters.insert(id, master);
        self.names.insert(name.into(), id);
        id
    }

    pub(super) fn remove_master(&mut self, id: MasterId) {
        let Some(mut master) = self.masters.remove(&id) else { return };
        let core = &mut self.core;
        self.names.remove(&master.name);
        core.timers.remove(Timer::Master(id), master.due);
        forget_others(core, &mut master, true);
        core.close_both(&mut master.node.link);
        native::turn_down(core, master.failover.asked_by.take());
        core.save();
    }

    /// Takes one event. Carry out the effects in their order, then look at `next_tick`.
    pub fn handle(&mut self, now: Millis, event: Event) -> Vec<Effect> {
        self.core.now = now.max(self.core.now);
        if tilt::check(&mut self.core) {
            self.stop_failovers();
        }
        self.dispatch(event);
        while let Some(timer) = self.core.timers.take_due(self.core.now) {
            match timer {
                Timer::Master(id) => self.look(id),
                Timer::Peer(id) => self.look_at_peer(id),
            }
        }
        let core = &mut self.core;
        scripts::run(core);
        core.saves.begin(core.now, &mut core.effects);
        let runtime_max = core.periods.script_runtime_max;
        let others = [core.timers.next(), core.saves.next_tick(), core.scripts.next_tick(runtime_max)];
        self.next = core.tilt.expect(core.now, others.into_iter().flatten().min());
        std::mem::take(&mut core.effects)
    }

    /// When `Event::Tick` is wanted at the latest.
    pub fn next_tick(&self) -> Millis {
        self.next
    }

    fn dispatch(&mut self, event: Event) {
        match event {
            Event::Start => self.start(),
            Event::Tick => {}
            Event::LinkOpened { link, local, remote } => self.link_opened(link, local, remote),
            Event::LinkClosed { link, end } => self.link_closed(link, &end),
            Event::Reply { link, tag, reply } => self.take_reply(link, tag, &reply),
            Event::Message { link, payload } => self.take_message(link, &payload),
            Event::Request { token, request } => self.take_request(token, request),
            Event::Saved { version, ok } => self.saved(version, ok),
            Event::ScriptStarted { script, pid } => self.core.scripts.started(script, pid),
            Event::ScriptEnded { script, end } => scripts::ended(&mut self.core, script, &end),
            Event::Resolved { name, ip } => self.resolved(&name, ip),
            Event::ModeIs { master, mode } => self.set_mode(&master, mode),
            Event::EpochClaimed { master, epoch } => self.epoch_claimed(&master, epoch),
            Event::EpochRefused { master, epoch } => self.epoch_refused(&master, epoch),
            Event::StoreSays { master, quorum, address, epoch, replicas } => {
                self.store_says(&master, quorum, &address, epoch, &replicas);
            }
            Event::StoreForgot { master } => {
                if let Some(id) = self.names.get(&*master).copied() {
                    self.remove_master(id);
                }
            }
        }
    }

    fn start(&mut self) {
        let ids: Vec<MasterId> = self.names.values().copied().collect();
        for (number, id) in ids.into_iter().enumerate() {
            let Some(master) = self.masters.get_mut(&id) else { continue };
            let more = format!(" quorum {}", master.settings.quorum);
            self.core.event(Level::Warning, "+monitor", master, Subject::Master, &more);
            let at = self.core.now + Millis(number as u64 / MASTERS_PER_MS);
            self.core.timers.set(Timer::Master(id), &mut master.due, at);
        }
    }

    /// Something about this master may have changed, or its time has come.
    pub(super) fn look(&mut self, id: MasterId) {
        let Some(master) = self.masters.get_mut(&id) else { return };
        check::check(&mut self.core, master);
        let due = check::due(&self.core, master);
        self.core.timers.set(Timer::Master(id), &mut master.due, due);
    }

    pub(super) fn look_at_peer(&mut self, id: PeerLinkId) {
        let core = &mut self.core;
        let due = periodic::peer_link(core, id).max(core.now + Millis(1));
        if let Some(shared) = core.peer_links.get_mut(&id) {
            core.timers.set(Timer::Peer(id), &mut shared.due, due);
        }
    }

    fn take_reply(&mut self, link: LinkId, tag: Tag, reply: &Reply) {
        match self.core.links.get(&link).copied() {
            Some(LinkOwner::Node { master: id, node, kind: _ }) => self.take_node_reply(id, node, tag, reply),
            Some(LinkOwner::Peer(peer)) => self.take_peer_reply(peer, tag, reply),
            None => {}
        }
    }

    fn take_node_reply(&mut self, id: MasterId, node: NodeId, tag: Tag, reply: &Reply) {
        let core = &mut self.core;
        let Some(master) = self.masters.get_mut(&id) else { return };
        let Some(at) = master.find(node) else { return };
        let link = &mut master.at_mut(at).link;
        link.pending = link.pending.saturating_sub(1);
        let news = match (tag, reply) {
            (Tag::Ping, reply) => periodic::pong(core, master, at, reply),
            (Tag::Info, Reply::Bulk(text)) => {
                roles::take_info(core, master, at, text);
                true
            }
            (Tag::Hello(_), Reply::Error(_)) => {
                master.at_mut(at).publish_due = core.now + periodic::PUBLISH_RETRY;
                false
            }
            (Tag::Info | Tag::Hello(_) | Tag::IsMasterDown(_) | Tag::Ignored, _) => false,
        };
        if news {
            self.look(id);
        }
    }

    fn take_peer_reply(&mut self, peer: PeerLinkId, tag: Tag, reply: &Reply) {
        let core = &mut self.core;
        let Some(shared) = core.peer_links.get_mut(&peer) else { return };
        shared.link.pending = shared.link.pending.saturating_sub(1);
        match tag {
            Tag::Ping => {
                periodic::take_pong(core.now, &mut shared.link, reply);
            }
            Tag::Hello(id) => {
                let refused = matches!(reply, Reply::Error(_));
                let known = self.masters.get_mut(&id);
                let known = known.and_then(|master| master.peers.iter_mut().find(|known| known.link == peer));
                if let (true, Some(known)) = (refused, known) {
                    known.publish_due = core.now + periodic::PUBLISH_RETRY;
                }
            }
            Tag::IsMasterDown(id) => {
                if let Some(master) = self.masters.get_mut(&id) {
                    ask::take_reply(core, master, peer, reply);
                    self.look(id);
                }
            }
            Tag::Info | Tag::Ignored => {}
        }
    }

    fn take_message(&mut self, link: LinkId, payload: &str) {
        let Some(LinkOwner::Node { master, node, kind: LinkKind::PubSub }) = self.core.links.get(&link).copied() else {
            return;
        };
        let now = self.core.now;
        if let Some(node) = self.masters.get_mut(&master).and_then(|master| master.any_node_mut(node)) {
            node.link.pubsub_activity = now;
        }
        self.take_hello(payload);
    }

    fn saved(&mut self, version: u64, ok: bool) {
        let now = self.core.now;
        for waiter in self.core.saves.finish(now, version, ok) {
            let (token, answer) = match waiter {
                Waiter::Client(token) => (token, if ok { Answer::Ok } else { save_failed() }),
                Waiter::Vote { token, down, leader, epoch } if ok => {
                    (token, Answer::MasterDown { down, leader: Some(leader.into()), epoch })
                }
                Waiter::Vote { token, down, .. } => (token, vote::no_vote(down)),
                Waiter::Failover(id) => {
                    self.look(id);
                    continue;
                }
                Waiter::Crash => {
                    self.core.effects.push(Effect::Exit { code: failover::CRASH_CODE });
                    continue;
                }
            };
            self.core.effects.push(Effect::Answer { token, answer });
        }
    }

    /// In TILT nothing is known for certain, and what was decided before it may be old.
    fn stop_failovers(&mut self) {
        for master in self.masters.values_mut() {
            let begun = FailoverState::WaitStart..=FailoverState::SendReplicaOfNoOne;
            if begun.contains(&master.failover.state) {
                self.core.event(Level::Warning, "-failover-abort-not-elected", master, Subject::Master, "");
                failover::abort(&mut self.core, master);
            }
        }
    }

    fn resolved(&mut self, name: &str, ip: Option<IpAddr>) {
        self.core.names.learn(name, ip);
        if ip.is_some() {
            let learn = |address: &mut Address| {
                if &*address.host == name {
                    address.ip = ip;
                }
            };
            for master in self.masters.values_mut() {
                learn(&mut master.node.address);
                master.replicas.iter_mut().for_each(|replica| learn(&mut replica.address));
                master.peers.iter_mut().for_each(|peer| learn(&mut peer.address));
            }
        }
        self.resume_monitor(name, ip);
    }

    /// What must be on the disk, as it is now.
    pub fn configuration(&self) -> Configuration {
        let core = &self.core;
        let master = |master: &Master| MasterConfiguration {
            name: master.name.to_string(),
            mode: master.mode,
            address: master.node.address.clone(),
            settings: master.settings.clone(),
            config_epoch: master.config_epoch,
            leader_epoch: master.vote.epoch,
            replicas: written_replicas(core, master),
            sentinels: master.peers.iter().map(|peer| (peer.run_id.to_string(), peer.address.clone())).collect(),
        };
        Configuration {
            my_id: Some(core.my_id.to_string()),
            current_epoch: core.current_epoch,
            settings: core.settings.clone(),
            masters: self.masters().map(master).collect(),
        }
    }
}

/// Forgets replicas, and peers too if asked.
pub(super) fn forget_others(core: &mut Core, master: &mut Master, peers: bool) {
    for mut replica in std::mem::take(&mut master.replicas) {
        core.close_both(&mut replica.link);
    }
    if peers {
        for peer in std::mem::take(&mut master.peers) {
            hello::release(core, peer.link);
        }
    }
}

/// Each place once, as it will be written: two names may have turned out to be one address.
fn written_replicas(core: &Core, master: &Master) -> Vec<Address> {
    let names = core.settings.announce_hostnames;
    let place = |address: &Address| (address.shown(names).into_owned(), address.port);
    let mut seen = vec![place(&master.node.address)];
    let mut replicas = Vec::with_capacity(master.replicas.len());
    for replica in &master.replicas {
        let place = place(&replica.address);
        if !seen.contains(&place) {
            seen.push(place);
            replicas.push(replica.address.clone());
        }
    }
    replicas
}
