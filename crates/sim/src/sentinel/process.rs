//! A Sentinel's process: the real state machine, a disk, and a driver that carries out its effects.
//!
//! Deliberately as dumb as the real driver. Mutants live here.

use super::mutant::Mutant;
use super::world::{Happening, World};
use crate::clock::{MS, Time};
use ha::sentinel::{Answer, Configuration, Effect, Event, LinkId, Local, Mode, Reply, Sentinel, Tag, Token};
use std::collections::BTreeMap;
use types::Millis;

pub const PORT: u16 = 26_379;
/// A disk takes this long for a save, at most.
const SAVE_MAX: Time = 20 * MS;
/// The boot clock does not begin with zero.
const CLOCK_START: u64 = 100_000;

/// A request that has no answer yet.
#[derive(Clone, Debug)]
pub struct Pending {
    /// `None`: an operator's.
    pub connection: Option<u64>,
    pub tag: Tag,
    /// Which master it is about, for requests that may lead to a vote.
    pub group: Option<usize>,
}

/// What waits for a frozen process.
#[derive(Clone, Debug)]
pub enum Incoming {
    Event(Event),
    Ping(u64, Tag),
}

/// What is wrong around a process.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // troubles that come and go, each on its own
pub struct Troubles {
    pub disk_full: bool,
    /// The next save ends the process: before it is on the disk, or after.
    pub crash_at_save: bool,
    /// After the next vote for a master it is removed, and monitored anew.
    pub monitor_anew: bool,
    /// The store cannot be reached from here.
    pub without_store: bool,
}

pub struct Process {
    pub sentinel: Option<Box<Sentinel>>,
    pub run: u64,
    pub frozen: bool,
    pub inbox: Vec<(u64, Incoming)>,
    pub disk: Configuration,
    pub troubles: Troubles,
    pub links: BTreeMap<LinkId, u64>,
    pub pending: BTreeMap<Token, Pending>,
    tick_at: Time,
}

impl Process {
    pub fn new(disk: Configuration) -> Self {
        Self {
            sentinel: None,
            run: 0,
            frozen: false,
            inbox: Vec::new(),
            disk,
            troubles: Troubles::default(),
            links: BTreeMap::new(),
            pending: BTreeMap::new(),
            tick_at: 0,
        }
    }
}

pub fn run_id(process: usize) -> String {
    format!("{:040x}", process + 0xa)
}

impl World {
    pub fn clock(&self) -> Millis {
        Millis(CLOCK_START + self.now / MS)
    }

    pub fn start_process(&mut self, index: usize) {
        let now = self.clock();
        let seed = self.random.draw();
        let mutant = self.setup.mutant;
        let process = &mut self.processes[index];
        process.run += 1;
        process.frozen = false;
        process.inbox.clear();
        process.troubles.crash_at_save = false;
        let mut configuration = process.disk.clone();
        if mutant == Some(Mutant::ForgetLeaderEpoch) {
            for master in &mut configuration.masters {
                master.leader_epoch = 0;
            }
        }
        let mode = if self.setup.native { Mode::Native } else { Mode::Mixed };
        for master in &mut configuration.masters {
            master.mode = mode;
        }
        let local = Local { port: PORT, own_password: None, fresh_id: run_id(index), seed, mode };
        process.sentinel = Some(Box::new(Sentinel::new(now, configuration, local)));
        process.tick_at = 0;
        let run = process.run;
        self.say_of(index, "starts");
        self.report(index, run, Event::Start);
    }

    pub fn crash_process(&mut self, index: usize) {
        self.say_of(index, "crashes");
        let process = &mut self.processes[index];
        process.sentinel = None;
        process.pending.clear();
        process.inbox.clear();
        process.frozen = false;
        let own: Vec<u64> = std::mem::take(&mut process.links).into_values().collect();
        for number in own {
            self.connections.remove(&number);
        }
        self.drop_connections_to(super::wire::Target::Process(index));
    }

    pub fn thaw_process(&mut self, index: usize) {
        if !self.processes[index].frozen {
            return;
        }
        self.processes[index].frozen = false;
        self.say_of(index, "goes on");
        for (run, incoming) in std::mem::take(&mut self.processes[index].inbox) {
            match incoming {
                Incoming::Event(event) => self.report(index, run, event),
                Incoming::Ping(number, tag) => {
                    let reply = Reply::Status("PONG".to_owned());
                    self.reply(number, |link| Event::Reply { link, tag, reply });
                }
            }
        }
    }

