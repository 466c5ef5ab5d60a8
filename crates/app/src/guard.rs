//! The guard process: the parent that owns the servers. Synchronous, without a runtime, and small on purpose.
//!
//! Deliberately no decisions: `ha::guard` decides, this file carries out. The invariant: everything that happens is
//! handed to the machine before anything else is done.

use ha::guard::{FromGuard, Guard, GuardEffect, GuardEvent, ServerKind, StartCommand, StopMode, ToGuard, Watchdog};
use ha::vip::VirtualAddress;
use platform::{
    AddressEvent, AddressThread, CardAddress, ChildEvent, Children, Exit, RunAs, Server, ServerCommand, ServiceManager,
    Signal, Terminator, WorkerCommand, boot_clock,
};
use std::collections::VecDeque;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;
use types::Millis;

/// The exit code a worker ends with when starting it again would not help (its own message said why).
pub const EXIT_FATAL: i32 = 2;

pub struct GuardProcess {
    children: Children,
    /// From the first address on.
    addresses: Option<AddressThread>,
    worker: WorkerCommand,
    run_as: Option<RunAs>,
    /// The worker said, by its exit code, that it cannot work at all.
    fatal: bool,
    /// Whom to tell that the agent works, when there is somebody.
    manager: ServiceManager,
    log: SyncSender<String>,
}

/// Lines for the log that may wait; more are dropped.
const LOG_LINES_MAX: usize = 64;

/// A log that nobody reads (a full pipe, a hanging disk) must not keep the guard from its fence, nor end it.
fn log_thread() -> std::io::Result<SyncSender<String>> {
    let (sender, lines) = sync_channel::<String>(LOG_LINES_MAX);
    let write = move || lines.iter().for_each(|line| drop(writeln!(std::io::stderr(), "guard: {line}")));
    std::thread::Builder::new().name("log".to_owned()).spawn(write)?;
    Ok(sender)
}

impl GuardProcess {
    /// `run_as`: whom worker and servers run as, when the guard is root.
    pub fn new(config: &Path, run_as: Option<RunAs>) -> std::io::Result<Self> {
        let worker = WorkerCommand {
            program: std::env::current_exe()?,
            arguments: vec!["worker".to_owned(), config.to_string_lossy().into_owned()],
            run_as: run_as.clone(),
        };
        Ok(Self {
            children: Children::new()?,
            addresses: None,
            worker,
            run_as,
            fatal: false,
            manager: ServiceManager::find(),
            log: log_thread()?,
        })
    }

    /// Asks the agent to end in order, from another thread.
    pub fn terminator(&self) -> Terminator {
        self.children.terminator()
    }

    /// Runs until the agent is told to end. Returns the exit code.
    pub fn run(mut self) -> i32 {
        let watchdog = self.manager.watchdog().map(|timeout| Watchdog::new(boot_clock(), millis(timeout)));
        let mut guard = Guard::new(boot_clock()).watched(watchdog);
        self.tell_manager("READY=1\n");
        platform::let_start_up_code_go();
        let mut queue = VecDeque::from([GuardEvent::Tick]);
        loop {
            while let Some(event) = queue.pop_front() {
                for effect in guard.handle(boot_clock(), event) {
                    if !self.carry_out(effect, &mut queue) {
                        return if self.fatal { EXIT_FATAL } else { 0 };
                    }
                }
            }
            let wait = guard.next_tick().map(|at| Duration::from(at.since(boot_clock())));
            match self.children.next_event(wait) {
                None => queue.push_back(GuardEvent::Tick),
                Some(event) => queue.extend(self.take_up(event)),
            }
        }
    }

    fn take_up(&mut self, event: ChildEvent) -> Vec<GuardEvent> {
        let event = match event {
            ChildEvent::WorkerSaid(line) => match serde_json::from_str(&line) {
                Ok(message) => GuardEvent::FromWorker(message),
                Err(error) => {
                    self.say(format!("the worker sent a line that cannot be read: {error}"));
                    return Vec::new();
                }
            },
            ChildEvent::WorkerExited(exit) => {
                if exit == Exit::Code(EXIT_FATAL) {
                    self.fatal = true;
                    let finish = ToGuard::Finish { leave_running: false };
                    return vec![GuardEvent::FromWorker(finish), GuardEvent::WorkerExited];
                }
                self.say(format!("the worker ended ({exit})"));
                if exit == Exit::Code(0) {
                    // It said so before it ended, but what it said may still be on its way.
                    return vec![
                        GuardEvent::FromWorker(ToGuard::Finish { leave_running: false }),
                        GuardEvent::WorkerExited,
                    ];
                }
                GuardEvent::WorkerExited
            }
            ChildEvent::ServerExited(server, status) => GuardEvent::ServerExited { server: kind(server), status },
            ChildEvent::TreeGone(server) => GuardEvent::TreeGone { server: kind(server) },
            ChildEvent::Address(AddressEvent::Set(address, result)) => {
                GuardEvent::AddressSet { address: virtual_address(address), result }
            }
            ChildEvent::Address(AddressEvent::Removed(address, result)) => {
                GuardEvent::AddressRemoved { address: virtual_address(address), result }
            }
            ChildEvent::Address(AddressEvent::Conflict(address, with)) => {
                GuardEvent::AddressConflict { address: virtual_address(address), with }
            }
            ChildEvent::Terminate => {
                self.tell_manager("STOPPING=1\n");
                GuardEvent::TerminateRequested
            }
            ChildEvent::Reload => GuardEvent::ReloadRequested,
            ChildEvent::Look => return Vec::new(),
        };
        vec![event]
    }

