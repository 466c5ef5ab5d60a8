//! The world: one agenda of what happens when, and everything it happens to.
//!
//! Deliberately one thread, no clock and no chance but the seed's. The invariant: the same setup gives the same run, event
//! by event.

use crate::cards::{Card, CardChange};
use crate::clients::ClientEvent;
use crate::clock::{Clock, DRIFT_PPM_MAX, MS, SECOND, Time};
use crate::disk::SimulatedDisk;
use crate::faults::Faults;
use crate::guard::{GuardInput, GuardProcess};
use crate::mutant::Mutant;
use crate::network::Network;
use crate::oracle::Oracle;
use crate::postgres::{Postgres, PostgresEvent};
use crate::random::Random;
use crate::redis::{Redis, RedisEvent};
use crate::remote::Remote;
use crate::setup::Setup;
use crate::store::Inbound;
use crate::trace::Trace;
use crate::worker::{Worker, WorkerEvent};
use ha::cluster::Keys;
use ha::guard::FromGuard;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use types::MemberName;

/// A run that needs more events than this has lost its way.
const EVENTS_MAX: u64 = 6_000_000;

/// One server.
pub struct Host {
    pub name: MemberName,
    pub clock: Clock,
    pub up: bool,
    pub guard: Option<GuardProcess>,
    pub guard_run: u64,
    pub guard_gone_at: Time,
    pub worker: Option<Box<Worker>>,
    pub worker_run: u64,
    pub worker_gone_at: Time,
    /// What the guard said to a worker that is still starting.
    pub pipe: Vec<FromGuard>,
    /// The pipes between guard and worker keep the order.
    pub to_guard_at: Time,
    pub to_worker_at: Time,
    pub disk: SimulatedDisk,
    pub disk_slow: u64,
    pub postgres: Postgres,
    pub redis: Redis,
    pub card: Card,
    /// Guard and worker had both been stopped a moment ago.
    pub excused_until: Time,
}

#[derive(Clone, Debug)]
pub enum Happening {
    Worker { host: usize, run: u64, event: WorkerEvent },
    Guard { host: usize, run: u64, input: GuardInput },
    Postgres { host: usize, run: u64, event: PostgresEvent },
    Redis { host: usize, run: u64, event: RedisEvent },
    Inbound { from: usize, from_run: u64, to: usize, body: Inbound },
    Card { host: usize, run: u64, change: CardChange },
    KillTree { host: usize, run: u64 },
    KillRedis { host: usize, run: u64 },
    WorkerStarts { host: usize, run: u64 },
    WorkerEnds { host: usize, run: u64 },
    ServiceStarts { host: usize },
    Client(ClientEvent),
    Fault(usize),
    Undo(u64),
    Heal,
    Sample,
}

