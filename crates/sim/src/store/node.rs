//! Drives the store of one member: disk writes with group commit, messages, answers, watches.

use super::{Answer, Inbound, Request};
use crate::clock::{MS, Time};
use crate::network::Plane;
use crate::note;
use crate::say;
use crate::store::watch::Session;
use crate::worker::WorkerEvent;
use crate::world::{Happening, World};
use disk::{DiskError, DiskLog, Identity};
use kv::RangeRequest;
use std::collections::{BTreeMap, VecDeque};
use store::{Effect, Event, Member, MemberId, Persist, RequestId, Store, StoreConfig, StoreError};
use types::Millis;

/// A full disk is tried again this often.
const FULL_RETRY: Time = 200 * MS;

pub struct StoreNode {
    pub store: Store,
    log: DiskLog<crate::disk::SimulatedDisk>,
    queue: VecDeque<Persist>,
    /// So many of the queue are being written.
    writing: usize,
    full: bool,
    requests: BTreeMap<RequestId, Asked>,
    last_request: RequestId,
    pub sessions: Vec<Session>,
}

#[derive(Debug)]
struct Asked {
    from: usize,
    from_run: u64,
    call: u64,
}

pub fn member_id(host: usize) -> MemberId {
    host as MemberId + 1
}

fn host_of(id: MemberId) -> usize {
    id as usize - 1
}

/// A store that cannot start, with why.
pub enum OpenFailure {
    /// It may work later.
    Full,
    Damaged(String),
}

impl World {
    pub(crate) fn open_store(&mut self, host: usize) -> Result<StoreNode, OpenFailure> {
        let identity = Identity { cluster_id: 1, member_id: member_id(host) };
        let wall = self.now / 1_000_000;
        let opened = match DiskLog::open(self.hosts[host].disk.clone(), identity, wall) {
            Ok(opened) => opened,
            Err(DiskError::StorageFull { .. }) => return Err(OpenFailure::Full),
            Err(error) => return Err(OpenFailure::Damaged(error.to_string())),
        };
        let members = (0..self.hosts.len())
            .map(|at| Member {
                id: member_id(at),
                name: format!("m{}", at + 1),
                peer_urls: vec![],
                client_urls: vec![],
            })
            .collect();
        let mut config = StoreConfig::new(member_id(host), members, opened.run, self.random.draw());
        // Small, so that runs of a minute see snapshots.
        config.snapshot_entries = 300;
        config.trailing_entries = 40;
        let now = self.hosts[host].clock.read(self.now);
        let store =
            Store::open(config, opened.persisted, now).map_err(|error| OpenFailure::Damaged(error.to_string()))?;
        Ok(StoreNode {
            store,
            log: opened.log,
            queue: VecDeque::new(),
            writing: 0,
            full: false,
            requests: BTreeMap::new(),
            last_request: 0,
            sessions: Vec::new(),
        })
    }

    pub(crate) fn node(&mut self, host: usize) -> Option<&mut StoreNode> {
        self.hosts[host].worker.as_mut().and_then(|worker| worker.node.as_mut())
    }

    pub(crate) fn store_event(&mut self, host: usize, event: Event) {
        let now = self.hosts[host].clock.read(self.now);
        let Some(node) = self.node(host) else { return };
        for effect in node.store.handle(now, event) {
            self.store_effect(host, effect);
        }
    }

    fn store_effect(&mut self, host: usize, effect: Effect) {
        match effect {
            Effect::Persist(persist) => {
                if let Some(node) = self.node(host) {
                    node.queue.push_back(persist);
                }
                self.write_to_disk(host);
            }
            Effect::Send { to, message } => self.send_to_store(host, host_of(to), Inbound::Peer(message)),
            Effect::Reply { id, result } => {
                let answer = match result {
                    Ok(reply) => Answer::Changed { revision: reply.revision, response: reply.response },
                    Err(StoreError::Kv(error)) => Answer::Refused(error),
                    Err(StoreError::NoLeader | StoreError::Overloaded | StoreError::NoSpace) => Answer::NotTaken,
                    Err(StoreError::Timeout | StoreError::Unknown | StoreError::Stopped) => Answer::Unknown,
                };
                self.answer(host, id, answer);
            }
            Effect::ReadReady { id } => {
                let keys = self.keys.all();
                let Some(node) = self.node(host) else { return };
                let revision = node.store.kv().revision();
                let found = node.store.kv().range(&RangeRequest::all(keys));
                let answer = match found {
                    Ok(found) => Answer::Loaded { revision, keys: found.kvs },
                    Err(_) => Answer::NotTaken,
                };
                self.answer(host, id, answer);
            }
            Effect::ReadFailed { id, .. } => self.answer(host, id, Answer::NotTaken),
            Effect::Applied { revision, events } => {
                self.store_applied(host, revision, &events);
                self.feed_watches(host);
            }
            Effect::Restored { .. } => self.feed_watches(host),
            Effect::LeaderChanged { leader, term } => {
                note!(self, "store m{}: term {term}, leader {:?}", host + 1, leader.map(|id| format!("m{id}")));
            }
            Effect::Notice(notice) => say!(self, host, "store: {notice}"),
        }
    }

    fn answer(&mut self, host: usize, id: RequestId, answer: Answer) {
        let Some(asked) = self.node(host).and_then(|node| node.requests.remove(&id)) else { return };
        self.answer_call(host, asked.from, asked.from_run, asked.call, answer);
    }

    pub(crate) fn answer_call(&mut self, host: usize, to: usize, to_run: u64, call: u64, answer: Answer) {
        let event = WorkerEvent::Answer { call, endpoint: host, answer };
        self.send_to_agent(host, to, to_run, event);
    }

