//! From the checked tree to types: defaults, and the rules that concern more than one key.

mod listeners;
mod pgbouncer;
mod postgresql;
mod proxy;
mod redis;
mod store;
mod tls;
mod vip;

use crate::error::{Code, ConfigError, Report, problem};
use crate::member::{
    ConsoleConfig, CtlConfig, InitdbOption, LogConfig, MemberConfig, RestApiConfig, User, WatchdogConfig, WatchdogMode,
};
use crate::parts;
use crate::place::Place;
use crate::tree::Node;
use crate::{Address, Secret};
use ha::cluster::Tags;
use std::collections::BTreeMap;
use std::path::PathBuf;
use types::{MemberName, Millis, Scope};

/// A majority of one or two does not survive any failure.
const VOTERS_MIN: usize = 3;

/// Builds as much as can be built, so that the report is complete. The result counts only when the report is empty.
pub(crate) fn build(tree: &Node, report: &mut Report) -> Option<MemberConfig> {
    let mut builder = Builder { tree, report };
    let scope = builder.name("scope", "the cluster's name, the same on every member");
    let name = builder.name("name", "this member's name, different on every member");
    let name = MemberName::new(name.unwrap_or_default());
    let store = builder.store(&name);
    let etcd = builder.etcd();
    builder.one_store();
    // The address from which the other defaults are made.
    let own = store.as_ref().and_then(|store| store.members.get(&name));
    let witness = own.is_some_and(|own| own.witness);
    let host = match own {
        Some(own) => Some(own.host.clone()),
        // Reported already; what would follow from it need not be reported too.
        None => store.as_ref().map(|_| String::new()),
    };
    let restapi = builder.restapi(host.as_deref());
    let console = builder.console(host.as_deref(), restapi.as_ref());
    let postgresql = builder.postgresql(host.as_deref(), witness);
    let redis = builder.redis(host.as_deref(), witness, scope.as_deref());
    let sentinel = builder.sentinel(host.as_deref(), store.as_ref(), redis.as_ref());
    let proxy = builder.proxy(host.as_deref());
    builder.replicas_for_writes(store.as_ref(), redis.as_ref());
    builder.one_listener_per_port(listeners::Parts {
        store: store.as_ref(),
        restapi: restapi.as_ref(),
        console: console.as_ref(),
        postgresql: postgresql.as_ref(),
        redis: redis.as_ref(),
        sentinel: sentinel.as_ref(),
        proxy: proxy.as_ref(),
    });
    let pgbouncer = builder.pgbouncer();
    let mut own: Vec<(&str, String)> = host.iter().map(|host| ("this member", host.clone())).collect();
    own.extend(restapi.iter().map(|it| ("restapi.connect_address", it.connect_address.host.clone())));
    own.extend(postgresql.iter().map(|it| ("postgresql.connect_address", it.connect_address.host.clone())));
    own.extend(redis.iter().map(|it| ("redis.connect_address", it.connect_address.host.clone())));
    let vips = builder.vips(
        postgresql.as_ref().map(|it| it.listen_hosts.as_slice()),
        redis.as_ref().map(|it| it.listen_hosts.as_slice()),
        &own,
    );
    let bootstrap = builder.bootstrap();
    let tags = builder.tags();
    let watchdog = builder.watchdog();
    let log = builder.log();
    let ctl = CtlConfig {
        authentication: builder
            .user(&["ctl", "authentication"])
            .or_else(|| builder.user(&["restapi", "authentication"])),
        tls: builder.ctl_tls(),
    };
    let namespace = namespace(tree);
    let scope = Scope::new(scope?);
    builder.redis_name_of_scope(&scope);
    Some(MemberConfig {
        scope,
        namespace,
        name,
        store,
        etcd,
        restapi: restapi?,
        console,
        bootstrap,
        postgresql,
        redis,
        sentinel,
        proxy,
        pgbouncer,
        vips,
        tags,
        watchdog,
        log,
        ctl,
        warnings: Vec::new(),
    })
}

