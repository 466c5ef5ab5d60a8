//! Asks the local PostgreSQL how it is, and gives it its settings.

use crate::clock::{MS, SECOND, Time};
use crate::postgres::{Phase, Server as Processes};
use crate::worker::WorkerEvent;
use crate::world::World;
use ha::cluster::HistoryLine;
use ha::guard::{FromGuard, ServerKind, ServerState};
use ha::postgres::{DataDirectory, NOT_IN_FORCE, Running, Server, Source, Standby, slot_name};
use types::{Lsn, Timeline};

const INTERVAL: Time = SECOND;
const INTERVAL_STARTING: Time = 15 * MS;
const INTERVAL_MIN: Time = 10 * MS;
/// A question without an answer.
const TIMEOUT: Time = SECOND;
/// So many in a row make a running PostgreSQL an unresponsive one.
const SILENCES_MAX: u32 = 2;

/// Whom commits wait for, as the real observer finds out: a setting is in force when the checkpointer, which tells the
/// others whether to wait at all, has been idle for several looks since it was shown.
#[derive(Debug, Default)]
pub struct NamesInForce {
    from_the_start: bool,
    in_force: String,
    changing: Option<(String, u32)>,
}

const NAMES_LOOK_PAUSE: Time = 30 * MS;
const IDLE_LOOKS: u32 = 3;

impl NamesInForce {
    fn look(&mut self, running: &mut Running, idle: bool) {
        let shown = running.synchronous_standby_names.clone();
        let from_the_start = std::mem::take(&mut self.from_the_start);
        if running.in_recovery {
            *self = Self::default();
            return;
        }
        if from_the_start || shown.is_empty() {
            self.in_force.clone_from(&shown);
        }
        if shown == self.in_force {
            self.changing = None;
            return;
        }
        let before = self.changing.take().filter(|(name, _)| *name == shown).map_or(0, |(_, looks)| looks);
        let looks = if idle { before + 1 } else { 0 };
        if looks >= IDLE_LOOKS {
            self.in_force = shown;
            return;
        }
        self.changing = Some((shown, looks));
        running.synchronous_standby_names.insert_str(0, NOT_IN_FORCE);
    }
}

/// Changes of PostgreSQL's configuration on their way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    Follow(Source),
    SynchronousStandbyNames(String),
    Slots(Vec<String>, Vec<String>),
}

impl World {
    /// Somebody wants to know.
    pub(crate) fn probe_soon(&mut self, host: usize) {
        let Some(worker) = &mut self.hosts[host].worker else { return };
        if !worker.postmaster {
            return;
        }
        if worker.probing {
            worker.probe_wanted = true;
        } else {
            self.probe_after(host, 200);
        }
    }

    fn probe_after(&mut self, host: usize, after: Time) {
        let at = self.now + after;
        let Some(worker) = &mut self.hosts[host].worker else { return };
        if worker.probe_at.is_none_or(|earlier| earlier > at) {
            worker.probe_at = Some(at);
            self.worker_soon(host, after, WorkerEvent::Probe { at });
        }
    }

    pub(crate) fn probe(&mut self, host: usize, at: Time) {
        let Some(worker) = &mut self.hosts[host].worker else { return };
        if worker.probe_at != Some(at) {
            return;
        }
        worker.probe_at = None;
        worker.probing = true;
        let answer_time = self.random.between(MS / 3, 5 * MS);
        let postgres = &self.hosts[host].postgres;
        let run = postgres.run;
        let running = (postgres.frozen == 0).then(|| self.ask_postgres(host)).flatten();
        let refused = self.hosts[host].postgres.frozen == 0;
        let after = if running.is_some() || refused { answer_time } else { TIMEOUT };
        self.worker_soon(host, after, WorkerEvent::Probed { running: running.map(Box::new), postgres: run });
    }

