//! firewalld: two policies would need zones that are the administrator's, so these are rules of the default zone, each named by
//! what it lets in; taken back one by one.

use super::rule::{Rule, Ruleset, Step};

pub fn allow(ruleset: &Ruleset) -> Vec<Step> {
    all(ruleset, "add", Step::of)
}

pub fn remove(ruleset: &Ruleset) -> Vec<Step> {
    all(ruleset, "remove", Step::away)
}

/// Adding what is there changes nothing (`ALREADY_ENABLED` is a warning).
fn all(ruleset: &Ruleset, verb: &str, step: fn(&[&str]) -> Step) -> Vec<Step> {
    let mut steps: Vec<Step> = ruleset
        .rules
        .iter()
        .flat_map(|rule| of(rule, verb))
        .map(|option| step(&["firewall-cmd", "--permanent", &option]))
        .collect();
    steps.push(Step::of(&["firewall-cmd", "--reload"]));
    steps
}

fn of(rule: &Rule, verb: &str) -> Vec<String> {
    let Some(from) = &rule.from else { return vec![format!("--{verb}-port={}/tcp", rule.port)] };
    let one = |ip: &std::net::IpAddr| {
        let family = if ip.is_ipv4() { "ipv4" } else { "ipv6" };
        let port = rule.port;
        format!(
            "--{verb}-rich-rule=rule family=\"{family}\" source address=\"{ip}\" port port=\"{port}\" protocol=\"tcp\" accept"
        )
    };
    from.iter().map(one).collect()
}