struct Item {
    at: Time,
    number: u64,
    happening: Happening,
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}
impl Eq for Item {}
impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Item {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

pub struct World {
    pub now: Time,
    pub setup: Setup,
    pub random: Random,
    pub trace: Trace,
    pub keys: Keys,
    pub network: Network,
    pub hosts: Vec<Host>,
    /// The cluster is a standby cluster, or may become one.
    pub remote: Option<Remote>,
    pub oracle: Oracle,
    pub faults: Faults,
    pub last_call: u64,
    pub last_session: u64,
    last_branch: u32,
    agenda: BinaryHeap<Reverse<Item>>,
    numbers: u64,
    pub events: u64,
    pub done: bool,
}

impl World {
    pub fn new(setup: Setup) -> Self {
        let mut random = Random::new(setup.seed);
        let hosts = (0..setup.members).map(|at| Host::new(at, &mut random)).collect();
        let faults = Faults::drawn(&setup);
        let mut world = Self {
            now: 0,
            trace: Trace::new(setup.trace),
            keys: Keys::new(None, &"sim".into()),
            network: Network::default(),
            oracle: Oracle::new(setup.members, setup.standby),
            remote: None,
            hosts,
            faults,
            random,
            setup,
            last_call: 0,
            last_session: 0,
            last_branch: 0,
            agenda: BinaryHeap::new(),
            numbers: 0,
            events: 0,
            done: false,
        };
        if world.setup.standby {
            world.remote = Some(Remote::new(world.next_branch()));
        }
        for host in 0..world.hosts.len() {
            if world.setup.mutant == Some(Mutant::ForgetFsync) {
                world.hosts[host].disk.set_lies(true);
            }
            let mut after = world.random.between(0, 500 * MS);
            if world.setup.redis_latecomer && host + 1 == world.hosts.len() {
                after += world.brings_data_of_redis(host);
            }
            world.plan(after, Happening::ServiceStarts { host });
        }
        world.plan_faults();
        world.plan_clients();
        world.plan(SECOND, Happening::Sample);
        world
    }

    /// Runs to the end, or to the first violation.
    pub fn run(&mut self) {
        while !self.done && self.oracle.violation.is_none() {
            let Some(Reverse(item)) = self.agenda.pop() else { break };
            self.now = item.at;
            self.events += 1;
            if self.events > EVENTS_MAX {
                self.violation("the run does not end: too many events".to_owned());
            }
            self.happens(item.happening);
        }
    }

    pub fn plan(&mut self, after: Time, happening: Happening) {
        self.numbers += 1;
        self.agenda.push(Reverse(Item { at: self.now + after, number: self.numbers, happening }));
    }

    pub fn violation(&mut self, what: String) {
        crate::note!(self, "VIOLATION: {what}");
        if self.oracle.violation.is_none() {
            self.oracle.violation = Some(what);
        }
    }

    fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::Worker { host, run, event } => {
                let Some(worker) = &mut self.hosts[host].worker else { return };
                if worker.run != run {
                    return;
                }
                if worker.frozen > 0 {
                    return worker.backlog.push(Happening::Worker { host, run, event });
                }
                self.worker_event(host, event);
            }
            Happening::Guard { host, run, input } => {
                let Some(guard) = &mut self.hosts[host].guard else { return };
                if guard.run != run {
                    return;
                }
                if guard.frozen > 0 {
                    return guard.backlog.push(Happening::Guard { host, run, input });
                }
                self.guard_input(host, input);
            }
            Happening::Postgres { host, run, event } => {
                let postgres = &mut self.hosts[host].postgres;
                if postgres.run != run || postgres.server.is_none() {
                    return;
                }
                if postgres.frozen > 0 {
                    return postgres.backlog.push(Happening::Postgres { host, run, event });
                }
                self.postgres_event(host, event);
            }
            Happening::Redis { host, run, event } => {
                let redis = &mut self.hosts[host].redis;
                if redis.run != run || redis.server.is_none() {
                    return;
                }
                if redis.frozen > 0 {
                    return redis.backlog.push(Happening::Redis { host, run, event });
                }
                self.redis_event(host, event);
            }
            Happening::Inbound { from, from_run, to, body } => {
                if let Some(worker) = &mut self.hosts[to].worker
                    && worker.frozen > 0
                {
                    return worker.backlog.push(Happening::Inbound { from, from_run, to, body });
                }
                self.inbound(from, from_run, to, body);
            }
            Happening::Card { host, run, change } => self.card_changes(host, run, change),
            Happening::KillTree { host, run } => {
                let postgres = &self.hosts[host].postgres;
                if postgres.run == run || postgres.server.is_none() {
                    self.kill_postgres(host);
                }
            }
            Happening::KillRedis { host, run } => {
                if self.hosts[host].redis.run == run {
                    self.redis_ends(host, "killed");
                }
            }
            Happening::WorkerStarts { host, run } => {
                let host_state = &self.hosts[host];
                if host_state.guard.is_some() && host_state.worker_run == run && host_state.worker.is_none() {
                    self.worker_starts(host, run);
                }
            }
            Happening::WorkerEnds { host, run } => {
                if self.hosts[host].worker.as_ref().is_some_and(|worker| worker.run == run && worker.frozen == 0) {
                    self.kill_worker(host);
                }
            }
            Happening::ServiceStarts { host } => self.service_starts(host),
            Happening::Client(event) => self.client_event(&event),
            Happening::Fault(at) => self.fault_happens(at),
            Happening::Undo(number) => self.undo(number),
            Happening::Heal => self.heal(),
            Happening::Sample => self.sample(),
        }
    }

    pub fn postgres_soon(&mut self, host: usize, run: u64, after: Time, event: PostgresEvent) {
        self.plan(after, Happening::Postgres { host, run, event });
    }

    fn postgres_event(&mut self, host: usize, event: PostgresEvent) {
        match event {
            PostgresEvent::Recovered => self.recovered(host),
            PostgresEvent::Write { number } => self.write_arrives(host, number),
            PostgresEvent::Flushed { to } => self.flushed(host, to),
            PostgresEvent::Stream { from, from_run, wal } => self.stream_arrives(host, from, from_run, wal),
            PostgresEvent::StandbyFlushed { receiver, wal } => self.standby_flushed(host, receiver, wal),
            PostgresEvent::Feedback { from, run, flush } => self.feedback(host, from, run, flush),
            PostgresEvent::FromRemote => self.remote_sends(host),
            PostgresEvent::SendAgain { to } => self.send_again(host, to),
            PostgresEvent::TryToReceive => self.try_to_receive(host),
            PostgresEvent::LookAtReceiver => self.look_at_receiver(host),
            PostgresEvent::Promoted => self.promoted(host),
            PostgresEvent::Checkpointed => self.checkpointed(host),
            PostgresEvent::ShutdownCheckpoint => self.shutdown_checkpoint(host),
            PostgresEvent::LookAtShutdown => self.look_at_shutdown(host),
            PostgresEvent::SettingLoaded { by } => self.setting_loaded(host, by),
            PostgresEvent::Ends { status } => self.ends(host, status),
        }
    }

    pub fn next_branch(&mut self) -> u32 {
        self.last_branch += 1;
        self.last_branch
    }

    pub fn newest_branch(&self) -> u32 {
        self.last_branch
    }

    pub fn host_named(&self, name: &MemberName) -> Option<usize> {
        self.hosts.iter().position(|host| host.name == *name)
    }
}

impl Host {
    fn new(at: usize, random: &mut Random) -> Self {
        Self {
            name: MemberName::new(format!("m{}", at + 1)),
            clock: Clock::new(
                random.between(SECOND, 1_000_000 * SECOND),
                random.between(0, 2 * DRIFT_PPM_MAX + 1) as i64 - DRIFT_PPM_MAX as i64,
            ),
            up: true,
            guard: None,
            guard_run: 0,
            guard_gone_at: 0,
            worker: None,
            worker_run: 0,
            worker_gone_at: 0,
            pipe: Vec::new(),
            to_guard_at: 0,
            to_worker_at: 0,
            disk: SimulatedDisk::default(),
            disk_slow: 1,
            postgres: Postgres::new(),
            redis: Redis::default(),
            card: Card::default(),
            excused_until: 0,
        }
    }
}
