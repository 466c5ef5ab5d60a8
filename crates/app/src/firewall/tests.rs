use super::*;
use plan::{Member, Plan, Role};

fn ruleset() -> Ruleset {
    let mut plan = Plan::new("shop");
    plan.members = vec![
        Member::new("pg1", "10.0.0.1", &[Role::Database, Role::Store]),
        Member::new("pg2", "fd00::2", &[Role::Database, Role::Store]),
        Member::new("w", "10.0.0.3", &[Role::Witness]),
    ];
    Ruleset::of(&plan, &"pg1".into()).unwrap()
}

const ALL: [Tool; 4] = [Tool::Nftables, Tool::Firewalld, Tool::Ufw, Tool::Windows];

#[test]
fn the_stores_ports_are_for_members_alone_and_the_others_for_everybody() {
    let rules = ruleset().rules;
    let from = |port: u16| rules.iter().find(|rule| rule.port == port).unwrap().from.clone();
    let members = ["10.0.0.3", "fd00::2"].map(|ip| ip.parse().unwrap()).into();
    assert_eq!((from(2380), from(2379)), (Some(members), from(2380)));
    assert_eq!((from(5432), from(8008)), (None, None));
}

#[test]
fn each_firewall_is_told_in_its_own_words() {
    for (tool, expected) in [
        (
            Tool::Nftables,
            "    ip saddr { 10.0.0.3 } tcp dport 2380 accept\n    ip6 saddr { fd00::2 } tcp dport 2380 accept\n    tcp dport 2380 drop\n",
        ),
        (Tool::Nftables, "    tcp dport 5432 accept\n"),
        (Tool::Nftables, "table inet quorate {}\ndelete table inet quorate\n"),
        (Tool::Firewalld, "firewall-cmd --permanent --add-port=5432/tcp\n"),
        (
            Tool::Firewalld,
            "firewall-cmd --permanent '--add-rich-rule=rule family=\"ipv6\" source address=\"fd00::2\" port port=\"2380\" protocol=\"tcp\" accept'\n",
        ),
        (Tool::Ufw, "ufw allow proto tcp from any to any port 5432 comment 'quorate postgresql'\n"),
        (Tool::Ufw, "ufw allow proto tcp from 10.0.0.3 to any port 2379 comment 'quorate store_clients'\n"),
        (Tool::Windows, "-LocalPort 2380 -RemoteAddress '\\''10.0.0.3'\\'','\\''fd00::2'\\'' "),
        (Tool::Windows, "-LocalPort 5432 -RemoteAddress Any "),
    ] {
        let text = text(&steps(tool, &ruleset(), false));
        assert!(text.contains(expected), "{tool:?} has no {expected}\n{text}");
    }
}

/// What is added is taken away: rule by rule, or as a whole.
#[test]
fn everything_that_is_added_is_taken_back() {
    for tool in ALL {
        let (add, away) = (steps(tool, &ruleset(), false), steps(tool, &ruleset(), true));
        match tool {
            Tool::Nftables | Tool::Windows => assert_eq!(away.len(), 1, "{tool:?}"),
            Tool::Firewalld => {
                let removed: Vec<String> = away.iter().map(|step| step.text().replace("--remove-", "--add-")).collect();
                assert_eq!(removed, add.iter().map(Step::text).collect::<Vec<_>>());
            }
            Tool::Ufw => {
                let without = |step: &Step| step.text().split(" comment").next().unwrap().to_owned();
                let removed: Vec<String> = away.iter().map(|step| step.text().replace("ufw delete", "ufw")).collect();
                assert_eq!(removed, add.iter().map(without).collect::<Vec<_>>());
            }
        }
    }
}
