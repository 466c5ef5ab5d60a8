//! Bad input in every field, and what is said about it; and what is no problem.

use crate::{Member, Plan, Port, Promise, Role, Severity, Vip, VipLeadsTo};
use types::{MemberName, Scope};

const ALL: [Role; 3] = [Role::Database, Role::Store, Role::Cache];

fn good() -> Plan {
    let mut plan = Plan::new("shop");
    plan.members = vec![
        Member::new("pg1", "10.0.0.11", &ALL),
        Member::new("pg2", "10.0.0.12", &ALL),
        Member::new("pg3", "10.0.0.13", &ALL),
    ];
    plan.vips = vec![Vip { address: "10.0.0.42/24".into(), ..Vip::default() }];
    plan
}

fn said(plan: &Plan, severity: Severity) -> Vec<(&'static str, String, String)> {
    let found = plan.findings().into_iter().filter(|it| it.severity == severity);
    found.map(|it| (it.code, it.field, it.message)).collect()
}

/// The change makes exactly this one finding.
#[track_caller]
fn one(severity: Severity, change: impl FnOnce(&mut Plan), code: &str, field: &str, words: &str) {
    let mut plan = good();
    change(&mut plan);
    let found = said(&plan, severity);
    let [(its_code, its_field, message)] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!((*its_code, its_field.as_str()), (code, field), "{message}");
    assert!(message.contains(words), "{message}");
    let hints = plan.findings().into_iter().all(|it| !it.hint.is_empty() && !it.message.ends_with('.'));
    assert!(hints, "every finding says what to do");
}

#[track_caller]
fn error(change: impl FnOnce(&mut Plan), code: &str, field: &str, words: &str) {
    one(Severity::Error, change, code, field, words);
}

#[track_caller]
fn warning(change: impl FnOnce(&mut Plan), code: &str, field: &str, words: &str) {
    one(Severity::Warning, change, code, field, words);
}

#[test]
fn a_good_plan_has_nothing_to_be_said() {
    assert_eq!(good().findings(), []);
}

#[test]
fn names_are_plain() {
    for (name, words) in [
        ("", "is missing"),
        ("my shop", "a blank"),
        ("a/b", "'/'"),
        ("ü", "'ü'"),
        ("-a", "must begin"),
        ("a\nb", "control"),
    ] {
        error(|plan| plan.scope = Scope::new(name), "plan-name", "scope", words);
        error(|plan| plan.members[1].name = MemberName::new(name), "plan-name", "members[1].name", words);
    }
    let long = "x".repeat(65);
    error(|plan| plan.scope = Scope::new(long.as_str()), "plan-name", "scope", "more than 64");
    error(|plan| plan.members[2].name = "PG1".into(), "plan-duplicate", "members[2].name", "another member");
    error(|plan| plan.members[0].site = Some("no th".into()), "plan-name", "members[0].site", "a blank");
}

#[test]
fn addresses_are_of_one_server_each() {
    for (address, words) in [
        ("", "missing"),
        ("10.0.0.11:5432", "has a port"),
        ("pg1:5432", "has a port"),
        ("0.0.0.0", "one server"),
        ("*", "one server"),
        ("::", "one server"),
        ("10.0.0", "neither"),
        ("10.0.0.256", "neither"),
        ("a b", "neither"),
        ("http://pg1", "neither"),
        ("pg1_.-", "neither"),
        ("pg..1", "neither"),
    ] {
        error(|plan| plan.members[0].address = address.into(), "plan-address", "members[0].address", words);
    }
    error(|plan| plan.members[2].address = "10.0.0.11".into(), "plan-duplicate", "members[2].address", "'pg1'");
    for address in ["fd00::1", "pg1.example.com", "PG1", "db_1"] {
        let mut plan = good();
        plan.vips.clear();
        plan.members[0].address = address.into();
        assert_eq!(plan.findings(), [], "{address}");
    }
    let mut plan = good();
    plan.vips.clear();
    plan.members[0].address = "localhost".into();
    assert_eq!(said(&plan, Severity::Warning)[0].1, "members[0].address");
}

