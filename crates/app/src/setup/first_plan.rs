//! The plan to begin with: what is written already, what was begun, or a proposal made of what this server has.

use super::bridge::Home;
use super::draft::{self, Draft};
use super::machine::{self, Machine};
use crate::cli::Failure;
use plan::{Member, Plan, Role};

/// Where the plan comes from, for the first sentence of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    Proposed,
    Draft,
    Written,
}

/// The draft first: it is newer than what is written.
pub fn begin(home: &Home, machine: &Machine) -> Result<Draft, Failure> {
    if let Some(draft) = draft::read(home)? {
        return Ok(draft);
    }
    if home.plan_file().exists() {
        let plan = home.plan()?;
        let member = written_member(home).or_else(|| own_member(&plan)).unwrap_or_default();
        return Ok(Draft { plan, member });
    }
    Ok(propose(machine))
}

/// Where it would come from now.
pub fn origin(home: &Home) -> Origin {
    if draft::read(home).is_ok_and(|draft| draft.is_some()) {
        Origin::Draft
    } else if home.plan_file().exists() {
        Origin::Written
    } else {
        Origin::Proposed
    }
}

/// The member that this server's file is for.
pub fn written_member(home: &Home) -> Option<String> {
    home.member_file().exists().then(|| home.member().ok()).flatten().map(|member| member.name.to_string())
}

/// The member whose address this server has.
pub fn own_member(plan: &Plan) -> Option<String> {
    let own = |member: &&Member| machine::is_own(&member.address) == Some(true);
    let mut found = plan.members.iter().filter(own);
    let first = found.next()?;
    // Several: nobody knows.
    found.next().is_none().then(|| first.name.to_string())
}

fn propose(machine: &Machine) -> Draft {
    let mut plan = Plan::new("main");
    let mut roles = vec![Role::Store];
    if !machine.postgresql.is_empty() || machine.redis.is_empty() {
        roles.push(Role::Database);
    }
    if !machine.redis.is_empty() {
        roles.push(Role::Cache);
    }
    let address = machine.addresses.iter().find(|it| !it.loopback).map(|it| it.ip.to_string()).unwrap_or_default();
    plan.members = ["pg1", "pg2", "pg3"].map(|name| Member::new(name, "", &roles)).into();
    plan.members[0].address = address;
    if let Some(found) = machine.postgresql.first() {
        plan.postgresql.version = Some(found.line.clone());
    }
    if let Some(found) = machine.redis.first() {
        plan.redis.version = Some(found.line.clone());
    }
    Draft { member: plan.members[0].name.to_string(), plan }
}
