//! Everything that this member listens on, against each other: a port that is taken twice is found before the second server fails
//! to start on it.

use super::Builder;
use crate::address::is_wildcard;
use crate::error::Code;
use crate::member::{
    ConsoleConfig, PostgresqlConfig, ProxyConfig, RedisConfig, RestApiConfig, SentinelConfig, StoreConfig,
};

struct Listener<'a> {
    /// Where the port stands.
    key: [&'static str; 2],
    hosts: Vec<&'a str>,
    port: u16,
}

/// As far as they could be built.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub store: Option<&'a StoreConfig>,
    pub restapi: Option<&'a RestApiConfig>,
    pub console: Option<&'a ConsoleConfig>,
    pub postgresql: Option<&'a PostgresqlConfig>,
    pub redis: Option<&'a RedisConfig>,
    pub sentinel: Option<&'a SentinelConfig>,
    pub proxy: Option<&'a ProxyConfig>,
}

impl Builder<'_> {
    pub(super) fn one_listener_per_port(&mut self, parts: Parts<'_>) {
        let listeners = listeners(parts);
        for (at, listener) in listeners.iter().enumerate() {
            let Some(twin) = listeners[..at].iter().find(|twin| clash(listener, twin)) else { continue };
            // The ports of one section are compared where it is built.
            if twin.key[0] == listener.key[0] {
                continue;
            }
            let message = format!("port {} is taken at this address by {}", listener.port, twin.key.join("."));
            let error = self.at(Code::Conflict, &listener.key, message);
            self.report.error(error.hint("give one of them another port or another address"));
        }
    }
}

fn listeners<'a>(parts: Parts<'a>) -> Vec<Listener<'a>> {
    let Parts { store, restapi, console, postgresql, redis, sentinel, proxy } = parts;
    let all = |hosts: &'a [String]| hosts.iter().map(String::as_str).collect::<Vec<_>>();
    let mut found = Vec::new();
    let mut add = |key, hosts, port| found.push(Listener { key, hosts, port });
    if let Some(it) = store {
        add(["store", "client_port"], vec![it.listen.host.as_str()], it.listen.port);
        add(["store", "peer_port"], vec![it.listen.host.as_str()], it.peer_port);
    }
    if let Some(it) = restapi {
        add(["restapi", "listen"], vec![it.listen.host.as_str()], it.listen.port);
    }
    if let Some(it) = console {
        add(["console", "listen"], vec![it.listen.host.as_str()], it.listen.port);
    }
    if let Some(it) = postgresql {
        add(["postgresql", "listen"], all(&it.listen_hosts), it.port);
    }
    if let Some(it) = redis {
        add(["redis", "listen"], all(&it.listen_hosts), it.port);
    }
    if let Some(it) = sentinel {
        add(["sentinel", "listen"], all(&it.listen_hosts), it.port);
    }
    if let Some(it) = proxy {
        add(["proxy", "primary_port"], all(&it.listen), it.primary_port);
        add(["proxy", "replica_port"], all(&it.listen), it.replica_port);
        if let Some(port) = it.redis_port {
            add(["proxy", "redis_port"], all(&it.listen), port);
        }
    }
    found
}

fn clash(one: &Listener<'_>, other: &Listener<'_>) -> bool {
    let same = |host: &str, other: &str| host == other || is_wildcard(host) || is_wildcard(other);
    // A member without an address is reported already.
    let known = |host: &&&str| !host.is_empty();
    one.port == other.port
        && one.hosts.iter().filter(known).any(|host| other.hosts.iter().filter(known).any(|other| same(host, other)))
}
