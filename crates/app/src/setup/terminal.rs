//! The same steps as in the browser, as questions at the terminal. What is wrong is said behind the answer it is about, and
//! the question comes again.

use super::bridge::Home;
use super::draft::{self, Draft};
use super::machine::Machine;
use super::preview::preview;
use super::{Setting, SetupArguments, finish, first_plan, machine, refused, say, write};
use crate::cli::{Failure, ask};
use plan::{Member, Plan, Promise, Role, Severity, Vip, VipLeadsTo, has_errors};
use types::MemberName;

/// A plan for more is written by a program, not typed.
const MEMBERS_MAX: usize = 32;
const OPTION: &str = "--from cluster.yaml where nobody can be asked";

pub fn run(setting: &Setting, arguments: &SetupArguments) -> Result<i32, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let machine = runtime.block_on(machine::look());
    let mut draft = first_plan::begin(&setting.home, &machine)?;
    if let Some(member) = &arguments.member {
        draft.member.clone_from(member);
    }
    let mut questions = Questions { home: &setting.home, draft, machine: &machine };
    questions.all()?;
    let Draft { plan, member } = questions.draft;
    let member = MemberName::new(member);
    let findings = runtime.block_on(write::findings(&setting.home, &plan, &member));
    say(&findings);
    if has_errors(&findings) {
        eprintln!("What was typed is kept: run quorate setup again.");
        return Err(refused(&findings));
    }
    review(setting, &plan, &member)?;
    if !arguments.yes {
        must_agree("Write these files")?;
    }
    runtime.block_on(write::write(&setting.home, &plan, &member))?;
    finish::finish(setting, &plan, &member)
}

pub fn must_agree(question: &str) -> Result<(), Failure> {
    ask::must_confirm(question, "nothing was written")
}

fn review(setting: &Setting, plan: &Plan, member: &MemberName) -> Result<(), Failure> {
    let preview = preview(setting, plan, member)?;
    for file in &preview.files {
        match &file.before {
            None => eprintln!("\n+ {}\n{}", file.path, file.text),
            Some(before) if *before == file.text => eprintln!("\n= {} (unchanged)", file.path),
            Some(before) => {
                let difference = similar::TextDiff::from_lines(before.as_str(), file.text.as_str());
                eprintln!("\n~ {}\n{}", file.path, difference.unified_diff());
            }
        }
    }
    for made in &preview.certificates {
        eprintln!("+ {made}");
    }
    eprintln!("\nThe same without questions: {}\n", preview.command);
    Ok(())
}

struct Questions<'a> {
    home: &'a Home,
    draft: Draft,
    machine: &'a Machine,
}

