//! Scope, members, their roles, the store's voters, and sites.

use super::Report;
use super::fields::{AddressProblem, address_problem, name_problem};
use crate::model::{Member, Role};
use std::collections::BTreeMap;
use std::net::IpAddr;

const VOTERS_MIN: usize = 3;
/// Each voter more makes every write wait for one more of them; etcd advises the same limit.
const VOTERS_SENSIBLE_MAX: usize = 7;

impl Report<'_> {
    pub(super) fn scope(&mut self) {
        let plan = self.plan;
        if let Some(problem) = name_problem(plan.scope.as_str()) {
            self.error("plan-name", "scope", format!("the cluster's name {problem}"), "a short name, such as shop");
        }
    }

    pub(super) fn each_member(&mut self) {
        let plan = self.plan;
        for (at, member) in plan.members.iter().enumerate() {
            let field = |key: &str| format!("members[{at}].{key}");
            let earlier = &plan.members[..at];
            let (name, address) = (member.name.as_str(), member.address.as_str());
            if let Some(problem) = name_problem(name) {
                self.error(
                    "plan-name",
                    field("name"),
                    format!("the member's name {problem}"),
                    "a short name, such as pg1",
                );
            } else if earlier.iter().any(|other| other.name.as_str().eq_ignore_ascii_case(name)) {
                let message = format!("another member is called '{name}', too");
                self.error("plan-duplicate", field("name"), message, "give each member a name of its own");
            }
            match address_problem(address) {
                Some(problem) => self.address(&field("address"), address, &problem),
                None => {
                    if let Some(twin) = earlier.iter().find(|other| other.address.eq_ignore_ascii_case(address)) {
                        let message = format!("{address} is the address of '{}', too", twin.name);
                        self.error("plan-duplicate", field("address"), message, "each member is a server of its own");
                    } else if is_this_machine(address) {
                        let message = format!("{address} is reached from its own server only");
                        let hint = "use the address that the other servers have for it";
                        self.warn("plan-address", field("address"), message, hint);
                    }
                }
            }
            self.roles(&field("roles"), member);
            if let Some(problem) = member.site.as_deref().filter(|site| !site.is_empty()).and_then(name_problem) {
                self.error(
                    "plan-name",
                    field("site"),
                    format!("the site's name {problem}"),
                    "a short name, such as north",
                );
            }
        }
    }

    fn address(&mut self, field: &str, address: &str, problem: &AddressProblem) {
        let (message, hint) = match problem {
            AddressProblem::Missing => {
                ("the address is missing".to_owned(), "an IP address or a host name, such as 10.0.0.11")
            }
            AddressProblem::Port => {
                (format!("'{address}' has a port; only the address belongs here"), "the ports are below 'ports'")
            }
            AddressProblem::Everywhere => {
                (format!("'{address}' is not the address of one server"), "the others need one to connect to")
            }
            AddressProblem::Neither(text) => {
                (format!("'{text}' is neither an IP address nor a host name"), "such as 10.0.0.11 or pg1.example.com")
            }
        };
        self.error("plan-address", field, message, hint);
    }

    fn roles(&mut self, field: &str, member: &Member) {
        let with_data = member.has_database() || member.has_cache();
        if member.roles.contains(&Role::Witness) && with_data {
            let hint = "take the role store instead of witness, or leave database and cache away";
            self.error("plan-roles", field, "a witness has no data", hint);
        } else if !member.votes() && !with_data {
            let hint = "choose database, store, cache, or witness";
            self.error("plan-roles", field, "the member has nothing to do", hint);
        }
        if member.roles.contains(&Role::NoFailover) && !member.has_database() {
            let hint = "add the role database, or leave no-failover away";
            self.error("plan-roles", field, "no-failover is about a PostgreSQL that this member does not have", hint);
        }
    }

    pub(super) fn members_together(&mut self) {
        let plan = self.plan;
        let voters = plan.voters().count();
        if voters < VOTERS_MIN {
            let message = match voters {
                0 => "nobody keeps the store".to_owned(),
                1 => "only one member keeps the store".to_owned(),
                voters => format!("only {voters} members keep the store"),
            };
            let hint =
                "three voters survive the loss of one: add a member with the role store, or a witness without data";
            self.error("plan-voters", "members", message, hint);
        } else if voters.is_multiple_of(2) {
            let message = format!("{voters} members have a vote in the store; the number must be odd");
            let hint = format!(
                "{voters} survive no more failures than {}: take the role store from one member, or add a witness",
                voters - 1
            );
            self.error("plan-voters", "members", message, hint);
        } else if voters > VOTERS_SENSIBLE_MAX {
            let message = format!("{voters} voters make every decision slower");
            self.warn("plan-voters", "members", message, "five voters survive the loss of two; seven are plenty");
        }
        let (databases, caches) = (plan.databases().count(), plan.caches().count());
        if databases == 0 && caches == 0 {
            self.error(
                "plan-roles",
                "members",
                "no member has a database or a cache",
                "give the role database to two members at least",
            );
        }
        let candidates = plan.members.iter().filter(|member| member.may_lead()).count();
        if databases > 0 && candidates == 0 {
            self.error(
                "plan-roles",
                "members",
                "no member's PostgreSQL may become the primary",
                "take no-failover from one of them",
            );
        } else if candidates == 1 {
            let message = "only one PostgreSQL may be the primary, so nobody takes over when it is lost";
            self.warn("plan-roles", "members", message, "give the role database to a second member");
        }
        if caches == 1 {
            let message = "there is only one Redis, so nobody takes over when it is lost";
            self.warn("plan-roles", "members", message, "give the role cache to a second member");
        }
        if let Some(without) = plan.members.iter().find(|member| member.has_database() && !member.votes()) {
            let message = format!("'{}' has a database and no vote: it asks the other members' stores", without.name);
            self.note("plan-roles", "members", message, "that is fine with more than five members");
        }
    }

    /// What is left when one site is lost. Members without a site are sites of their own.
    pub(super) fn sites(&mut self) {
        let plan = self.plan;
        let mut sites: BTreeMap<&str, Vec<&Member>> = BTreeMap::new();
        for member in &plan.members {
            if let Some(site) = member.site.as_deref().filter(|site| !site.is_empty()) {
                sites.entry(site).or_default().push(member);
            }
        }
        let voters = plan.voters().count();
        let candidates = plan.members.iter().filter(|member| member.may_lead()).count();
        for (site, members) in &sites {
            if members.len() == plan.members.len() {
                let message = format!("every member is at {site}: when it is lost, everything is");
                self.note("plan-sites", "members", message, "put one member, a witness at least, somewhere else");
                continue;
            }
            let here = members.iter().filter(|member| member.votes()).count();
            if voters >= VOTERS_MIN && (voters - here) * 2 <= voters {
                let message =
                    format!("when {site} is lost, {} of {voters} votes are left and nobody may write", voters - here);
                let hint = if sites.len() > 2 {
                    "no site should have half of the votes: move one to another site"
                } else {
                    "two sites cannot do better: put a witness at a third one"
                };
                self.warn("plan-sites", "members", message, hint);
            }
            if candidates > 1 && members.iter().filter(|member| member.may_lead()).count() == candidates {
                let message = format!("every PostgreSQL that may become the primary is at {site}");
                self.warn("plan-sites", "members", message, "give the role database to a member at another site");
            }
        }
    }
}

fn is_this_machine(address: &str) -> bool {
    address.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
