//! `dsn`: what a client's configuration says to reach the cluster, in the words of its library.
//!
//! Deliberately without passwords unless one is asked for: what is printed is copied into files and tickets.

mod postgres;
mod quoting;
mod redis;

use super::members::with_role;
use super::redis::name_of;
use crate::cli::arguments::{DsnArguments, DsnStyle, DsnVia, GroupArgument, RoleFilter};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::output;
use clap::ValueEnum;
use config::{Address, ClientConfig, User};
use console::ConnectionString;
use ha::cluster::{Cluster, Member};
use types::MemberName;

/// Where `conn_url` leaves the port out.
const POSTGRES_PORT: u16 = 5432;
const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
const REDIS_USER: &str = "default";

/// As whom a client signs in, as far as the string is to say it.
#[derive(Clone, Debug, Default)]
struct Login {
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
}

pub async fn dsn(context: &Context, arguments: DsnArguments) -> Result<(), Failure> {
    let target = context.target(arguments.cluster.as_deref(), arguments.group).await?;
    let known = context.client();
    let text = if arguments.style.is_of_redis() {
        let name = name_of(&target, arguments.name.as_deref())?;
        let text = redis_string(known, &target.cluster, &name, &arguments)?;
        if known.redis_tls {
            eprintln!("note: the servers use TLS (redis.tls); switch it on in the client and give it the certificates");
        }
        text
    } else {
        postgres_string(known, &target.cluster, &arguments)?
    };
    output::line(&text)
}

/// What this command prints for every client and way that the member has, for the console. Without passwords.
pub fn connection_strings(known: &ClientConfig, ways: &[DsnVia], cluster: &Cluster) -> Vec<ConnectionString> {
    let mut strings = Vec::new();
    for style in DsnStyle::value_variants() {
        let word = style.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        for (via, role) in ways.iter().flat_map(|via| [(*via, None), (*via, Some(RoleFilter::Replica))]) {
            let arguments = DsnArguments { role, all: via == DsnVia::Members, via: Some(via), ..plain(*style) };
            let mut add = |server, role, text| {
                strings.push(ConnectionString { server, role, via: via.word(), style: word.clone(), text });
            };
            if !style.is_of_redis() {
                let word = if role.is_some() { "replica" } else { "primary" };
                // Where a way leads nowhere, there is nothing to show.
                if let Ok(text) = postgres_string(known, cluster, &arguments) {
                    add("postgresql", word, text);
                }
                continue;
            }
            for name in cluster.redis.keys().filter(|_| role.is_none()) {
                if let Ok(text) = redis_string(known, cluster, name, &arguments) {
                    add("redis", "master", text);
                }
            }
        }
    }
    strings
}

fn plain(style: DsnStyle) -> DsnArguments {
    DsnArguments {
        cluster: None,
        group: GroupArgument { group: None },
        role: None,
        member: None,
        all: false,
        via: None,
        host: Vec::new(),
        user: None,
        database: None,
        name: None,
        show_password: false,
        style,
    }
}

fn postgres_string(known: &ClientConfig, cluster: &Cluster, arguments: &DsnArguments) -> Result<String, Failure> {
    let login = login(known.postgres_user.as_ref(), arguments)?;
    let replica = matches!(arguments.role, Some(RoleFilter::Replica | RoleFilter::Standby));
    let port = if replica { known.proxy.replica_port } else { known.proxy.primary_port };
    // What is in front of the servers knows itself who the primary is.
    let (addresses, wants) = match (&arguments.host, arguments.via) {
        (hosts, _) if !hosts.is_empty() => (given(hosts, port)?, None),
        (_, Some(DsnVia::Proxy)) => {
            let members = in_front(known, cluster, arguments);
            (
                members.iter().filter_map(postgres_address).map(|address| Address::new(&address.host, port)).collect(),
                None,
            )
        }
        (_, Some(DsnVia::Sentinel)) => {
            return Err(Failure::usage("cli-dsn", "Sentinel is asked for Redis, not for PostgreSQL"));
        }
        (_, Some(DsnVia::Vip)) if replica => {
            return Err(Failure::usage("cli-dsn", "a virtual address leads to the primary; for replicas: --via proxy"));
        }
        (_, Some(DsnVia::Vip)) => {
            let leader = members(cluster, arguments, false).0;
            let port = leader.first().map_or(POSTGRES_PORT, |leader| leader.port);
            (virtual_addresses(known, "primary", port)?, None)
        }
        (_, Some(DsnVia::Members)) => members(cluster, arguments, true),
        (_, None) => members(cluster, arguments, arguments.all),
    };
    let mut addresses: Vec<Address> = addresses;
    if addresses.is_empty() {
        return Err(Failure::new("cli-no-member", "Can not find a suitable member"));
    }
    if arguments.style == DsnStyle::NodePg && addresses.len() > 1 {
        if wants.is_some() {
            return Err(Failure::usage(
                "cli-dsn",
                "node-postgres takes one host and does not look for the primary itself",
            )
            .hint("lead it through a proxy, --via proxy, or a virtual IP, --host ADDRESS"));
        }
        addresses.truncate(1);
    }
    Ok(postgres::string(arguments.style, &addresses, wants, &login))
}

/// The members themselves: one of the role, or all of them and what the client looks for among them.
fn members(cluster: &Cluster, arguments: &DsnArguments, all: bool) -> (Vec<Address>, Option<postgres::Wants>) {
    let chosen = if all && arguments.member.is_none() {
        with_role(cluster, RoleFilter::Any)
    } else {
        choose(cluster, arguments)
    };
    let wants = if all { postgres::Wants::of(arguments.role) } else { None };
    (chosen.iter().filter_map(postgres_address).collect(), wants)
}