    /// `false`: the guard ends.
    fn carry_out(&mut self, effect: GuardEffect, queue: &mut VecDeque<GuardEvent>) -> bool {
        match effect {
            GuardEffect::Spawn { server, command } => {
                let command = self.server_command(command);
                queue.push_back(match self.children.start_server(child(server), &command) {
                    Ok(pid) => GuardEvent::Spawned { server, pid },
                    Err(error) => GuardEvent::SpawnFailed { server, why: error.to_string() },
                });
            }
            GuardEffect::Signal { server, mode } => match mode {
                StopMode::Smart => self.children.signal_server(child(server), Signal::Smart),
                StopMode::Fast => self.children.signal_server(child(server), Signal::Fast),
                StopMode::Immediate => self.children.signal_server(child(server), Signal::Immediate),
                StopMode::Kill => self.children.kill_tree(child(server)),
            },
            GuardEffect::KillTree { server } => self.children.kill_tree(child(server)),
            GuardEffect::SetAddress { address, seconds, until } => {
                let asked = self.addresses().and_then(|thread| thread.set(card_address(&address), seconds, until));
                queue.extend(asked.err().map(|why| GuardEvent::AddressSet { address, result: Err(why) }));
            }
            GuardEffect::RemoveAddress { address } => {
                let asked = self.addresses().and_then(|thread| thread.remove(card_address(&address)));
                queue.extend(asked.err().map(|why| GuardEvent::AddressRemoved { address, result: Err(why) }));
            }
            GuardEffect::AnnounceAddress { address } => {
                // One that is not taken is followed by others.
                let _ = self.addresses().and_then(|thread| thread.announce(card_address(&address)));
            }
            GuardEffect::Send(message) => {
                if let FromGuard::Fenced { server, .. } = message {
                    self.say(format!("the lease is over; {server} is stopped"));
                }
                if let Ok(line) = serde_json::to_string(&message) {
                    self.children.tell_worker(&line);
                }
            }
            GuardEffect::SignOfLife => self.tell_manager("WATCHDOG=1\n"),
            GuardEffect::SpawnWorker => {
                if let Err(error) = self.children.start_worker(&self.worker) {
                    self.say(format!("cannot start the worker: {error}"));
                    queue.push_back(GuardEvent::WorkerExited);
                }
            }
            GuardEffect::Exit => {
                self.children.release_servers();
                return false;
            }
        }
        true
    }

    fn addresses(&mut self) -> Result<&AddressThread, String> {
        if self.addresses.is_none() {
            self.addresses = Some(self.children.start_addresses().map_err(|error| error.to_string())?);
        }
        self.addresses.as_ref().ok_or_else(String::new)
    }

    fn tell_manager(&self, state: &str) {
        if let Err(error) = self.manager.tell(state) {
            self.say(format!("the service manager was not told {}: {error}", state.trim_end()));
        }
    }

    fn say(&self, line: String) {
        let _ = self.log.try_send(line);
    }

    fn server_command(&self, command: StartCommand) -> ServerCommand {
        ServerCommand {
            program: PathBuf::from(command.program),
            arguments: command.arguments,
            environment: command.environment,
            working_directory: PathBuf::from(command.working_directory),
            log_file: PathBuf::from(command.log_file),
            run_as: self.run_as.clone(),
        }
    }
}

/// A length of time far below the limit.
fn millis(time: Duration) -> Millis {
    Millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

fn card_address(address: &VirtualAddress) -> CardAddress {
    CardAddress { ip: address.ip, prefix: address.prefix, interface: address.interface.clone() }
}

fn virtual_address(address: CardAddress) -> VirtualAddress {
    VirtualAddress { ip: address.ip, prefix: address.prefix, interface: address.interface }
}

fn child(server: ServerKind) -> Server {
    match server {
        ServerKind::Postgres => Server::Postgres,
        ServerKind::Redis => Server::Redis,
    }
}

fn kind(server: Server) -> ServerKind {
    match server {
        Server::Postgres => ServerKind::Postgres,
        Server::Redis => ServerKind::Redis,
    }
}
