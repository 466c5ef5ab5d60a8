//! What goes wrong, and for how long.

use super::mutant::Mutant;
use super::redis::Life;
use super::world::{Happening, World};
use crate::clock::{MS, SECOND, Time};
use ha::sentinel::{EPOCH_MAX, Event, Node, Request, Sentinel, Tag, Token};

/// Faults come within this time after the start; then everything is mended.
pub const FAULTS_FROM: Time = 6 * SECOND;
pub const FAULTS_UNTIL: Time = 50 * SECOND;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server that most sentinels take for the master of this group.
    KillMaster {
        group: usize,
        empty: bool,
    },
    FreezeMaster {
        group: usize,
    },
    KillServer {
        server: usize,
        empty: bool,
    },
    FreezeServer {
        server: usize,
    },
    CrashSentinel {
        process: usize,
    },
    FreezeSentinel {
        process: usize,
    },
    /// A host with everything on it.
    Isolate {
        host: usize,
        inward: bool,
        outward: bool,
    },
    CutOneWay {
        from: usize,
        to: usize,
    },
    Slow {
        by: Time,
    },
    DiskFull {
        process: usize,
    },
    CrashAtSave {
        process: usize,
    },
    /// Everybody's next save is their last.
    CrashAllAtSave,
    WithoutStore {
        process: usize,
    },
    /// An operator asks for a failover without an election. In mixed mode only in scripts: under other faults two of them may
    /// use one epoch, which is Sentinel's flaw.
    PlainFailover {
        group: usize,
        at: usize,
    },
    /// An operator removes the master at this sentinel and has it monitored anew: right after its next vote.
    MonitorAnew {
        process: usize,
    },
    /// Everybody's master is monitored anew after their next vote.
    MonitorAllAnew,
    /// Somebody who may publish says hello with an epoch that no failover reaches.
    ImpossibleEpoch {
        group: usize,
        to: usize,
        epoch: u64,
    },
    /// An operator asks one sentinel, or two at the same moment, for a failover.
    Failover {
        group: usize,
        at: usize,
        also_at: Option<usize>,
    },
}

#[derive(Clone, Copy, Debug)]
pub struct Planned {
    pub at: Time,
    pub length: Time,
    pub fault: Fault,
}

impl World {
    pub fn plan_faults(&mut self) {
        if let Some(script) = self.setup.script.clone() {
            for (index, planned) in script.into_iter().enumerate() {
                self.planned.push(planned);
                self.schedule(planned.at, Happening::Fault { index });
            }
            return;
        }
        let count = if self.random.percent(25) { self.random.between(8, 20) } else { self.random.between(2, 9) };
        for _ in 0..count {
            let at = self.random.between(FAULTS_FROM, FAULTS_UNTIL - 10 * SECOND);
            let length = if self.random.percent(70) {
                self.random.between(200 * MS, 4 * SECOND)
            } else {
                self.random.between(4 * SECOND, 15 * SECOND)
            };
            let fault = self.draw_fault();
            let index = self.planned.len();
            self.planned.push(Planned { at, length: length.min(FAULTS_UNTIL - at), fault });
            self.schedule(at, Happening::Fault { index });
        }
    }

    fn draw_fault(&mut self) -> Fault {
        let processes = self.processes.len();
        let group = self.random.below(self.setup.masters);
        let process = self.random.below(processes);
        let server = self.random.below(self.servers.len());
        let host = self.random.below(self.hosts);
        let empty = self.random.percent(30);
        match self.random.between(0, 112) {
            0..20 => Fault::KillMaster { group, empty },
            20..28 => Fault::FreezeMaster { group },
            28..34 => Fault::KillServer { server, empty },
            34..38 => Fault::FreezeServer { server },
            38..46 => Fault::CrashSentinel { process },
            46..52 => Fault::FreezeSentinel { process },
            52..64 => {
                let way = self.random.between(0, 4);
                Fault::Isolate { host, inward: way != 0, outward: way != 1 }
            }
            64..72 => Fault::CutOneWay { from: host, to: self.random.below(self.hosts) },
            72..76 => Fault::Slow { by: self.random.between(MS, 400 * MS) },
            76..80 => Fault::DiskFull { process },
            80..86 => Fault::CrashAtSave { process },
            86..89 => Fault::CrashAllAtSave,
            89..92 => Fault::WithoutStore { process },
            100..104 => Fault::MonitorAnew { process },
            104..108 => Fault::MonitorAllAnew,
            108..112 => {
                let epoch = self.random.pick(&[u64::MAX, i64::MAX as u64, EPOCH_MAX + 1]).unwrap_or(u64::MAX);
                Fault::ImpossibleEpoch { group, to: process, epoch }
            }
            _ => {
                let other = (process + 1) % processes;
                Fault::Failover { group, at: process, also_at: self.random.percent(60).then_some(other) }
            }
        }
    }

