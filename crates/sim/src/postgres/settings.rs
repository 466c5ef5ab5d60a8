//! `synchronous_standby_names`, and who has loaded it when.
//!
//! A reload reaches every process by itself, in its own time. What a session shows is what that session loaded; whether
//! commits wait at all is decided by the checkpointer's copy; whose confirmation counts, by each walsender's own.

use super::{PostgresEvent, Server};
use crate::clock::{MS, SECOND};
use crate::say;
use crate::world::World;

#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What a session shows.
    pub shown: String,
    /// The checkpointer's copy is not empty.
    pub commits_wait: bool,
}

/// The processes that load a setting, each for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loader {
    Session,
    Checkpointer,
    Sender(usize),
}

/// How many must confirm, and who may.
pub fn parse(names: &str) -> (usize, Vec<String>) {
    let (count, list) = match names.split_once('(') {
        Some((count, list)) => (count.trim().parse().unwrap_or(1), list.trim_end_matches(')')),
        None => (1, names),
    };
    let names: Vec<String> =
        list.split(',').map(|name| name.trim().trim_matches('"').to_owned()).filter(|name| !name.is_empty()).collect();
    (if names.is_empty() { 0 } else { count }, names)
}

impl Settings {
    pub fn at_start(names: &str) -> Self {
        Self { shown: names.to_owned(), commits_wait: !names.is_empty() }
    }
}

impl World {
    /// `ALTER SYSTEM` (or the file itself) and a reload.
    pub(crate) fn set_synchronous_standby_names(&mut self, host: usize, names: &str) {
        let postgres = &mut self.hosts[host].postgres;
        let Some(cluster) = postgres.data.cluster_mut() else { return };
        let changed = cluster.synchronous_standby_names != names;
        names.clone_into(&mut cluster.synchronous_standby_names);
        let Some(server) = &postgres.server else { return };
        if !changed && server.settings.shown == names {
            return;
        }
        let mut loaders: Vec<Loader> = server.senders.keys().map(|to| Loader::Sender(*to)).collect();
        loaders.extend([Loader::Session, Loader::Checkpointer]);
        let run = postgres.run;
        say!(self, host, "postgres: synchronous_standby_names = '{names}'");
        let long = if changed && self.random.percent(10) { self.random.between(100 * MS, 3 * SECOND) } else { 0 };
        let Some(server) = &mut self.hosts[host].postgres.server else { return };
        server.checkpointer_busy_until = server.checkpointer_busy_until.max(self.now + long);
        let busy_until = server.checkpointer_busy_until;
        for by in loaders {
            let after = match by {
                Loader::Session => self.random.between(MS / 2, 4 * MS),
                // While it hurries through a checkpoint it does not look.
                Loader::Checkpointer => {
                    let busy = busy_until.saturating_sub(self.now);
                    busy + self.random.between(MS / 2, 12 * MS)
                }
                Loader::Sender(_) => self.random.between(MS / 2, 20 * MS),
            };
            self.postgres_soon(host, run, after, PostgresEvent::SettingLoaded { by });
        }
    }

    /// Whoever loads, loads what the file says by now.
    pub(crate) fn setting_loaded(&mut self, host: usize, by: Loader) {
        let postgres = &mut self.hosts[host].postgres;
        let (Some(server), Some(cluster)) = (&mut postgres.server, postgres.data.cluster()) else { return };
        let names = &cluster.synchronous_standby_names;
        match by {
            Loader::Session => names.clone_into(&mut server.settings.shown),
            Loader::Checkpointer => server.settings.commits_wait = !names.is_empty(),
            Loader::Sender(to) => {
                if let Some(sender) = server.senders.get_mut(&to) {
                    names.clone_into(&mut sender.names);
                }
            }
        }
        self.release_commits(host);
        self.acknowledge(host);
    }
}

impl Server {
    /// What `pg_stat_replication` shows as `sync`.
    pub fn is_synchronous(&self, standby: &str, sender: &super::Sender) -> bool {
        !self.settings.shown.is_empty() && parse(&sender.names).1.iter().any(|name| name == standby)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_is_written_is_read() {
        let one = |text: &str| (1, vec![text.to_owned()]);
        assert_eq!(parse(""), (0, vec![]));
        assert_eq!(parse("\"m1\""), one("m1"));
        assert_eq!(parse("2 (\"m1\",\"m2\")"), (2, vec!["m1".to_owned(), "m2".to_owned()]));
    }
}