#[test]
fn roles_make_sense() {
    let field = "members[2].roles";
    let roles = |roles: &[Role]| {
        let roles = roles.iter().copied().collect();
        move |plan: &mut Plan| plan.members[2].roles = roles
    };
    error(roles(&[Role::Witness, Role::Database]), "plan-roles", field, "no data");
    error(roles(&[Role::Witness, Role::NoFailover]), "plan-roles", field, "no-failover");
    error(
        |plan| plan.members.push(Member::new("x", "10.0.0.14", &[])),
        "plan-roles",
        "members[3].roles",
        "nothing to do",
    );
    let mut plan = good();
    plan.members[2].roles = [Role::Witness].into();
    assert_eq!(plan.findings(), [], "two with data and a witness");
}

#[test]
fn voters_are_odd_and_at_least_three() {
    error(|plan| drop(plan.members.pop()), "plan-voters", "members", "only 2 members");
    error(|plan| plan.members.truncate(1), "plan-voters", "members", "only one");
    error(|plan| plan.members.push(Member::new("d", "10.0.0.14", &ALL)), "plan-voters", "members", "4 members");
    let many = |plan: &mut Plan| {
        plan.members.extend((20..26).map(|n| Member::new(&format!("w{n}"), &format!("10.0.0.{n}"), &[Role::Witness])));
    };
    warning(many, "plan-voters", "members", "9 voters");
}

#[test]
fn somebody_can_take_over() {
    let every = |role: Role, keep: usize| {
        move |plan: &mut Plan| {
            for member in &mut plan.members[keep..] {
                member.roles.remove(&role);
            }
        }
    };
    warning(every(Role::Cache, 1), "plan-roles", "members", "only one Redis");
    warning(every(Role::Database, 1), "plan-roles", "members", "only one PostgreSQL");
    let no_failover = |plan: &mut Plan| plan.members.iter_mut().for_each(|it| it.roles.extend([Role::NoFailover]));
    error(no_failover, "plan-roles", "members", "may become the primary");
    let stores = |plan: &mut Plan| {
        plan.vips.clear();
        plan.members.iter_mut().for_each(|it| it.roles = [Role::Store].into());
    };
    error(stores, "plan-roles", "members", "no member has a database");
}

#[test]
fn the_loss_of_a_site_is_thought_of() {
    let sites = |sites: &[&str]| {
        let sites: Vec<Option<String>> = sites.iter().map(|site| Some((*site).to_owned())).collect();
        move |plan: &mut Plan| plan.members.iter_mut().zip(sites).for_each(|(member, site)| member.site = site)
    };
    warning(sites(&["north", "north", "south"]), "plan-sites", "members", "when north is lost, 1 of 3 votes");
    one(Severity::Note, sites(&["x", "x", "x"]), "plan-sites", "members", "everything is");
    let mut plan = good();
    sites(&["a", "b", "c"])(&mut plan);
    assert_eq!(plan.findings(), []);
    plan.members[2].roles = [Role::Witness].into();
    assert_eq!(plan.findings(), []);
    let both_at_one = |plan: &mut Plan| {
        plan.members[2].roles = [Role::Witness].into();
        plan.members.extend([
            Member::new("w2", "10.0.0.14", &[Role::Witness]),
            Member::new("w3", "10.0.0.15", &[Role::Witness]),
        ]);
        for (member, site) in plan.members.iter_mut().zip(["a", "a", "b", "c", "d"]) {
            member.site = Some(site.to_owned());
        }
    };
    warning(both_at_one, "plan-sites", "members", "is at a");
}

