//! The worker's end of the line to the guard: one JSON message per line, over standard input and output.

use super::backstop::BackstopLink;
use super::vip::Vips;
use ha::guard::{FromGuard, PerServer, ServerKind, ToGuard};
use platform::boot_clock;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use tokio::sync::{mpsc, watch};
use types::Millis;

/// Messages that may wait to be written. A guard that does not read for longer is frozen, and the lease is not renewed.
const OUTGOING_MAX: usize = 256;
const INCOMING_MAX: usize = 256;
const THREAD_STACK_BYTES: usize = 64 * 1024;

/// What the guard last said of one server, for everybody who waits for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardState {
    /// Of the postmaster, or of redis-server.
    pub pid: Option<u32>,
    pub armed: Option<Millis>,
    /// Grows with every `Started`, `StartFailed` and `Exited`, so that a waiter sees what came after it began to wait.
    pub sequence: u64,
    pub start_failed: Option<String>,
    pub exited: Option<String>,
}

#[derive(Clone)]
pub struct GuardLink {
    outgoing: SyncSender<String>,
    states: PerServer<watch::Receiver<GuardState>>,
    answered_at: Arc<AtomicU64>,
    sequence: Arc<AtomicU64>,
    backstop: BackstopLink,
}

impl GuardLink {
    /// Starts the reading and the writing thread. The receiver ends when the guard is gone.
    /// `vips` hears everything first.
    pub fn start(vips: Vips) -> std::io::Result<(Self, mpsc::Receiver<FromGuard>)> {
        let (outgoing, to_write) = sync_channel::<String>(OUTGOING_MAX);
        thread("to-guard", move || {
            let mut stdout = std::io::stdout().lock();
            while let Ok(line) = to_write.recv() {
                if writeln!(stdout, "{line}").and_then(|()| stdout.flush()).is_err() {
                    return;
                }
            }
        })?;
        let (events, receiver) = mpsc::channel(INCOMING_MAX);
        let (postgres, postgres_state) = watch::channel(GuardState::default());
        let (redis, redis_state) = watch::channel(GuardState::default());
        let publish = PerServer { postgres, redis };
        let states = PerServer { postgres: postgres_state, redis: redis_state };
        let answered_at = Arc::new(AtomicU64::new(0));
        let answered = answered_at.clone();
        let backstop = BackstopLink::default();
        let listening = backstop.clone();
        thread("from-guard", move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                let Ok(message) = serde_json::from_str::<FromGuard>(&line) else { continue };
                answered.store(boot_clock().0, Ordering::Release);
                listening.heard(&message);
                vips.heard(&message);
                let was_armed = |server: ServerKind| publish[server].borrow().armed.is_some();
                // That the fence moved on, or that the guard lives, is no news to decide on.
                let routine = match &message {
                    FromGuard::Alive { .. } => true,
                    FromGuard::Armed { server, until } => until.is_some() == was_armed(*server),
                    _ => false,
                };
                note(&publish, &message);
                if !routine && events.blocking_send(message).is_err() {
                    return;
                }
            }
        })?;
        Ok((Self { outgoing, states, answered_at, sequence: Arc::default(), backstop }, receiver))
    }

    /// Hands a message to the writing thread; `false`: the guard does not take any.
    pub fn send(&self, message: &ToGuard) -> bool {
        let Ok(line) = serde_json::to_string(message) else { return false };
        self.backstop.sending(message);
        match self.outgoing.try_send(line) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }

    /// From here on the servers end at the fence also when the guard is frozen. By the directory each works in; `None`: this
    /// member has no such server.
    pub fn start_backstop(&self, directories: PerServer<Option<std::path::PathBuf>>) -> std::io::Result<()> {
        self.backstop.start(directories)
    }

    pub fn heartbeat(&self) {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        self.send(&ToGuard::Heartbeat { sequence });
    }

    /// When the guard last said anything.
    pub fn answered_at(&self) -> Millis {
        Millis(self.answered_at.load(Ordering::Acquire))
    }

    /// Of PostgreSQL.
    pub fn state(&self) -> GuardState {
        self.state_of(ServerKind::Postgres)
    }

    pub fn state_of(&self, server: ServerKind) -> GuardState {
        self.states[server].borrow().clone()
    }

    /// Waits until the guard's state of PostgreSQL is as wanted. An error: the guard is gone.
    pub async fn wait_for(
        &self,
        wanted: impl FnMut(&GuardState) -> bool,
    ) -> Result<GuardState, watch::error::RecvError> {
        self.wait_for_server(ServerKind::Postgres, wanted).await
    }

    pub async fn wait_for_server(
        &self,
        server: ServerKind,
        wanted: impl FnMut(&GuardState) -> bool,
    ) -> Result<GuardState, watch::error::RecvError> {
        self.states[server].clone().wait_for(wanted).await.map(|state| state.clone())
    }
}

fn note(publish: &PerServer<watch::Sender<GuardState>>, message: &FromGuard) {
    let change = |server: ServerKind, change: &dyn Fn(&mut GuardState)| {
        publish[server].send_if_modified(|state| {
            let before = state.clone();
            change(state);
            *state != before
        });
    };
    match message {
        FromGuard::Hello { servers, .. } => {
            for (server, known) in servers.iter() {
                change(server, &|state| (state.pid, state.armed) = (known.pid, known.fence));
            }
        }
        FromGuard::Started { server, pid } => change(*server, &|state| {
            state.pid = Some(*pid);
            state.start_failed = None;
            state.exited = None;
            state.sequence += 1;
        }),
        FromGuard::StartFailed { server, why } => change(*server, &|state| {
            state.start_failed = Some(why.clone());
            state.sequence += 1;
        }),
        FromGuard::Exited { server, status } => change(*server, &|state| {
            state.pid = None;
            state.armed = None;
            state.exited = Some(status.clone());
            state.sequence += 1;
        }),
        FromGuard::Fenced { server, .. } => change(*server, &|state| state.armed = None),
        FromGuard::Armed { server, until } => change(*server, &|state| state.armed = *until),
        FromGuard::Address(_) | FromGuard::Alive { .. } | FromGuard::Terminate | FromGuard::Reload => {}
    }
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).stack_size(THREAD_STACK_BYTES).spawn(body).map(drop)
}
