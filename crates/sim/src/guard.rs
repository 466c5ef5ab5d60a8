//! The guard process of a member: the real `ha::guard::Guard`, fed with what happens and doing what it says.

use crate::cards::CardChange;
use crate::clock::{MS, SECOND, Time};
use crate::mutant::Mutant;
use crate::say;
use crate::worker::WorkerEvent;
use crate::world::{Happening, World};
use ha::guard::{FromGuard, Guard, GuardEffect, GuardEvent, ServerKind, StartCommand, StopMode, ToGuard};
use std::collections::VecDeque;
use types::Millis;

#[derive(Debug)]
pub struct GuardProcess {
    pub run: u64,
    pub guard: Guard,
    pub frozen: u32,
    pub backlog: Vec<Happening>,
    pub frozen_at: Option<Time>,
    /// A tick is on the agenda for then.
    pub tick_at: Option<Time>,
}

/// What reaches a guard.
#[derive(Clone, Debug)]
pub enum GuardInput {
    FromWorker { run: u64, message: ToGuard },
    WorkerExited { run: u64 },
    ServerExited { server: ServerKind, status: String },
    TreeGone { server: ServerKind },
    Address(GuardEvent),
    Tick,
    Terminate,
}

impl World {
    pub(crate) fn guard_soon(&mut self, host: usize, after: Time, input: GuardInput) {
        let run = match &self.hosts[host].guard {
            Some(guard) => guard.run,
            None => return,
        };
        self.plan(after, Happening::Guard { host, run, input });
    }

    pub(crate) fn guard_input(&mut self, host: usize, input: GuardInput) {
        let worker_run = self.hosts[host].worker_run;
        let event = match input {
            // What a dead worker's pipe still holds is read, except by the guard's own rules for a new worker.
            GuardInput::FromWorker { run, message } if run == worker_run => GuardEvent::FromWorker(message),
            GuardInput::WorkerExited { run } if run == worker_run => GuardEvent::WorkerExited,
            GuardInput::FromWorker { .. } | GuardInput::WorkerExited { .. } => return,
            GuardInput::ServerExited { server, status } => GuardEvent::ServerExited { server, status },
            GuardInput::TreeGone { server } => GuardEvent::TreeGone { server },
            GuardInput::Address(event) => event,
            GuardInput::Tick => {
                let now = self.now;
                if let Some(process) = &mut self.hosts[host].guard {
                    process.tick_at = process.tick_at.filter(|at| *at > now);
                }
                GuardEvent::Tick
            }
            GuardInput::Terminate => GuardEvent::TerminateRequested,
        };
        let mut queue = VecDeque::from([event]);
        while let Some(event) = queue.pop_front() {
            let now = self.hosts[host].clock.read(self.now);
            let Some(process) = &mut self.hosts[host].guard else { return };
            for effect in process.guard.handle(now, event) {
                self.guard_effect(host, effect, &mut queue);
            }
        }
        let late = self.random.between(0, MS);
        let (now, clock) = (self.now, self.hosts[host].clock.clone());
        if let Some(process) = &mut self.hosts[host].guard
            && let Some(at) = process.guard.next_tick()
        {
            let at = clock.when(at, now) + late;
            if process.tick_at.is_none_or(|earlier| earlier > at || earlier <= now) {
                process.tick_at = Some(at);
                self.guard_soon(host, at - now, GuardInput::Tick);
            }
        }
    }

