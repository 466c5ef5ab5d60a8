//! The world: one agenda of what happens when, and everything it happens to.
//!
//! Deliberately one thread, no clock and no chance but the seed's.

use super::faults::{FAULTS_UNTIL, Planned};
use super::oracle::Oracle;
use super::process::{PORT, Process, run_id};
use super::redis::{Life, Server};
use super::setup::Setup;
use super::wire::{Asked, Connection, Cuts, ip};
use crate::clock::{MS, SECOND, Time};
use crate::random::Random;
use crate::trace::Trace;
use ha::sentinel::{Configuration, Event, LinkEnd};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// How long it may take until everything is as it should be again: TILT, two rounds of elections, and the times after which
/// servers are put right.
const HEALED_WITHIN: Time = 120 * SECOND;
/// Agreement is looked for this often; a run that has found it need not go on.
const LOOK_EVERY: Time = 5 * SECOND;
/// Agreement must last: what is about to be undone by somebody is none. Longer than everything that puts servers right.
const LASTS_FOR: Time = 15 * SECOND;
/// A run that needs more events than this has lost its way.
const EVENTS_MAX: u64 = 2_000_000;

pub enum Happening {
    Tick { process: usize, run: u64 },
    ToProcess { process: usize, run: u64, event: Event },
    Connect { connection: u64 },
    ConnectTimeout { connection: u64 },
    Arrive { connection: u64, asked: Asked },
    Replication,
    SaveDone { process: usize, run: u64, version: u64, snapshot: Box<Configuration>, told: bool },
    Claim { process: usize, run: u64, master: String, epoch: u64 },
    MonitorAnew { process: usize, run: u64, group: usize },
    StartProcess { process: usize },
    Fault { index: usize },
    Undo { index: usize },
    Heal,
    Look,
    LookAgain,
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
    pub oracle: Oracle,
    pub hosts: usize,
    pub cuts: Cuts,
    /// Added to every message, at most.
    pub slow: Time,
    /// Sentinel number `n` lives on host `n`.
    pub processes: Vec<Process>,
    pub servers: Vec<Server>,
    pub connections: BTreeMap<u64, Connection>,
    /// The epoch of each master, native only.
    pub store: BTreeMap<String, u64>,
    pub planned: Vec<Planned>,
    /// Groups whose replicas some sentinel was made to forget.
    pub monitored_anew: BTreeSet<usize>,
    pub events: u64,
    healed: bool,
    done: bool,
    agenda: BinaryHeap<Reverse<Item>>,
    numbers: u64,
}

pub fn master_name(group: usize) -> String {
    format!("db{group}")
}

impl World {
    pub fn new(setup: Setup) -> Self {
        let hosts = setup.sentinels.max(setup.servers);
        let mut servers = Vec::new();
        for group in 0..setup.masters {
            let master = servers.len();
            for member in 0..setup.servers {
                let follows = (member > 0).then_some(master);
                servers.push(Server::new((group + member) % hosts, 6_379 + group as u16, group, follows));
            }
        }
        let processes =
            (0..setup.sentinels).map(|index| Process::new(configuration(&setup, &servers, index))).collect();
        let mut world = Self {
            now: 0,
            random: Random::new(setup.seed),
            trace: Trace::new(setup.trace),
            oracle: Oracle::default(),
            hosts,
            cuts: Cuts::default(),
            slow: 0,
            processes,
            servers,
            connections: BTreeMap::new(),
            store: BTreeMap::new(),
            planned: Vec::new(),
            monitored_anew: BTreeSet::new(),
            events: 0,
            healed: false,
            done: false,
            agenda: BinaryHeap::new(),
            numbers: 0,
            setup,
        };
        world.schedule(0, Happening::Replication);
        for process in 0..world.processes.len() {
            let delay = world.random.between(0, 500 * MS);
            world.schedule(delay, Happening::StartProcess { process });
        }
        world.plan_faults();
        world.schedule(FAULTS_UNTIL + SECOND, Happening::Heal);
        world
    }

