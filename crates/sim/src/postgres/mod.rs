//! A model of PostgreSQL: a data directory, and the processes that may be working on it.
//!
//! Deliberately without tables and SQL: what counts is where the log ends, whose history it is, who has flushed what,
//! and which commits were acknowledged. The invariant: it is as nasty as the real one is documented to be, and not nastier.

pub mod directory;
pub mod lifecycle;
pub mod replication;
pub mod settings;
pub mod tools;
pub mod wal;
pub mod writes;

use crate::clock::Time;
use crate::world::Happening;
use directory::Data;
use std::collections::{BTreeMap, VecDeque};

/// One PostgreSQL installation on one host.
#[derive(Debug)]
pub struct Postgres {
    pub data: Data,
    /// Grows with every postmaster.
    pub run: u64,
    pub server: Option<Box<Server>>,
    /// Its processes do not run now (for so many reasons).
    pub frozen: u32,
    pub backlog: Vec<Happening>,
    /// How much slower the disk is than it should be.
    pub slow_disk: u64,
    pub disk_full: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Recovery; no connections.
    Starting,
    Standby,
    Promoting,
    Primary,
    /// A fast stop: no backends any more, the last WAL goes to the standbys.
    Stopping,
}

/// The processes of one postmaster.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // what a process can be in the middle of
pub struct Server {
    pub phase: Phase,
    /// `false`: the postmaster is dead and backends still end what they are doing.
    pub postmaster: bool,
    /// Starts (or serves) as a primary.
    pub as_primary: bool,
    /// The end of the log in memory; what is on disk is the data directory's.
    pub inserted: u64,
    pub flushing: bool,
    /// Commits without an answer: end of the record, number.
    pub commits: VecDeque<(u64, u64)>,
    pub settings: settings::Settings,
    /// Commits up to here have been confirmed by the synchronous standbys.
    pub released: u64,
    pub senders: BTreeMap<usize, Sender>,
    pub receiver: Option<Receiver>,
    pub upstream: Option<usize>,
    /// The shutdown checkpoint is written; the standbys are still to get it.
    pub shutdown_written: bool,
    pub checkpointed_at: Time,
    pub checkpointer_busy_until: Time,
    /// A receiver's next try is on the agenda.
    pub trying: bool,
}

/// A walsender: what this server knows of one standby.
#[derive(Clone, Debug)]
pub struct Sender {
    pub run: u64,
    pub flush: u64,
    /// `synchronous_standby_names` as this process has loaded it.
    pub names: String,
    pub under_way: bool,
    pub heard: Time,
}

/// A walreceiver's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receiver {
    pub from: usize,
    pub from_run: u64,
    pub heard: Time,
}

/// What happens to the processes of a PostgreSQL.
#[derive(Clone, Debug)]
pub enum PostgresEvent {
    Recovered,
    Write {
        number: u64,
    },
    Flushed {
        to: u64,
    },
    Stream {
        from: usize,
        from_run: u64,
        wal: wal::Wal,
    },
    StandbyFlushed {
        receiver: Receiver,
        wal: wal::Wal,
    },
    Feedback {
        from: usize,
        run: u64,
        flush: u64,
    },
    /// A piece of the remote primary's log.
    FromRemote,
    SendAgain {
        to: usize,
    },
    TryToReceive,
    LookAtReceiver,
    Promoted,
    Checkpointed,
    ShutdownCheckpoint,
    LookAtShutdown,
    SettingLoaded {
        by: settings::Loader,
    },
    /// The processes end by themselves.
    Ends {
        status: &'static str,
    },
}

impl Postgres {
    pub fn new() -> Self {
        Self { data: Data::Empty, run: 0, server: None, frozen: 0, backlog: Vec::new(), slow_disk: 1, disk_full: false }
    }

    /// A process that could still acknowledge a write, now or when it goes on.
    pub fn can_acknowledge(&self) -> bool {
        self.server.as_ref().is_some_and(|server| {
            matches!(server.phase, Phase::Primary) && (server.postmaster || !server.commits.is_empty())
        })
    }

    pub fn phase(&self) -> Option<Phase> {
        self.server.as_ref().filter(|server| server.postmaster).map(|server| server.phase)
    }

    pub fn is_primary(&self) -> bool {
        self.phase() == Some(Phase::Primary)
    }
}

impl Default for Postgres {
    fn default() -> Self {
        Self::new()
    }
}
