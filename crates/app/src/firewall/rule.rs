//! What has to be let in, before it is said in the words of a firewall.

use crate::cli::Failure;
use plan::{Plan, Source};
use std::collections::BTreeSet;
use std::net::{IpAddr, ToSocketAddrs};
use types::MemberName;

/// One port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub port: u16,
    /// The key of the plan.
    pub name: &'static str,
    pub why: &'static str,
    /// `None`: everybody, which is what "clients" means where nobody knows who they are.
    pub from: Option<BTreeSet<IpAddr>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    pub cluster: String,
    pub member: String,
    pub rules: Vec<Rule>,
}

/// One command, as it is carried out and as a person would type it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    pub command: Vec<String>,
    pub input: Option<String>,
    /// What it takes away may not be there.
    pub may_fail: bool,
}

impl Step {
    pub fn of(words: &[&str]) -> Self {
        Self { command: words.iter().map(|word| (*word).to_owned()).collect(), ..Self::default() }
    }

    /// One that takes something away.
    pub fn away(words: &[&str]) -> Self {
        Self { may_fail: true, ..Self::of(words) }
    }

    pub fn text(&self) -> String {
        let words: Vec<String> = self.command.iter().map(|word| quoted(word)).collect();
        let line = words.join(" ");
        match &self.input {
            None => line,
            Some(input) => format!("{line} <<'END'\n{input}END"),
        }
    }
}

/// For a shell; the words are our own.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,@".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

impl Ruleset {
    /// Firewalls know addresses; names of members are looked up now.
    pub fn of(plan: &Plan, member: &MemberName) -> Result<Self, Failure> {
        let mut rules = Vec::new();
        for open in plan.open_ports(member) {
            let everybody = open.from.contains(&Source::Clients);
            let mut from = BTreeSet::new();
            for source in &open.from {
                if let Source::Member(address) = source {
                    from.extend(resolve(address)?);
                }
            }
            rules.push(Rule { port: open.port, name: open.name, why: open.why, from: (!everybody).then_some(from) });
        }
        Ok(Self { cluster: plan.scope.to_string(), member: member.to_string(), rules })
    }
}

fn resolve(address: &str) -> Result<Vec<IpAddr>, Failure> {
    if let Ok(ip) = address.parse() {
        return Ok(vec![ip]);
    }
    let found = (address, 0).to_socket_addrs().map_err(|error| {
        Failure::new("firewall-address", format!("'{address}' has no address here: {error}"))
            .hint("firewalls know addresses; write the member's IP address into the plan, or correct the name service")
    })?;
    Ok(found.map(|found| found.ip()).collect())
}
