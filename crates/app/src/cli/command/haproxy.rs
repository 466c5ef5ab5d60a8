//! `haproxy-config`: a configuration for HAProxy 2.2 or newer that follows the cluster by its REST API.

use super::redis::name_of;
use crate::cli::arguments::HaproxyArguments;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::output;
use config::Address;
use ha::cluster::Cluster;
use std::collections::BTreeMap;
use std::fmt::Write as _;

const POSTGRES_PORT: u16 = 5432;
const REST_PORT: u16 = 8008;
/// After a check that failed, and while a server is down, it is looked at so many times as often: a failover is noticed
/// sooner, and a healthy cluster is not asked all the time.
const HURRY: u32 = 4;
const HURRY_MS_MIN: u32 = 50;

/// A server, and where its health is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Server {
    name: String,
    address: Address,
    rest: Address,
    /// The health is asked over TLS.
    secured: bool,
}

pub async fn config(context: &Context, arguments: HaproxyArguments) -> Result<(), Failure> {
    let target = context.target(arguments.cluster.as_deref(), arguments.group).await?;
    if let Some(lag) = &arguments.lag
        && !lag.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        return Err(Failure::usage("cli-haproxy", format!("--lag {lag}: not a number of bytes")).hint("such as 16MB"));
    }
    if arguments.bind.is_empty() || arguments.bind.contains(|letter: char| letter.is_whitespace() || letter == '#') {
        return Err(Failure::usage("cli-haproxy", format!("--bind '{}': not an address", arguments.bind)));
    }
    let postgres = postgres_servers(&target.cluster);
    let redis = if target.cluster.redis.is_empty() {
        Vec::new()
    } else {
        redis_servers(&target.cluster, &name_of(&target, None)?)
    };
    if postgres.is_empty() && redis.is_empty() {
        return Err(Failure::new("cli-no-member", format!("the cluster {} has no members yet", target.scope)));
    }
    output::emit(&text(target.scope.as_str(), &arguments, &postgres, &redis))
}

fn postgres_servers(cluster: &Cluster) -> Vec<Server> {
    let servers = cluster.members.iter().filter_map(|(name, member)| {
        let address = Address::parse(member.data.postgres_address()?, Some(POSTGRES_PORT)).ok()?;
        Some(Server {
            name: name.to_string(),
            address,
            rest: rest(&member.data.api_url)?,
            secured: secured(&member.data.api_url),
        })
    });
    servers.collect()
}

fn redis_servers(cluster: &Cluster, name: &str) -> Vec<Server> {
    let group = cluster.redis_group(name);
    let servers = group.members.iter().filter_map(|(name, member)| {
        let address = Address::parse(&member.data.address, None).ok()?;
        Some(Server {
            name: name.to_string(),
            address,
            rest: rest(&member.data.api_url)?,
            secured: secured(&member.data.api_url),
        })
    });
    servers.collect()
}

/// `http://host:port/patroni`, without what is around the address.
fn rest(api_url: &str) -> Option<Address> {
    let rest = api_url.split_once("://").map_or(api_url, |(_, rest)| rest);
    Address::parse(rest.split('/').next()?, Some(REST_PORT)).ok()
}

/// HAProxy only asks who leads; whom it believes is written down by the administrator who has the authority's file.
fn secured(api_url: &str) -> bool {
    api_url.starts_with("https://")
}

fn text(scope: &str, arguments: &HaproxyArguments, postgres: &[Server], redis: &[Server]) -> String {
    let most = arguments.connections_max;
    let mut text = format!(
        "# Made by quorate haproxy-config for the members of {scope}; make it anew when members come or go.
global
    maxconn {most}

defaults
    mode tcp
    maxconn {most}
    retries 2
    timeout connect 3s
    timeout client 30m
    timeout server 30m
    timeout check 2s
"
    );
    if let Some(port) = arguments.stats_port {
        let _ = write!(
            text,
            "\nlisten statistics\n    mode http\n    bind {}:{port}\n    stats enable\n    stats uri /\n",
            arguments.bind
        );
    }
    if !postgres.is_empty() {
        section(&mut text, arguments, "postgres_primary", arguments.port, "/primary", postgres);
        let lag = arguments.lag.as_ref().map_or_else(String::new, |lag| format!("?lag={lag}"));
        section(&mut text, arguments, "postgres_replicas", arguments.replica_port, &format!("/replica{lag}"), postgres);
    }
    if !redis.is_empty() {
        section(&mut text, arguments, "redis_master", arguments.redis_port, "/redis/master", redis);
    }
    text
}

fn section(text: &mut String, arguments: &HaproxyArguments, name: &str, port: u16, check: &str, servers: &[Server]) {
    let HaproxyArguments { bind, checks_every, connections_max, .. } = arguments;
    let hurry = (checks_every / HURRY).max(HURRY_MS_MIN);
    // A replica that is gone leaves its clients to the others; the primary's clients must not stay with one that was.
    let balance = if check.starts_with("/replica") { "    balance leastconn\n" } else { "" };
    let _ = write!(
        text,
        "
listen {name}
    bind {bind}:{port}
{balance}    option httpchk
    http-check send meth OPTIONS uri {check} ver HTTP/1.1 hdr Host quorate
    http-check expect status 200
    default-server inter {checks_every}ms fastinter {hurry}ms downinter {hurry}ms fall 2 rise 1 on-marked-down shutdown-sessions maxconn {connections_max}
"
    );
    let names = unique_names(servers);
    for (server, name) in servers.iter().zip(names) {
        let (address, rest) = (&server.address, &server.rest);
        let tls = if server.secured { " check-ssl verify none" } else { "" };
        let _ = writeln!(text, "    server {name} {address} check{tls} addr {} port {}", rest.host, rest.port);
    }
}

/// HAProxy's names have fewer letters than a member's.
fn unique_names(servers: &[Server]) -> Vec<String> {
    let mut taken: BTreeMap<String, u32> = BTreeMap::new();
    let mut names = Vec::new();
    for server in servers {
        let usable = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.' | ':');
        let name: String = server.name.chars().map(|letter| if usable(letter) { letter } else { '_' }).collect();
        let count = taken.entry(name.clone()).or_default();
        *count += 1;
        names.push(if *count == 1 { name } else { format!("{name}_{count}") });
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ones_that_haproxy_takes_and_differ() {
        let address = Address::new("h", 1);
        let server = |name: &str| Server {
            name: name.to_owned(),
            address: address.clone(),
            rest: address.clone(),
            secured: false,
        };
        let servers = [server("pg-1"), server("pg 1"), server("pg/1"), server("größe")];
        assert_eq!(unique_names(&servers), ["pg-1", "pg_1", "pg_1_2", "gr__e"]);
    }

    #[test]
    fn the_rest_api_is_found_in_its_url() {
        assert_eq!(rest("http://10.0.0.1:8009/patroni"), Some(Address::new("10.0.0.1", 8009)));
        assert_eq!(rest("https://[fd00::1]:8008/patroni"), Some(Address::new("fd00::1", 8008)));
        assert_eq!(rest(""), None);
    }
}
