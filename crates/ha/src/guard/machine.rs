//! The guard as a whole: its servers, its worker, and its own end.

use super::address::Addresses;
use super::server::Server;
use super::watchdog::Watchdog;
use super::{FromGuard, GuardEffect, GuardEvent, MEMO_BYTES_MAX, PerServer, ServerKind, ToGuard};
use types::Millis;

/// A worker that dies is started again at once, but not more often than this.
pub const WORKER_RESTART_PAUSE: Millis = Millis(200);

#[derive(Clone, Debug, PartialEq, Eq)]
enum WorkerState {
    Running,
    /// Start it at this time.
    RestartAt(Millis),
    /// The agent is finishing.
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Finish {
    leave_running: bool,
}

#[derive(Clone, Debug)]
pub struct Guard {
    servers: PerServer<Server>,
    addresses: Addresses,
    worker: WorkerState,
    worker_started_at: Millis,
    finishing: Option<Finish>,
    memo: String,
    /// `None`: nobody watches.
    watchdog: Option<Watchdog>,
}

impl Guard {
    /// A guard with nothing under it; the first worker is started by the first `Tick`.
    pub fn new(now: Millis) -> Self {
        Self {
            servers: PerServer { postgres: Server::new(ServerKind::Postgres), redis: Server::new(ServerKind::Redis) },
            addresses: Addresses::default(),
            worker: WorkerState::RestartAt(now),
            worker_started_at: now,
            finishing: None,
            memo: String::new(),
            watchdog: None,
        }
    }

    /// A service manager waits for signs of life.
    #[must_use]
    pub fn watched(self, watchdog: Option<Watchdog>) -> Self {
        Self { watchdog, ..self }
    }

    /// When `Tick` must come at the latest.
    pub fn next_tick(&self) -> Option<Millis> {
        let worker = match self.worker {
            WorkerState::RestartAt(at) => Some(at),
            WorkerState::Running | WorkerState::Gone => None,
        };
        let servers = self.servers.iter().map(|(_, server)| server.next_tick());
        let watchdog = self.watchdog.as_ref().map(Watchdog::next_tick);
        servers.chain([worker, self.addresses.next_tick(), watchdog]).flatten().min()
    }

    pub fn handle(&mut self, now: Millis, event: GuardEvent) -> Vec<GuardEffect> {
        let mut effects = Vec::new();
        match event {
            GuardEvent::FromWorker(message) => self.take_message(now, message, &mut effects),
            GuardEvent::WorkerExited => {
                self.worker = match self.finishing {
                    Some(_) => WorkerState::Gone,
                    None => WorkerState::RestartAt(now.max(self.worker_started_at + WORKER_RESTART_PAUSE)),
                };
            }
            GuardEvent::Spawned { server, pid } => self.servers[server].spawned(pid, &mut effects),
            GuardEvent::SpawnFailed { server, why } => self.servers[server].spawn_failed(why, &mut effects),
            GuardEvent::ServerExited { server, status } => self.servers[server].exited(status, &mut effects),
            GuardEvent::TreeGone { server } => self.servers[server].tree_gone(&mut effects),
            GuardEvent::AddressSet { address, result } => self.addresses.was_set(now, &address, result),
            GuardEvent::AddressRemoved { address, result } => self.addresses.was_removed(now, &address, result),
            GuardEvent::AddressConflict { address, with } => self.addresses.conflict(&address, with),
            GuardEvent::Tick => {}
            GuardEvent::TerminateRequested => match self.worker {
                WorkerState::Running => effects.push(GuardEffect::Send(FromGuard::Terminate)),
                WorkerState::RestartAt(_) | WorkerState::Gone => {
                    self.finishing = Some(Finish { leave_running: false });
                    self.worker = WorkerState::Gone;
                }
            },
            GuardEvent::ReloadRequested => effects.push(GuardEffect::Send(FromGuard::Reload)),
        }
        for server in ServerKind::ALL {
            self.servers[server].on_time(now, &mut effects);
        }
        self.addresses.on_time(now, &mut effects);
        self.look_after_worker(now, &mut effects);
        let worker = self.worker == WorkerState::Running;
        if self.watchdog.as_mut().is_some_and(|watchdog| watchdog.sign_of_life(now, worker)) {
            effects.push(GuardEffect::SignOfLife);
        }
        effects
    }

    fn take_message(&mut self, now: Millis, message: ToGuard, effects: &mut Vec<GuardEffect>) {
        match message {
            ToGuard::Start { server, command, fence } => self.servers[server].start(now, command, fence, effects),
            ToGuard::Stop { server, mode } => self.servers[server].stop(now, mode, effects),
            ToGuard::Arm { server, until } => self.servers[server].arm(until, effects),
            ToGuard::Disarm { server } => self.servers[server].disarm(effects),
            ToGuard::Hold { address, until } => self.addresses.hold(now, address, until, effects),
            ToGuard::Release { address } => self.addresses.release(address, effects),
            ToGuard::Heartbeat { sequence } => effects.push(GuardEffect::Send(FromGuard::Alive { sequence })),
            ToGuard::Well => self.worker_is_well(now),
            ToGuard::Memo { text } => {
                if text.len() <= MEMO_BYTES_MAX {
                    self.memo = text;
                }
            }
            ToGuard::Finish { leave_running } => self.finishing = Some(Finish { leave_running }),
        }
    }

    fn worker_is_well(&mut self, now: Millis) {
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.worker_is_well(now);
        }
    }

    fn look_after_worker(&mut self, now: Millis, effects: &mut Vec<GuardEffect>) {
        match self.worker {
            WorkerState::RestartAt(at) if at <= now => {
                self.worker = WorkerState::Running;
                self.worker_started_at = now;
                self.worker_is_well(now);
                effects.push(GuardEffect::SpawnWorker);
                let servers = PerServer { postgres: self.servers.postgres.state(), redis: self.servers.redis.state() };
                let addresses = self.addresses.states();
                self.addresses.all_said();
                effects.push(GuardEffect::Send(FromGuard::Hello { servers, memo: self.memo.clone(), addresses }));
            }
            WorkerState::Gone => self.finish(effects),
            WorkerState::Running | WorkerState::RestartAt(_) => {}
        }
    }

    fn finish(&mut self, effects: &mut Vec<GuardEffect>) {
        let Some(Finish { leave_running }) = self.finishing else { return };
        // Also where the servers go on: nobody is left who could end it.
        let no_address = self.addresses.finish(effects);
        if no_address && (leave_running || self.servers.iter().all(|(_, server)| server.is_down())) {
            return effects.push(GuardEffect::Exit);
        }
        if !leave_running {
            for server in ServerKind::ALL {
                self.servers[server].finish(effects);
            }
        }
    }
}
