//! One question after the other, about one draft.
//!
//! The invariant: after a question there is no error at its field.

use crate::cli::{Failure, ask};
use crate::setup::bridge::Home;
use crate::setup::draft::{self, Draft};
use crate::setup::first_plan;
use crate::setup::machine::Machine;
use plan::{Finding, Member, Promise, Role, Severity, Vip, VipLeadsTo};
use types::MemberName;

pub const OPTION: &str = "--from cluster.yaml where nobody can be asked";
/// A plan for more is written by a program, not typed.
const MEMBERS_MAX: usize = 32;
/// With fewer there is no majority that survives a loss.
const MEMBERS_MIN: usize = 3;
/// Typed instead of a name.
const AWAY: &str = "-";
const NO_ADDRESS: &str = "none";

pub struct Questions<'a> {
    home: &'a Home,
    machine: &'a Machine,
    /// Which member this server is, when the command line has said it.
    named: Option<&'a str>,
    /// Said at a question already.
    said: Vec<Finding>,
    pub draft: Draft,
}

impl<'a> Questions<'a> {
    pub fn new(home: &'a Home, draft: Draft, machine: &'a Machine, named: Option<&'a str>) -> Self {
        Self { home, machine, named, said: Vec::new(), draft }
    }

    pub fn all(&mut self) -> Result<(), Failure> {
        self.text(
            "The cluster's name",
            "scope",
            |draft| draft.plan.scope.to_string(),
            |draft, text| draft.plan.scope = types::Scope::new(text),
        )?;
        self.members()?;
        self.this_server()?;
        self.promise()?;
        self.places()?;
        self.vips()
    }

    /// Errors, and what was not said at a question.
    pub fn say_rest(&self, findings: &[Finding]) {
        super::super::say(findings.iter().filter(|it| it.severity == Severity::Error || !self.said.contains(*it)));
    }

    /// Says what is wrong at one field, without naming it: it was just asked for. Whether it may stay so.
    fn is_good(&mut self, field: &str) -> bool {
        let here: Vec<Finding> = self.draft.plan.findings().into_iter().filter(|it| it.field == field).collect();
        for finding in &here {
            super::super::say([&Finding { field: String::new(), ..finding.clone() }]);
        }
        let good = here.iter().all(|it| it.severity != Severity::Error);
        self.said.extend(here);
        good
    }

    fn keep(&self) -> Result<(), Failure> {
        draft::write(self.home, &self.draft)
    }

    /// Asks until nothing is wrong at this field. An answer that is refused is not proposed the next time.
    fn text(
        &mut self,
        question: &str,
        field: &str,
        get: impl Fn(&Draft) -> String,
        set: impl Fn(&mut Draft, &str),
    ) -> Result<(), Failure> {
        loop {
            let before = get(&self.draft);
            let answer = ask::prompt(question, &before, OPTION)?;
            set(&mut self.draft, answer.trim());
            if self.is_good(field) {
                return self.keep();
            }
            set(&mut self.draft, &before);
        }
    }

    fn members(&mut self) -> Result<(), Failure> {
        eprintln!(
            "\nRoles: database (PostgreSQL), cache (Redis), store (a vote in the cluster's store), witness (a vote and no\n\
             data), no-failover (its PostgreSQL never becomes the primary)."
        );
        loop {
            let mut at = 0;
            while at < MEMBERS_MAX {
                if at >= self.draft.plan.members.len() {
                    if !ask::confirm("One more member")? {
                        break;
                    }
                    let name = self.unused_name();
                    self.draft.plan.members.push(Member::new(&name, "", &[Role::Database, Role::Store]));
                }
                if self.member(at)? {
                    at += 1;
                }
            }
            if self.is_good("members") {
                return Ok(());
            }
            eprintln!("Go through the members again.");
        }
    }

    fn unused_name(&self) -> String {
        let names = &self.draft.plan.members;
        let is_free = |name: &String| !names.iter().any(|it| it.name.as_str() == name);
        // One more than there are members is free for sure.
        (1..=names.len() + 1).map(|number| format!("pg{number}")).find(is_free).unwrap_or_default()
    }

