//! Start, recovery, promotion, stop, death.

use super::directory::Data;
use super::{Phase, PostgresEvent, Server, settings::Settings};
use crate::clock::{MS, SECOND, Time};
use crate::guard::GuardInput;
use crate::say;
use crate::world::World;
use ha::guard::{ServerKind, StopMode};
use std::collections::{BTreeMap, VecDeque};

/// A record of a checkpoint or of the end of recovery.
const RECORD_BYTES: u64 = 80;
/// The last standby may get the shutdown record at any moment; how often the stopping server looks.
const SHUTDOWN_LOOK: Time = 3 * MS;
/// A checkpoint this recent leaves a shutdown little to write.
const RECENT_CHECKPOINT: Time = 5 * SECOND;

impl World {
    /// The guard starts a postmaster. `false`: there is nothing it could work on.
    pub(crate) fn spawn_postmaster(&mut self, host: usize) -> bool {
        let now = self.now;
        let random = &mut self.random;
        let postgres = &mut self.hosts[host].postgres;
        let Some(cluster) = postgres.data.cluster_mut() else { return false };
        let as_primary = !cluster.standby;
        let crashed = !cluster.clean;
        let recovery = match (as_primary, crashed) {
            (true, true) if random.percent(5) => random.between(5 * SECOND, 15 * SECOND),
            (true, true) => random.between(40 * MS, 2 * SECOND),
            (false, true) => random.between(30 * MS, 600 * MS),
            (_, false) => random.between(20 * MS, 150 * MS),
        };
        cluster.clean = false;
        cluster.was_primary = as_primary;
        let names = cluster.synchronous_standby_names.clone();
        let upstream = cluster.upstream.filter(|_| !as_primary);
        let end = cluster.wal.end();
        postgres.run += 1;
        let run = postgres.run;
        postgres.server = Some(Box::new(Server {
            phase: Phase::Starting,
            postmaster: true,
            as_primary,
            inserted: end,
            flushing: false,
            commits: VecDeque::new(),
            settings: Settings::at_start(&names),
            released: 0,
            senders: BTreeMap::new(),
            receiver: None,
            upstream,
            shutdown_written: false,
            checkpointed_at: now,
            checkpointer_busy_until: 0,
            trying: false,
        }));
        say!(self, host, "postgres: starts as a {}", if as_primary { "primary" } else { "standby" });
        self.postgres_soon(host, run, recovery, PostgresEvent::Recovered);
        self.receive_soon(host, recovery / 2);
        true
    }

    pub(crate) fn recovered(&mut self, host: usize) {
        let postgres = &mut self.hosts[host].postgres;
        let full = postgres.disk_full;
        let (Some(server), Some(cluster)) = (&mut postgres.server, postgres.data.cluster_mut()) else { return };
        if server.phase != Phase::Starting || !server.postmaster {
            return;
        }
        if full && server.as_primary {
            return self.postmaster_dies(host, "panic", true);
        }
        if !server.as_primary {
            if cluster.wal.end() < cluster.consistent_at {
                return;
            }
            server.phase = Phase::Standby;
            say!(
                self,
                host,
                "postgres: a standby at {:#x}",
                self.hosts[host].postgres.data.cluster().map_or(0, |c| c.wal.end())
            );
            return;
        }
        cluster.wal.extend_to(cluster.wal.end() + RECORD_BYTES);
        server.inserted = cluster.wal.end();
        cluster.checkpoint = cluster.wal.end();
        cluster.checkpoint_timeline = cluster.wal.timeline();
        server.phase = Phase::Primary;
        say!(
            self,
            host,
            "postgres: a primary (branch {})",
            self.hosts[host].postgres.data.cluster().map_or(0, |c| c.wal.branch())
        );
        self.primary_begins(host);
    }

    /// `pg_promote()`. `false`: it is not a standby.
    pub(crate) fn promote(&mut self, host: usize, timelines_taken: u32) -> bool {
        let after = self.random.between(8 * MS, 150 * MS);
        let postgres = &mut self.hosts[host].postgres;
        let run = postgres.run;
        let Some(server) = &mut postgres.server else { return false };
        if server.phase != Phase::Standby || !server.postmaster {
            return false;
        }
        server.phase = Phase::Promoting;
        if let Some(cluster) = postgres.data.cluster_mut() {
            cluster.timelines_taken = timelines_taken;
        }
        say!(self, host, "postgres: promotion begins");
        self.stop_receiving(host);
        self.postgres_soon(host, run, after, PostgresEvent::Promoted);
        true
    }

    pub(crate) fn promoted(&mut self, host: usize) {
        let branch = self.next_branch();
        let checkpoint = self.random.between(20 * MS, 800 * MS);
        let postgres = &mut self.hosts[host].postgres;
        let run = postgres.run;
        let (Some(server), Some(cluster)) = (&mut postgres.server, postgres.data.cluster_mut()) else { return };
        if server.phase != Phase::Promoting || !server.postmaster {
            return;
        }
        cluster.wal.fork(branch, cluster.timelines_taken);
        cluster.wal.extend_to(cluster.wal.end() + RECORD_BYTES);
        cluster.was_primary = true;
        cluster.standby = false;
        server.inserted = cluster.wal.end();
        server.as_primary = true;
        server.checkpointer_busy_until = self.now + checkpoint;
        server.phase = Phase::Primary;
        let timeline = cluster.wal.timeline();
        say!(self, host, "postgres: promoted to timeline {timeline} (branch {branch})");
        self.postgres_soon(host, run, checkpoint, PostgresEvent::Checkpointed);
        self.primary_begins(host);
        self.send_to_all(host);
    }