    pub fn fault(&mut self, index: usize) {
        let Planned { length, fault, .. } = self.planned[index];
        self.say("**", &format!("{fault:?} for {} ms", length / MS));
        match fault {
            Fault::KillMaster { group, empty } => {
                let server = self.believed_master(group);
                self.planned[index].fault = Fault::KillServer { server, empty };
                self.kill_server(server);
            }
            Fault::FreezeMaster { group } => {
                let server = self.believed_master(group);
                self.planned[index].fault = Fault::FreezeServer { server };
                self.freeze_server(server);
            }
            Fault::KillServer { server, .. } => self.kill_server(server),
            Fault::FreezeServer { server } => self.freeze_server(server),
            Fault::CrashSentinel { process } => self.crash_process(process),
            Fault::FreezeSentinel { process } => {
                self.processes[process].frozen = self.processes[process].sentinel.is_some();
            }
            Fault::Isolate { host, inward, outward } => self.each_way(host, inward, outward, true),
            Fault::CutOneWay { from, to } => self.cuts.cut(from, to),
            Fault::Slow { by } => self.slow += by,
            Fault::DiskFull { process } => self.processes[process].troubles.disk_full = true,
            Fault::CrashAtSave { process } => self.processes[process].troubles.crash_at_save = true,
            Fault::CrashAllAtSave => {
                for process in &mut self.processes {
                    process.troubles.crash_at_save = true;
                }
            }
            Fault::WithoutStore { process } => self.processes[process].troubles.without_store = true,
            Fault::MonitorAnew { process } => self.processes[process].troubles.monitor_anew = true,
            Fault::MonitorAllAnew => {
                for process in &mut self.processes {
                    process.troubles.monitor_anew = true;
                }
            }
            Fault::ImpossibleEpoch { group, to, epoch } => self.say_impossible_hello(group, to, epoch),
            Fault::PlainFailover { group, at } => self.order_failover(group, at, true),
            Fault::Failover { group, at, also_at } => {
                self.order_failover(group, at, false);
                if let Some(other) = also_at {
                    self.order_failover(group, other, false);
                }
            }
        }
        self.schedule(length, Happening::Undo { index });
    }

    pub fn undo(&mut self, index: usize) {
        match self.planned[index].fault {
            Fault::KillServer { server, empty } => {
                if self.servers[server].life == Life::Down {
                    self.start_server(server, empty);
                }
            }
            Fault::FreezeServer { server } => self.thaw_server(server),
            Fault::CrashSentinel { process } => {
                if self.processes[process].sentinel.is_none() {
                    self.start_process(process);
                }
            }
            Fault::FreezeSentinel { process } => self.thaw_process(process),
            Fault::Isolate { host, inward, outward } => self.each_way(host, inward, outward, false),
            Fault::CutOneWay { from, to } => self.cuts.mend(from, to),
            Fault::Slow { by } => self.slow -= by,
            Fault::DiskFull { process } => self.processes[process].troubles.disk_full = false,
            Fault::CrashAtSave { process } => self.processes[process].troubles.crash_at_save = false,
            Fault::CrashAllAtSave => {
                for process in &mut self.processes {
                    process.troubles.crash_at_save = false;
                }
            }
            Fault::WithoutStore { process } => self.processes[process].troubles.without_store = false,
            Fault::MonitorAnew { process } => self.processes[process].troubles.monitor_anew = false,
            Fault::MonitorAllAnew => {
                for process in &mut self.processes {
                    process.troubles.monitor_anew = false;
                }
            }
            // Replaced by what they hit.
            Fault::KillMaster { .. }
            | Fault::FreezeMaster { .. }
            | Fault::ImpossibleEpoch { .. }
            | Fault::PlainFailover { .. }
            | Fault::Failover { .. } => {}
        }
    }

    fn freeze_server(&mut self, server: usize) {
        if self.servers[server].life == Life::Up {
            self.servers[server].life = Life::Frozen;
        }
    }

    fn each_way(&mut self, host: usize, inward: bool, outward: bool, cut: bool) {
        for other in (0..self.hosts).filter(|other| *other != host) {
            for (wanted, from, to) in [(inward, other, host), (outward, host, other)] {
                match (wanted, cut) {
                    (true, true) => self.cuts.cut(from, to),
                    (true, false) => self.cuts.mend(from, to),
                    (false, _) => {}
                }
            }
        }
    }