    /// Whether it is still in the plan.
    fn member(&mut self, at: usize) -> Result<bool, Failure> {
        eprintln!("\nMember {}", at + 1);
        if at == 0 && !self.machine.addresses.is_empty() {
            let own = self.machine.addresses.iter().filter(|it| !it.loopback).map(|it| it.ip.to_string());
            eprintln!("  This server has {}.", own.collect::<Vec<_>>().join(", "));
        }
        if !self.member_name(at)? {
            return Ok(false);
        }
        self.text(
            "  address",
            &format!("members[{at}].address"),
            |draft| draft.plan.members[at].address.clone(),
            |draft, text| text.clone_into(&mut draft.plan.members[at].address),
        )?;
        self.roles(at)?;
        Ok(true)
    }

    fn member_name(&mut self, at: usize) -> Result<bool, Failure> {
        let may_go = self.draft.plan.members.len() > MEMBERS_MIN;
        let question = if may_go { "  name, or - to take it out" } else { "  name" };
        loop {
            let before = self.draft.plan.members[at].name.clone();
            let answer = ask::prompt(question, before.as_str(), OPTION)?;
            if may_go && answer == AWAY {
                self.draft.plan.members.remove(at);
                return self.keep().map(|()| false);
            }
            self.draft.plan.members[at].name = MemberName::new(answer);
            if self.is_good(&format!("members[{at}].name")) {
                return self.keep().map(|()| true);
            }
            self.draft.plan.members[at].name = before;
        }
    }

    fn roles(&mut self, at: usize) -> Result<(), Failure> {
        loop {
            let before = self.draft.plan.members[at].roles.clone();
            let answer = ask::prompt("  roles", &role_words(&self.draft.plan.members[at]), OPTION)?;
            match roles(&answer) {
                Err(word) => eprintln!("error: '{word}' is no role\nhint: {}", ALL.map(word_of).join(", ")),
                Ok(roles) => {
                    self.draft.plan.members[at].roles = roles.into_iter().collect();
                    if self.is_good(&format!("members[{at}].roles")) {
                        return self.keep();
                    }
                    self.draft.plan.members[at].roles = before;
                }
            }
        }
    }

    fn this_server(&mut self) -> Result<(), Failure> {
        let names: Vec<String> = self.draft.plan.members.iter().map(|it| it.name.to_string()).collect();
        let known = |name: &str| names.iter().any(|it| it == name);
        if let Some(named) = self.named.filter(|name| known(name)) {
            named.clone_into(&mut self.draft.member);
            return self.keep();
        }
        if let Some(own) = first_plan::own_member(&self.draft.plan) {
            self.draft.member = own;
        } else if !known(&self.draft.member) {
            self.draft.member = names.first().cloned().unwrap_or_default();
        }
        eprintln!();
        loop {
            let question = format!("Which of them is this server ({})", names.join(", "));
            let answer = ask::prompt(&question, &self.draft.member, "--member")?;
            if known(&answer) {
                self.draft.member = answer;
                return self.keep();
            }
            eprintln!("error: there is no member '{answer}'");
        }
    }

    fn promise(&mut self) -> Result<(), Failure> {
        eprintln!();
        for (number, terms) in (1..).zip(Promise::all()) {
            eprintln!(
                "{number}  {}\n   a commit:      {}\n   primary lost:  {}\n   replicas lost: {}\n",
                terms.word, terms.commit, terms.primary_lost, terms.replicas_lost
            );
        }
        loop {
            let before = self.draft.plan.promise;
            let answer = ask::prompt("What comes first (a number or a word)", before.terms().word, OPTION)?;
            let numbered = answer.parse::<usize>().ok().and_then(|number| Promise::all().get(number.checked_sub(1)?));
            let Some(promise) = numbered.map(|terms| terms.promise).or_else(|| Promise::parse(&answer)) else {
                eprintln!("error: '{answer}' is none of the three");
                continue;
            };
            self.draft.plan.promise = promise;
            if self.is_good("promise") {
                return self.keep();
            }
            self.draft.plan.promise = before;
        }
    }