    fn guard_effect(&mut self, host: usize, effect: GuardEffect, queue: &mut VecDeque<GuardEvent>) {
        match effect {
            GuardEffect::Spawn { server, command } => {
                queue.push_back(match self.spawn_server(host, server, &command) {
                    Some(pid) => GuardEvent::Spawned { server, pid },
                    None => GuardEvent::SpawnFailed { server, why: "there is no data directory".to_owned() },
                });
            }
            GuardEffect::Signal { server, mode } => self.signal_server(host, server, mode),
            GuardEffect::KillTree { server: ServerKind::Postgres } => {
                let after = self.random.between(100, 8 * MS);
                let run = self.hosts[host].postgres.run;
                self.plan(after, Happening::KillTree { host, run });
            }
            GuardEffect::KillTree { server: ServerKind::Redis } => {
                let after = self.random.between(100, 4 * MS);
                let run = self.hosts[host].redis.run;
                self.plan(after, Happening::KillRedis { host, run });
            }
            GuardEffect::SetAddress { address, seconds, until } => {
                self.card_soon(host, CardChange::Set { address, seconds, until });
            }
            GuardEffect::RemoveAddress { address } => self.card_soon(host, CardChange::Remove { address }),
            GuardEffect::AnnounceAddress { .. } | GuardEffect::SignOfLife => {}
            GuardEffect::Send(message) => {
                if let FromGuard::Fenced { server, .. } = &message {
                    say!(self, host, "guard: the fence of {server} falls");
                }
                let after = self.random.between(20, 300);
                let state = &mut self.hosts[host];
                let run = state.worker_run;
                if state.worker.as_ref().is_none_or(|worker| worker.run != run) {
                    return state.pipe.push(message);
                }
                state.to_worker_at = state.to_worker_at.max(self.now + after);
                let after = state.to_worker_at - self.now;
                self.plan(after, Happening::Worker { host, run, event: WorkerEvent::FromGuard(message) });
            }
            GuardEffect::SpawnWorker => self.spawn_worker(host),
            GuardEffect::Exit => {
                say!(self, host, "guard: ends");
                self.hosts[host].guard = None;
                // Somebody starts the service again.
                let after = self.random.between(SECOND, 3 * SECOND);
                self.plan(after, Happening::ServiceStarts { host });
            }
        }
    }

    /// Its pid, or `None`: there is nothing it could work on.
    fn spawn_server(&mut self, host: usize, server: ServerKind, command: &StartCommand) -> Option<u32> {
        match server {
            ServerKind::Postgres => self.spawn_postmaster(host).then(|| self.hosts[host].postgres.run as u32),
            ServerKind::Redis => {
                let upstream = command.arguments.first().map_or("", String::as_str);
                Some(self.spawn_redis(host, upstream))
            }
        }
    }

    fn signal_server(&mut self, host: usize, server: ServerKind, mode: StopMode) {
        match server {
            ServerKind::Postgres => self.signal_postmaster(host, mode),
            ServerKind::Redis => self.signal_redis(host, mode),
        }
    }

    /// From a worker to its guard.
    pub(crate) fn tell_guard(&mut self, host: usize, message: ToGuard) {
        let message = match self.setup.mutant {
            Some(Mutant::SkipFence) => without_fence(message, ServerKind::Postgres),
            Some(Mutant::RedisSkipFence) => without_fence(message, ServerKind::Redis),
            Some(Mutant::VipSkipFence) => without_address_fence(message),
            _ => message,
        };
        if let Some(worker) = &mut self.hosts[host].worker {
            worker.backstop.sending(&message);
        }
        self.plan_backstop(host);
        let after = self.random.between(20, 300);
        let state = &mut self.hosts[host];
        let run = state.worker_run;
        state.to_guard_at = state.to_guard_at.max(self.now + after);
        let after = state.to_guard_at - self.now;
        self.guard_soon(host, after, GuardInput::FromWorker { run, message });
    }
}

/// The mutant's guard hears of a fence that never falls.
fn without_fence(message: ToGuard, of: ServerKind) -> ToGuard {
    const NEVER: Millis = Millis(1 << 40);
    match message {
        ToGuard::Arm { server, .. } if server == of => ToGuard::Arm { server, until: NEVER },
        ToGuard::Start { server, command, fence } if server == of => {
            ToGuard::Start { server, command, fence: fence.map(|_| NEVER) }
        }
        other @ (ToGuard::Arm { .. }
        | ToGuard::Hold { .. }
        | ToGuard::Release { .. }
        | ToGuard::Start { .. }
        | ToGuard::Stop { .. }
        | ToGuard::Disarm { .. }
        | ToGuard::Heartbeat { .. }
        | ToGuard::Well
        | ToGuard::Memo { .. }
        | ToGuard::Finish { .. }) => other,
    }
}

/// The same of an address.
fn without_address_fence(message: ToGuard) -> ToGuard {
    const NEVER: Millis = Millis(1 << 40);
    match message {
        ToGuard::Hold { address, .. } => ToGuard::Hold { address, until: NEVER },
        other @ (ToGuard::Arm { .. }
        | ToGuard::Release { .. }
        | ToGuard::Start { .. }
        | ToGuard::Stop { .. }
        | ToGuard::Disarm { .. }
        | ToGuard::Heartbeat { .. }
        | ToGuard::Well
        | ToGuard::Memo { .. }
        | ToGuard::Finish { .. }) => other,
    }
}