    fn order_failover(&mut self, group: usize, index: usize, plain: bool) {
        let option = match (self.setup.native, self.random.percent(70)) {
            (true, true) => None,
            (true, false) => Some("FORCE".to_owned()),
            (false, _) if plain => None,
            (false, _) => Some("COORDINATED".to_owned()),
        };
        self.ask(index, Request::Failover { master: super::world::master_name(group), option });
    }

    /// An operator's request.
    pub fn ask(&mut self, index: usize, request: Request) {
        let token = Token(self.next_number());
        let run = self.processes[index].run;
        let pending = super::process::Pending { connection: None, tag: Tag::Ignored, group: None };
        self.processes[index].pending.insert(token, pending);
        self.report(index, run, Event::Request { token, request });
    }

    /// In the name of a sentinel that is known.
    fn say_impossible_hello(&mut self, group: usize, to: usize, epoch: u64) {
        let name = super::world::master_name(group);
        let server = &self.servers[self.believed_master(group)];
        let (host, port) = (super::wire::ip(server.host), server.port);
        let from = (to + 1) % self.processes.len();
        let heard = self.setup.mutant == Some(Mutant::HearImpossibleEpochs);
        let epoch = if heard { EPOCH_MAX } else { epoch };
        let (address, id) = (super::wire::ip(from), super::process::run_id(from));
        let payload = format!("{address},{},{id},{epoch},{name},{host},{port},{epoch}", super::process::PORT);
        self.ask(to, Request::Hello { payload });
    }

    /// A sentinel that monitors a master anew learns of the replicas that are connected then. One that was down at that time, and
    /// that no sentinel knows any more, is the operator's.
    pub fn show_lost_servers_the_way(&mut self) {
        let now = self.now;
        for index in 0..self.servers.len() {
            let server = &self.servers[index];
            let (host, port, group) = (super::wire::ip(server.host), server.port, server.group);
            let is_it = |node: &Node| node.address.ip == Some(host) && node.address.port == port;
            let knows = |sentinel: &Sentinel| {
                sentinel.masters().any(|master| is_it(&master.node) || master.replicas.iter().any(&is_it))
            };
            let lost = !self.processes.iter().any(|process| process.sentinel.as_deref().is_some_and(knows));
            if lost && server.life == Life::Up && self.monitored_anew.contains(&group) {
                let master = self.believed_master(group);
                self.say("**", &format!("an operator sees to {}", self.server_name(index)));
                self.servers[index].follow(now, Some(master));
            }
        }
    }

    /// One that crashed between the operator's two commands is told the second one again.
    pub fn finish_monitoring_anew(&mut self) {
        for group in self.monitored_anew.clone() {
            let master = super::world::master_name(group);
            for index in 0..self.processes.len() {
                let sentinel = self.processes[index].sentinel.as_ref();
                if sentinel.is_some_and(|sentinel| sentinel.master_address(&master).is_none()) {
                    let server = &self.servers[self.believed_master(group)];
                    let (host, port) = (super::wire::ip(server.host).to_string(), server.port);
                    self.monitor(index, master.clone(), host, port);
                }
            }
        }
    }

    /// REMOVE, MONITOR, and the settings once more, which are forgotten with it.
    pub fn monitor_anew(&mut self, index: usize, group: usize) {
        let master = super::world::master_name(group);
        let known = self.processes[index].sentinel.as_ref().and_then(|sentinel| sentinel.master_address(&master));
        let Some((host, port)) = known else { return };
        self.say_of(index, &format!("is told to monitor {master} anew"));
        self.monitored_anew.insert(group);
        self.ask(index, Request::Remove { master: master.clone() });
        self.monitor(index, master, host, port);
        if self.setup.mutant == Some(Mutant::ForgetVoteOfRemoved) {
            self.forget_vote(index, group);
        }
    }

    fn monitor(&mut self, index: usize, master: String, host: String, port: u16) {
        let (port, quorum) = (port.to_string(), self.setup.quorum().to_string());
        self.ask(index, Request::Monitor { master: master.clone(), host, port, quorum });
        let (down_after, timeout) = (self.setup.down_after.to_string(), self.setup.failover_timeout.to_string());
        let settings = ["down-after-milliseconds", &down_after, "failover-timeout", &timeout];
        let arguments = settings.map(str::to_owned).to_vec();
        self.ask(index, Request::Set { master, arguments, executable: Vec::new() });
    }

    fn believed_master(&self, group: usize) -> usize {
        let name = super::world::master_name(group);
        let believed = self.processes.iter().find_map(|process| {
            let (host, port) = process.sentinel.as_ref()?.master_address(&name)?;
            self.server_at(&host, &port.to_string())
        });
        believed.unwrap_or(0)
    }
}
