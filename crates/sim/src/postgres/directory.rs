//! What is on disk, as pg_control and the configuration files tell it.

use super::wal::Wal;
use ha::postgres::DataDirectory;
use std::collections::BTreeSet;
use types::{Lsn, SystemId, Timeline};

#[derive(Clone, Debug)]
pub enum Data {
    Empty,
    /// A clone that was interrupted.
    Unfinished,
    /// A rewind is under way, or was interrupted.
    HalfRewound(Box<Cluster>),
    Cluster(Box<Cluster>),
}

#[derive(Clone, Debug)]
pub struct Cluster {
    pub system_id: u64,
    /// Flushed, which is to say: there after a power cut.
    pub wal: Wal,
    pub was_primary: bool,
    pub clean: bool,
    pub checkpoint: u64,
    /// The last completed checkpoint was on this timeline; pg_rewind reads it off the source.
    pub checkpoint_timeline: u32,
    /// Recovery must reach this before the server is consistent.
    pub consistent_at: u64,
    pub standby: bool,
    pub upstream: Option<usize>,
    pub synchronous_standby_names: String,
    pub slots: BTreeSet<String>,
    /// There are history files up to this timeline, so that a promotion goes beyond it.
    pub timelines_taken: u32,
}

impl Cluster {
    /// What initdb makes.
    pub fn new(system_id: u64, branch: u32) -> Self {
        let end = 0x0100_0000;
        Self {
            system_id,
            wal: Wal::new(branch, end),
            was_primary: true,
            clean: true,
            checkpoint: end,
            checkpoint_timeline: 1,
            consistent_at: 0,
            standby: false,
            upstream: None,
            synchronous_standby_names: String::new(),
            slots: BTreeSet::new(),
            timelines_taken: 1,
        }
    }
}

impl Data {
    pub fn cluster(&self) -> Option<&Cluster> {
        match self {
            Self::Cluster(cluster) => Some(cluster),
            Self::Empty | Self::Unfinished | Self::HalfRewound(_) => None,
        }
    }

    pub fn cluster_mut(&mut self) -> Option<&mut Cluster> {
        match self {
            Self::Cluster(cluster) => Some(cluster),
            Self::Empty | Self::Unfinished | Self::HalfRewound(_) => None,
        }
    }

    /// As the agent reads it.
    pub fn look(&self) -> DataDirectory {
        match self {
            // What was made or rewound half-way is worth nothing, and is made anew.
            Self::Empty | Self::Unfinished | Self::HalfRewound(_) => DataDirectory::Empty,
            Self::Cluster(cluster) => DataDirectory::Valid {
                system_id: SystemId::new(cluster.system_id.to_string()),
                timeline: Timeline(cluster.wal.timeline()),
                was_primary: cluster.was_primary,
                clean: cluster.clean,
                checkpoint: Lsn(cluster.checkpoint),
            },
        }
    }
}