impl Questions<'_> {
    fn all(&mut self) -> Result<(), Failure> {
        self.text(
            "The cluster's name",
            "scope",
            |draft| draft.plan.scope.to_string(),
            |draft, text| {
                draft.plan.scope = types::Scope::new(text);
            },
        )?;
        self.members()?;
        self.promise()?;
        self.places()?;
        self.vips()?;
        draft::write(self.home, &self.draft)
    }

    /// Asks until nothing is wrong at this field. What concerns the whole plan is said later.
    fn text(
        &mut self,
        question: &str,
        field: &str,
        get: impl Fn(&Draft) -> String,
        set: impl Fn(&mut Draft, &str),
    ) -> Result<(), Failure> {
        loop {
            let answer = ask::prompt(question, &get(&self.draft), OPTION)?;
            set(&mut self.draft, answer.trim());
            let findings = self.draft.plan.findings();
            say(findings.iter().filter(|finding| finding.field == field));
            if !findings.iter().any(|it| it.field == field && it.severity == Severity::Error) {
                return Ok(());
            }
        }
    }

    fn members(&mut self) -> Result<(), Failure> {
        loop {
            let mut at = 0;
            while at < MEMBERS_MAX {
                if at >= self.draft.plan.members.len() {
                    if !ask::confirm("One more member")? {
                        break;
                    }
                    let name = format!("pg{}", at + 1);
                    self.draft.plan.members.push(Member::new(&name, "", &[Role::Database, Role::Store]));
                }
                self.member(at)?;
                at += 1;
            }
            let findings = self.draft.plan.findings();
            say(findings.iter().filter(|finding| finding.field == "members"));
            if !findings.iter().any(|it| it.field == "members" && it.severity == Severity::Error) {
                break;
            }
            eprintln!("Go through the members again.\n");
        }
        let names: Vec<String> = self.draft.plan.members.iter().map(|it| it.name.to_string()).collect();
        if let Some(own) = first_plan::own_member(&self.draft.plan) {
            self.draft.member = own;
        }
        loop {
            let question = format!("Which of them is this server ({})", names.join(", "));
            self.draft.member = ask::prompt(&question, &self.draft.member, "--member")?;
            if names.contains(&self.draft.member) {
                return Ok(());
            }
            eprintln!("There is no such member.");
        }
    }

    fn member(&mut self, at: usize) -> Result<(), Failure> {
        eprintln!("\nMember {}", at + 1);
        let field = |key: &str| format!("members[{at}].{key}");
        if at == 0 && !self.machine.addresses.is_empty() {
            let own: Vec<String> =
                self.machine.addresses.iter().filter(|it| !it.loopback).map(|it| it.ip.to_string()).collect();
            eprintln!("This server has {}.", own.join(", "));
        }
        self.text(
            "  name",
            &field("name"),
            |draft| draft.plan.members[at].name.to_string(),
            |draft, text| {
                draft.plan.members[at].name = MemberName::new(text);
            },
        )?;
        self.text(
            "  address",
            &field("address"),
            |draft| draft.plan.members[at].address.clone(),
            |draft, text| {
                text.clone_into(&mut draft.plan.members[at].address);
            },
        )?;
        loop {
            let question = "  roles (database, store, cache, witness, no-failover)";
            let answer = ask::prompt(question, &role_words(&self.draft.plan.members[at]), OPTION)?;
            match roles(&answer) {
                Err(word) => eprintln!("'{word}' is no role."),
                Ok(roles) => {
                    self.draft.plan.members[at].roles = roles.into_iter().collect();
                    let findings = self.draft.plan.findings();
                    say(findings.iter().filter(|finding| finding.field == field("roles")));
                    if !findings.iter().any(|it| it.field == field("roles") && it.severity == Severity::Error) {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn promise(&mut self) -> Result<(), Failure> {
        eprintln!();
        for terms in Promise::all() {
            eprintln!(
                "{}: {}\n  a commit:      {}\n  primary lost:  {}\n  replicas lost: {}\n",
                terms.word, terms.title, terms.commit, terms.primary_lost, terms.replicas_lost
            );
        }
        loop {
            let answer = ask::prompt("What comes first", self.draft.plan.promise.terms().word, OPTION)?;
            let Some(promise) = Promise::parse(&answer) else {
                eprintln!("'{answer}' is none of the three.");
                continue;
            };
            self.draft.plan.promise = promise;
            let findings = self.draft.plan.findings();
            say(findings.iter().filter(|finding| finding.field == "promise"));
            if !findings.iter().any(|it| it.field == "promise" && it.severity == Severity::Error) {
                return Ok(());
            }
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
                |draft, text| {
                    text.clone_into(&mut draft.plan.postgresql.data_dir);
                },
            )?;
        }
        if self.draft.plan.caches().next().is_some() {
            self.text(
                "Redis's data directory",
                "redis.data_dir",
                |draft| draft.plan.redis.data_dir.clone(),
                |draft, text| {
                    text.clone_into(&mut draft.plan.redis.data_dir);
                },
            )?;
        }
        self.text(
            "The store's directory",
            "store_dir",
            |draft| draft.plan.store_dir.clone(),
            |draft, text| {
                text.clone_into(&mut draft.plan.store_dir);
            },
        )
    }

    fn vips(&mut self) -> Result<(), Failure> {
        for (role, what) in [(VipLeadsTo::Primary, "the primary"), (VipLeadsTo::RedisMaster, "the Redis master")] {
            let holders = match role {
                VipLeadsTo::Primary => self.draft.plan.databases().count(),
                VipLeadsTo::RedisMaster => self.draft.plan.caches().count(),
            };
            if holders == 0 {
                continue;
            }
            loop {
                let at = self.draft.plan.vips.iter().position(|vip| vip.role == role);
                let now = at.map_or_else(|| "none".to_owned(), |at| self.draft.plan.vips[at].address.clone());
                let answer =
                    ask::prompt(&format!("A virtual IP for {what}, such as 10.0.0.42/24, or none"), &now, OPTION)?;
                if let Some(at) = at {
                    self.draft.plan.vips.remove(at);
                }
                if answer == "none" {
                    break;
                }
                let at = self.draft.plan.vips.len();
                self.draft.plan.vips.push(Vip { address: answer, role, interface: None });
                let field = format!("vips[{at}].address");
                let findings = self.draft.plan.findings();
                say(findings.iter().filter(|finding| finding.field == field));
                if !findings.iter().any(|it| it.field == field && it.severity == Severity::Error) {
                    break;
                }
            }
        }
        Ok(())
    }
}

fn role_words(member: &Member) -> String {
    member.roles.iter().map(|role| word(*role)).collect::<Vec<_>>().join(", ")
}

fn word(role: Role) -> &'static str {
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
    const ALL: [Role; 5] = [Role::Database, Role::Store, Role::Cache, Role::Witness, Role::NoFailover];
    let words = text.split([',', ' ']).filter(|it| !it.is_empty());
    words.map(|it| ALL.into_iter().find(|role| word(*role) == it).ok_or_else(|| it.to_owned())).collect()
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
