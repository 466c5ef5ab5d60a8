//! A model of the agent's worker around the real decisions: `ha::postgres::decide` and `ha::lease`.
//!
//! It keeps the contract of the real executor: `cycle` builds views and sets decisions going, `writer` carries out store
//! writes one batch at a time, `keeper` keeps the lease apart from all of that, `observer` asks PostgreSQL, `jobs` does
//! the long work. Deliberately no rule of its own about who may lead.

mod cycle;
mod failsafe;
mod hold;
mod jobs;
mod keeper;
mod observer;
mod writer;

use crate::clock::Time;
use crate::redis::{RedisWorker, RedisWorkerEvent};
use crate::store::Answer;
use crate::store::client::Call;
use crate::store::node::StoreNode;
use crate::store::watch::Watch;
use crate::world::{Happening, World};
pub use failsafe::Question;
use ha::backstop::Backstop;
use ha::cluster::Cluster;
use ha::failsafe::{Asking, Word};
use ha::guard::{FromGuard, PerServer};
use ha::lease::Lease;
use ha::postgres::{Arming, DataDirectory, JobView, Memory, Request, Running, Server, Source};
use ha::reason::Reason;
use ha::vip::VipLine;
pub use hold::Hold;
pub use jobs::JobStep;
pub use observer::{NamesInForce, Work};
use std::collections::{BTreeMap, VecDeque};
use store::Event;
use types::{LeaseId, MemberName, Millis, Revision};
pub use writer::Writes;

/// The process, with all that is lost when it dies.
#[allow(clippy::struct_excessive_bools)] // the worker's own flags, as many as it has
pub struct Worker {
    pub run: u64,
    pub frozen: u32,
    pub frozen_at: Option<Time>,
    pub backlog: Vec<Happening>,
    pub node: Option<StoreNode>,
    // The client of the store.
    pub calls: BTreeMap<u64, Call>,
    pub preferred_store: usize,
    /// When each store last answered.
    pub heard_at: BTreeMap<usize, Time>,
    pub watch: Watch,
    pub cluster: Option<Cluster>,
    pub connected: bool,
    pub seen_revision: Revision,
    // The keeper.
    pub lease: Option<Lease>,
    /// The lease that the guard was armed under last.
    pub led_under: ha::lease::LedUnder,
    /// And the lease that the decision saw.
    pub arming: (Arming, Option<LeaseId>),
    pub ttl: Millis,
    pub decided_at: Millis,
    pub guard_answered_at: Millis,
    pub armed: Option<Millis>,
    pub asking: bool,
    // Failsafe mode.
    pub word: Word,
    pub failsafe: Asking,
    pub question: Option<Question>,
    /// The write that is under way takes a leader key.
    pub takes: PerServer<bool>,
    pub backstop: Backstop,
    pub look_at: Option<Time>,
    pub vips: VipLine,
    // The cycle.
    pub memory: Memory,
    pub server: Server,
    pub data: DataDirectory,
    pub following: Option<Source>,
    pub job: Option<JobView>,
    pub job_number: u64,
    pub writes: Writes,
    pub requests: VecDeque<Request>,
    pub stopping: bool,
    /// It ends because it cannot look after one of its servers.
    pub refused: bool,
    pub decide_at: Option<Time>,
    pub reasons: Vec<Reason>,
    pub decided: bool,
    // The observer.
    pub postmaster: bool,
    pub silences: u32,
    pub names: NamesInForce,
    /// The PostgreSQL of this run has left recovery.
    pub promoted: Option<u64>,
    pub probing: bool,
    pub probe_wanted: bool,
    /// The next question is on the agenda for then.
    pub probe_at: Option<Time>,
    pub work: Vec<Work>,
    pub work_until: Time,
    /// PostgreSQL is stopped, and the agent may end as far as that goes.
    pub finished: bool,
    pub redis: RedisWorker,
    pub hold: Hold,
}

