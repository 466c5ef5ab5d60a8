//! The guard's decisions: the parent process that owns the postmaster and ends it when the lease is over.
//!
//! Deliberately ignorant of store, configuration and SQL. The invariant: once the fence has fallen, PostgreSQL is
//! stopped, whatever the worker says afterwards; only the end of the postmaster lifts it.

use serde::{Deserialize, Serialize};
use types::Millis;

/// An immediate shutdown (SIGQUIT) is given this long; then every process of PostgreSQL is killed. Well inside the
/// smallest margin between fence and end of lease.
pub const KILL_AFTER: Millis = Millis(80);
/// An immediate stop that the worker asked for is given this long; then every process is killed. PostgreSQL itself kills
/// its children after five seconds, and its postmaster never.
pub const IMMEDIATE_STOP_MAX: Millis = Millis(1000);
/// A worker that dies is started again at once, but not more often than this.
pub const WORKER_RESTART_PAUSE: Millis = Millis(200);
/// The worker may leave at most this many bytes with the guard for its successor.
pub const MEMO_BYTES_MAX: usize = 64 * 1024;

/// How PostgreSQL is stopped, in its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopMode {
    Smart,
    Fast,
    Immediate,
    /// No shutdown at all: every process is killed.
    Kill,
}

/// What the guard starts: a program, its arguments, and whether it may be a primary and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartCommand {
    pub program: String,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    /// Where PostgreSQL's own output goes.
    pub log_file: String,
    pub working_directory: String,
}

/// From the worker to the guard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToGuard {
    /// `fence` is needed for a server that starts as a primary.
    Start {
        command: StartCommand,
        fence: Option<Millis>,
    },
    Stop {
        mode: StopMode,
    },
    /// PostgreSQL may be a primary until then (boot clock). Only ever later than before.
    Arm {
        until: Millis,
    },
    /// PostgreSQL is a replica, or the cluster is paused: no fence.
    Disarm,
    Heartbeat {
        sequence: u64,
    },
    /// What the next worker must know.
    Memo {
        text: String,
    },
    /// The agent ends: do not start another worker. `leave_running`: PostgreSQL goes on (pause).
    Finish {
        leave_running: bool,
    },
}

