//! A few stores, a network that delays and loses, disks that take their time and forget what was not synced.
//! Everything follows from one seed.

use crate::{
    Effect, Event, LogEntry, Member, MemberId, PeerMessage, Persist, Persisted, Reply, RequestId, Store, StoreConfig,
    StoreError, limits, random::Random,
};
use kv::{Command, KeyRange, PutRequest, RangeRequest};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use types::Millis;

pub struct Network {
    pub now: Millis,
    pub nodes: BTreeMap<MemberId, Node>,
    random: Random,
    members: Vec<Member>,
    /// What is to happen when; the number keeps the order of things at the same moment.
    agenda: BTreeMap<(Millis, u64), Happening>,
    happenings: u64,
    /// From, to.
    pub cut: BTreeSet<(MemberId, MemberId)>,
    /// Of a hundred messages.
    pub loss_percent: usize,
    next_request: RequestId,
    pub replies: BTreeMap<RequestId, Result<Reply, StoreError>>,
    pub reads: BTreeMap<RequestId, Result<(), StoreError>>,
    trace: DefaultHasher,
    tune: fn(&mut StoreConfig),
}

#[derive(Default)]
pub struct Node {
    pub store: Option<Store>,
    pub disk: Persisted,
    pub disk_is_full: bool,
    runs: u64,
    /// Messages sent, and writes begun.
    pub said: usize,
    pub wrote: usize,
    /// Written and not yet on disk.
    writing: Vec<Persist>,
    pub restored: usize,
}

enum Happening {
    Tick(MemberId, u64),
    Deliver { from: MemberId, to: MemberId, message: PeerMessage },
    Written { node: MemberId, run: u64, token: u64 },
}

impl Network {
    pub fn new(seed: u64, size: u64) -> Self {
        Self::tuned(seed, size, |_| ())
    }

    pub fn tuned(seed: u64, size: u64, tune: fn(&mut StoreConfig)) -> Self {
        let members = (1..=size)
            .map(|id| Member { id, name: format!("m{id}"), peer_urls: Vec::new(), client_urls: Vec::new() })
            .collect();
        let mut network = Self {
            now: Millis(1_000),
            nodes: (1..=size).map(|id| (id, Node::default())).collect(),
            random: Random::seeded(seed),
            members,
            agenda: BTreeMap::new(),
            happenings: 0,
            cut: BTreeSet::new(),
            loss_percent: 0,
            next_request: 0,
            replies: BTreeMap::new(),
            reads: BTreeMap::new(),
            trace: DefaultHasher::new(),
            tune,
        };
        for id in 1..=size {
            network.start(id);
        }
        network
    }

    pub fn start(&mut self, id: MemberId) {
        let node = self.nodes.get_mut(&id).unwrap();
        node.runs += 1;
        let mut config = StoreConfig::new(id, self.members.clone(), node.runs, id * 1_000 + node.runs);
        (self.tune)(&mut config);
        node.store = Some(Store::open(config, node.disk.clone(), self.now).unwrap());
        let run = node.runs;
        let phase = self.random.between(0, limits::TICK.0 as usize) as u64;
        self.plan(Millis(phase), Happening::Tick(id, run));
    }

    /// kill -9: what is not on disk is gone.
    pub fn kill(&mut self, id: MemberId) {
        let node = self.nodes.get_mut(&id).unwrap();
        node.store = None;
        node.writing.clear();
    }

    pub fn isolate(&mut self, id: MemberId) {
        for &other in self.nodes.keys().filter(|other| **other != id) {
            self.cut.extend([(id, other), (other, id)]);
        }
    }

    fn plan(&mut self, after: Millis, happening: Happening) {
        self.happenings += 1;
        self.agenda.insert((self.now + after, self.happenings), happening);
    }

    pub fn event(&mut self, id: MemberId, event: Event) {
        let Some(store) = &mut self.nodes.get_mut(&id).unwrap().store else { return };
        for effect in store.handle(self.now, event) {
            format!("{} {id} {effect:?}", self.now).hash(&mut self.trace);
            self.carry_out(id, effect);
        }
    }

    fn carry_out(&mut self, id: MemberId, effect: Effect) {
        match effect {
            Effect::Persist(persist) => {
                let token = persist.token;
                let node = self.nodes.get_mut(&id).unwrap();
                node.writing.push(persist);
                node.wrote += 1;
                let run = node.runs;
                let after = Millis(self.random.between(1, 4) as u64);
                self.plan(after, Happening::Written { node: id, run, token });
            }
            Effect::Send { to, message } => {
                self.nodes.get_mut(&id).unwrap().said += 1;
                let lost = self.random.between(0, 100) < self.loss_percent;
                if !lost && !self.cut.contains(&(id, to)) {
                    // What is said must survive being written down.
                    let message = PeerMessage::decode(&message.encode()).unwrap();
                    let after = Millis(self.random.between(1, 6) as u64);
                    self.plan(after, Happening::Deliver { from: id, to, message });
                }
            }
            Effect::Reply { id, result } => assert!(self.replies.insert(id, result).is_none(), "answered twice"),
            Effect::ReadReady { id } => assert!(self.reads.insert(id, Ok(())).is_none(), "answered twice"),
            Effect::ReadFailed { id, error } => assert!(self.reads.insert(id, Err(error)).is_none(), "answered twice"),
            Effect::Restored { .. } => self.nodes.get_mut(&id).unwrap().restored += 1,
            Effect::Applied { .. } | Effect::LeaderChanged { .. } | Effect::Notice(_) => {}
        }
    }

