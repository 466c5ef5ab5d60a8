//! Which ports a member opens, what for, and who has to reach them: for the firewall, and for the question whether they
//! are free.

use crate::model::{Member, Plan};
use serde::Serialize;
use std::collections::BTreeSet;
use types::MemberName;

/// Who has to reach a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A member's address: an IP address or a host name.
    Member(String),
    /// Applications, load balancers, operators.
    Clients,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenPort {
    pub port: u16,
    /// The key below `ports` in `cluster.yaml`.
    pub name: &'static str,
    /// For people.
    pub why: &'static str,
    /// Without the member itself.
    pub from: Vec<Source>,
}

impl Plan {
    /// What a member listens on. Nothing for a name that is not in the plan.
    pub fn open_ports(&self, member: &MemberName) -> Vec<OpenPort> {
        let Some(own) = self.member(member) else { return Vec::new() };
        let others = |chosen: &dyn Fn(&Member) -> bool| -> BTreeSet<Source> {
            let others = self.members.iter().filter(|other| other.name != own.name && chosen(other));
            others.map(|other| Source::Member(other.address.clone())).collect()
        };
        let members = || others(&|_| true);
        let everybody = || members().into_iter().chain([Source::Clients]).collect::<BTreeSet<_>>();
        let ports = &self.ports;
        let mut open = Vec::new();
        let mut add = |port: crate::Port, name, why, from: BTreeSet<Source>| {
            open.push(OpenPort { port: port.0, name, why, from: from.into_iter().collect() });
        };
        if own.has_database() {
            add(ports.postgresql, "postgresql", "PostgreSQL: clients and replicas", everybody());
        }
        if own.has_cache() {
            add(ports.redis, "redis", "Redis: clients and replicas", everybody());
        }
        if self.runs_sentinel(own) {
            add(ports.sentinel, "sentinel", "Sentinel: clients that ask for the Redis master", everybody());
        }
        if !own.is_witness() {
            add(ports.proxy_primary, "proxy_primary", "the proxy: leads to the primary", everybody());
            add(ports.proxy_replicas, "proxy_replicas", "the proxy: leads to the replicas", everybody());
        }
        if own.has_cache() {
            add(ports.proxy_redis, "proxy_redis", "the proxy: leads to the Redis master", everybody());
        }
        add(ports.rest_api, "rest_api", "the REST API: members, health checks, the command line", everybody());
        add(ports.console, "console", "the web console", everybody());
        if own.votes() {
            add(ports.store_clients, "store_clients", "the store: members and the command line", members());
            add(ports.store_peers, "store_peers", "the store: its members among themselves", others(&Member::votes));
        }
        open
    }

    /// Every server of a cluster with Redis that keeps the store or Redis answers as a Sentinel, too.
    pub(crate) fn runs_sentinel(&self, member: &Member) -> bool {
        self.caches().next().is_some() && (member.votes() || member.has_cache())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;

    #[test]
    fn each_role_has_its_ports_and_peers() {
        let mut plan = Plan::new("shop");
        plan.members = vec![
            Member::new("a", "10.0.0.1", &[Role::Database, Role::Store, Role::Cache]),
            Member::new("b", "10.0.0.2", &[Role::Database]),
            Member::new("w", "10.0.0.3", &[Role::Witness]),
        ];
        let of = |name: &str| plan.open_ports(&MemberName::new(name));
        let numbers = |name: &str| of(name).iter().map(|it| it.port).collect::<Vec<_>>();
        assert_eq!(numbers("a"), [5432, 6379, 26379, 5000, 5001, 6380, 8008, 8080, 2379, 2380]);
        assert_eq!(numbers("b"), [5432, 5000, 5001, 8008, 8080]);
        assert_eq!(numbers("w"), [26379, 8008, 8080, 2379, 2380]);
        assert!(of("nobody").is_empty());
        let peers = of("a").into_iter().find(|it| it.name == "store_peers").unwrap();
        assert_eq!(peers.from, [Source::Member("10.0.0.3".into())], "only who votes");
        let clients = of("a").into_iter().find(|it| it.name == "store_clients").unwrap();
        assert!(!clients.from.contains(&Source::Clients), "applications have nothing to do with the store");
        assert_eq!(clients.from.len(), 2);
    }
}
