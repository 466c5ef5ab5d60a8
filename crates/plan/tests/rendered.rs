//! What is rendered, read again by the crate that the agent reads it with.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use config::{MemberConfig, VerifyClient, load_text};
use plan::{
    CLUSTER_FILE, MEMBER_FILE, Member, Plan, Promise, Role, SECRETS_FILE, Secrets, Vip, VipLeadsTo, has_errors,
};
use std::collections::BTreeMap;
use std::path::Path;
use types::MemberName;

fn member_file(plan: &Plan, name: &str) -> String {
    let secrets = Secrets::make().unwrap();
    let files = plan.files(&MemberName::new(name), &secrets, Path::new("/etc/quorate"));
    let file = files.into_iter().find(|file| file.path == Path::new(MEMBER_FILE)).unwrap();
    assert!(file.private);
    file.contents.expose().to_owned()
}

/// The member's configuration; a warning is a failure, too.
fn accepted(plan: &Plan, name: &str) -> MemberConfig {
    let text = member_file(plan, name);
    let config = load_text(MEMBER_FILE, &text, &BTreeMap::new()).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    assert_eq!(config.warnings, [], "{text}");
    config
}

/// Everything a member can be, but nothing.
fn combinations() -> Vec<Vec<Role>> {
    let mut all = vec![vec![Role::Witness]];
    for bits in 1..16u8 {
        let roles: Vec<Role> = [Role::Database, Role::Store, Role::Cache, Role::NoFailover]
            .into_iter()
            .enumerate()
            .filter_map(|(at, role)| (bits >> at & 1 == 1).then_some(role))
            .collect();
        let fits = roles.contains(&Role::Database) || !roles.contains(&Role::NoFailover);
        if fits {
            all.push(roles);
        }
    }
    all
}

/// Three voters beside the member that is looked at, so that the plan is good whatever that one does.
fn plan_with(address: &str, roles: &[Role]) -> Plan {
    let mut plan = Plan::new("shop");
    let odd = roles.contains(&Role::Store) || roles.contains(&Role::Witness);
    let data = [Role::Database, Role::Cache];
    plan.members = vec![
        Member::new("a", "10.0.0.1", &[&data[..], &[Role::Store]].concat()),
        Member::new("b", "10.0.0.2", &[&data[..], &[Role::Store]].concat()),
        Member::new("c", "db3.example", &[&data[..], if odd { &[] } else { &[Role::Store] }].concat()),
        Member::new("own", address, roles),
    ];
    plan
}

#[test]
fn every_role_combination_is_accepted_without_a_warning() {
    for roles in combinations() {
        for address in ["10.0.0.9", "fd00::9", "own.example"] {
            for vips in [&[][..], &["10.0.0.42/24"], &["fd00::42/64"], &["10.0.0.42/24", "fd00::42/64"]] {
                let mut plan = plan_with(address, &roles);
                for (at, vip) in vips.iter().enumerate() {
                    let role = if at == 0 { VipLeadsTo::Primary } else { VipLeadsTo::RedisMaster };
                    plan.vips.push(Vip { address: (*vip).into(), role, interface: Some("eth0".into()) });
                }
                let findings = plan.findings();
                assert!(!has_errors(&findings), "{roles:?} {findings:?}");
                let config = accepted(&plan, "own");
                assert_eq!(config.postgresql.is_some(), roles.contains(&Role::Database), "{roles:?}");
                assert_eq!(config.redis.is_some(), roles.contains(&Role::Cache), "{roles:?}");
                assert_ne!(config.store.is_some(), config.etcd.is_some(), "{roles:?}");
                for name in ["a", "b", "c"] {
                    accepted(&plan, name);
                }
            }
        }
    }
}

