//! Directories, versions and ports.

use super::Report;
use super::fields::{directory_problem, lies_in};
use crate::Port;

impl Report<'_> {
    pub(super) fn places(&mut self) {
        let plan = self.plan;
        let mut used: Vec<(&str, &str, &str)> = Vec::new();
        let (database, cache) = (plan.databases().next().is_some(), plan.caches().next().is_some());
        if database {
            used.push(("postgresql.data_dir", "PostgreSQL's data directory", &plan.postgresql.data_dir));
            self.programs("postgresql.bin_dir", plan.postgresql.bin_dir.as_deref());
            self.version("postgresql.version", plan.postgresql.version.as_deref());
        }
        if cache {
            used.push(("redis.data_dir", "Redis's data directory", &plan.redis.data_dir));
            self.programs("redis.bin_dir", plan.redis.bin_dir.as_deref());
            self.version("redis.version", plan.redis.version.as_deref());
        }
        used.push(("store_dir", "the store's directory", &plan.store_dir));
        for (at, (field, what, directory)) in used.iter().enumerate() {
            if let Some(problem) = directory_problem(directory) {
                self.error(
                    "plan-directory",
                    *field,
                    format!("{what} {problem}"),
                    "an absolute path, such as /var/lib/quorate/store",
                );
                continue;
            }
            let fits = |other: &&(&str, &str, &str)| directory_problem(other.2).is_none();
            let twin = used[..at].iter().filter(fits).find(|it| lies_in(directory, it.2) || lies_in(it.2, directory));
            if let Some((_, other, path)) = twin {
                let message = format!("{what} must not lie in {other} ({path}), nor around it");
                self.error("plan-directory", *field, message, "give each a directory of its own");
            }
        }
    }

    fn programs(&mut self, field: &str, directory: Option<&str>) {
        if let Some(problem) = directory.and_then(directory_problem) {
            let message = format!("the directory of the programs {problem}");
            self.error("plan-directory", field, message, "leave it empty, and each member searches");
        }
    }

    fn version(&mut self, field: &str, version: Option<&str>) {
        let is_version = |text: &str| {
            text.starts_with(|it: char| it.is_ascii_digit()) && text.chars().all(|it| it.is_ascii_digit() || it == '.')
        };
        if let Some(version) = version.filter(|version| !is_version(version)) {
            let message = format!("'{version}' is not a version");
            self.error("plan-version", field, message, "a number, such as 17, or nothing");
        }
    }

    pub(super) fn ports(&mut self) {
        let ports = &self.plan.ports;
        let all: [(&str, Port); 10] = [
            ("postgresql", ports.postgresql),
            ("rest_api", ports.rest_api),
            ("console", ports.console),
            ("store_clients", ports.store_clients),
            ("store_peers", ports.store_peers),
            ("proxy_primary", ports.proxy_primary),
            ("proxy_replicas", ports.proxy_replicas),
            ("proxy_redis", ports.proxy_redis),
            ("redis", ports.redis),
            ("sentinel", ports.sentinel),
        ];
        for (at, (name, port)) in all.iter().enumerate() {
            let field = format!("ports.{name}");
            if port.0 == 0 {
                self.error("plan-port", field, "this is not a port", "a number from 1 to 65535");
            } else if let Some((twin, _)) = all[..at].iter().find(|(_, other)| other == port) {
                let message = format!("{} is ports.{twin}, too", port.0);
                self.error("plan-port", field, message, "give each a port of its own");
            }
        }
    }
}
