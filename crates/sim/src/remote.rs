//! The remote primary of a standby cluster, as little of it as matters here: one log that grows, always there, of one history.
//!
//! Deliberately without faults of its own: who cannot reach it is like a replica that cannot reach its leader, which the other
//! worlds have. The invariant: nothing that a member does changes it.

use crate::clock::{MS, SECOND, Time};
use crate::postgres::directory::{Cluster, Data};
use crate::postgres::wal::Wal;
use crate::postgres::{Phase, PostgresEvent, Receiver};
use crate::say;
use crate::worker::JobStep;
use crate::world::World;
use ha::postgres::{Job, Source};

/// Its place among the hosts, where one is named.
pub const REMOTE: usize = usize::MAX;
const SYSTEM_ID: u64 = 7_100_000_000_000_000_000;
/// More than what all clients of a cluster write.
const BYTES_PER_MS: u64 = 40;
/// Between two pieces of its log.
const PIECE_EVERY: Time = 40 * MS;

#[derive(Debug)]
pub struct Remote {
    start: Cluster,
}

impl Remote {
    pub fn new(branch: u32) -> Self {
        Self { start: Cluster::new(SYSTEM_ID, branch) }
    }

    fn wal(&self, now: Time) -> Wal {
        let mut wal = self.start.wal.clone();
        wal.extend_to(wal.end() + now / MS * BYTES_PER_MS);
        wal
    }
}

impl World {
    /// Where a source is among the hosts.
    pub(crate) fn place_of(&self, source: &Source) -> Option<usize> {
        match source {
            Source::Member(name) => self.host_named(name),
            Source::Remote(_) => Some(REMOTE),
        }
    }

    fn remote_wal(&self) -> Option<Wal> {
        self.remote.as_ref().map(|remote| remote.wal(self.now))
    }

    /// A walreceiver connects. `false`: the history here is another one.
    pub(crate) fn connect_to_remote(&mut self, host: usize) -> bool {
        let Some(wal) = self.remote_wal() else { return false };
        let now = self.now;
        let postgres = &mut self.hosts[host].postgres;
        let run = postgres.run;
        let (Some(server), Some(cluster)) = (&mut postgres.server, postgres.data.cluster()) else { return false };
        if !cluster.wal.is_prefix_of(&wal) {
            say!(self, host, "postgres: cannot stream from the remote primary: its history is another one");
            return false;
        }
        server.receiver = Some(Receiver { from: REMOTE, from_run: 0, heard: now });
        say!(self, host, "postgres: streams from the remote primary");
        self.postgres_soon(host, run, MS, PostgresEvent::FromRemote);
        true
    }

    /// A piece of its log arrives and is flushed.
    pub(crate) fn remote_sends(&mut self, host: usize) {
        let Some(wal) = self.remote_wal() else { return };
        let postgres = &mut self.hosts[host].postgres;
        let run = postgres.run;
        let (Some(server), Some(cluster)) = (&postgres.server, postgres.data.cluster_mut()) else { return };
        let recovering = !server.as_primary && matches!(server.phase, Phase::Standby | Phase::Starting);
        let connected = server.receiver.is_some_and(|receiver| receiver.from == REMOTE);
        if !recovering || !connected || !cluster.wal.is_prefix_of(&wal) {
            return;
        }
        cluster.wal = wal;
        if server.phase == Phase::Starting && cluster.wal.end() >= cluster.consistent_at {
            self.postgres_soon(host, run, MS, PostgresEvent::Recovered);
        }
        self.postgres_soon(host, run, PIECE_EVERY, PostgresEvent::FromRemote);
        self.send_to_all(host);
    }

    pub(crate) fn remote_job(&mut self, job: &Job) -> (Time, JobStep) {
        let why = "no connection";
        match job {
            Job::Survey { .. } if self.random.percent(10) => (SECOND, JobStep::Failed { why }),
            Job::Clone { .. } => (self.random.between(300 * MS, 3 * SECOND), JobStep::CloneRemote),
            Job::Rejoin { .. } => (self.random.between(30 * MS, SECOND), JobStep::RejoinRemote),
            _ => (self.random.between(5 * MS, 50 * MS), JobStep::NothingToDo),
        }
    }

    pub(crate) fn clone_of_remote_done(&mut self, host: usize) {
        let Some(wal) = self.remote_wal() else { return };
        let Some(remote) = &self.remote else { return };
        let mut copy = remote.start.clone();
        (copy.consistent_at, copy.wal) = (wal.end(), wal);
        (copy.was_primary, copy.clean, copy.standby) = (false, false, true);
        self.hosts[host].postgres.data = Data::Cluster(Box::new(copy));
        say!(self, host, "the clone of the remote primary is complete");
    }

    /// Compares, and rewinds where that is needed.
    pub(crate) fn rejoin_remote_done(&mut self, host: usize) -> Result<(), String> {
        let wal = self.remote_wal().ok_or("no connection")?;
        let own = self.hosts[host].postgres.data.cluster_mut().ok_or("there is no data directory")?;
        let crashed = own.was_primary && !own.clean;
        if own.wal.is_prefix_of(&wal) && !crashed {
            return Ok(());
        }
        let common = own.wal.common(&wal);
        own.wal = own.wal.up_to(common);
        own.consistent_at = wal.end();
        (own.was_primary, own.clean, own.standby) = (false, true, true);
        say!(self, host, "pg_rewind: back to {common:#x}, where the histories part");
        Ok(())
    }
}
