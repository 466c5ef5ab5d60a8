//! ufw: one rule for each port and source, which it recognises when they are added again.

use super::rule::{Ruleset, Step};

pub fn allow(ruleset: &Ruleset) -> Vec<Step> {
    each(ruleset, |words, comment| Step::of(&[&["ufw"], words, &["comment", comment]].concat()))
}

pub fn remove(ruleset: &Ruleset) -> Vec<Step> {
    each(ruleset, |words, _| Step::away(&[&["ufw", "delete"], words].concat()))
}

fn each(ruleset: &Ruleset, step: impl Fn(&[&str], &str) -> Step) -> Vec<Step> {
    let mut steps = Vec::new();
    for rule in &ruleset.rules {
        let port = rule.port.to_string();
        let comment = format!("quorate {}", rule.name);
        let sources = match &rule.from {
            None => vec!["any".to_owned()],
            Some(from) => from.iter().map(ToString::to_string).collect(),
        };
        for source in sources {
            steps.push(step(&["allow", "proto", "tcp", "from", &source, "to", "any", "port", &port], &comment));
        }
    }
    steps
}