    pub(crate) fn checkpointed(&mut self, host: usize) {
        let now = self.now;
        let postgres = &mut self.hosts[host].postgres;
        let (Some(server), Some(cluster)) = (&mut postgres.server, postgres.data.cluster_mut()) else { return };
        server.checkpointed_at = now;
        if server.phase == Phase::Primary {
            cluster.checkpoint = cluster.wal.end();
            cluster.checkpoint_timeline = cluster.wal.timeline();
        }
    }

    /// A signal to the postmaster.
    pub(crate) fn signal_postmaster(&mut self, host: usize, mode: StopMode) {
        let slow = self.hosts[host].postgres.slow_disk;
        let now = self.now;
        let postgres = &mut self.hosts[host].postgres;
        let run = postgres.run;
        let Some(server) = &mut postgres.server else { return };
        if !server.postmaster {
            return;
        }
        say!(self, host, "postgres: is told to stop ({mode:?})");
        let Some(server) = &mut self.hosts[host].postgres.server else { return };
        match mode {
            StopMode::Kill => self.kill_postgres(host),
            StopMode::Immediate => {
                // Backends may finish what they are doing before they see the signal.
                let after = self.random.between(MS, 25 * MS);
                let stuck = self.random.percent(5);
                if !stuck {
                    self.postgres_soon(host, run, after, PostgresEvent::Ends { status: "immediate" });
                }
            }
            StopMode::Fast | StopMode::Smart => {
                let was = server.phase;
                if was == Phase::Stopping {
                    return;
                }
                server.commits.clear();
                if was == Phase::Primary {
                    server.phase = Phase::Stopping;
                    let recent = now - server.checkpointed_at < RECENT_CHECKPOINT;
                    let checkpoint = match recent {
                        true => self.random.between(5 * MS, 60 * MS),
                        false if self.random.percent(10) => self.random.between(SECOND, 6 * SECOND),
                        false => self.random.between(20 * MS, 600 * MS),
                    };
                    self.postgres_soon(host, run, checkpoint * slow, PostgresEvent::ShutdownCheckpoint);
                } else {
                    let ends = PostgresEvent::Ends { status: "fast" };
                    let after = self.random.between(5 * MS, 120 * MS);
                    self.postgres_soon(host, run, after, ends);
                }
            }
        }
    }

    pub(crate) fn shutdown_checkpoint(&mut self, host: usize) {
        let postgres = &mut self.hosts[host].postgres;
        let (Some(server), Some(cluster)) = (&mut postgres.server, postgres.data.cluster_mut()) else { return };
        cluster.wal.extend_to(server.inserted + RECORD_BYTES);
        server.inserted = cluster.wal.end();
        server.shutdown_written = true;
        self.send_to_all(host);
        self.look_at_shutdown(host);
    }

    pub(crate) fn look_at_shutdown(&mut self, host: usize) {
        let run = self.hosts[host].postgres.run;
        if self.waits_for_standbys(host) {
            self.send_to_all(host);
            return self.postgres_soon(host, run, SHUTDOWN_LOOK, PostgresEvent::LookAtShutdown);
        }
        if let Some(cluster) = self.hosts[host].postgres.data.cluster_mut() {
            cluster.clean = true;
            cluster.checkpoint = cluster.wal.end();
            cluster.checkpoint_timeline = cluster.wal.timeline();
        }
        self.postgres_ends(host, "clean");
    }

    pub(crate) fn ends(&mut self, host: usize, status: &'static str) {
        let postgres = &mut self.hosts[host].postgres;
        let Some(server) = &postgres.server else { return };
        if status == "fast"
            && !server.as_primary
            && let Data::Cluster(cluster) = &mut postgres.data
        {
            cluster.clean = true;
        }
        self.postgres_ends(host, status);
    }

    /// The postmaster alone dies. `orderly`: it takes its backends along; otherwise each ends what it was doing.
    pub(crate) fn postmaster_dies(&mut self, host: usize, status: &'static str, orderly: bool) {
        let postgres = &mut self.hosts[host].postgres;
        let run = postgres.run;
        let Some(server) = &mut postgres.server else { return };
        if !server.postmaster {
            return;
        }
        if orderly {
            return self.postgres_ends(host, status);
        }
        server.postmaster = false;
        say!(self, host, "postgres: the postmaster is dead ({status})");
        let after = self.random.between(MS, 300 * MS);
        self.postgres_soon(host, run, after, PostgresEvent::Ends { status });
        let seen = self.random.between(100, 2 * MS);
        self.guard_soon(host, seen, GuardInput::ServerExited { server: ServerKind::Postgres, status: status.to_owned() });
    }

    /// SIGKILL to every process of it; takes no notice of frozen ones.
    pub(crate) fn kill_postgres(&mut self, host: usize) {
        if self.hosts[host].postgres.server.is_some() {
            self.postgres_ends(host, "killed");
        } else {
            let after = self.random.between(50, MS);
            self.guard_soon(host, after, GuardInput::TreeGone { server: ServerKind::Postgres });
        }
    }

    /// Every process of it is gone.
    pub(crate) fn postgres_ends(&mut self, host: usize, status: &'static str) {
        let run = self.hosts[host].postgres.run;
        self.close_connections(host, run);
        let postgres = &mut self.hosts[host].postgres;
        let Some(server) = postgres.server.take() else { return };
        postgres.backlog.clear();
        postgres.run += 1;
        say!(self, host, "postgres: is gone ({status})");
        let seen = self.random.between(100, 2 * MS);
        if server.postmaster {
            self.guard_soon(host, seen, GuardInput::ServerExited { server: ServerKind::Postgres, status: status.to_owned() });
        } else {
            self.guard_soon(host, seen, GuardInput::TreeGone { server: ServerKind::Postgres });
        }
    }
}