    fn step(&mut self) {
        let ((at, _), happening) = self.agenda.pop_first().unwrap();
        self.now = at;
        match happening {
            Happening::Tick(id, run) => {
                let node = &self.nodes[&id];
                if node.runs == run && node.store.is_some() {
                    self.plan(limits::TICK, Happening::Tick(id, run));
                    self.event(id, Event::Tick);
                }
            }
            Happening::Deliver { from, to, message } => {
                if !self.cut.contains(&(from, to)) {
                    self.event(to, Event::Received { from, message });
                }
            }
            Happening::Written { node: id, run, token } => {
                let node = self.nodes.get_mut(&id).unwrap();
                if node.runs != run || node.store.is_none() {
                    return;
                }
                if node.disk_is_full {
                    return self.plan(Millis(100), Happening::Written { node: id, run, token });
                }
                let (done, rest) = std::mem::take(&mut node.writing).into_iter().partition(|p| p.token <= token);
                node.writing = rest;
                for persist in done {
                    write(&mut node.disk, persist);
                }
                self.event(id, Event::Persisted { token });
            }
        }
    }

    pub fn run(&mut self, duration: Millis) {
        let end = self.now + duration;
        while self.agenda.first_key_value().is_some_and(|((at, _), _)| *at <= end) {
            self.step();
        }
        self.now = end;
    }

    /// Runs until the condition holds; how long that took.
    pub fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) -> Millis {
        let start = self.now;
        while !condition(self) {
            assert!(self.now.since(start) < Millis(30_000), "never happened: {what}");
            self.step();
        }
        self.now.since(start)
    }

    pub fn store(&self, id: MemberId) -> &Store {
        self.nodes[&id].store.as_ref().unwrap()
    }

    /// The one that takes writes.
    pub fn leader(&self) -> Option<MemberId> {
        let mut newest = self.nodes.iter().filter_map(|(id, node)| {
            let status = node.store.as_ref()?.status();
            status.takes_writes.then_some((status.term, *id))
        });
        newest.next().into_iter().chain(newest).max().map(|(_, id)| id)
    }

    pub fn elect(&mut self) -> MemberId {
        self.until("a leader", |network| network.leader().is_some());
        self.leader().unwrap()
    }

    pub fn followers(&self) -> Vec<MemberId> {
        let leader = self.leader();
        self.nodes.keys().copied().filter(|id| Some(*id) != leader).collect()
    }

    pub fn propose(&mut self, at: MemberId, command: Command) -> RequestId {
        self.propose_within(at, command, None)
    }

    pub fn propose_within(&mut self, at: MemberId, command: Command, within: Option<Millis>) -> RequestId {
        self.next_request += 1;
        let id = self.next_request;
        self.event(at, Event::Propose { id, command, within });
        id
    }

    pub fn read(&mut self, at: MemberId) -> RequestId {
        self.next_request += 1;
        let id = self.next_request;
        self.event(at, Event::Read { id });
        id
    }

    pub fn answer(&mut self, request: RequestId) -> Result<Reply, StoreError> {
        self.until("a reply", |network| network.replies.contains_key(&request));
        self.replies.remove(&request).unwrap()
    }

    pub fn put(&mut self, at: MemberId, key: &str, value: &str) -> Result<Reply, StoreError> {
        let request = self.propose(at, put(key, value));
        self.answer(request)
    }

    pub fn get(&self, at: MemberId, key: &str) -> Option<String> {
        let range = RangeRequest::all(KeyRange::One(key.into()));
        let found = self.store(at).kv().range(&range).unwrap().kvs.pop();
        found.map(|kv| String::from_utf8(kv.value).unwrap())
    }

    pub fn trace(&self) -> u64 {
        self.trace.finish()
    }
}

pub fn put(key: &str, value: &str) -> Command {
    Command::Put(PutRequest {
        key: key.into(),
        value: value.into(),
        lease: None,
        prev_kv: false,
        ignore_value: false,
        ignore_lease: false,
    })
}

/// What a disk makes of a [`Persist`].
pub fn write(disk: &mut Persisted, persist: Persist) {
    if let Some(snapshot) = persist.snapshot {
        *disk = Persisted { snapshot: Some(snapshot), ..Persisted::default() };
    }
    if let Some(LogEntry { index: first, .. }) = persist.entries.first() {
        disk.entries.retain(|entry| entry.index < *first);
    }
    disk.entries.extend(persist.entries);
    disk.hard_state = persist.hard_state;
}