    pub fn run(&mut self) {
        while let Some(Reverse(item)) = self.agenda.pop() {
            self.events += 1;
            self.now = item.at;
            self.happen(item.happening);
            if self.done || self.oracle.violation.is_some() {
                return;
            }
            assert!(self.events < EVENTS_MAX, "seed {}: too many events", self.setup.seed);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Tick { process, run } => self.tick(process, run),
            Happening::ToProcess { process, run, event } => self.report(process, run, event),
            Happening::Connect { connection } => self.connect(connection),
            Happening::ConnectTimeout { connection } => self.end(connection, LinkEnd::Failed("timed out".to_owned())),
            Happening::Arrive { connection, asked } => self.arrive(connection, asked),
            Happening::Replication => self.replicate(),
            Happening::SaveDone { process, run, version, snapshot, told } => {
                self.save_done(process, run, version, *snapshot, told);
            }
            Happening::Claim { process, run, master, epoch } => self.claim(process, run, master, epoch),
            Happening::MonitorAnew { process, run, group } => {
                if self.processes[process].run == run {
                    self.monitor_anew(process, group);
                }
            }
            Happening::StartProcess { process } => {
                if self.processes[process].sentinel.is_none() {
                    self.start_process(process);
                }
            }
            Happening::Fault { index } => self.fault(index),
            Happening::Undo { index } => self.undo(index),
            Happening::Heal => self.heal(),
            Happening::Look => self.look(),
            Happening::LookAgain => {
                self.check_agreement();
                self.done = true;
            }
        }
    }

    fn heal(&mut self) {
        self.say("**", "everything is mended");
        self.healed = true;
        for process in 0..self.processes.len() {
            self.processes[process].troubles.crash_at_save = false;
            self.thaw_process(process);
            if self.processes[process].sentinel.is_none() {
                self.start_process(process);
            }
        }
        for server in 0..self.servers.len() {
            self.thaw_server(server);
            if self.servers[server].life == Life::Down {
                self.start_server(server, false);
            }
        }
        self.schedule(LOOK_EVERY, Happening::Look);
    }

    fn look(&mut self) {
        self.finish_monitoring_anew();
        self.show_lost_servers_the_way();
        let over = self.now >= FAULTS_UNTIL + HEALED_WITHIN;
        let agreed = (0..self.setup.masters).all(|group| self.agreement(group).is_ok());
        if over {
            self.check_agreement();
            self.done = true;
        } else if agreed && self.settled() {
            self.schedule(LASTS_FOR, Happening::LookAgain);
        } else {
            self.schedule(LOOK_EVERY, Happening::Look);
        }
    }

    /// No sentinel is in the middle of anything, or takes any server for down.
    fn settled(&self) -> bool {
        self.processes.iter().filter_map(|process| process.sentinel.as_ref()).all(|sentinel| {
            sentinel.masters().all(|master| {
                let calm = !master.failover_in_progress() && !master.node.flags.any(ha::sentinel::Flags::S_DOWN);
                calm && master.replicas.len() + 1 == self.setup.servers
            })
        })
    }

    pub fn schedule(&mut self, after: Time, happening: Happening) {
        let number = self.next_number();
        self.agenda.push(Reverse(Item { at: self.now + after, number, happening }));
    }

    pub fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub fn say(&mut self, who: &str, text: &str) {
        if self.trace.on {
            let now = self.now;
            self.trace.say(now, who, text);
        }
    }

    pub fn say_of(&mut self, process: usize, text: &str) {
        if self.trace.on {
            self.say(&format!("s{process}"), text);
        }
    }
}

/// As an administrator writes it: nothing but the masters. Everything else is found.
fn configuration(setup: &Setup, servers: &[Server], process: usize) -> Configuration {
    let mut lines = vec![format!("myid {}", run_id(process))];
    for group in 0..setup.masters {
        let name = master_name(group);
        if let Some(master) = servers.iter().find(|server| server.group == group) {
            lines.push(format!("monitor {name} {} {} {}", ip(master.host), master.port, setup.quorum()));
        }
        lines.push(format!("down-after-milliseconds {name} {}", setup.down_after));
        lines.push(format!("failover-timeout {name} {}", setup.failover_timeout));
        for other in (0..setup.sentinels).filter(|other| *other != process) {
            lines.push(format!("known-sentinel {name} {} {PORT} {}", ip(other), run_id(other)));
        }
    }
    let words = |line: &String| line.split(' ').map(str::to_owned).collect();
    let directives: Vec<(usize, Vec<String>)> = lines.iter().map(words).enumerate().collect();
    match Configuration::read(&directives) {
        Ok(configuration) => configuration,
        Err(error) => panic!("the world's own configuration: {error:?}"),
    }
}
