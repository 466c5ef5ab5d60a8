//! `redis:` and `sentinel:`.

use super::Builder;
use crate::address::is_wildcard;
use crate::error::Code;
use crate::member::{RedisConfig, RedisTls, SentinelConfig, SentinelMaster, SentinelMode, StoreConfig, User};
use crate::tree::Node;
use crate::{Address, parts};
use std::collections::BTreeMap;
use std::path::PathBuf;
use types::{Millis, Scope};

/// Redis's own default for a user without a name.
const USER_DEFAULT: &str = "default";
const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
/// Redis reads a password as one word of at most this many bytes (its own limit of a line is larger).
const PASSWORD_BYTES_MAX: usize = 512;
/// Whom PostgreSQL runs as when nobody is named.
const POSTGRESQL_USER: &str = "postgres";
/// Where the sentinel keeps its state, below a directory of this member.
const SENTINEL_FILE: &str = "sentinel.conf";

impl Builder<'_> {
    pub fn redis(&mut self, host: Option<&str>, witness: bool, scope: Option<&str>) -> Option<RedisConfig> {
        const AT: &str = "redis";
        self.tree.at(&[AT])?;
        if self.flag(&[AT, "supervise"]) == Some(false) {
            self.note(&[AT, "supervise"], "nothing in this section has an effect: something else runs the server");
            return None;
        }
        if witness {
            let error = self.at(Code::Conflict, &[AT], "this member is a witness in store.members, which has no data");
            self.report.error(error);
        }
        let name = self.text(&[AT, "name"]);
        if let Some(name) = &name {
            self.master_name(&[AT, "name"], name);
        }
        let data_dir = self.path(&[AT, "data_dir"]);
        match &data_dir {
            None => self.missing(&[AT, "data_dir"], "a directory for Redis's data, existing or to be created"),
            Some(path) => self.one_line(&[AT, "data_dir"], path),
        }
        let own_place = |path: Option<PathBuf>| data_dir.is_some() && path == data_dir;
        for other in [["postgresql", "data_dir"], ["store", "data_dir"]] {
            if own_place(self.path(&other)) {
                let message = format!("is {} too; each needs a directory of its own", other.join("."));
                let error = self.at(Code::Conflict, &[AT, "data_dir"], message);
                self.report.error(error);
            }
        }
        let (listen_hosts, port, connect_address) = self.listening(
            AT,
            REDIS_PORT,
            "connect_address",
            host,
            "where redis-server listens, such as 10.0.0.1:6379",
        )?;
        if self.tree.at(&[AT, "bin_dir"]).is_some() && self.tree.at(&[AT, "binary"]).is_some() {
            let error = self.at(Code::Conflict, &[AT, "binary"], "'bin_dir' and 'binary' exclude each other; keep one");
            self.report.error(error);
        }
        let authentication = self.redis_user(&[AT, "authentication"]);
        if authentication.is_none() && listen_hosts.iter().any(|host| !is_loopback(host)) {
            self.note(&[AT], "without redis.authentication everybody who reaches the port may read and write");
        }
        let os_user = self.text(&[AT, "os_user"]);
        let other = self.text(&["postgresql", "os_user"]).unwrap_or_else(|| POSTGRESQL_USER.to_owned());
        let has_postgresql = self.tree.at(&["postgresql"]).is_some();
        if let Some(user) = os_user.as_ref().filter(|user| has_postgresql && **user != other) {
            let message = format!("'{user}' is not PostgreSQL's user ('{other}')");
            let error = self.at(Code::Conflict, &[AT, "os_user"], message);
            self.report.error(error.hint("the worker must be able to end both, so they run as one user"));
        }
        Some(RedisConfig {
            name: name.or_else(|| scope.map(str::to_owned)).unwrap_or_default(),
            listen_hosts,
            port,
            connect_address,
            data_dir: data_dir?,
            bin_dir: self.path(&[AT, "bin_dir"]),
            binary: self.path(&[AT, "binary"]),
            os_user,
            authentication,
            tls: self.redis_tls("redis"),
            parameters: self.directives(&[AT, "parameters"]),
            min_replicas_to_write: self.count(&[AT, "min_replicas_to_write"], 0),
            priority: self.count(&[AT, "priority"], 100),
            down_after: self.seconds(&[AT, "down_after"], Millis::from_secs(1)),
        })
    }

    /// More replicas than there are other members: no master would ever take a write.
    pub fn replicas_for_writes(&mut self, store: Option<&StoreConfig>, redis: Option<&RedisConfig>) {
        let (Some(store), Some(redis)) = (store, redis) else { return };
        let members = store.members.values().filter(|member| !member.witness).count();
        let replicas = members.saturating_sub(1);
        let wanted = redis.min_replicas_to_write;
        if usize::try_from(wanted).is_ok_and(|wanted| wanted > replicas) {
            let message = format!(
                "{wanted} replicas are wanted, and {members} members make at most {replicas}: the master would refuse every write"
            );
            self.note(&["redis", "min_replicas_to_write"], &message);
        }
    }

    pub fn sentinel(
        &mut self,
        host: Option<&str>,
        store: Option<&StoreConfig>,
        redis: Option<&RedisConfig>,
    ) -> Option<SentinelConfig> {
        const AT: &str = "sentinel";
        if !self.has_section(AT) {
            return None;
        }
        let (listen_hosts, port, announce) =
            self.listening(AT, SENTINEL_PORT, "announce", host, "where the sentinel listens, such as 10.0.0.1:26379")?;
        let masters = self.sentinel_masters(redis.map(|redis| redis.name.as_str()));
        let config_file = self.path(&[AT, "config_file"]).or_else(|| {
            let directory = redis.map(|redis| &redis.data_dir).or_else(|| store.map(|store| &store.data_dir));
            directory.map(|directory| directory.join(SENTINEL_FILE))
        });
        if config_file.is_none() {
            self.missing(
                &[AT, "config_file"],
                "where the sentinel keeps its state, such as /var/lib/quorate/sentinel.conf",
            );
        }
        let majority = store.map_or(2, |store| store.members.len() / 2 + 1);
        Some(SentinelConfig {
            listen_hosts,
            port,
            announce,
            quorum: self.count(&[AT, "quorum"], u32::try_from(majority).unwrap_or(2)),
            masters,
            authentication: self.redis_user(&[AT, "authentication"]),
            tls: self.redis_tls(AT).or_else(|| redis?.tls.clone()),
            config_file: config_file?,
        })
    }

    fn sentinel_masters(&mut self, supervised: Option<&str>) -> BTreeMap<String, SentinelMaster> {
        let mut masters = BTreeMap::new();
        let tree = self.tree;
        let Some(map) = tree.at(&["sentinel", "masters"]).and_then(Node::map) else { return masters };
        for entry in map.effective() {
            let at = |key: &'static str| ["sentinel", "masters", entry.key.as_str(), key];
            let path = &["sentinel", "masters", entry.key.as_str()];
            self.master_name(path, &entry.key);
            if supervised == Some(entry.key.as_str()) {
                let error =
                    self.at(Code::Conflict, path, "is the master that the section redis supervises; leave it out here");
                self.report.error(error);
            }
            let mode = match self.text(&at("mode")).unwrap_or_default().to_lowercase().as_str() {
                "mixed" => SentinelMode::Mixed,
                "supervised" => SentinelMode::Supervised,
                _ => SentinelMode::Native,
            };
            let host = self.text(&at("host")).unwrap_or_default();
            if host.is_empty() && mode != SentinelMode::Supervised {
                self.missing(&at("host"), "the master's host name or IP address");
                continue;
            }
            if host.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
                let error = self.at(Code::Range, &at("host"), "must not contain blanks");
                self.report.error(error);
            }
            let master = SentinelMaster {
                mode,
                host,
                port: self.port(&at("port"), REDIS_PORT),
                quorum: self.count(&at("quorum"), 2),
                down_after: self.seconds(&at("down_after"), Millis::from_secs(30)),
                failover_timeout: self.seconds(&at("failover_timeout"), Millis::from_secs(180)),
                parallel_syncs: self.count(&at("parallel_syncs"), 1),
                authentication: self.redis_user(&at("authentication")),
            };
            masters.insert(entry.key.clone(), master);
        }
        masters
    }

    /// Hosts and port of `listen`, and the address the others use, which stands at `told`.
    fn listening(
        &mut self,
        section: &str,
        port: u16,
        told: &str,
        host: Option<&str>,
        hint: &str,
    ) -> Option<(Vec<String>, u16, Address)> {
        let (hosts, port) = match (self.text(&[section, "listen"]), host) {
            (Some(text), _) => parts::listen(&text, port).ok()?,
            (None, Some(host)) => (vec![host.to_owned()], port),
            (None, None) => {
                self.missing(&[section, "listen"], hint);
                return None;
            }
        };
        let reachable = hosts.iter().find(|host| !is_wildcard(host)).or(hosts.first());
        let first = Address::new(reachable.cloned().unwrap_or_default(), port);
        let address = match self.tree.at(&[section, told]) {
            Some(_) => self.address(&[section, told], Some(port)),
            None => self.reachable(&first, host, &[section, told]),
        };
        Some((hosts, port, address?))
    }

    /// `username` alone makes no sense, and Redis has a name for the user without one.
    fn redis_user(&mut self, path: &[&str]) -> Option<User> {
        self.tree.at(path)?;
        let at = |key: &'static str| path.iter().copied().chain([key]).collect::<Vec<_>>();
        let Some(password) = self.text(&at("password")) else {
            self.missing(&at("password"), "the password that goes with the user");
            return None;
        };
        if password.len() > PASSWORD_BYTES_MAX || password.chars().any(char::is_control) {
            let message = format!("must be one line of at most {PASSWORD_BYTES_MAX} bytes");
            let error = self.at(Code::Range, &at("password"), message);
            self.report.error(error);
        }
        let username = self.text(&at("username")).unwrap_or_else(|| USER_DEFAULT.to_owned());
        if username.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
            let error = self.at(Code::Range, &at("username"), "must not contain blanks");
            self.report.error(error);
        }
        Some(User { username, password: Some(crate::Secret::new(password)), parameters: BTreeMap::new() })
    }

    fn redis_tls(&mut self, section: &str) -> Option<RedisTls> {
        self.tree.at(&[section, "tls"])?;
        let mut file = |key: &str, hint: &str| {
            let path = [section, "tls", key];
            let found = self.path(&path);
            match &found {
                None => self.missing(&path, hint),
                Some(file) => self.one_line(&path, file),
            }
            found
        };
        let cert_file = file("cert_file", "the server's certificate (PEM)");
        let key_file = file("key_file", "the certificate's key (PEM)");
        let ca_file = file("ca_file", "the certificates of the authorities to trust (PEM)");
        Some(RedisTls { cert_file: cert_file?, key_file: key_file?, ca_file: ca_file? })
    }

    fn directives(&self, path: &[&str]) -> BTreeMap<String, Vec<String>> {
        let Some(map) = self.tree.at(path).and_then(Node::map) else { return BTreeMap::new() };
        map.effective().filter_map(|entry| Some((entry.key.to_lowercase(), parts::directive(&entry.node)?))).collect()
    }

    fn count(&self, path: &[&str], default: u32) -> u32 {
        self.integer(path).and_then(|count| u32::try_from(count).ok()).unwrap_or(default)
    }

    /// It becomes a part of keys in the store and of Sentinel's messages, whose fields are separated by commas.
    fn master_name(&mut self, path: &[&str], name: &str) {
        if name.is_empty() || name.chars().any(|it| it.is_whitespace() || it.is_control() || matches!(it, ',' | '/')) {
            let error = self.at(Code::Range, path, "a master's name has no blanks, commas and slashes");
            self.report.error(error);
        }
    }

    fn one_line(&mut self, path: &[&str], file: &std::path::Path) {
        if file.to_string_lossy().chars().any(char::is_control) {
            let error = self.at(Code::Range, path, "must not contain control characters");
            self.report.error(error);
        }
    }

    /// A scope that is no name for a master needs another one.
    pub fn redis_name_of_scope(&mut self, scope: &Scope) {
        if self.tree.at(&["redis"]).is_some() && self.text(&["redis", "name"]).is_none() {
            let usable = !scope.as_str().chars().any(|it| it.is_whitespace() || it == ',');
            if !usable {
                self.missing(&["redis", "name"], "the scope has blanks or commas, which a master's name must not have");
            }
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}
