//! nftables: a table of our own, replaced as a whole.
//!
//! A packet that one table accepts can still be dropped by another, so this one does what a table can do: it closes the ports of
//! the members' own talk to everybody else. Ports for clients are listed for whoever writes the other tables.

use super::rule::{Ruleset, Step};
use std::fmt::Write;
use std::net::IpAddr;

const TABLE: &str = "quorate";

pub fn allow(ruleset: &Ruleset) -> Vec<Step> {
    let mut text = String::new();
    let _ = writeln!(text, "# Member {} of {}. Loaded again, it replaces itself.", ruleset.member, ruleset.cluster);
    let _ = writeln!(text, "table inet {TABLE} {{}}\ndelete table inet {TABLE}");
    let _ = writeln!(
        text,
        "table inet {TABLE} {{\n  chain input {{\n    type filter hook input priority filter - 1; policy accept;"
    );
    let _ = writeln!(text, "    iif \"lo\" accept");
    for rule in &ruleset.rules {
        let _ = writeln!(text, "    # {}: {}", rule.port, rule.why);
        match &rule.from {
            None => {
                let _ = writeln!(text, "    tcp dport {} accept", rule.port);
            }
            Some(from) => {
                for (family, addresses) in [
                    ("ip", from.iter().filter(|ip| ip.is_ipv4()).collect::<Vec<_>>()),
                    ("ip6", from.iter().filter(|ip| ip.is_ipv6()).collect()),
                ] {
                    if !addresses.is_empty() {
                        let _ = writeln!(
                            text,
                            "    {family} saddr {{ {} }} tcp dport {} accept",
                            list(&addresses),
                            rule.port
                        );
                    }
                }
                let _ = writeln!(text, "    tcp dport {} drop", rule.port);
            }
        }
    }
    text.push_str("  }\n}\n");
    vec![Step { input: Some(text), ..Step::of(&["nft", "-f", "-"]) }]
}

pub fn remove(_ruleset: &Ruleset) -> Vec<Step> {
    vec![Step::away(&["nft", "delete", "table", "inet", TABLE])]
}

fn list(addresses: &[&IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