    /// Something happened to a process, if that is still the one it happened to.
    pub fn report(&mut self, index: usize, run: u64, event: Event) {
        let process = &mut self.processes[index];
        if process.run != run || process.sentinel.is_none() {
            return;
        }
        if process.frozen {
            process.inbox.push((run, Incoming::Event(event)));
            return;
        }
        if let Event::LinkClosed { link, .. } = &event {
            process.links.remove(link);
        }
        let event = self.mutate(index, event);
        let Some(event) = event else { return };
        let now = self.clock();
        let Some(sentinel) = &mut self.processes[index].sentinel else { return };
        let effects = sentinel.handle(now, event);
        let next = sentinel.next_tick();
        for effect in effects {
            self.carry_out(index, run, effect);
        }
        let at = next.0.saturating_sub(CLOCK_START).saturating_mul(MS).max(self.now);
        let process = &mut self.processes[index];
        if process.run == run && (process.tick_at <= self.now || at < process.tick_at) {
            process.tick_at = at;
            self.schedule(at - self.now, Happening::Tick { process: index, run });
        }
    }

    pub fn tick(&mut self, index: usize, run: u64) {
        let process = &self.processes[index];
        if process.run == run && process.tick_at <= self.now {
            self.report(index, run, Event::Tick);
        }
    }

    /// What a mutant makes of an event.
    fn mutate(&self, index: usize, event: Event) -> Option<Event> {
        match (self.setup.mutant, event) {
            (Some(Mutant::DeafToHellos), Event::Message { .. }) => None,
            (Some(Mutant::AdoptEqualEpoch), Event::Message { link, payload }) => {
                Some(Event::Message { link, payload: self.inflate(index, &payload) })
            }
            (Some(Mutant::LeaveRenegades), Event::Reply { link, tag: Tag::Info, reply: Reply::Bulk(text) }) => {
                // Whoever says it is a master is believed to follow: nothing is ever put right.
                let text = if self.is_renegade(index, link) { text.replace("role:master", "role:slave") } else { text };
                Some(Event::Reply { link, tag: Tag::Info, reply: Reply::Bulk(text) })
            }
            (Some(Mutant::PromoteWithoutMajority), Event::Reply { link, tag: Tag::IsMasterDown(id), reply }) => {
                let epoch = self.processes[index].sentinel.as_ref().map_or(0, |sentinel| {
                    sentinel.masters().find(|master| master.id == id).map_or(0, |master| master.failover.epoch)
                });
                let reply = match reply {
                    Reply::Array(elements) if elements.len() == 3 => Reply::Array(vec![
                        elements[0].clone(),
                        Reply::Bulk(run_id(index)),
                        Reply::Integer(epoch as i64),
                    ]),
                    other => other,
                };
                Some(Event::Reply { link, tag: Tag::IsMasterDown(id), reply })
            }
            (_, event) => Some(event),
        }
    }

    /// This connection leads to a replica that was not chosen by this sentinel.
    fn is_renegade(&self, index: usize, link: LinkId) -> bool {
        let Some(sentinel) = &self.processes[index].sentinel else { return false };
        sentinel.masters().any(|master| {
            let promoted = master.failover.promoted;
            let found = master.replicas.iter().find(|replica| replica.link.command == Some(link));
            found.is_some_and(|replica| promoted != Some(replica.id))
        })
    }

    fn inflate(&self, index: usize, payload: &str) -> String {
        let mut fields: Vec<String> = payload.split(',').map(str::to_owned).collect();
        let Some(sentinel) = &self.processes[index].sentinel else { return payload.to_owned() };
        let known = fields.get(4).and_then(|name| sentinel.master(name));
        if let (Some(master), Some(epoch)) = (known, fields.get(7).and_then(|epoch| epoch.parse::<u64>().ok()))
            && epoch == master.config_epoch
        {
            fields[7] = (epoch + 1).to_string();
        }
        fields.join(",")
    }

    fn carry_out(&mut self, index: usize, run: u64, effect: Effect) {
        if self.processes[index].run != run || self.processes[index].sentinel.is_none() {
            return;
        }
        match effect {
            Effect::Open { link, kind, host, port, greeting: _ } => self.open(index, link, kind, &host, port),
            Effect::Close { link } => self.close(index, link),
            Effect::Send { link, tag, command } => {
                self.send(index, link, tag, command.words().map(str::to_owned).collect());
            }
            Effect::Save { version } => self.save(index, run, version),
            Effect::Publish { channel, payload, .. } => {
                self.say_of(index, &format!("{channel} {payload}"));
                self.witness(index, channel, &payload);
            }
            Effect::Log { text, .. } => self.say_of(index, &text),
            Effect::Answer { token, answer } => self.answer(index, token, answer),
            Effect::ClaimEpoch { master, epoch } => {
                let delay = self.random.between(MS, 30 * MS);
                self.schedule(delay, Happening::Claim { process: index, run, master, epoch });
            }
            Effect::RunScript { .. }
            | Effect::KillScript { .. }
            | Effect::Resolve { .. }
            | Effect::RequestFailover { .. } => {}
            Effect::Exit { .. } => self.crash_process(index),
        }
    }

