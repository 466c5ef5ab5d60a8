//! The guard's decisions: the parent process that owns the servers (postmaster, redis-server) and ends each of them when
//! the lease is over.
//!
//! Deliberately ignorant of store, configuration, SQL and Redis's protocol. The invariant: once a server's fence has
//! fallen, that server is stopped, whatever the worker says afterwards; only its end lifts the fence. What happens to one
//! server changes nothing for the other. An address under the guard is removed at its own fence in the same way (`address`).

mod address;
#[cfg(test)]
mod address_tests;
mod machine;
mod per_server;
mod server;
#[cfg(test)]
mod tests;
mod watchdog;

pub use address::{
    ADDRESSES_MAX, ANNOUNCE_AFTER, ANNOUNCE_EVERY, AddressState, Presence, REMOVALS_MAX, REMOVE_AGAIN_AFTER, lifetime_s,
};
pub use machine::{Guard, WORKER_RESTART_PAUSE};
pub use per_server::{PerServer, ServerKind};
pub use server::{IMMEDIATE_STOP_MAX, KILL_AFTER};
pub use watchdog::{WORKER_SILENCE_MAX, Watchdog};

use crate::vip::VirtualAddress;
use serde::{Deserialize, Serialize};
use types::Millis;

/// The worker may leave at most this many bytes with the guard for its successor.
pub const MEMO_BYTES_MAX: usize = 64 * 1024;

/// How a server is stopped, in PostgreSQL's words. Redis has two ways only: in order (SIGTERM: it saves and ends) for
/// `Smart` and `Fast`, and killed for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopMode {
    Smart,
    Fast,
    Immediate,
    /// No shutdown at all: every process is killed.
    Kill,
}

/// What the guard starts: a program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartCommand {
    pub program: String,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    /// Where the server's own output goes.
    pub log_file: String,
    pub working_directory: String,
}

/// From the worker to the guard. A message that names no server is about PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToGuard {
    /// `fence` is needed for a server that starts as a primary. Redis always starts as a replica.
    Start {
        #[serde(default)]
        server: ServerKind,
        command: StartCommand,
        fence: Option<Millis>,
    },
    Stop {
        #[serde(default)]
        server: ServerKind,
        mode: StopMode,
    },
    /// The server may be a primary (a master) until then (boot clock). Only ever later than before.
    Arm {
        #[serde(default)]
        server: ServerKind,
        until: Millis,
    },
    /// The server is a replica, or the cluster is paused: no fence.
    Disarm {
        #[serde(default)]
        server: ServerKind,
    },
    /// The address may be on its network card until then (boot clock). Only ever later than before.
    Hold {
        address: VirtualAddress,
        until: Millis,
    },
    /// The address is to be gone now.
    Release {
        address: VirtualAddress,
    },
    Heartbeat {
        sequence: u64,
    },
    /// The worker runs, and its decision loops have completed lately.
    Well,
    /// What the next worker must know.
    Memo {
        text: String,
    },
    /// The agent ends: do not start another worker. `leave_running`: the servers go on (pause).
    Finish {
        leave_running: bool,
    },
}

/// What a new worker must know about a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerState {
    /// Of the postmaster, or of redis-server.
    pub pid: Option<u32>,
    pub fence: Option<Millis>,
}

/// From the guard to the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromGuard {
    /// The first message to every worker.
    Hello {
        servers: PerServer<ServerState>,
        memo: String,
        #[serde(default)]
        addresses: Vec<AddressState>,
    },
    Started {
        #[serde(default)]
        server: ServerKind,
        pid: u32,
    },
    StartFailed {
        #[serde(default)]
        server: ServerKind,
        why: String,
    },
    /// Every process of PostgreSQL is gone; of Redis, the one that answers clients.
    Exited {
        #[serde(default)]
        server: ServerKind,
        status: String,
    },
    /// The fence fell at this time; `Exited` follows.
    Fenced {
        #[serde(default)]
        server: ServerKind,
        at: Millis,
    },
    Armed {
        #[serde(default)]
        server: ServerKind,
        until: Option<Millis>,
    },
    /// Something about an address is new.
    Address(AddressState),
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
    /// The server was started with this pid.
    Spawned {
        server: ServerKind,
        pid: u32,
    },
    SpawnFailed {
        server: ServerKind,
        why: String,
    },
    /// The server's first process is gone; its children may not be.
    ServerExited {
        server: ServerKind,
        status: String,
    },
    /// The last of its children is gone too.
    TreeGone {
        server: ServerKind,
    },
    /// The answer to `SetAddress`.
    AddressSet {
        address: VirtualAddress,
        result: Result<(), String>,
    },
    /// The answer to `RemoveAddress`; one that was not there is removed, too.
    AddressRemoved {
        address: VirtualAddress,
        result: Result<(), String>,
    },
    /// Another host answers for an address that is held here.
    AddressConflict {
        address: VirtualAddress,
        with: String,
    },
    /// Time passed.
    Tick,
    TerminateRequested,
    ReloadRequested,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuardEffect {
    Spawn {
        server: ServerKind,
        command: StartCommand,
    },
    Signal {
        server: ServerKind,
        mode: StopMode,
    },
    /// Kill the server and every process under it; answer with `TreeGone`.
    KillTree {
        server: ServerKind,
    },
    /// Set the address, or set its lifetime anew; the kernel is to remove it after that many seconds. Answer with
    /// `AddressSet`. Neither this nor the next waits for anything: they are done elsewhere, in this order. From `until` on it is
    /// not done any more: a guard that was frozen with this request under way comes back to a card of another's.
    SetAddress {
        address: VirtualAddress,
        seconds: u32,
        until: Millis,
    },
    /// Answer with `AddressRemoved`.
    RemoveAddress {
        address: VirtualAddress,
    },
    /// Tell the neighbours that the address is here, and look whether it is also elsewhere.
    AnnounceAddress {
        address: VirtualAddress,
    },
    Send(FromGuard),
    /// Tell the service manager that the agent works. Must not wait for anything, either.
    SignOfLife,
    SpawnWorker,
    /// The guard ends.
    Exit,
}