fn choose(cluster: &Cluster, arguments: &DsnArguments) -> Vec<(MemberName, Member)> {
    if let Some(name) = &arguments.member {
        let member = cluster.members.get_key_value(&MemberName::new(name.as_str()));
        return member.map(|(name, member)| (name.clone(), member.clone())).into_iter().collect();
    }
    let mut members = with_role(cluster, arguments.role.unwrap_or(RoleFilter::Leader));
    members.sort_by_key(|(name, _)| !cluster.is_leader(name));
    members.truncate(1);
    members
}

/// The members whose proxies a client may use; the one whose configuration this is comes first, because the client is
/// probably on its host.
fn in_front(known: &ClientConfig, cluster: &Cluster, arguments: &DsnArguments) -> Vec<(MemberName, Member)> {
    if arguments.member.is_some() {
        return choose(cluster, arguments);
    }
    let mut members = with_role(cluster, RoleFilter::Any);
    members.sort_by_key(|(name, _)| known.name.as_ref() != Some(name));
    members
}

fn postgres_address((_, member): &(MemberName, Member)) -> Option<Address> {
    Address::parse(member.data.postgres_address()?, Some(POSTGRES_PORT)).ok()
}

fn redis_string(
    known: &ClientConfig,
    cluster: &Cluster,
    name: &str,
    arguments: &DsnArguments,
) -> Result<String, Failure> {
    let login = login(known.redis_user.as_ref(), arguments)?;
    let group = cluster.redis_group(name);
    let mut hosts: Vec<(bool, String)> = Vec::new();
    for (member, entry) in &group.members {
        let wanted = arguments.member.as_ref().is_none_or(|wanted| wanted == member.as_str());
        if let (true, Ok(address)) = (wanted, Address::parse(&entry.data.address, None)) {
            hosts.push((known.name.as_ref() != Some(member), address.host));
        }
    }
    hosts.sort();
    let at = |port: u16| hosts.iter().map(|(_, host)| Address::new(host, port)).collect::<Vec<_>>();
    let reach = match (&arguments.host, arguments.via) {
        (hosts, _) if !hosts.is_empty() => redis::Reach::Directly(given(hosts, known.proxy.redis_port)?),
        (_, Some(DsnVia::Proxy)) => redis::Reach::Directly(at(known.proxy.redis_port)),
        (_, Some(DsnVia::Vip)) => {
            let port = group.members.values().find_map(|entry| Address::parse(&entry.data.address, None).ok());
            let port = port.map_or(REDIS_PORT, |address| address.port);
            redis::Reach::Directly(virtual_addresses(known, "redis_master", port)?)
        }
        (_, Some(DsnVia::Members)) => {
            return Err(Failure::usage("cli-dsn", "no client finds the Redis master among its servers by itself")
                .hint("--via sentinel or --via proxy"));
        }
        (_, Some(DsnVia::Sentinel) | None) => {
            // A witness has a sentinel, too, and is in the file only.
            let mut sentinels = at(known.sentinel_port.unwrap_or(SENTINEL_PORT));
            for host in known.store_hosts.iter().filter(|_| arguments.member.is_none()) {
                let sentinel = Address::new(host, known.sentinel_port.unwrap_or(SENTINEL_PORT));
                if !sentinels.contains(&sentinel) {
                    sentinels.push(sentinel);
                }
            }
            redis::Reach::Sentinel { name: name.to_owned(), sentinels }
        }
    };
    if reach.is_empty() {
        return Err(Failure::new("cli-no-member", "Can not find a suitable member"));
    }
    Ok(redis::string(arguments.style, &reach, &login))
}

/// Those of the configuration that lead to this role. The servers listen there, too.
fn virtual_addresses(known: &ClientConfig, role: &str, port: u16) -> Result<Vec<Address>, Failure> {
    let of_role = known.vips.iter().filter(|vip| vip.role == role);
    let addresses: Vec<Address> = of_role.map(|vip| Address::new(&vip.host, port)).collect();
    if addresses.is_empty() {
        return Err(Failure::usage(
            "cli-dsn",
            format!("the configuration has no vip for the {}", role.replace('_', " ")),
        )
        .hint("use -c FILE with a member's configuration, or --host ADDRESS"));
    }
    Ok(addresses)
}

/// Addresses that the user names: a virtual IP, a load balancer.
fn given(hosts: &[String], port: u16) -> Result<Vec<Address>, Failure> {
    let parse = |host: &String| {
        Address::parse(host, Some(port)).map_err(|error| Failure::usage("cli-dsn", format!("--host {host}: {error}")))
    };
    hosts.iter().map(parse).collect()
}

fn login(configured: Option<&User>, arguments: &DsnArguments) -> Result<Login, Failure> {
    let mut login = Login { user: arguments.user.clone(), password: None, database: arguments.database.clone() };
    if !arguments.show_password {
        return Ok(login);
    }
    let password = configured.and_then(|user| user.password.as_ref());
    let (Some(user), Some(password)) = (configured, password) else {
        return Err(Failure::usage("cli-dsn", "the configuration has no password to show")
            .hint("use -c FILE with a member's configuration, or leave --show-password out"));
    };
    if login.user.as_ref().is_some_and(|wanted| *wanted != user.username) {
        return Err(Failure::usage(
            "cli-dsn",
            format!("the configuration knows the password of '{}' only", user.username),
        ));
    }
    // Redis's default user is the one that is meant when none is named.
    let is_default = arguments.style.is_of_redis() && user.username == REDIS_USER && login.user.is_none();
    login.user = (!is_default).then(|| user.username.clone());
    login.password = Some(password.expose().to_owned());
    Ok(login)
}
