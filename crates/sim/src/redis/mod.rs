//! A model of Redis: what its disk keeps, and the process that may be working on it.
//!
//! Deliberately without commands and types of data: what counts is who accepts writes, how far each stream goes and whose it
//! is. The invariant: it is as careless as the real one (it acknowledges before anybody else has a write, and a full
//! synchronization deletes whatever was there), and not more so.

mod commands;
mod convergence;
pub mod faults;
mod jobs;
mod lifecycle;
mod observer;
mod oracle;
mod replication;
pub mod stream;
mod worker;
mod writer;

pub use commands::Command;
pub use jobs::Step;
pub use oracle::RedisOracle;
pub use worker::{RedisWorker, RedisWorkerEvent};

use crate::clock::Time;
use crate::world::Happening;
use std::collections::BTreeMap;
use stream::Stream;

/// The name of the group, as Sentinel would call its master.
pub const GROUP: &str = "db1";

/// One Redis on one host.
#[derive(Debug, Default)]
pub struct Redis {
    /// What the append-only file holds.
    pub disk: Stream,
    /// So much of it survives a loss of power.
    pub synced: u64,
    /// Grows with every process.
    pub run: u64,
    pub server: Option<Box<Server>>,
    /// The process does not run now (for so many reasons).
    pub frozen: u32,
    pub backlog: Vec<Happening>,
    /// An operator allowed its data to be replaced.
    pub may_overwrite: bool,
}

#[derive(Debug)]
pub struct Server {
    pub loading: bool,
    pub role: Role,
    pub stream: Stream,
    /// Its replication id, and the one before its promotion.
    pub id: u32,
    pub id2: Option<u32>,
    /// Writes wait until then.
    pub paused_until: Time,
    pub waiting: Vec<u64>,
    /// Connected replicas, and when each was last heard.
    pub replicas: BTreeMap<usize, (u64, Time)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Master,
    Replica { of: Option<usize>, link: Link },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Down,
    /// Of the process of this run.
    Syncing {
        run: u64,
        since: Time,
    },
    Up {
        run: u64,
        heard: Time,
    },
}

/// What happens to the process.
#[derive(Clone, Debug)]
pub enum RedisEvent {
    Loaded,
    Write {
        number: u64,
    },
    PauseEnds,
    Fsync,
    /// A master tells its replicas that it lives, pause or not.
    Ping,
    /// A replica looks after its link.
    Tick,
    Synced {
        from: usize,
        run: u64,
        full: bool,
    },
    Stream {
        from: usize,
        run: u64,
        stream: Stream,
    },
    Command {
        worker_run: u64,
        job: u64,
        command: Command,
    },
    /// It ends in order.
    Ends,
}

impl Redis {
    /// A process that could still acknowledge a write, now or when it goes on.
    pub fn can_acknowledge(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.role == Role::Master && !server.loading)
    }

    pub fn link(&self) -> Option<(usize, Link)> {
        match self.server.as_ref()?.role {
            Role::Replica { of: Some(of), link } => Some((of, link)),
            Role::Replica { of: None, .. } | Role::Master => None,
        }
    }
}