    fn places(&mut self) -> Result<(), Failure> {
        eprintln!();
        if self.draft.plan.databases().next().is_some() {
            for found in &self.machine.postgresql {
                eprintln!("PostgreSQL {} is in {}.", found.version, found.bin_dir.display());
            }
            self.text(
                "PostgreSQL's data directory",
                "postgresql.data_dir",
                |draft| draft.plan.postgresql.data_dir.clone(),
                |draft, text| text.clone_into(&mut draft.plan.postgresql.data_dir),
            )?;
        }
        if self.draft.plan.caches().next().is_some() {
            for found in &self.machine.redis {
                eprintln!("{} {} is in {}.", found.product, found.version, found.bin_dir.display());
            }
            self.text(
                "Redis's data directory",
                "redis.data_dir",
                |draft| draft.plan.redis.data_dir.clone(),
                |draft, text| text.clone_into(&mut draft.plan.redis.data_dir),
            )?;
        }
        self.text(
            "The store's directory",
            "store_dir",
            |draft| draft.plan.store_dir.clone(),
            |draft, text| text.clone_into(&mut draft.plan.store_dir),
        )
    }

    fn vips(&mut self) -> Result<(), Failure> {
        eprintln!();
        for (role, what) in [(VipLeadsTo::Primary, "the primary"), (VipLeadsTo::RedisMaster, "the Redis master")] {
            let holders = match role {
                VipLeadsTo::Primary => self.draft.plan.databases().count(),
                VipLeadsTo::RedisMaster => self.draft.plan.caches().count(),
            };
            if holders > 0 {
                self.vip(role, what)?;
            }
        }
        Ok(())
    }

    fn vip(&mut self, role: VipLeadsTo, what: &str) -> Result<(), Failure> {
        let question = format!("A virtual IP for {what}, such as 10.0.0.42/24, or {NO_ADDRESS}");
        loop {
            let before = self.draft.plan.vips.clone();
            let at = before.iter().position(|vip| vip.role == role);
            let now = at.map_or(NO_ADDRESS, |at| before[at].address.as_str());
            let answer = ask::prompt(&question, now, OPTION)?;
            let vips = &mut self.draft.plan.vips;
            match at {
                Some(at) if answer == NO_ADDRESS => drop(vips.remove(at)),
                Some(at) => vips[at].address = answer,
                None if answer == NO_ADDRESS => {}
                None => vips.push(Vip { address: answer, role, interface: None }),
            }
            let place = at.unwrap_or(before.len());
            if self.is_good(&format!("vips[{place}].address")) {
                return self.keep();
            }
            self.draft.plan.vips = before;
        }
    }
}

const ALL: [Role; 5] = [Role::Database, Role::Cache, Role::Store, Role::Witness, Role::NoFailover];

fn role_words(member: &Member) -> String {
    member.roles.iter().map(|role| word_of(*role)).collect::<Vec<_>>().join(", ")
}

fn word_of(role: Role) -> &'static str {
    match role {
        Role::Database => "database",
        Role::Store => "store",
        Role::Cache => "cache",
        Role::Witness => "witness",
        Role::NoFailover => "no-failover",
    }
}

/// The word that is none.
fn roles(text: &str) -> Result<Vec<Role>, String> {
    let words = text.split([',', ' ']).filter(|it| !it.is_empty());
    words.map(|it| ALL.into_iter().find(|role| word_of(*role) == it).ok_or_else(|| it.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_words_with_commas_or_blanks() {
        assert_eq!(roles("database, store cache"), Ok(vec![Role::Database, Role::Store, Role::Cache]));
        assert_eq!(roles("witness"), Ok(vec![Role::Witness]));
        assert_eq!(roles("database, king"), Err("king".to_owned()));
        let member = Member::new("a", "b", &[Role::NoFailover, Role::Database]);
        assert_eq!(roles(&role_words(&member)).unwrap().len(), 2);
    }
}
