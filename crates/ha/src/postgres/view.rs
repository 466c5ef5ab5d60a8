//! Everything a decision may look at.

use super::Source;
use super::decide::Job;
use crate::cluster::{Cluster, HistoryLine, MemberData, Tags};
use crate::failsafe::FailsafeView;
use crate::hold::HoldView;
use crate::lease::Lease;
use std::net::IpAddr;
use types::{Lsn, MemberName, Millis, SystemId, Timeline};

#[derive(Clone, Debug)]
pub struct View {
    /// The member's boot clock.
    pub now: Millis,
    /// Wall clock, ISO 8601 with zone: for notes to people and for schedules, never for safety.
    pub wall: String,
    pub me: MemberName,
    pub tags: Tags,
    /// The parts of the own entry that never change: `conn_url`, `api_url`, `version`, `proxy_url`, `quorate.services`.
    pub identity: MemberData,
    /// The dynamic configuration a new cluster starts with, as JSON.
    pub bootstrap_config: String,
    pub dcs: DcsView,
    pub guard: GuardView,
    /// The virtual addresses of the primary and of the standby leader that the guard has, or may have, on a network card.
    pub addresses: Vec<IpAddr>,
    pub postgres: PostgresView,
    /// The job that runs, or the one that ended since the last decision.
    pub job: Option<JobView>,
    /// What operators asked of this member.
    pub requests: Vec<Request>,
    /// The requested switchover, if it was scheduled, is due.
    pub schedule_is_due: bool,
    /// The agent was asked to stop.
    pub stopping: bool,
    /// The connection poolers of this member.
    pub hold: HoldView,
}

#[derive(Clone, Debug, Default)]
pub struct DcsView {
    /// The newest view of the store; `None` before the first one.
    pub cluster: Option<Cluster>,
    /// The store answered lately.
    pub connected: bool,
    pub lease: Option<Lease>,
    pub failsafe: FailsafeView,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct GuardView {
    /// It answered lately.
    pub answering: bool,
    /// Until when PostgreSQL may be a primary, as the guard confirmed it.
    pub armed: Option<Millis>,
}

#[derive(Clone, Debug, Default)]
pub struct PostgresView {
    pub data: DataDirectory,
    pub server: Server,
    /// Whom `primary_conninfo` names.
    pub following: Option<Source>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DataDirectory {
    /// Not looked at yet.
    #[default]
    Unknown,
    Empty,
    Valid {
        system_id: SystemId,
        timeline: Timeline,
        /// `pg_control` says it last ran as a primary.
        was_primary: bool,
        /// It was shut down in order.
        clean: bool,
        /// The last checkpoint; after an orderly shutdown the end of its WAL.
        checkpoint: Lsn,
    },
    /// Neither empty nor usable, with why.
    Invalid {
        why: String,
    },
}

#[derive(Clone, Debug, Default)]
pub enum Server {
    /// Not looked at yet.
    #[default]
    Unknown,
    Down,
    /// The postmaster lives and does not accept connections yet (or no longer).
    Starting,
    Stopping,
    Running(Box<Running>),
    /// It ran, the postmaster lives, and SQL has not been answered since then.
    Unresponsive {
        since: Millis,
        last: Box<Running>,
    },
}

impl Server {
    /// The last thing PostgreSQL told, if it is up.
    pub fn running(&self) -> Option<&Running> {
        match self {
            Self::Running(running) | Self::Unresponsive { last: running, .. } => Some(running),
            Self::Unknown | Self::Down | Self::Starting | Self::Stopping => None,
        }
    }

    pub fn is_down(&self) -> bool {
        matches!(self, Self::Down)
    }
}

/// What PostgreSQL answered at `observed_at`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    pub observed_at: Millis,
    pub in_recovery: bool,
    pub timeline: Timeline,
    /// A primary's end of WAL (flushed).
    pub write: Lsn,
    pub receive: Option<Lsn>,
    pub replay: Option<Lsn>,
    pub streaming: bool,
    /// `pg_stat_replication` of this server.
    pub standbys: Vec<Standby>,
    pub synchronous_standby_names: String,
    /// Physical replication slots by name.
    pub slots: Vec<String>,
    /// Those of them that nobody reads from.
    pub idle_slots: Vec<String>,
    pub pending_restart: bool,
    pub history: Vec<HistoryLine>,
}

impl Running {
    /// The end of the WAL this server has.
    pub fn position(&self) -> Lsn {
        if self.in_recovery { self.receive.max(self.replay).unwrap_or_default() } else { self.write }
    }
}

/// One row of `pg_stat_replication`; `name` is `application_name`, which is the member's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standby {
    pub name: String,
    pub streaming: bool,
    /// `sync_state` is `sync` (or `quorum`).
    pub synchronous: bool,
    pub flush: Lsn,
    pub replay: Lsn,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    pub job: Job,
    pub state: JobState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    Running {
        since: Millis,
    },
    Done,
    Failed {
        why: String,
    },
    /// It failed, and would however often it is tried.
    Impossible {
        why: String,
    },
}

/// What an operator asked of this one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Restart,
    Reinitialize { from_leader: bool },
}