#[test]
fn nothing_is_served_or_asked_without_tls() {
    let plan = plan_with("10.0.0.9", &[Role::Database, Role::Store, Role::Cache]);
    let config = accepted(&plan, "own");
    let store = config.store.as_ref().unwrap();
    assert!(store.client_tls.is_some() && store.peer_tls.is_some() && store.client_cert_auth);
    let rest = config.restapi.tls.as_ref().unwrap();
    assert_eq!(rest.verify_client, VerifyClient::OrPassword);
    assert!(config.restapi.authentication.is_some(), "changes need a certificate or a login");
    assert!(config.redis.as_ref().unwrap().tls.is_some());
    assert!(config.sentinel.as_ref().unwrap().authentication.is_some());
    let postgresql = config.postgresql.unwrap();
    assert_eq!(postgresql.parameters["ssl"], "on");
    let authentication = &postgresql.authentication;
    let users = [&authentication.superuser, &authentication.replication, authentication.rewind.as_ref().unwrap()];
    for user in users {
        assert_eq!(user.parameters["sslmode"], "verify-ca");
        for file in ["sslrootcert", "sslcert", "sslkey"] {
            assert!(user.parameters[file].starts_with("/etc/quorate/tls/"), "{file}");
        }
    }
    for line in &postgresql.pg_hba {
        assert!(line.starts_with("local ") || line.starts_with("hostssl "), "{line}");
        assert!(line.contains(" scram-sha-256"), "{line}");
    }
    for user in &users[1..] {
        let line = postgresql.pg_hba.iter().find(|line| line.contains(&user.username)).unwrap();
        assert!(line.ends_with("clientcert=verify-ca"), "only members are this user: {line}");
    }
    // A member without a vote asks the others' stores.
    let elsewhere = accepted(&plan_with("10.0.0.9", &[Role::Database]), "own");
    let etcd = elsewhere.etcd.unwrap();
    assert!(etcd.tls.unwrap().identity.is_some());
    assert_eq!(etcd.hosts.len(), 3);
}

#[test]
fn the_address_in_a_certificate_is_compared_where_postgresql_can() {
    for (version, expected) in
        [(None, "verify-ca"), (Some("14"), "verify-ca"), (Some("15"), "verify-full"), (Some("18.1"), "verify-full")]
    {
        let mut plan = plan_with("10.0.0.9", &[Role::Database]);
        plan.postgresql.version = version.map(str::to_owned);
        let replication = accepted(&plan, "own").postgresql.unwrap().authentication.replication;
        assert_eq!(replication.parameters["sslmode"], expected, "{version:?}");
    }
}

#[test]
fn a_promise_is_in_the_first_dynamic_configuration() {
    for terms in Promise::all() {
        let mut plan = plan_with("10.0.0.9", &[Role::Database]);
        plan.promise = terms.promise;
        let dcs = accepted(&plan, "own").bootstrap.dcs;
        assert_eq!(dcs["synchronous_mode"], terms.synchronous_mode);
        assert_eq!(dcs["synchronous_mode_strict"], terms.synchronous_mode_strict);
        assert_eq!(dcs["ttl"], terms.ttl);
    }
}

#[test]
fn each_file_has_what_its_member_needs_and_no_more() {
    let mut plan = plan_with("10.0.0.9", &[Role::Witness]);
    plan.postgresql.bin_dir = Some("/usr/lib/postgresql/17/bin".into());
    let secrets = Secrets::make().unwrap();
    let files = |name: &str| plan.files(&MemberName::new(name), &secrets, Path::new("/etc/quorate"));
    let names = |name: &str| files(name).iter().map(|it| it.path.to_string_lossy().into_owned()).collect::<Vec<_>>();
    assert_eq!(names("a"), [CLUSTER_FILE, SECRETS_FILE, MEMBER_FILE]);
    assert_eq!(names("own"), [CLUSTER_FILE, MEMBER_FILE], "a witness has no use for the databases' passwords");
    assert_eq!(names("nobody"), [""; 0]);
    let witness: String = files("own").iter().map(|it| it.contents.expose().to_owned()).collect();
    for secret in [&secrets.superuser, &secrets.replication, &secrets.rewind] {
        assert!(!witness.contains(secret.expose()));
    }
    for file in files("a") {
        let holds_a_secret = secrets.all().iter().any(|secret| file.contents.expose().contains(secret.expose()));
        assert_eq!(file.private, holds_a_secret, "{}", file.path.display());
        assert!(!format!("{file:?}").contains(secrets.superuser.expose()));
    }
    assert_eq!(accepted(&plan, "a").postgresql.unwrap().bin_dir.unwrap(), Path::new("/usr/lib/postgresql/17/bin"));
    // The plan that is in a file is the plan.
    let cluster = files("b").remove(0);
    assert_eq!(Plan::read(cluster.contents.expose()).unwrap(), plan);
}

#[test]
fn a_member_that_must_not_lead_says_so() {
    let plan = plan_with("10.0.0.9", &[Role::Database, Role::NoFailover]);
    let config = accepted(&plan, "own");
    assert_eq!(config.tags.0.get("nofailover"), Some(&serde_json::json!(true)));
}