    fn ask_postgres(&self, host: usize) -> Option<Running> {
        let postgres = &self.hosts[host].postgres;
        let (server, cluster) = (postgres.server.as_ref()?, postgres.data.cluster()?);
        if !server.postmaster || !matches!(server.phase, Phase::Standby | Phase::Promoting | Phase::Primary) {
            return None;
        }
        let primary = server.phase == Phase::Primary;
        let end = Lsn(cluster.wal.end());
        let history = cluster.wal.history().into_iter().map(|(timeline, lsn)| HistoryLine {
            timeline: Timeline(timeline),
            lsn: Lsn(lsn),
            reason: "no recovery target specified".to_owned(),
            timestamp: None,
            new_leader: None,
        });
        Some(Running {
            observed_at: self.hosts[host].clock.read(self.now),
            in_recovery: !primary,
            timeline: Timeline(cluster.wal.timeline()),
            write: if primary { end } else { Lsn(0) },
            receive: (!primary).then_some(end),
            replay: (!primary).then_some(end),
            streaming: server.receiver.is_some(),
            standbys: self.standbys(server),
            synchronous_standby_names: server.settings.shown.clone(),
            slots: cluster.slots.iter().cloned().collect(),
            idle_slots: cluster.slots.iter().filter(|slot| !self.reads_from(server, slot)).cloned().collect(),
            pending_restart: false,
            history: if primary { history.collect() } else { Vec::new() },
        })
    }

    fn reads_from(&self, server: &Processes, slot: &str) -> bool {
        server.senders.keys().any(|at| slot_name(self.hosts[*at].name.as_str()) == slot)
    }

    fn standbys(&self, server: &Processes) -> Vec<Standby> {
        let standby = |(at, sender): (&usize, &crate::postgres::Sender)| {
            let name = self.hosts[*at].name.to_string();
            let synchronous = server.is_synchronous(&name, sender);
            Standby { name, streaming: true, synchronous, flush: Lsn(sender.flush), replay: Lsn(sender.flush) }
        };
        server.senders.iter().map(standby).collect()
    }

    pub(crate) fn probed(&mut self, host: usize, running: Option<Box<Running>>, postgres: u64) {
        let now = self.hosts[host].clock.read(self.now);
        let present = self.hosts[host].postgres.run;
        let server = self.hosts[host].postgres.server.as_ref();
        let idle = server.is_some_and(|server| server.checkpointer_busy_until <= self.now);
        let Some(worker) = &mut self.hosts[host].worker else { return };
        worker.probing = false;
        let wanted = std::mem::take(&mut worker.probe_wanted);
        if !worker.postmaster {
            return;
        }
        let starting = matches!(worker.server, Server::Starting | Server::Unknown);
        let pause = if worker.names.changing.is_some() {
            NAMES_LOOK_PAUSE
        } else if wanted {
            INTERVAL_MIN
        } else if starting && running.is_none() {
            INTERVAL_STARTING
        } else {
            INTERVAL
        };
        let mut news = false;
        match running {
            // Of a server that is gone; or from before its promotion, which no server takes back.
            Some(running) if postgres != present || running.in_recovery && worker.promoted == Some(postgres) => {}
            Some(mut running) => {
                worker.silences = 0;
                worker.promoted = (!running.in_recovery).then_some(postgres);
                worker.names.look(&mut running, idle);
                worker.server = Server::Running(running);
                news = true;
            }
            None => {
                worker.silences += 1;
                if let Server::Running(last) = &worker.server
                    && worker.silences >= SILENCES_MAX
                {
                    worker.server = Server::Unresponsive { since: now, last: last.clone() };
                    news = true;
                }
            }
        }
        self.probe_after(host, pause);
        if news {
            self.decide_soon(host);
        }
    }

    pub(crate) fn look_at_data(&mut self, host: usize) {
        if let Some(worker) = &mut self.hosts[host].worker {
            worker.data = DataDirectory::Unknown;
        }
        let after = self.random.between(MS, 12 * MS);
        self.worker_soon(host, after, WorkerEvent::DataLookedAt);
    }

    pub(crate) fn data_looked_at(&mut self, host: usize) {
        let data = self.hosts[host].postgres.data.look();
        if let Some(worker) = &mut self.hosts[host].worker {
            worker.data = data;
        }
        self.decide_soon(host);
    }

