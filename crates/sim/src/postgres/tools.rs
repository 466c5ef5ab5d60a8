//! initdb, pg_basebackup and pg_rewind, as far as they change a data directory.

use super::Phase;
use super::directory::{Cluster, Data};
use crate::network::Plane;
use crate::say;
use crate::world::World;

/// What a rewind does first: compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejoin {
    AsItIs,
    /// pg_rewind has to run.
    Rewind,
}

impl World {
    pub(crate) fn initdb(&mut self, host: usize) {
        let branch = self.next_branch();
        let system_id = 7_000_000_000_000_000_000 + self.random.between(0, 1_000_000_000);
        self.hosts[host].postgres.data = Data::Cluster(Box::new(Cluster::new(system_id, branch)));
        say!(self, host, "initdb is done (branch {branch})");
    }

    /// The PostgreSQL of this member can be asked for a copy of itself.
    pub(crate) fn can_copy(&self, host: usize, from: usize, as_primary: bool) -> Result<u64, &'static str> {
        let source = &self.hosts[from];
        if !source.up || !self.network.connects(Plane::Replication, host, from) || source.postgres.frozen > 0 {
            return Err("no connection");
        }
        match source.postgres.phase() {
            Some(Phase::Primary) => Ok(source.postgres.run),
            Some(Phase::Standby) if !as_primary => Ok(source.postgres.run),
            Some(_) | None => Err("it does not serve"),
        }
    }

    pub(crate) fn clone_done(&mut self, host: usize, from: usize) {
        let Some(source) = self.hosts[from].postgres.data.cluster() else { return };
        let mut copy = source.clone();
        copy.consistent_at = copy.wal.end();
        copy.was_primary = false;
        copy.clean = false;
        copy.standby = true;
        copy.slots.clear();
        copy.upstream = None;
        self.hosts[host].postgres.data = Data::Cluster(Box::new(copy));
        say!(self, host, "the clone of m{} is complete", from + 1);
    }

    /// Does a stopped directory fit the leader's history as it is? By pg_control and history files, as the agent asks.
    pub(crate) fn compare_histories(&self, host: usize, leader: usize) -> Result<Rejoin, String> {
        // The leader of a standby cluster can be compared with, and not be rewound to.
        self.can_copy(host, leader, !self.setup.standby).map_err(str::to_owned)?;
        let (Some(own), Some(source)) =
            (self.hosts[host].postgres.data.cluster(), self.hosts[leader].postgres.data.cluster())
        else {
            return Err("there is no data directory".to_owned());
        };
        let crashed = own.was_primary && !own.clean;
        if own.wal.timeline() == source.wal.timeline() {
            return Ok(if crashed { Rejoin::Rewind } else { Rejoin::AsItIs });
        }
        let left = source.wal.history().into_iter().find(|(timeline, _)| *timeline == own.wal.timeline());
        Ok(match left {
            Some((_, switch)) if own.was_primary && own.checkpoint < switch && !crashed => Rejoin::AsItIs,
            Some((_, switch)) if !own.was_primary && own.wal.end().max(own.consistent_at) <= switch => Rejoin::AsItIs,
            Some(_) | None => Rejoin::Rewind,
        })
    }

    pub(crate) fn rewind_is_possible(&self, host: usize, leader: usize) -> Result<(), String> {
        self.can_copy(host, leader, true).map_err(str::to_owned)?;
        let source = self.hosts[leader].postgres.data.cluster();
        match source {
            Some(source) if source.checkpoint_timeline == source.wal.timeline() => Ok(()),
            Some(_) => Err("it has not completed a checkpoint on its timeline yet".to_owned()),
            None => Err("it has no data directory".to_owned()),
        }
    }

    /// pg_rewind has done its work.
    pub(crate) fn rewind_done(&mut self, host: usize, leader: usize) -> Result<(), String> {
        let source = self.hosts[leader].postgres.data.cluster().cloned().ok_or("it has no data directory")?;
        let Some(own) = self.hosts[host].postgres.data.cluster_mut() else {
            return Err("no data directory".to_owned());
        };
        // Recovery in single-user mode came first.
        own.clean = true;
        if own.wal.timeline() == source.wal.timeline() {
            say!(self, host, "pg_rewind: no rewind required");
            return Ok(());
        }
        let Some(common) = own.wal.apparent_common(&source.wal) else {
            return Err("could not find common ancestor".to_owned());
        };
        let really = own.wal.common(&source.wal);
        if own.wal.end().min(common) > really {
            let what =
                format!("pg_rewind leaves m{} with pages of another history ({really:#x} to {common:#x})", host + 1);
            self.violation(what);
            return Ok(());
        }
        own.wal = own.wal.up_to(common.min(own.wal.end()));
        own.consistent_at = source.wal.end();
        own.was_primary = false;
        own.standby = true;
        say!(self, host, "pg_rewind: back to {common:#x}, where the histories part");
        Ok(())
    }
}