    /// From a store to an agent.
    pub(crate) fn send_to_agent(&mut self, host: usize, to: usize, to_run: u64, event: WorkerEvent) {
        if self.network.passes(Plane::Store, host, to) {
            let after = self.network.delay(&mut self.random, host, to);
            self.plan(after, Happening::Worker { host: to, run: to_run, event });
        }
    }

    pub(crate) fn send_to_store(&mut self, from: usize, to: usize, body: Inbound) {
        let plane = if matches!(body, Inbound::Peer(_)) { Plane::Peers } else { Plane::Store };
        let lost = plane == Plane::Peers && self.network.loss_percent > 0 && {
            let loss = self.network.loss_percent;
            self.random.percent(loss)
        };
        if lost || !self.network.passes(plane, from, to) {
            return;
        }
        let after = self.network.delay(&mut self.random, from, to);
        let from_run = self.hosts[from].worker_run;
        self.plan(after, Happening::Inbound { from, from_run, to, body });
    }

    pub(crate) fn inbound(&mut self, from: usize, from_run: u64, host: usize, body: Inbound) {
        let plane = if matches!(body, Inbound::Peer(_)) { Plane::Peers } else { Plane::Store };
        if !self.hosts[host].up || !self.network.passes(plane, from, host) {
            return;
        }
        if self.node(host).is_none() {
            return self.refused(from, from_run, host, &body);
        }
        match body {
            Inbound::Peer(message) => self.store_event(host, Event::Received { from: member_id(from), message }),
            Inbound::Request { call, request, within } => {
                self.request_arrives(host, from, from_run, call, (request, within));
            }
            Inbound::Probe { call } => {
                self.send_to_agent(host, from, from_run, WorkerEvent::Heard { call, endpoint: host });
            }
            Inbound::Watch { session, after } => self.watch_arrives(host, from, from_run, session, after),
            Inbound::Ping { session } => self.ping_arrives(host, from, from_run, session),
        }
    }

    /// The host is there and nobody listens: the other side hears of it at once.
    fn refused(&mut self, from: usize, from_run: u64, host: usize, body: &Inbound) {
        let event = match body {
            Inbound::Peer(_) => WorkerEvent::PeerProcessGone { peer: host },
            Inbound::Request { call, .. } | Inbound::Probe { call } => {
                WorkerEvent::Answer { call: *call, endpoint: host, answer: Answer::NotTaken }
            }
            Inbound::Watch { session, .. } | Inbound::Ping { session } => {
                WorkerEvent::WatchBroken { session: *session }
            }
        };
        let after = self.network.delay(&mut self.random, host, from);
        self.plan(after, Happening::Worker { host: from, run: from_run, event });
    }

    fn request_arrives(
        &mut self,
        host: usize,
        from: usize,
        from_run: u64,
        call: u64,
        (request, within): (Request, Option<Millis>),
    ) {
        let Some(node) = self.node(host) else { return };
        if node.store.status().leader.is_none() {
            return self.answer_call(host, from, from_run, call, Answer::NotTaken);
        }
        node.last_request += 1;
        let id = node.last_request;
        node.requests.insert(id, Asked { from, from_run, call });
        self.store_event(
            host,
            match request {
                Request::Change(command) => Event::Propose { id, command, within },
                Request::Load => Event::Read { id },
            },
        );
    }

    fn write_to_disk(&mut self, host: usize) {
        let slow = self.hosts[host].disk_slow;
        let ordinary = self.random.between(MS / 3, 3 * MS);
        let run = self.hosts[host].worker_run;
        let Some(node) = self.node(host) else { return };
        if node.writing > 0 || node.queue.is_empty() {
            return;
        }
        node.writing = node.queue.len();
        self.plan(ordinary * slow, Happening::Worker { host, run, event: WorkerEvent::StoreWritten });
    }

    pub(crate) fn store_written(&mut self, host: usize) {
        let run = self.hosts[host].worker_run;
        let Some(node) = self.node(host) else { return };
        let batch: Vec<Persist> = node.queue.iter().take(node.writing).cloned().collect();
        match node.log.write(&batch) {
            Ok(token) => {
                node.queue.drain(..batch.len());
                node.writing = 0;
                let was_full = std::mem::take(&mut node.full);
                if was_full {
                    self.store_event(host, Event::StorageFull(false));
                }
                if let Some(token) = token {
                    self.store_event(host, Event::Persisted { token });
                }
                self.write_to_disk(host);
            }
            Err(error) if error.may_pass() => {
                let first = !std::mem::replace(&mut node.full, true);
                if first {
                    say!(self, host, "store: {error}");
                    self.store_event(host, Event::StorageFull(true));
                }
                self.plan(FULL_RETRY, Happening::Worker { host, run, event: WorkerEvent::StoreWritten });
            }
            Err(error) => {
                say!(self, host, "store: {error}");
                self.kill_worker(host);
            }
        }
    }

    /// The process ends while it may be writing. `power`: and everything that was not synced is gone.
    pub(crate) fn tear_disk(&mut self, host: usize, power: bool) {
        let tear = self.random.below(3);
        let disk = self.hosts[host].disk.clone();
        if let Some(node) = self.node(host)
            && node.writing > 0
            && tear > 0
        {
            let batch: Vec<Persist> = node.queue.iter().take(node.writing).cloned().collect();
            disk.set_broken(tear == 1);
            let _ = node.log.write(&batch);
            disk.set_broken(false);
        }
        if power {
            let random = &mut self.random;
            disk.crash(|unsynced| random.below(unsynced + 1));
        }
    }
}