/// From the guard to the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromGuard {
    /// The first message to every worker.
    Hello {
        postmaster: Option<u32>,
        fence: Option<Millis>,
        memo: String,
    },
    Started {
        pid: u32,
    },
    StartFailed {
        why: String,
    },
    /// Every process of PostgreSQL is gone.
    Exited {
        status: String,
    },
    /// The fence fell at this time; `Exited` follows.
    Fenced {
        at: Millis,
    },
    Armed {
        until: Option<Millis>,
    },
    Alive {
        sequence: u64,
    },
    /// The service manager asks to stop.
    Terminate,
    /// The service manager asks to read the configuration again.
    Reload,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuardEvent {
    FromWorker(ToGuard),
    WorkerExited,
    /// The postmaster was started with this pid.
    Spawned {
        pid: u32,
    },
    SpawnFailed {
        why: String,
    },
    /// The postmaster is gone; its children may not be.
    PostmasterExited {
        status: String,
    },
    /// The last of its children is gone too.
    TreeGone,
    /// Time passed.
    Tick,
    TerminateRequested,
    ReloadRequested,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuardEffect {
    Spawn(StartCommand),
    SignalPostmaster(StopMode),
    /// Kill the postmaster and every process under it; answer with `TreeGone`.
    KillTree,
    Send(FromGuard),
    SpawnWorker,
    /// The guard ends.
    Exit,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Server {
    Down,
    Spawning,
    Up {
        pid: u32,
    },
    /// The postmaster is gone; waiting for its children.
    Orphaned {
        status: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum WorkerState {
    Running,
    /// Start it at this time.
    RestartAt(Millis),
    /// The agent is finishing.
    Gone,
}

#[derive(Clone, Debug)]
pub struct Guard {
    server: Server,
    fence: Option<Millis>,
    /// The fence has fallen at this time and the server is not gone yet.
    fenced_at: Option<Millis>,
    killed: bool,
    /// An immediate stop was asked for and must be over by then.
    stop_until: Option<Millis>,
    worker: WorkerState,
    worker_started_at: Millis,
    finishing: Option<Finish>,
    /// The agent finishes without a worker, and PostgreSQL was asked to stop.
    stop_asked: bool,
    memo: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Finish {
    leave_running: bool,
}

impl Guard {
    /// A guard with nothing under it; the first worker is started by the first `Tick`.
    pub fn new(now: Millis) -> Self {
        Self {
            server: Server::Down,
            fence: None,
            fenced_at: None,
            killed: false,
            stop_until: None,
            worker: WorkerState::RestartAt(now),
            worker_started_at: now,
            finishing: None,
            stop_asked: false,
            memo: String::new(),
        }
    }

    /// When `Tick` must come at the latest.
    pub fn next_tick(&self) -> Option<Millis> {
        let fence = match (self.fenced_at, self.fence) {
            (Some(at), _) if !self.killed => Some(at + KILL_AFTER),
            (None, Some(until)) if self.is_up() => Some(until),
            _ => None,
        };
        let worker = match self.worker {
            WorkerState::RestartAt(at) => Some(at),
            WorkerState::Running | WorkerState::Gone => None,
        };
        let stop = self.stop_until.filter(|_| self.is_up());
        [fence, worker, stop].into_iter().flatten().min()
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
            GuardEvent::Spawned { pid } => {
                self.server = Server::Up { pid };
                effects.push(GuardEffect::Send(FromGuard::Started { pid }));
            }
            GuardEvent::SpawnFailed { why } => {
                let before = self.fence;
                self.server = Server::Down;
                self.lift_fence();
                self.say_if_armed_anew(before, &mut effects);
                effects.push(GuardEffect::Send(FromGuard::StartFailed { why }));
            }
            GuardEvent::PostmasterExited { status } => {
                // Backends that outlive their postmaster could still acknowledge a commit.
                self.server = Server::Orphaned { status };
                effects.push(GuardEffect::KillTree);
            }
            GuardEvent::TreeGone => {
                // A second report about the same tree says nothing about the server that was started since.
                if let Server::Orphaned { status } = &self.server {
                    effects.push(GuardEffect::Send(FromGuard::Exited { status: status.clone() }));
                    self.server = Server::Down;
                    self.lift_fence();
                }
            }
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
        self.on_time(now, &mut effects);
        effects
    }

    fn is_up(&self) -> bool {
        !matches!(self.server, Server::Down)
    }

    fn lift_fence(&mut self) {
        self.fence = None;
        self.fenced_at = None;
        self.killed = false;
        self.stop_until = None;
    }

    fn take_message(&mut self, now: Millis, message: ToGuard, effects: &mut Vec<GuardEffect>) {
        match message {
            ToGuard::Start { command, fence } => {
                let refused = match &self.server {
                    Server::Down if fence.is_some_and(|until| until <= now) => Some("the lease is over"),
                    Server::Down => None,
                    Server::Spawning | Server::Up { .. } | Server::Orphaned { .. } => {
                        Some("PostgreSQL is already running")
                    }
                };
                if let Some(why) = refused {
                    effects.push(GuardEffect::Send(FromGuard::StartFailed { why: why.to_owned() }));
                } else {
                    self.server = Server::Spawning;
                    let before = self.fence;
                    self.lift_fence();
                    // Both were promised, so the later one holds. A standby has none until it is to be promoted, and the
                    // worker must know that: it promotes only under a fence that stands.
                    self.fence = fence.map(|until| before.map_or(until, |before| before.max(until)));
                    self.say_if_armed_anew(before, effects);
                    effects.push(GuardEffect::Spawn(command));
                }
            }
            ToGuard::Stop { mode } => match self.server {
                Server::Up { .. } if mode == StopMode::Kill => effects.push(GuardEffect::KillTree),
                Server::Up { .. } => {
                    if mode == StopMode::Immediate {
                        self.stop_until.get_or_insert(now + IMMEDIATE_STOP_MAX);
                    }
                    effects.push(GuardEffect::SignalPostmaster(mode));
                }
                Server::Down => {
                    effects.push(GuardEffect::Send(FromGuard::Exited { status: "was not running".to_owned() }));
                }
                Server::Spawning | Server::Orphaned { .. } => {}
            },
            ToGuard::Arm { until } => {
                // A fence that has fallen stays fallen, and a late message never brings the fence forward.
                if self.fenced_at.is_none() {
                    self.fence = Some(self.fence.map_or(until, |fence| fence.max(until)));
                }
                effects.push(GuardEffect::Send(FromGuard::Armed { until: self.armed() }));
            }
            ToGuard::Disarm => {
                if self.fenced_at.is_none() {
                    self.fence = None;
                }
                effects.push(GuardEffect::Send(FromGuard::Armed { until: self.armed() }));
            }
            ToGuard::Heartbeat { sequence } => effects.push(GuardEffect::Send(FromGuard::Alive { sequence })),
            ToGuard::Memo { text } => {
                if text.len() <= MEMO_BYTES_MAX {
                    self.memo = text;
                }
            }
            ToGuard::Finish { leave_running } => self.finishing = Some(Finish { leave_running }),
        }
    }

    fn say_if_armed_anew(&self, before: Option<Millis>, effects: &mut Vec<GuardEffect>) {
        if self.fence != before {
            effects.push(GuardEffect::Send(FromGuard::Armed { until: self.armed() }));
        }
    }

    fn armed(&self) -> Option<Millis> {
        self.fence.filter(|_| self.fenced_at.is_none())
    }

    fn on_time(&mut self, now: Millis, effects: &mut Vec<GuardEffect>) {
        if self.is_up() {
            if self.stop_until.take_if(|until| *until <= now).is_some() {
                effects.push(GuardEffect::KillTree);
            }
            match (self.fenced_at, self.fence) {
                (None, Some(until)) if until <= now => {
                    self.fenced_at = Some(now);
                    effects.push(GuardEffect::SignalPostmaster(StopMode::Immediate));
                    effects.push(GuardEffect::Send(FromGuard::Fenced { at: now }));
                }
                (Some(at), _) if !self.killed && at + KILL_AFTER <= now => {
                    self.killed = true;
                    effects.push(GuardEffect::KillTree);
                }
                _ => {}
            }
        }
        match self.worker {
            WorkerState::RestartAt(at) if at <= now => {
                self.worker = WorkerState::Running;
                self.worker_started_at = now;
                effects.push(GuardEffect::SpawnWorker);
                let postmaster = match self.server {
                    Server::Up { pid } => Some(pid),
                    Server::Down | Server::Spawning | Server::Orphaned { .. } => None,
                };
                effects.push(GuardEffect::Send(FromGuard::Hello {
                    postmaster,
                    fence: self.armed(),
                    memo: self.memo.clone(),
                }));
            }
            WorkerState::Gone => match (self.finishing, &self.server) {
                (Some(Finish { leave_running: true }), _) | (Some(_), Server::Down) => effects.push(GuardEffect::Exit),
                (Some(Finish { leave_running: false }), Server::Up { .. }) if !self.stop_asked => {
                    // In order and without a limit of its own; the fence goes on counting.
                    self.stop_asked = true;
                    effects.push(GuardEffect::SignalPostmaster(StopMode::Fast));
                }
                (None, _) | (Some(_), Server::Spawning | Server::Up { .. } | Server::Orphaned { .. }) => {}
            },
            WorkerState::Running | WorkerState::RestartAt(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> StartCommand {
        StartCommand {
            program: "postgres".into(),
            arguments: vec![],
            environment: vec![],
            log_file: String::new(),
            working_directory: String::new(),
        }
    }

    fn running(fence: Option<Millis>) -> Guard {
        let mut guard = Guard::new(Millis(0));
        guard.handle(Millis(0), GuardEvent::Tick);
        let effects = guard.handle(Millis(0), GuardEvent::FromWorker(ToGuard::Start { command: command(), fence }));
        assert_eq!(effects.last(), Some(&GuardEffect::Spawn(command())));
        guard.handle(Millis(0), GuardEvent::Spawned { pid: 7 });
        guard
    }

    #[test]
    fn the_fence_stops_then_kills_and_only_the_end_of_the_server_lifts_it() {
        let mut guard = running(Some(Millis(1000)));
        assert_eq!(guard.next_tick(), Some(Millis(1000)));
        assert_eq!(guard.handle(Millis(999), GuardEvent::Tick), []);
        let effects = guard.handle(Millis(1000), GuardEvent::Tick);
        assert!(effects.contains(&GuardEffect::SignalPostmaster(StopMode::Immediate)));
        let effects = guard.handle(Millis(1001), GuardEvent::FromWorker(ToGuard::Arm { until: Millis(9000) }));
        assert_eq!(effects, [GuardEffect::Send(FromGuard::Armed { until: None })]);
        assert_eq!(guard.handle(Millis(1001) + KILL_AFTER, GuardEvent::Tick), [GuardEffect::KillTree]);
        guard.handle(Millis(1100), GuardEvent::PostmasterExited { status: "killed".into() });
        let effects = guard.handle(Millis(1101), GuardEvent::TreeGone);
        assert_eq!(effects, [GuardEffect::Send(FromGuard::Exited { status: "killed".into() })]);
        assert_eq!(guard.next_tick(), None);
    }

    #[test]
    fn a_renewal_moves_the_fence_and_a_late_one_does_not_move_it_back() {
        let mut guard = running(Some(Millis(1000)));
        guard.handle(Millis(500), GuardEvent::FromWorker(ToGuard::Arm { until: Millis(1500) }));
        guard.handle(Millis(501), GuardEvent::FromWorker(ToGuard::Arm { until: Millis(1200) }));
        assert_eq!(guard.next_tick(), Some(Millis(1500)));
    }

    #[test]
    fn a_worker_that_dies_is_replaced_and_told_what_runs() {
        let mut guard = running(None);
        guard.handle(Millis(10), GuardEvent::FromWorker(ToGuard::Memo { text: "lease".into() }));
        assert_eq!(guard.handle(Millis(5000), GuardEvent::WorkerExited)[0], GuardEffect::SpawnWorker);
        guard.handle(Millis(5001), GuardEvent::WorkerExited);
        assert_eq!(guard.next_tick(), Some(Millis(5000) + WORKER_RESTART_PAUSE));
        let effects = guard.handle(Millis(5200), GuardEvent::Tick);
        let hello = FromGuard::Hello { postmaster: Some(7), fence: None, memo: "lease".into() };
        assert_eq!(effects, [GuardEffect::SpawnWorker, GuardEffect::Send(hello)]);
    }

    #[test]
    fn orphans_are_killed_before_the_exit_is_reported() {
        let mut guard = running(None);
        let effects = guard.handle(Millis(1), GuardEvent::PostmasterExited { status: "signal 9".into() });
        assert_eq!(effects, [GuardEffect::KillTree]);
        let refused =
            guard.handle(Millis(2), GuardEvent::FromWorker(ToGuard::Start { command: command(), fence: None }));
        assert!(matches!(&refused[0], GuardEffect::Send(FromGuard::StartFailed { .. })));
    }

    #[test]
    fn a_primary_is_not_started_under_a_lease_that_is_over() {
        let mut guard = Guard::new(Millis(0));
        let start = ToGuard::Start { command: command(), fence: Some(Millis(100)) };
        let effects = guard.handle(Millis(100), GuardEvent::FromWorker(start));
        assert!(effects.contains(&GuardEffect::Send(FromGuard::StartFailed { why: "the lease is over".into() })));
    }

    #[test]
    fn the_end_of_the_agent_waits_for_postgresql_unless_it_is_left_running() {
        let mut guard = running(None);
        guard.handle(Millis(1), GuardEvent::FromWorker(ToGuard::Finish { leave_running: true }));
        assert_eq!(guard.handle(Millis(2), GuardEvent::WorkerExited), [GuardEffect::Exit]);
        let mut guard = running(None);
        guard.handle(Millis(1), GuardEvent::FromWorker(ToGuard::Finish { leave_running: false }));
        let effects = guard.handle(Millis(2), GuardEvent::WorkerExited);
        assert_eq!(effects, [GuardEffect::SignalPostmaster(StopMode::Fast)]);
        let later = Millis(2) + KILL_AFTER;
        assert_eq!(guard.handle(later, GuardEvent::Tick), [], "an orderly stop is left the time it needs");
        guard.handle(later, GuardEvent::PostmasterExited { status: "0".into() });
        assert!(guard.handle(later, GuardEvent::TreeGone).contains(&GuardEffect::Exit));
    }

    #[test]
    fn a_standby_that_starts_has_no_fence_and_the_worker_hears_of_it() {
        let mut guard = Guard::new(Millis(0));
        guard.handle(Millis(0), GuardEvent::FromWorker(ToGuard::Arm { until: Millis(1000) }));
        let start = |fence| GuardEvent::FromWorker(ToGuard::Start { command: command(), fence });
        let armed = |until| GuardEffect::Send(FromGuard::Armed { until });
        assert_eq!(guard.clone().handle(Millis(1), start(None))[0], armed(None));
        assert_eq!(guard.clone().handle(Millis(1), start(Some(Millis(900)))), [GuardEffect::Spawn(command())]);
        guard.handle(Millis(1), start(Some(Millis(1100))));
        assert_eq!(guard.next_tick(), Some(Millis(1100)));
    }

    #[test]
    fn a_late_report_about_an_old_tree_leaves_the_new_server_under_its_fence() {
        let mut guard = running(Some(Millis(1000)));
        guard.handle(Millis(1), GuardEvent::TreeGone);
        assert_eq!(guard.next_tick(), Some(Millis(1000)));
        assert!(
            guard.handle(Millis(1000), GuardEvent::Tick).contains(&GuardEffect::SignalPostmaster(StopMode::Immediate))
        );
    }
}