pub(crate) fn namespace(tree: &Node) -> String {
    let written = tree.at(&["namespace"]).map(|node| parts::text(node).trim_matches('/').to_owned());
    written.filter(|text| !text.is_empty()).unwrap_or_else(|| "service".to_owned())
}

pub(crate) struct Builder<'a> {
    pub tree: &'a Node,
    pub report: &'a mut Report,
}

impl Builder<'_> {
    pub fn text(&self, path: &[&str]) -> Option<String> {
        self.tree.at(path).map(parts::text).filter(|text| !text.is_empty())
    }

    fn path(&self, path: &[&str]) -> Option<PathBuf> {
        self.text(path).map(PathBuf::from)
    }

    pub fn flag(&self, path: &[&str]) -> Option<bool> {
        self.tree.at(path).and_then(parts::flag)
    }

    fn integer(&self, path: &[&str]) -> Option<i64> {
        self.tree.at(path).and_then(parts::integer)
    }

    pub fn port(&self, path: &[&str], default: u16) -> u16 {
        self.integer(path).and_then(|port| u16::try_from(port).ok()).unwrap_or(default)
    }

    fn seconds(&self, path: &[&str], default: Millis) -> Millis {
        self.tree.at(path).and_then(parts::number).map_or(default, |seconds| Millis((seconds * 1000.0) as u64))
    }

    fn address(&self, path: &[&str], default_port: Option<u16>) -> Option<Address> {
        Address::parse(&self.text(path)?, default_port).ok()
    }

    fn values(&self, path: &[&str]) -> BTreeMap<String, String> {
        let key = path.join(".");
        let json = self.tree.at(path).map(Node::to_json);
        ha::config::parameters(json.as_ref(), &key).unwrap_or_default()
    }

    fn lines(&self, path: &[&str]) -> Vec<String> {
        self.tree.at(path).and_then(parts::lines).unwrap_or_default()
    }

    fn options(&self, path: &[&str]) -> Vec<InitdbOption> {
        let options = self.tree.at(path).and_then(parts::options).unwrap_or_default();
        options.into_iter().map(|option| InitdbOption { name: option.name, value: option.value }).collect()
    }

    /// Is the section in the file, be it empty?
    fn has_section(&self, key: &str) -> bool {
        self.tree.map().is_some_and(|map| map.get(key).is_some())
    }

    /// A problem at the longest part of the path that is in the file.
    fn at(&self, code: Code, path: &[&str], message: impl Into<String>) -> ConfigError {
        // What is missing altogether is missing in the file, not in its first line.
        let mut place = Place { line: 0, ..self.tree.place.clone() };
        let mut node = self.tree;
        for key in path {
            let Some(entry) = node.map().and_then(|map| map.get(key)) else { break };
            place = entry.place.clone();
            node = &entry.node;
        }
        problem(code, &place, &path.join("."), message)
    }

    fn missing(&mut self, path: &[&str], hint: &str) {
        let error = self.at(Code::Missing, path, "is missing").hint(hint);
        self.report.error(error);
    }

    fn note(&mut self, path: &[&str], message: &str) {
        let warning = self.at(Code::Note, path, message);
        self.report.warn(warning);
    }

    /// A name becomes a part of keys in the store.
    fn name(&mut self, key: &str, doc: &str) -> Option<String> {
        let Some(text) = self.text(&[key]) else {
            self.missing(&[key], doc);
            return None;
        };
        if text.contains('/') || text.chars().any(char::is_control) {
            let error = self.at(Code::Range, &[key], "must not contain '/' or control characters");
            self.report.error(error);
        }
        Some(text)
    }

    pub fn user(&self, path: &[&str]) -> Option<User> {
        let map = self.tree.at(path)?.map()?;
        let get = |key: &str| map.get(key).map(|entry| parts::text(&entry.node)).filter(|text| !text.is_empty());
        let parameters = map
            .effective()
            .filter(|entry| !matches!(entry.key.as_str(), "username" | "password") && !entry.node.is_null())
            .map(|entry| (entry.key.clone(), parts::text(&entry.node)))
            .collect();
        Some(User { username: get("username")?, password: get("password").map(Secret::new), parameters })
    }

    fn restapi(&mut self, host: Option<&str>) -> Option<RestApiConfig> {
        let tls = self.restapi_tls();
        let authentication = self.user(&["restapi", "authentication"]);
        if self.tree.at(&["restapi", "authentication"]).is_some()
            && authentication.as_ref().is_none_or(|user| user.password.is_none())
        {
            self.missing(&["restapi", "authentication"], "both username and password are needed");
        }
        let listen = match (self.text(&["restapi", "listen"]), host) {
            (Some(text), _) => Address::parse(&text, Some(8008)).ok()?,
            (None, Some(host)) => Address::new(host, 8008),
            (None, None) => {
                self.missing(&["restapi", "listen"], "where the REST API listens, such as 10.0.0.1:8008");
                return None;
            }
        };
        let connect_address = match self.tree.at(&["restapi", "connect_address"]) {
            Some(_) => self.address(&["restapi", "connect_address"], None)?,
            None => self.reachable(&listen, host, &["restapi", "connect_address"])?,
        };
        Some(RestApiConfig { listen, connect_address, authentication, tls })
    }

    fn console(&mut self, host: Option<&str>, restapi: Option<&RestApiConfig>) -> Option<ConsoleConfig> {
        if !self.has_section("console") {
            return None;
        }
        let reached = restapi.map(|restapi| restapi.connect_address.host.clone())?;
        let own = host.unwrap_or(&reached);
        let listen = match self.text(&["console", "listen"]) {
            Some(text) => Address::parse(&text, Some(8080)).ok()?,
            None => Address::new(own, 8080),
        };
        let connect_address = if listen.is_wildcard() { Address::new(&reached, listen.port) } else { listen.clone() };
        Some(ConsoleConfig { listen, connect_address })
    }

    /// The listening address, unless it means "all": then the member's own one.
    fn reachable(&mut self, listen: &Address, host: Option<&str>, path: &[&str]) -> Option<Address> {
        if !listen.is_wildcard() {
            return Some(listen.clone());
        }
        if let Some(host) = host {
            return Some(Address::new(host, listen.port));
        }
        self.missing(path, "listening on every address does not tell the others which one to use; write host:port");
        None
    }

    fn tags(&self) -> Tags {
        match self.tree.at(&["tags"]).map(Node::to_json) {
            Some(serde_json::Value::Object(map)) => {
                Tags(map.into_iter().filter(|(_, value)| !value.is_null()).collect())
            }
            _ => Tags::default(),
        }
    }

    fn watchdog(&self) -> WatchdogConfig {
        let word = self
            .tree
            .at(&["watchdog", "mode"])
            .and_then(|node| parts::choice(node.scalar()?, &["off", "automatic", "required"]));
        let margin = self.integer(&["watchdog", "safety_margin"]).unwrap_or(5);
        WatchdogConfig {
            mode: match word {
                Some("off") => WatchdogMode::Off,
                Some("required") => WatchdogMode::Required,
                _ => WatchdogMode::Automatic,
            },
            device: self.path(&["watchdog", "device"]).unwrap_or_else(|| PathBuf::from("/dev/watchdog")),
            safety_margin: u64::try_from(margin).ok().map(Millis::from_secs),
        }
    }

    fn log(&self) -> LogConfig {
        let level = match self.text(&["log", "level"]).unwrap_or_default().to_uppercase().as_str() {
            "TRACE" => "trace",
            "DEBUG" => "debug",
            "WARNING" => "warn",
            "ERROR" | "CRITICAL" => "error",
            _ => "info",
        };
        LogConfig { level, json: self.text(&["log", "type"]).is_some_and(|form| form.eq_ignore_ascii_case("json")) }
    }
}