#[test]
fn a_promise_that_cannot_be_kept_is_not_made() {
    let strict = |databases: usize| {
        move |plan: &mut Plan| {
            plan.promise = Promise::NeverLoseACommit;
            plan.members[databases..].iter_mut().for_each(|it| it.roles.retain(|role| *role != Role::Database));
        }
    };
    error(strict(1), "plan-promise", "promise", "every write would wait");
    warning(strict(2), "plan-promise", "promise", "writes wait whenever");
}

#[test]
fn directories_are_absolute_and_apart() {
    type Set = fn(&mut Plan, &str);
    let fields: [(&str, Set); 3] = [
        ("postgresql.data_dir", |plan, path| plan.postgresql.data_dir = path.into()),
        ("redis.data_dir", |plan, path| plan.redis.data_dir = path.into()),
        ("store_dir", |plan, path| plan.store_dir = path.into()),
    ];
    for (field, set) in fields {
        for (path, words) in [
            ("", "missing"),
            ("data", "absolute"),
            ("/", "root"),
            ("C:/", "root"),
            ("/a/../b", "'..'"),
            ("/a\nb", "control"),
        ] {
            error(|plan| set(plan, path), "plan-directory", field, words);
        }
    }
    for (path, field) in [("/var/lib/quorate/postgresql/store", "store_dir"), ("/var/lib/quorate", "store_dir")] {
        let mut plan = good();
        plan.store_dir = path.into();
        assert!(said(&plan, Severity::Error).iter().any(|it| it.1 == field && it.2.contains("must not lie in")));
    }
    error(|plan| plan.postgresql.bin_dir = Some("bin".into()), "plan-directory", "postgresql.bin_dir", "absolute");
    error(|plan| plan.redis.bin_dir = Some(String::new()), "plan-directory", "redis.bin_dir", "missing");
    error(|plan| plan.postgresql.version = Some("new".into()), "plan-version", "postgresql.version", "'new'");
    error(|plan| plan.redis.version = Some("7,2".into()), "plan-version", "redis.version", "'7,2'");
    let mut plan = good();
    plan.postgresql.data_dir = "D:\\quorate\\postgresql".into();
    assert_eq!(plan.findings(), []);
}

#[test]
fn ports_are_ports_and_differ() {
    error(|plan| plan.ports.redis = Port(0), "plan-port", "ports.redis", "not a port");
    error(|plan| plan.ports.sentinel = Port(5432), "plan-port", "ports.sentinel", "ports.postgresql");
}

#[test]
fn virtual_addresses_are_unused_ones_in_the_members_network() {
    for (address, words) in [
        ("", "missing"),
        ("10.0.0.42", "no prefix"),
        ("10.0.0.42/33", "prefix length"),
        ("10.0.0.42/x", "prefix length"),
        ("shop/24", "not an IP"),
        ("127.0.0.9/8", "cannot be"),
        ("0.0.0.0/8", "cannot be"),
        ("10.0.0.0/24", "the network itself"),
        ("10.0.0.255/24", "broadcast"),
        ("10.0.0.12/24", "'pg2'"),
    ] {
        error(|plan| plan.vips[0].address = address.into(), "plan-vip", "vips[0].address", words);
    }
    warning(|plan| plan.vips[0].address = "10.0.1.42/24".into(), "plan-vip", "vips[0].address", "not in the network");
    let twice = |plan: &mut Plan| {
        plan.vips.push(Vip { address: "10.0.0.42/16".into(), role: VipLeadsTo::RedisMaster, interface: None });
    };
    error(twice, "plan-duplicate", "vips[1].address", "twice");
    error(|plan| plan.vips[0].interface = Some("a\nb".into()), "plan-vip", "vips[0].interface", "interface");
    let no_cache = |plan: &mut Plan| {
        plan.members.iter_mut().for_each(|it| it.roles.retain(|role| *role != Role::Cache));
        plan.vips[0].role = VipLeadsTo::RedisMaster;
    };
    error(no_cache, "plan-vip", "vips[0].role", "Redis master");
}
