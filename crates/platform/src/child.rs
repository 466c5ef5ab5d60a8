//! The guard's children: one worker and its servers (a postmaster, a redis-server), with everything below them.

use super::os;
use crate::addresses::{AddressEvent, AddressThread};
use crate::exit::Exit;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender};

/// How many events may wait; the guard's loop takes them at once, and a sender that finds it full waits.
const EVENTS_MAX: usize = 256;

/// What happened to the children, or what the service manager asks.
#[derive(Debug)]
pub enum ChildEvent {
    /// One line of the worker's standard output.
    WorkerSaid(String),
    WorkerExited(Exit),
    ServerExited(Server, String),
    /// After the server's end: no process of it is left.
    TreeGone(Server),
    /// An answer of the thread for addresses.
    Address(AddressEvent),
    Terminate,
    Reload,
    /// A child ended; look again.
    Look,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    Postgres,
    Redis,
}

/// How a server is asked to end, in PostgreSQL's words; see `Server` for Redis's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Smart,
    Fast,
    Immediate,
}

#[derive(Clone, Debug)]
pub struct WorkerCommand {
    pub program: PathBuf,
    pub arguments: Vec<String>,
    pub run_as: Option<os::user::RunAs>,
}

#[derive(Clone, Debug)]
pub struct ServerCommand {
    pub program: PathBuf,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub working_directory: PathBuf,
    pub log_file: PathBuf,
    pub run_as: Option<os::user::RunAs>,
}

/// Owns the processes. Must be used from one thread, the one that lives as long as the guard: on Linux the kernel
/// ends a child when the thread that started it ends.
pub struct Children {
    inner: os::children::Children,
    events: Receiver<ChildEvent>,
    sender: SyncSender<ChildEvent>,
}

/// Asks this process's guard to end, as SIGTERM does.
#[derive(Clone, Debug)]
pub struct Terminator(SyncSender<ChildEvent>);

impl Terminator {
    pub fn terminate(&self) {
        // A guard that is gone has nothing left to end.
        let _ = self.0.send(ChildEvent::Terminate);
    }
}

impl Children {
    /// Takes charge of this process's children and signals.
    pub fn new() -> io::Result<Self> {
        let (sender, events) = std::sync::mpsc::sync_channel(EVENTS_MAX);
        Ok(Self { inner: os::children::Children::new(sender.clone())?, events, sender })
    }

    pub fn terminator(&self) -> Terminator {
        Terminator(self.sender.clone())
    }

    /// The next event, or `None` when `wait` is over.
    pub fn next_event(&mut self, wait: Option<std::time::Duration>) -> Option<ChildEvent> {
        let event = match wait {
            Some(wait) => self.events.recv_timeout(wait).ok(),
            None => self.events.recv().ok(),
        };
        match event {
            Some(ChildEvent::Look) => self.inner.look(),
            other => other,
        }
    }

    /// A thread that sets and removes addresses; what becomes of it is among the events.
    pub fn start_addresses(&self) -> io::Result<AddressThread> {
        AddressThread::start(self.sender.clone())
    }

    pub fn start_worker(&mut self, command: &WorkerCommand) -> io::Result<()> {
        self.inner.start_worker(command)
    }

    /// Writes one line to the worker's standard input. A worker that does not read is not waited for.
    pub fn tell_worker(&mut self, line: &str) {
        self.inner.tell_worker(line);
    }

    /// Returns the pid of the server's first process.
    pub fn start_server(&mut self, server: Server, command: &ServerCommand) -> io::Result<u32> {
        self.inner.start_server(server, command)
    }

    /// Redis ends in order on either of `Smart` and `Fast` (it saves first), and has no `Immediate`.
    pub fn signal_server(&mut self, server: Server, signal: Signal) {
        self.inner.signal_server(server, signal);
    }

    /// Kills the server and everything below it. `ServerExited` (if it was alive) and `TreeGone` follow.
    pub fn kill_tree(&mut self, server: Server) {
        self.inner.kill_tree(server);
    }

    /// Lets the servers go on when this process ends.
    pub fn release_servers(&mut self) {
        self.inner.release_servers();
    }
}
