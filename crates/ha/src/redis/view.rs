//! Everything a decision about one Redis may look at.

use super::decide::Job;
use crate::cluster::redis::RedisMemberData;
pub use crate::postgres::{DcsView, GuardView};
use std::net::IpAddr;
use types::{MemberName, Millis};

#[derive(Clone, Debug)]
pub struct View {
    /// The member's boot clock.
    pub now: Millis,
    /// Wall clock, ISO 8601 with zone: for notes to people, never for safety.
    pub wall: String,
    pub me: MemberName,
    /// The group this Redis belongs to: what Sentinel calls the master's name.
    pub group: String,
    /// The parts of the own entry that never change: `address`, `version`, `failover_priority`.
    pub identity: RedisMemberData,
    pub settings: Settings,
    pub dcs: DcsView,
    /// `armed`: of Redis.
    pub guard: GuardView,
    /// The virtual addresses of the master that the guard has, or may have, on a network card.
    pub addresses: Vec<IpAddr>,
    pub server: Server,
    /// The job that runs, or the one that ended since the last decision.
    pub job: Option<JobView>,
    /// What is wrong with Redis, for people: it answers its own agent with errors only, or ends at its start.
    pub trouble: Option<String>,
    /// The agent was asked to stop.
    pub stopping: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A master that has not answered for this long is taken for hanging.
    pub down_after: Millis,
    /// A planned switchover keeps writes waiting for at most this long.
    pub pause_max: Millis,
}

/// Long enough for a fork of a large process, short enough for a client's patience.
pub const DOWN_AFTER_DEFAULT: Millis = Millis(1000);
/// Below the time after which most clients give a command up. A replica that is in sync needs a few milliseconds of it.
pub const PAUSE_MAX_DEFAULT: Millis = Millis(1000);

impl Default for Settings {
    fn default() -> Self {
        Self { down_after: DOWN_AFTER_DEFAULT, pause_max: PAUSE_MAX_DEFAULT }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Server {
    /// Not looked at yet.
    #[default]
    Unknown,
    Down,
    /// The process lives and has not answered yet, or loads its data.
    Starting,
    Running(Box<Running>),
    /// It has answered, the process lives, and nothing was answered since then.
    Silent {
        since: Millis,
        /// It does not even take connections.
        refused: bool,
        last: Box<Running>,
    },
}

impl Server {
    /// The last thing Redis told, if it is up.
    pub fn running(&self) -> Option<&Running> {
        match self {
            Self::Running(running) | Self::Silent { last: running, .. } => Some(running),
            Self::Unknown | Self::Down | Self::Starting => None,
        }
    }

    pub fn is_down(&self) -> bool {
        matches!(self, Self::Down)
    }

    /// As far as it last told.
    pub fn is_master(&self) -> bool {
        self.running().is_some_and(Running::is_master)
    }
}

/// What Redis answered to a question that was asked at `observed_at` (the time before asking, not of the answer).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    pub observed_at: Millis,
    pub run_id: String,
    pub role: ServerRole,
    pub replid: String,
    /// The replication id before the last promotion; `None` for Redis's row of zeros.
    pub replid2: Option<String>,
    /// `master_repl_offset`; of a replica with a link `slave_repl_offset`.
    pub offset: u64,
    /// Keys in all databases.
    pub keys: u64,
    /// A master's replicas.
    pub replicas: Vec<ReplicaLink>,
}

impl Running {
    pub fn is_master(&self) -> bool {
        self.role == ServerRole::Master
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerRole {
    Master,
    /// `of`: the member whose address it was given; `None`: nobody's, as every server starts while there is no leader.
    Replica {
        of: Option<MemberName>,
        link_up: bool,
    },
}

impl Default for ServerRole {
    fn default() -> Self {
        Self::Replica { of: None, link_up: false }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaLink {
    pub name: MemberName,
    /// `state=online`.
    pub online: bool,
    /// What it last acknowledged, up to a second ago.
    pub offset: u64,
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
    /// `offset`: where the replication stream was at that moment, of jobs that find that out (see `Job`).
    Done {
        offset: Option<u64>,
    },
    Failed {
        why: String,
    },
}