/// What happens to a worker.
#[derive(Clone, Debug)]
pub enum WorkerEvent {
    StoreTick,
    StoreWritten,
    PeerProcessGone {
        peer: usize,
    },
    Answer {
        call: u64,
        endpoint: usize,
        answer: Answer,
    },
    CallHedge {
        call: u64,
    },
    /// A store answered a probe.
    Heard {
        call: u64,
        endpoint: usize,
    },
    CallRetry {
        call: u64,
    },
    CallDeadline {
        call: u64,
    },
    OpenWatch {
        session: u64,
    },
    WatchCreated {
        session: u64,
        revision: Revision,
    },
    WatchEvents {
        session: u64,
        events: Vec<kv::Event>,
    },
    WatchCompacted {
        session: u64,
    },
    WatchBroken {
        session: u64,
    },
    WatchPing,
    Pong {
        session: u64,
    },
    Heartbeat,
    Keep,
    /// The leader cannot reach the store: will this member take no leader key for so long?
    ConsentAsked {
        by: usize,
        run: u64,
        number: u64,
        ttl: Millis,
    },
    ConsentAnswered {
        name: MemberName,
        number: u64,
        refusal: Option<String>,
    },
    ConsentLate {
        number: u64,
    },
    LookAtFence,
    FromGuard(FromGuard),
    Decide {
        at: Time,
    },
    Settled,
    Probe {
        at: Time,
    },
    Probed {
        running: Option<Box<Running>>,
        postgres: u64,
    },
    WorkDone {
        work: Work,
    },
    DataLookedAt,
    Job {
        number: u64,
        step: JobStep,
    },
    Redis(RedisWorkerEvent),
}

impl Worker {
    pub fn new(run: u64, now: Millis, redis: bool) -> Self {
        Self {
            run,
            frozen: 0,
            frozen_at: None,
            backlog: Vec::new(),
            node: None,
            calls: BTreeMap::new(),
            preferred_store: 0,
            heard_at: BTreeMap::new(),
            watch: Watch::default(),
            cluster: None,
            connected: false,
            seen_revision: Revision(0),
            led_under: ha::lease::LedUnder::default(),
            lease: None,
            arming: (Arming::Leave, None),
            ttl: ha::config::TTL_DEFAULT,
            decided_at: now,
            guard_answered_at: Millis::ZERO,
            armed: None,
            asking: false,
            word: Word::new(now, PerServer { postgres: true, redis }),
            failsafe: Asking::default(),
            question: None,
            takes: PerServer::default(),
            backstop: Backstop::default(),
            look_at: None,
            vips: VipLine::default(),
            memory: Memory::default(),
            server: Server::Unknown,
            data: DataDirectory::Unknown,
            following: None,
            job: None,
            job_number: 0,
            writes: Writes::Idle,
            requests: VecDeque::new(),
            stopping: false,
            refused: false,
            decide_at: None,
            reasons: Vec::new(),
            decided: false,
            postmaster: false,
            silences: 0,
            names: NamesInForce::default(),
            promoted: None,
            probing: false,
            probe_wanted: false,
            probe_at: None,
            work: Vec::new(),
            work_until: 0,
            finished: false,
            redis: RedisWorker::default(),
            hold: Hold::default(),
        }
    }
}