    /// The mutant's sentinel: as it is, but for the vote.
    pub fn forget_vote(&mut self, index: usize, group: usize) {
        let (now, seed, run) = (self.clock(), self.random.draw(), self.processes[index].run);
        let mode = if self.setup.native { Mode::Native } else { Mode::Mixed };
        let name = super::world::master_name(group);
        let Some(mut configuration) = self.processes[index].sentinel.as_ref().map(|sentinel| sentinel.configuration())
        else {
            return;
        };
        for master in configuration.masters.iter_mut().filter(|master| master.name == name) {
            master.leader_epoch = 0;
        }
        self.crash_process(index);
        let process = &mut self.processes[index];
        process.disk = configuration.clone();
        let local = Local { port: PORT, own_password: None, fresh_id: run_id(index), seed, mode };
        process.run = run + 1;
        process.sentinel = Some(Box::new(Sentinel::new(now, configuration, local)));
        process.tick_at = 0;
        self.report(index, run + 1, Event::Start);
    }

    fn save(&mut self, index: usize, run: u64, version: u64) {
        let Some(sentinel) = &self.processes[index].sentinel else { return };
        let snapshot = Box::new(sentinel.configuration());
        let delay = self.random.between(MS, SAVE_MAX);
        let early = self.setup.mutant == Some(Mutant::AnswerBeforeDurable);
        let delay = if early { delay * 20 } else { delay };
        self.schedule(delay, Happening::SaveDone { process: index, run, version, snapshot, told: early });
        if early {
            self.schedule(0, Happening::ToProcess { process: index, run, event: Event::Saved { version, ok: true } });
        }
    }

    pub fn save_done(&mut self, index: usize, run: u64, version: u64, snapshot: Configuration, told: bool) {
        if self.processes[index].run != run || self.processes[index].sentinel.is_none() {
            return;
        }
        let written = self.random.percent(50);
        let process = &mut self.processes[index];
        if process.troubles.crash_at_save {
            if written && !process.troubles.disk_full && !told {
                process.disk = snapshot;
            }
            self.crash_process(index);
            let delay = self.random.between(100 * MS, 2_000 * MS);
            self.schedule(delay, Happening::StartProcess { process: index });
            return;
        }
        let ok = !process.troubles.disk_full;
        if ok {
            process.disk = snapshot;
        }
        if !told {
            self.report(index, run, Event::Saved { version, ok });
        }
    }

    fn answer(&mut self, index: usize, token: Token, answer: Answer) {
        let Some(pending) = self.processes[index].pending.remove(&token) else { return };
        if let Answer::MasterDown { leader: Some(leader), epoch, .. } = &answer
            && let Some(group) = pending.group
        {
            self.witness_vote(index, group, *epoch, leader);
            if std::mem::take(&mut self.processes[index].troubles.monitor_anew) {
                let run = self.processes[index].run;
                self.schedule(MS, Happening::MonitorAnew { process: index, run, group });
            }
        }
        let Some(number) = pending.connection else {
            self.say_of(index, &format!("answers {answer:?}"));
            return;
        };
        let reply = match answer {
            Answer::Ok => Reply::Status("OK".to_owned()),
            Answer::Integer(number) => Reply::Integer(number),
            Answer::Error(text) => Reply::Error(text),
            Answer::MasterDown { down, leader, epoch } => Reply::Array(vec![
                Reply::Integer(i64::from(down)),
                Reply::Bulk(leader.unwrap_or_else(|| "*".to_owned())),
                Reply::Integer(epoch as i64),
            ]),
        };
        self.reply(number, |link| Event::Reply { link, tag: pending.tag, reply });
    }

    /// The store's compare-and-swap.
    pub fn claim(&mut self, index: usize, run: u64, master: String, epoch: u64) {
        let taken = self.store.get(&master).copied().unwrap_or(0);
        let everybody = self.setup.mutant == Some(Mutant::EpochForEverybody);
        let event = if self.processes[index].troubles.without_store {
            Event::EpochRefused { master, epoch: 0 }
        } else if epoch > taken || everybody {
            self.store.insert(master.clone(), epoch.max(taken));
            Event::EpochClaimed { master, epoch }
        } else {
            Event::EpochRefused { master, epoch: taken }
        };
        let delay = self.random.between(MS, 30 * MS);
        self.schedule(delay, Happening::ToProcess { process: index, run, event });
    }
}
