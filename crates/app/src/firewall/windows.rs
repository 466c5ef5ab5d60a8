//! Windows Firewall: rules of one group; they are removed as the group before they are made, so making them twice is once.

use super::rule::{Ruleset, Step};

const GROUP: &str = "Quorate";

pub fn allow(ruleset: &Ruleset) -> Vec<Step> {
    let mut steps = remove(ruleset);
    for rule in &ruleset.rules {
        let from = match &rule.from {
            None => "Any".to_owned(),
            // Nobody else has to reach it, and a rule without addresses would let everybody in.
            Some(from) if from.is_empty() => continue,
            Some(from) => from.iter().map(|ip| format!("'{ip}'")).collect::<Vec<_>>().join(","),
        };
        steps.push(powershell(&format!(
            "New-NetFirewallRule -Group {GROUP} -DisplayName 'Quorate {}' -Direction Inbound -Action Allow -Protocol TCP -LocalPort {} -RemoteAddress {from} | Out-Null",
            rule.name, rule.port
        )));
    }
    steps
}

pub fn remove(_ruleset: &Ruleset) -> Vec<Step> {
    vec![powershell(&format!("Remove-NetFirewallRule -Group {GROUP} -ErrorAction SilentlyContinue"))]
}

fn powershell(command: &str) -> Step {
    Step::of(&["powershell", "-NoProfile", "-NonInteractive", "-Command", command])
}
