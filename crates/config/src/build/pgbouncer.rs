//! `pgbouncer:`.

use super::Builder;
use crate::error::Code;
use crate::member::{PgbouncerConfig, PgbouncerInstance};
use crate::tree::{Map, Node};
use crate::{Secret, parts};
use std::collections::BTreeMap;
use std::path::PathBuf;
use types::Millis;

const AT: &str = "pgbouncer";
const PORT: u16 = 6432;
/// Debian's place of PgBouncer's socket, beside PostgreSQL's.
const SOCKET_DIRECTORY: &str = "/var/run/postgresql";
/// The user PgBouncer itself names in its documentation and its packages.
const USER: &str = "pgbouncer";
/// PgBouncer's own name for every database that is not listed.
const ANY_DATABASE: &str = "*";

impl Builder<'_> {
    pub fn pgbouncer(&mut self) -> Option<PgbouncerConfig> {
        if !self.has_section(AT) {
            return None;
        }
        if !self.has_section("postgresql") {
            let error = self.at(
                Code::Conflict,
                &[AT],
                "needs the section postgresql: a member without it does not switch over",
            );
            self.report.error(
                error.hint("a member with PostgreSQL can hold a PgBouncer on another host: name its host there"),
            );
        }
        let tree = self.tree;
        let mut instances = BTreeMap::new();
        for entry in tree.at(&[AT, "instances"]).and_then(Node::map).into_iter().flat_map(Map::effective) {
            instances.insert(entry.key.clone(), self.instance(&entry.key));
        }
        if instances.is_empty() {
            self.missing(&[AT, "instances"], "at least one, such as: instances: {local: {host: /var/run/postgresql}}");
        }
        Some(PgbouncerConfig {
            instances,
            pause_timeout: self.seconds(&[AT, "pause_timeout"], Millis::from_secs(2)),
            hold: self.seconds(&[AT, "hold"], Millis::from_secs(10)),
        })
    }

    fn instance(&mut self, name: &str) -> PgbouncerInstance {
        let at = |key: &'static str| [AT, "instances", name, key];
        let (password, password_file) = (self.text(&at("password")), self.path(&at("password_file")));
        if password.is_some() && password_file.is_some() {
            let error = self.at(
                Code::Conflict,
                &at("password_file"),
                "'password' and 'password_file' exclude each other; keep one",
            );
            self.report.error(error);
        }
        let databases = self.tree.at(&at("databases")).and_then(parts::words).unwrap_or_default();
        for database in &databases {
            self.database_name(&at("databases"), database);
        }
        let include_file = self.path(&at("include_file"));
        self.include_file(name, include_file.as_ref(), &databases);
        let include_parameters = self.values(&at("include_parameters"));
        for (database, parameters) in &include_parameters {
            let error = if include_file.is_none() {
                "needs 'include_file', the file they are written to".to_owned()
            } else if !databases.contains(database) {
                format!("'{database}' is not one of 'databases'")
            } else if parameters.chars().any(char::is_control) {
                format!("'{database}': the parameters are one line")
            } else if parameters.to_lowercase().contains("password") {
                format!("'{database}': everybody may read that file; passwords belong in PgBouncer's auth_file")
            } else {
                continue;
            };
            let error = self.at(Code::Conflict, &at("include_parameters"), error);
            self.report.error(error);
        }
        PgbouncerInstance {
            host: self.text(&at("host")).unwrap_or_else(|| SOCKET_DIRECTORY.to_owned()),
            port: self.port(&at("port"), PORT),
            username: self.text(&at("username")).unwrap_or_else(|| USER.to_owned()),
            password: password.map(Secret::new),
            password_file,
            databases,
            include_file,
            include_parameters,
        }
    }

    /// It becomes a word of a command, and a line of a file.
    fn database_name(&mut self, path: &[&str], name: &str) {
        let usable = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.' | '$');
        if name != ANY_DATABASE && (name.is_empty() || !name.chars().all(usable)) {
            let message = format!("'{name}' has characters that PgBouncer's commands do not take");
            let error = self.at(Code::Range, path, message);
            self.report
                .error(error.hint("letters, digits, '_', '-', '.' and '$'; rename the database in pgbouncer.ini"));
        }
    }

    fn include_file(&mut self, name: &str, file: Option<&PathBuf>, databases: &[String]) {
        let Some(file) = file else { return };
        let at = |key: &'static str| [AT, "instances", name, key];
        if databases.is_empty() {
            self.missing(&at("databases"), "the databases that include_file is to lead to the primary, such as [app]");
        }
        // Written on Linux, checked on Windows: what begins with '/' counts, too.
        if !file.is_absolute() && !file.starts_with("/") {
            let error = self.at(Code::Range, &at("include_file"), "must be an absolute path");
            self.report.error(error.hint("PgBouncer reads it from its own working directory otherwise"));
        }
    }
}