impl World {
    pub(crate) fn worker_event(&mut self, host: usize, event: WorkerEvent) {
        match event {
            WorkerEvent::StoreTick => self.store_tick(host),
            WorkerEvent::StoreWritten => self.store_written(host),
            WorkerEvent::PeerProcessGone { peer } => {
                self.store_event(host, Event::PeerProcessGone { id: crate::store::node::member_id(peer) });
            }
            WorkerEvent::Answer { call, endpoint, answer } => self.call_answered(host, call, endpoint, answer),
            WorkerEvent::CallHedge { call } => self.call_hedge(host, call),
            WorkerEvent::Heard { call, endpoint } => self.store_heard(host, call, endpoint),
            WorkerEvent::CallRetry { call } => self.call_retry(host, call),
            WorkerEvent::CallDeadline { call } => self.call_deadline(host, call),
            WorkerEvent::OpenWatch { session } => {
                let watch =
                    self.hosts[host].worker.as_ref().map(|worker| (worker.watch.session, worker.watch.endpoint));
                if let Some((present, endpoint)) = watch
                    && present == session
                {
                    self.open_watch(host, endpoint);
                }
            }
            WorkerEvent::WatchCreated { session, revision } => self.watch_created(host, session, revision),
            WorkerEvent::WatchEvents { session, events } => self.watch_events(host, session, &events),
            WorkerEvent::WatchCompacted { session } => {
                self.call(host, crate::store::client::Purpose::Load, crate::store::Request::Load);
                self.watch_broken(host, session);
            }
            WorkerEvent::WatchBroken { session } => self.watch_broken(host, session),
            WorkerEvent::WatchPing => self.watch_ping(host),
            WorkerEvent::Pong { session } => self.watch_heard(host, session),
            WorkerEvent::Heartbeat => self.heartbeat(host),
            WorkerEvent::Keep => self.keep(host),
            WorkerEvent::ConsentAsked { by, run, number, ttl } => self.consent_asked(host, by, run, number, ttl),
            WorkerEvent::ConsentAnswered { name, number, refusal } => {
                self.consent_answered(host, name, number, refusal);
            }
            WorkerEvent::ConsentLate { number } => self.consent_late(host, number),
            WorkerEvent::LookAtFence => self.look_at_fence(host),
            WorkerEvent::FromGuard(message) => self.guard_said(host, message),
            WorkerEvent::Decide { at } => self.decide_now(host, at),
            WorkerEvent::Settled => self.settled(host),
            WorkerEvent::Probe { at } => self.probe(host, at),
            WorkerEvent::Probed { running, postgres } => self.probed(host, running, postgres),
            WorkerEvent::WorkDone { work } => self.work_done(host, work),
            WorkerEvent::DataLookedAt => self.data_looked_at(host),
            WorkerEvent::Job { number, step } => self.job_step(host, number, step),
            WorkerEvent::Redis(event) => self.redis_worker_event(host, event),
        }
    }

    pub(crate) fn worker_soon(&mut self, host: usize, after: Time, event: WorkerEvent) {
        if let Some(worker) = &self.hosts[host].worker {
            let run = worker.run;
            self.plan(after, Happening::Worker { host, run, event });
        }
    }

    fn store_tick(&mut self, host: usize) {
        self.worker_soon(host, store_tick(), WorkerEvent::StoreTick);
        self.store_event(host, Event::Tick);
    }

    /// The worker process begins to run.
    pub(crate) fn worker_starts(&mut self, host: usize, run: u64) {
        let now = self.hosts[host].clock.read(self.now);
        let vips = crate::cards::line(self.setup.redis, self.setup.standby);
        self.hosts[host].worker = Some(Box::new(Worker { vips, ..Worker::new(run, now, self.setup.redis) }));
        match self.open_store(host) {
            Ok(node) => {
                if let Some(worker) = &mut self.hosts[host].worker {
                    worker.node = Some(node);
                    worker.preferred_store = host;
                }
            }
            Err(crate::store::node::OpenFailure::Full) => return self.kill_worker(host),
            Err(crate::store::node::OpenFailure::Damaged(why)) => {
                self.violation(format!("the store of {} cannot start: {why}", self.hosts[host].name));
                return;
            }
        }
        crate::say!(self, host, "worker: runs");
        let phase = self.random.between(0, store_tick());
        self.worker_soon(host, phase, WorkerEvent::StoreTick);
        self.open_watch(host, host);
        self.worker_soon(host, crate::clock::SECOND, WorkerEvent::WatchPing);
        self.look_at_data(host);
        // What the guard said before the process was up waits in the pipe.
        for message in std::mem::take(&mut self.hosts[host].pipe) {
            self.worker_soon(host, 100, WorkerEvent::FromGuard(message));
        }
    }
}

fn store_tick() -> Time {
    store::limits::TICK.0 * crate::clock::MS
}
