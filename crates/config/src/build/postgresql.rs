//! `postgresql:` and `bootstrap:`.

use super::Builder;
use crate::address::is_wildcard;
use crate::error::Code;
use crate::member::{Authentication, BootstrapConfig, PostgresqlConfig, User};
use crate::schema::BIN_NAMES;
use crate::tree::Node;
use crate::{Address, Secret, parts};
use std::collections::BTreeMap;
use types::Millis;

impl Builder<'_> {
    pub fn postgresql(&mut self, host: Option<&str>, witness: bool) -> Option<PostgresqlConfig> {
        const AT: &str = "postgresql";
        if self.tree.at(&[AT]).is_none() {
            let other = ["redis", "sentinel"].iter().any(|key| self.has_section(key));
            if !witness && !other {
                self.missing(
                    &[AT],
                    "describe this member's PostgreSQL (or its redis), or make the member a witness in store.members",
                );
            }
            return None;
        }
        if witness {
            let error =
                self.at(Code::Conflict, &[AT], "this member is a witness in store.members, which has no PostgreSQL");
            self.report.error(error);
        }
        let data_dir = self.path(&[AT, "data_dir"]);
        if data_dir.is_none() {
            self.missing(&[AT, "data_dir"], "PostgreSQL's data directory, existing or to be created");
        }
        let (listen_hosts, port) = match (self.text(&[AT, "listen"]), host) {
            (Some(text), _) => parts::listen(&text, 5432).ok()?,
            (None, Some(host)) => (vec![host.to_owned()], 5432),
            (None, None) => {
                self.missing(&[AT, "listen"], "where PostgreSQL listens, such as 10.0.0.1:5432");
                return None;
            }
        };
        let reachable = listen_hosts.iter().find(|host| !is_wildcard(host)).or(listen_hosts.first());
        let first = Address::new(reachable.cloned().unwrap_or_default(), port);
        let connect_address = match self.tree.at(&[AT, "connect_address"]) {
            Some(_) => self.address(&[AT, "connect_address"], Some(5432)),
            None => self.reachable(&first, host, &[AT, "connect_address"]),
        };
        let authentication = self.authentication();
        self.replica_methods();
        Some(PostgresqlConfig {
            listen_hosts,
            port,
            connect_address: connect_address?,
            proxy_address: self.address(&[AT, "proxy_address"], Some(5432)),
            data_dir: data_dir?,
            config_dir: self.path(&[AT, "config_dir"]),
            bin_dir: self.path(&[AT, "bin_dir"]),
            bin_name: BIN_NAMES
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), self.text(&[AT, "bin_name", name])?)))
                .collect(),
            pgpass: self.path(&[AT, "pgpass"]),
            os_user: self.text(&[AT, "os_user"]),
            authentication: authentication?,
            parameters: self.values(&[AT, "parameters"]),
            pg_hba: self.lines(&[AT, "pg_hba"]),
            pg_ident: self.lines(&[AT, "pg_ident"]),
            recovery_conf: self.values(&[AT, "recovery_conf"]),
            use_unix_socket: self.flag(&[AT, "use_unix_socket"]).unwrap_or(false),
            use_unix_socket_repl: self.flag(&[AT, "use_unix_socket_repl"]).unwrap_or(false),
            callbacks: self.values(&[AT, "callbacks"]),
            basebackup: self.options(&[AT, "basebackup"]),
            rewind: self.options(&[AT, "rewind"]),
            pg_ctl_timeout: self.seconds(&[AT, "pg_ctl_timeout"], Millis::from_secs(60)),
            use_pg_rewind: self.flag(&[AT, "use_pg_rewind"]),
            use_slots: self.flag(&[AT, "use_slots"]),
            remove_data_directory_on_rewind_failure: self
                .flag(&[AT, "remove_data_directory_on_rewind_failure"])
                .unwrap_or(false),
            remove_data_directory_on_diverged_timelines: self
                .flag(&[AT, "remove_data_directory_on_diverged_timelines"])
                .unwrap_or(false),
        })
    }

    fn authentication(&mut self) -> Option<Authentication> {
        const AT: [&str; 2] = ["postgresql", "authentication"];
        let mut user = |role: &str, default: Option<&str>| {
            let path = [AT[0], AT[1], role];
            let found = self.user(&path).or_else(|| {
                // Patroni: a superuser without a name is the operating system's user.
                default.map(|name| User {
                    username: name.to_owned(),
                    password: self.text(&[AT[0], AT[1], role, "password"]).map(Secret::new),
                    parameters: BTreeMap::new(),
                })
            });
            if found.is_none() {
                self.missing(
                    &[AT[0], AT[1], role, "username"],
                    "the user that replicas connect as; it is created with the cluster",
                );
            }
            found
        };
        let superuser = user("superuser", Some("postgres"));
        let replication = user("replication", None);
        Some(Authentication {
            superuser: superuser?,
            replication: replication?,
            rewind: self.user(&[AT[0], AT[1], "rewind"]),
        })
    }

    fn replica_methods(&mut self) {
        let Some(map) = self.tree.at(&["postgresql"]).and_then(Node::map) else { return };
        let others = parts::other_replica_methods(map);
        if !others.is_empty() {
            let key = if map.get("create_replica_methods").is_some() {
                "create_replica_methods"
            } else {
                "create_replica_method"
            };
            let message = format!("replicas are made by basebackup; passed over: {}", others.join(", "));
            self.note(&["postgresql", key], &message);
        }
    }

    pub fn bootstrap(&mut self) -> BootstrapConfig {
        const AT: &str = "bootstrap";
        if let Some(method) = self.text(&[AT, "method"]).filter(|method| method != "initdb") {
            let message = format!("the bootstrap method '{method}' is not supported yet; only initdb is");
            let error = self.at(Code::Unsupported, &[AT, "method"], message);
            self.report.error(error.hint(
                "restore into the data directory by hand and start with it; an existing data directory is taken over",
            ));
        }
        let object = || serde_json::Value::Object(serde_json::Map::new());
        BootstrapConfig {
            dcs: self.tree.at(&[AT, "dcs"]).map_or_else(object, Node::to_json),
            initdb: self.options(&[AT, "initdb"]),
            post_bootstrap: self.text(&[AT, "post_bootstrap"]).or_else(|| self.text(&[AT, "post_init"])),
            pg_hba: self.lines(&[AT, "pg_hba"]),
        }
    }
}
