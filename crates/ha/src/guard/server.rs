//! One server under the guard: its process, its fence, and how it is ended.
//!
//! Deliberately knows nothing of the other server, of the worker's life, or of the guard's end.

use super::{FromGuard, GuardEffect, ServerKind, ServerState, StartCommand, StopMode};
use types::Millis;

/// An immediate shutdown (SIGQUIT) is given this long; then every process of PostgreSQL is killed. Well inside the
/// smallest margin between fence and end of lease.
pub const KILL_AFTER: Millis = Millis(80);
/// An immediate stop that the worker asked for is given this long; then every process is killed. PostgreSQL itself kills
/// its children after five seconds, and its postmaster never.
pub const IMMEDIATE_STOP_MAX: Millis = Millis(1000);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Process {
    Down,
    Spawning,
    Up {
        pid: u32,
    },
    /// The first process is gone; waiting for its children.
    Orphaned {
        status: String,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Server {
    kind: ServerKind,
    process: Process,
    fence: Option<Millis>,
    /// The fence has fallen at this time and the server is not gone yet.
    fenced_at: Option<Millis>,
    killed: bool,
    /// An immediate stop was asked for and must be over by then.
    stop_until: Option<Millis>,
    /// The agent finishes without a worker, and the server was asked to stop.
    stop_asked: bool,
}

impl Server {
    pub fn new(kind: ServerKind) -> Self {
        Self {
            kind,
            process: Process::Down,
            fence: None,
            fenced_at: None,
            killed: false,
            stop_until: None,
            stop_asked: false,
        }
    }

    /// For the greeting of a new worker.
    pub fn state(&self) -> ServerState {
        let pid = match self.process {
            Process::Up { pid } => Some(pid),
            Process::Down | Process::Spawning | Process::Orphaned { .. } => None,
        };
        ServerState { pid, fence: self.armed() }
    }

    pub fn is_down(&self) -> bool {
        self.process == Process::Down
    }

    pub fn next_tick(&self) -> Option<Millis> {
        let fence = match (self.fenced_at, self.fence) {
            (Some(at), _) if !self.killed => Some(at + KILL_AFTER),
            (None, Some(until)) if !self.is_down() => Some(until),
            _ => None,
        };
        let stop = self.stop_until.filter(|_| !self.is_down());
        [fence, stop].into_iter().flatten().min()
    }

    pub fn spawned(&mut self, pid: u32, effects: &mut Vec<GuardEffect>) {
        self.process = Process::Up { pid };
        effects.push(GuardEffect::Send(FromGuard::Started { server: self.kind, pid }));
    }

    pub fn spawn_failed(&mut self, why: String, effects: &mut Vec<GuardEffect>) {
        let before = self.fence;
        self.process = Process::Down;
        self.lift_fence();
        self.say_if_armed_anew(before, effects);
        effects.push(GuardEffect::Send(FromGuard::StartFailed { server: self.kind, why }));
    }

    pub fn exited(&mut self, status: String, effects: &mut Vec<GuardEffect>) {
        effects.push(GuardEffect::KillTree { server: self.kind });
        match self.kind {
            // Backends that outlive their postmaster could still acknowledge a commit.
            ServerKind::Postgres => self.process = Process::Orphaned { status },
            // What redis-server forks writes a file and answers nobody: it is killed, and nobody waits for it.
            ServerKind::Redis => self.is_gone(status, effects),
        }
    }

    pub fn tree_gone(&mut self, effects: &mut Vec<GuardEffect>) {
        // A second report about the same tree says nothing about the server that was started since.
        if let Process::Orphaned { status } = &self.process {
            let status = status.clone();
            self.is_gone(status, effects);
        }
    }

    fn is_gone(&mut self, status: String, effects: &mut Vec<GuardEffect>) {
        effects.push(GuardEffect::Send(FromGuard::Exited { server: self.kind, status }));
        self.process = Process::Down;
        self.lift_fence();
    }

    fn lift_fence(&mut self) {
        self.fence = None;
        self.fenced_at = None;
        self.killed = false;
        self.stop_until = None;
    }

    pub fn start(
        &mut self,
        now: Millis,
        command: StartCommand,
        fence: Option<Millis>,
        effects: &mut Vec<GuardEffect>,
    ) {
        let refused = match &self.process {
            Process::Down if fence.is_some_and(|until| until <= now) => Some("the lease is over".to_owned()),
            Process::Down => None,
            Process::Spawning | Process::Up { .. } | Process::Orphaned { .. } => {
                Some(format!("{} is already running", self.kind))
            }
        };
        if let Some(why) = refused {
            return effects.push(GuardEffect::Send(FromGuard::StartFailed { server: self.kind, why }));
        }
        self.process = Process::Spawning;
        let before = self.fence;
        self.lift_fence();
        // Both were promised, so the later one holds. A replica has none until it is to be promoted, and the worker must
        // know that: it promotes only under a fence that stands.
        self.fence = fence.map(|until| before.map_or(until, |before| before.max(until)));
        self.say_if_armed_anew(before, effects);
        effects.push(GuardEffect::Spawn { server: self.kind, command });
    }

    pub fn stop(&mut self, now: Millis, mode: StopMode, effects: &mut Vec<GuardEffect>) {
        match self.process {
            Process::Up { .. } if self.is_kill(mode) => effects.push(GuardEffect::KillTree { server: self.kind }),
            Process::Up { .. } => {
                if mode == StopMode::Immediate {
                    self.stop_until.get_or_insert(now + IMMEDIATE_STOP_MAX);
                }
                effects.push(GuardEffect::Signal { server: self.kind, mode });
            }
            Process::Down => {
                let status = "was not running".to_owned();
                effects.push(GuardEffect::Send(FromGuard::Exited { server: self.kind, status }));
            }
            Process::Spawning | Process::Orphaned { .. } => {}
        }
    }

    /// Redis has no shutdown that leaves its clients without an answer and its data whole, as PostgreSQL's immediate one
    /// does; its append-only file is written before a client is answered, so a kill loses nothing acknowledged either.
    fn is_kill(&self, mode: StopMode) -> bool {
        match mode {
            StopMode::Kill => true,
            StopMode::Immediate => self.kind == ServerKind::Redis,
            StopMode::Smart | StopMode::Fast => false,
        }
    }

    pub fn arm(&mut self, until: Millis, effects: &mut Vec<GuardEffect>) {
        // A fence that has fallen stays fallen, and a late message never brings the fence forward.
        if self.fenced_at.is_none() {
            self.fence = Some(self.fence.map_or(until, |fence| fence.max(until)));
        }
        self.say_armed(effects);
    }

    pub fn disarm(&mut self, effects: &mut Vec<GuardEffect>) {
        if self.fenced_at.is_none() {
            self.fence = None;
        }
        self.say_armed(effects);
    }

    fn say_armed(&self, effects: &mut Vec<GuardEffect>) {
        effects.push(GuardEffect::Send(FromGuard::Armed { server: self.kind, until: self.armed() }));
    }

    fn say_if_armed_anew(&self, before: Option<Millis>, effects: &mut Vec<GuardEffect>) {
        if self.fence != before {
            self.say_armed(effects);
        }
    }

    fn armed(&self) -> Option<Millis> {
        self.fence.filter(|_| self.fenced_at.is_none())
    }

    pub fn on_time(&mut self, now: Millis, effects: &mut Vec<GuardEffect>) {
        if self.is_down() {
            return;
        }
        if self.stop_until.take_if(|until| *until <= now).is_some() {
            effects.push(GuardEffect::KillTree { server: self.kind });
        }
        match (self.fenced_at, self.fence) {
            (None, Some(until)) if until <= now => {
                self.fenced_at = Some(now);
                effects.push(if self.is_kill(StopMode::Immediate) {
                    // Once more later, should it have been on its way into life.
                    self.killed = matches!(self.process, Process::Up { .. });
                    GuardEffect::KillTree { server: self.kind }
                } else {
                    GuardEffect::Signal { server: self.kind, mode: StopMode::Immediate }
                });
                effects.push(GuardEffect::Send(FromGuard::Fenced { server: self.kind, at: now }));
            }
            (Some(at), _) if !self.killed && at + KILL_AFTER <= now => {
                self.killed = true;
                effects.push(GuardEffect::KillTree { server: self.kind });
            }
            _ => {}
        }
    }

    /// The guard ends, and this server with it: in order and without a limit of its own; the fence goes on counting.
    pub fn finish(&mut self, effects: &mut Vec<GuardEffect>) {
        if matches!(self.process, Process::Up { .. }) && !self.stop_asked {
            self.stop_asked = true;
            effects.push(GuardEffect::Signal { server: self.kind, mode: StopMode::Fast });
        }
    }
}