    pub(crate) fn guard_said(&mut self, host: usize, message: FromGuard) {
        let now = self.hosts[host].clock.read(self.now);
        let Some(worker) = &mut self.hosts[host].worker else { return };
        worker.guard_answered_at = now;
        worker.backstop.heard(&message);
        self.plan_backstop(host);
        self.vip_heard(host, &message);
        if self.setup.redis {
            self.hear_of_redis(host, &message);
        }
        if concerns(&message) == Some(ServerKind::Redis) {
            return;
        }
        let Some(worker) = &mut self.hosts[host].worker else { return };
        match message {
            FromGuard::Hello { servers, memo, .. } => {
                let ServerState { pid: postmaster, fence } = servers.postgres;
                worker.postmaster = postmaster.is_some();
                worker.armed = fence;
                worker.server = if postmaster.is_some() { Server::Starting } else { Server::Down };
                self.keeper_starts(host, &memo);
                self.probe_soon(host);
            }
            FromGuard::Started { .. } => {
                worker.postmaster = true;
                worker.server = Server::Starting;
                worker.silences = 0;
                worker.names = NamesInForce { from_the_start: true, ..NamesInForce::default() };
                self.job_hears(host, &message);
                self.probe_soon(host);
            }
            FromGuard::StartFailed { .. } => self.job_hears(host, &message),
            FromGuard::Exited { .. } => {
                worker.postmaster = false;
                worker.armed = None;
                worker.server = Server::Down;
                worker.following = None;
                self.look_at_data(host);
                self.job_hears(host, &message);
            }
            FromGuard::Fenced { .. } => worker.armed = None,
            FromGuard::Armed { until, .. } => {
                worker.armed = until;
                // The decision loop hears of it, because a promotion may wait for it.
            }
            FromGuard::Alive { .. } => return,
            FromGuard::Terminate => worker.stopping = true,
            // The next view has it.
            FromGuard::Address(_) | FromGuard::Reload => {}
        }
        self.decide_soon(host);
    }

    fn hear_of_redis(&mut self, host: usize, message: &FromGuard) {
        if concerns(message) != Some(ServerKind::Postgres) {
            self.guard_said_of_redis(host, message);
        }
    }

    pub(crate) fn begin_work(&mut self, host: usize, work: Work) {
        let Some(worker) = &mut self.hosts[host].worker else { return };
        if worker.work.contains(&work) {
            return;
        }
        worker.work.push(work.clone());
        // One after the other.
        worker.work_until = worker.work_until.max(self.now) + self.random.between(3 * MS, 25 * MS);
        let after = worker.work_until - self.now;
        self.worker_soon(host, after, WorkerEvent::WorkDone { work });
    }

    pub(crate) fn work_done(&mut self, host: usize, work: Work) {
        let Some(worker) = &mut self.hosts[host].worker else { return };
        worker.work.retain(|other| *other != work);
        if self.hosts[host].postgres.frozen > 0 {
            return;
        }
        match work {
            Work::Follow(source) => {
                let upstream = self.place_of(&source);
                self.follow(host, upstream);
                if let Some(worker) = &mut self.hosts[host].worker {
                    worker.following = Some(source);
                }
            }
            Work::SynchronousStandbyNames(names) => self.set_synchronous_standby_names(host, &names),
            Work::Slots(create, drop) => {
                if let Some(cluster) = self.hosts[host].postgres.data.cluster_mut() {
                    cluster.slots.extend(create);
                    cluster.slots.retain(|slot| !drop.contains(slot));
                }
            }
        }
        self.probe_soon(host);
    }
}

/// The one server that a message is about; `None`: both, or neither.
fn concerns(message: &FromGuard) -> Option<ServerKind> {
    match message {
        FromGuard::Started { server, .. }
        | FromGuard::StartFailed { server, .. }
        | FromGuard::Exited { server, .. }
        | FromGuard::Fenced { server, .. }
        | FromGuard::Armed { server, .. } => Some(*server),
        FromGuard::Hello { .. }
        | FromGuard::Address(_)
        | FromGuard::Alive { .. }
        | FromGuard::Terminate
        | FromGuard::Reload => None,
    }
}
