//! Commits: inserted, flushed, waiting for synchronous standbys, acknowledged.

use super::{Phase, PostgresEvent, settings};
use crate::clock::{MS, Time};
use crate::say;
use crate::world::World;

/// One client's small transaction.
const COMMIT_BYTES: u64 = 120;

impl World {
    pub(crate) fn write_arrives(&mut self, host: usize, number: u64) {
        let Some(server) = &mut self.hosts[host].postgres.server else { return };
        if server.phase != Phase::Primary || !server.postmaster {
            return;
        }
        server.inserted += COMMIT_BYTES;
        let end = server.inserted;
        server.commits.push_back((end, number));
        self.flush(host);
    }

    fn fsync_time(&mut self, host: usize) -> Time {
        let slow = self.hosts[host].postgres.slow_disk;
        self.random.between(MS / 4, 2 * MS) * slow
    }

    fn flush(&mut self, host: usize) {
        let after = self.fsync_time(host);
        let postgres = &mut self.hosts[host].postgres;
        let run = postgres.run;
        let Some(server) = &mut postgres.server else { return };
        if server.flushing {
            return;
        }
        server.flushing = true;
        let to = server.inserted;
        self.postgres_soon(host, run, after, PostgresEvent::Flushed { to });
    }

    pub(crate) fn flushed(&mut self, host: usize, to: u64) {
        let postgres = &mut self.hosts[host].postgres;
        if postgres.disk_full {
            say!(self, host, "postgres: PANIC: no space left on device");
            return self.postmaster_dies(host, "panic", true);
        }
        let (Some(server), Some(cluster)) = (&mut postgres.server, postgres.data.cluster_mut()) else { return };
        server.flushing = false;
        cluster.wal.extend_to(to);
        let more = server.inserted > to;
        if more {
            self.flush(host);
        }
        self.acknowledge(host);
        self.send_to_all(host);
    }

    /// A walsender heard from its standby: are the synchronous ones far enough? (`SyncRepReleaseWaiters`)
    pub(crate) fn release_commits(&mut self, host: usize) {
        let names: Vec<String> = self.hosts.iter().map(|host| host.name.to_string()).collect();
        let Some(server) = &mut self.hosts[host].postgres.server else { return };
        let mut released = server.released;
        for (standby, sender) in &server.senders {
            let (needed, listed) = settings::parse(&sender.names);
            if !listed.contains(&names[*standby]) {
                continue;
            }
            // Candidates are those whose own walsender takes them to be synchronous, in the order of the list.
            let mut confirmed: Vec<(usize, u64)> = server
                .senders
                .iter()
                .filter(|(other, sender)| settings::parse(&sender.names).1.contains(&names[**other]))
                .map(|(other, sender)| {
                    (listed.iter().position(|name| *name == names[*other]).unwrap_or(usize::MAX), sender.flush)
                })
                .collect();
            confirmed.sort_unstable();
            if confirmed.len() >= needed
                && let Some(least) = confirmed.iter().take(needed).map(|(_, flush)| *flush).min()
            {
                released = released.max(least);
            }
        }
        server.released = released;
    }

    /// Answers every commit that is flushed and, where commits wait, confirmed.
    pub(crate) fn acknowledge(&mut self, host: usize) {
        loop {
            let postgres = &mut self.hosts[host].postgres;
            let (Some(server), Some(cluster)) = (&mut postgres.server, postgres.data.cluster()) else { return };
            if server.phase != Phase::Primary {
                return;
            }
            let Some((end, number)) = server.commits.front().copied() else { return };
            let confirmed = !server.settings.commits_wait || end <= server.released;
            if end > cluster.wal.end() || !confirmed {
                return;
            }
            let waited = server.settings.commits_wait;
            let branch = cluster.wal.branch();
            server.commits.pop_front();
            self.acknowledged(host, branch, end, number, waited);
        }
    }
}
