//! `dsn`: a connection string, for one member or for the cluster as a whole.

use super::members::with_role;
use crate::cli::arguments::{DsnArguments, DsnStyle, RoleFilter};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::output;
use config::Address;
use ha::cluster::{Cluster, Member};
use types::MemberName;

/// Where `conn_url` leaves the port out.
const PORT: u16 = 5432;

pub async fn dsn(context: &Context, arguments: DsnArguments) -> Result<(), Failure> {
    let target = context.target(arguments.cluster.as_deref(), arguments.group).await?;
    let chosen = choose(&target.cluster, &arguments);
    let addresses: Vec<Address> = chosen.iter().filter_map(address).collect();
    if addresses.is_empty() {
        return Err(Failure::new("cli-no-member", "Can not find a suitable member"));
    }
    let wants = arguments.all.then(|| session_attributes(arguments.role));
    output::line(&string(arguments.style, &addresses, wants.flatten()))
}

fn choose(cluster: &Cluster, arguments: &DsnArguments) -> Vec<(MemberName, Member)> {
    if let Some(name) = &arguments.member {
        let member = cluster.members.get_key_value(&MemberName::new(name.as_str()));
        return member.map(|(name, member)| (name.clone(), member.clone())).into_iter().collect();
    }
    if arguments.all {
        return with_role(cluster, RoleFilter::Any);
    }
    let mut members = with_role(cluster, arguments.role.unwrap_or(RoleFilter::Leader));
    members.sort_by_key(|(name, _)| !cluster.is_leader(name));
    members.truncate(1);
    members
}

fn address((_, member): &(MemberName, Member)) -> Option<Address> {
    Address::parse(member.data.postgres_address()?, Some(PORT)).ok()
}

/// What the client looks for among several hosts.
fn session_attributes(role: Option<RoleFilter>) -> Option<&'static str> {
    match role {
        None | Some(RoleFilter::Leader | RoleFilter::Primary) => Some("read-write"),
        Some(RoleFilter::Replica | RoleFilter::Standby) => Some("prefer-standby"),
        Some(RoleFilter::StandbyLeader | RoleFilter::Any) => None,
    }
}

fn string(style: DsnStyle, addresses: &[Address], attributes: Option<&str>) -> String {
    let joined = |part: &dyn Fn(&Address) -> String| addresses.iter().map(part).collect::<Vec<_>>().join(",");
    let both = || joined(&ToString::to_string);
    match style {
        DsnStyle::Libpq => {
            let hosts = joined(&|address| address.host.clone());
            let ports = joined(&|address| address.port.to_string());
            let wants = attributes.map_or_else(String::new, |wants| format!(" target_session_attrs={wants}"));
            format!("host={hosts} port={ports}{wants}")
        }
        DsnStyle::Url => {
            let wants = attributes.map_or_else(String::new, |wants| format!("?target_session_attrs={wants}"));
            format!("postgresql://{}/postgres{wants}", both())
        }
        DsnStyle::Jdbc => {
            let wants = match attributes {
                Some("read-write") => "?targetServerType=primary",
                Some(_) => "?targetServerType=preferSecondary",
                None => "",
            };
            format!("jdbc:postgresql://{}/postgres{wants}", both())
        }
        DsnStyle::Npgsql => {
            let wants = match attributes {
                Some("read-write") => ";Target Session Attributes=read-write",
                Some(_) => ";Target Session Attributes=prefer-standby",
                None => "",
            };
            match addresses {
                [one] => format!("Host={};Port={};Database=postgres{wants}", one.host, one.port),
                _ => format!("Host={};Database=postgres{wants}", both()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_string_is_in_the_clients_own_form() {
        let one = [Address::new("10.0.0.1", 5432)];
        let two = [Address::new("10.0.0.1", 5432), Address::new("10.0.0.2", 5433)];
        let all = Some("read-write");
        for (style, addresses, wants, expected) in [
            (DsnStyle::Libpq, &one[..], None, "host=10.0.0.1 port=5432"),
            (DsnStyle::Libpq, &two, all, "host=10.0.0.1,10.0.0.2 port=5432,5433 target_session_attrs=read-write"),
            (
                DsnStyle::Url,
                &two,
                all,
                "postgresql://10.0.0.1:5432,10.0.0.2:5433/postgres?target_session_attrs=read-write",
            ),
            (
                DsnStyle::Jdbc,
                &two,
                all,
                "jdbc:postgresql://10.0.0.1:5432,10.0.0.2:5433/postgres?targetServerType=primary",
            ),
            (DsnStyle::Npgsql, &one, None, "Host=10.0.0.1;Port=5432;Database=postgres"),
            (
                DsnStyle::Npgsql,
                &two,
                Some("prefer-standby"),
                "Host=10.0.0.1:5432,10.0.0.2:5433;Database=postgres;Target Session Attributes=prefer-standby",
            ),
        ] {
            assert_eq!(string(style, addresses, wants), expected);
        }
    }
}
