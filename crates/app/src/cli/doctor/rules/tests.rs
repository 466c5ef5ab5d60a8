//! Each rule with facts that it is silent about, and with facts that it is not.

use super::super::facts::{ClusterFacts, Disk, Facts, Fsync, MachineFacts, MemberFacts, RedisMachine, StoreFacts};
use super::judge;
use ha::cluster::{Cluster, Keys};
use kv::{Event, EventKind, KeyValue};
use std::time::Duration;
use types::{Revision, Scope};

const GB: u64 = 1 << 30;

/// A cluster as its keys say.
fn cluster(keys: &[(&str, &str)]) -> Cluster {
    let names = Keys::new(None, &Scope::new("demo"));
    let mut cluster = Cluster::default();
    for (at, (key, value)) in keys.iter().enumerate() {
        let revision = Revision(at as i64 + 1);
        let kv = KeyValue {
            key: names.key(key),
            value: value.as_bytes().to_vec(),
            create_revision: revision,
            mod_revision: revision,
            version: 1,
            lease: None,
        };
        cluster.apply(&names, &Event { kind: EventKind::Put, kv, prev_kv: None });
    }
    cluster
}

const LEADER: &str = r#"{"conn_url":"postgres://10.0.0.1/x","api_url":"http://10.0.0.1:8008/patroni","state":"running","role":"primary","xlog_location":1000}"#;
const REPLICA: &str = r#"{"api_url":"http://10.0.0.2:8008/patroni","state":"running","role":"replica","receive_lsn":1000,"replication_state":"streaming"}"#;
const BOUNDED: &str = r#"{"postgresql":{"parameters":{"max_slot_wal_keep_size":"10GB"}}}"#;

fn healthy_keys() -> Vec<(&'static str, &'static str)> {
    vec![
        ("config", BOUNDED),
        ("leader", "a"),
        ("members/a", LEADER),
        ("members/b", REPLICA),
        ("members/c", REPLICA),
        ("status", r#"{"optime":1000}"#),
    ]
}

fn answer() -> MemberFacts {
    MemberFacts {
        silent: None,
        version: Some("0.1.0".into()),
        postgresql: Some(150_008),
        watchdog_seconds: Some(3.0),
        open_files_max: Some(65_536.0),
        clock_ahead_s: Some(0.4),
    }
}

fn healthy() -> Facts {
    Facts {
        store: StoreFacts {
            voters: ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(str::to_owned).into(),
            ..StoreFacts::default()
        },
        cluster: Some(ClusterFacts {
            view: cluster(&healthy_keys()),
            answers: ["a", "b", "c"].map(|name| (name.into(), answer())).into(),
        }),
        machine: Some(MachineFacts {
            member: "a".into(),
            disks: vec![Disk { what: "the store", directory: "/s".into(), free: 50 * GB, total: 100 * GB }],
            fsync: Fsync::Median(Duration::from_millis(2)),
            files_needed: 20_456,
            readable_secrets: vec![],
            open_rest_api: None,
            redis: Some(RedisMachine { overcommit: Some(1), huge_pages_always: false }),
            certificates: vec![("/c.pem".into(), 90)],
        }),
    }
}

/// The findings after a change, as `severity code`.
fn found(change: impl FnOnce(&mut Facts)) -> Vec<String> {
    let mut facts = healthy();
    change(&mut facts);
    let findings = judge(&facts);
    for finding in &findings {
        assert!(!finding.hint.is_empty() && !finding.message.is_empty() && !finding.subject.is_empty(), "{finding:?}");
        assert!(finding.code.starts_with("doctor-"), "{finding:?}");
    }
    assert!(findings.is_sorted_by_key(|finding| finding.severity));
    findings.iter().map(|finding| format!("{} {}", finding.severity.as_str(), finding.code)).collect()
}

fn with_keys(facts: &mut Facts, change: &[(&'static str, &'static str)]) {
    let mut keys = healthy_keys();
    for (key, value) in change {
        keys.retain(|(old, _)| old != key);
        if !value.is_empty() {
            keys.push((key, value));
        }
    }
    facts.cluster.as_mut().unwrap().view = cluster(&keys);
}

#[track_caller]
fn keys(change: &[(&'static str, &'static str)], expected: &[&str]) {
    assert_eq!(found(|facts| with_keys(facts, change)), expected, "{change:?}");
}

#[test]
fn nothing_is_found_where_nothing_is_wrong_and_where_nothing_is_known() {
    assert_eq!(found(|_| {}), [""; 0]);
    assert_eq!(found(|facts| *facts = Facts::default()), [""; 0]);
}

#[test]
fn the_store() {
    let voters =
        |hosts: &'static [&str]| found(|facts| facts.store.voters = hosts.iter().map(|it| (*it).to_owned()).collect());
    assert_eq!(voters(&["10.0.0.1"]), ["warning doctor-voters-few"]);
    assert_eq!(voters(&["10.0.0.1", "10.0.0.2"]), ["warning doctor-voters-even"]);
    assert_eq!(voters(&["10.0.0.1", "10.0.0.2", "10.0.0.1"]), ["warning doctor-voters-together"]);
    assert_eq!(voters(&["127.0.0.11", "127.0.0.12", "127.0.0.13"]), ["warning doctor-voters-together"]);
    assert_eq!(voters(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.4"]), [""; 0]);
    let etcd = |hosts: &'static [&str]| {
        found(|facts| {
            facts.store =
                StoreFacts { etcd: hosts.iter().map(|it| (*it).to_owned()).collect(), ..StoreFacts::default() };
        })
    };
    assert_eq!(etcd(&["10.0.0.1"]), ["hint doctor-voters-few"]);
    assert_eq!(etcd(&["10.0.0.1", "10.0.0.2", "10.0.0.3"]), [""; 0]);
    let unreachable = found(|facts| (facts.store.unreachable, facts.cluster) = (Some("refused".into()), None));
    assert_eq!(unreachable, ["error doctor-store-unreachable"]);
}

#[test]
fn the_members() {
    keys(&[("leader", "")], &["error doctor-no-leader"]);
    keys(&[("leader", ""), ("members/a", ""), ("members/b", ""), ("members/c", "")], &["error doctor-no-member"]);
    keys(&[("members/c", r#"{"state":"crashed","role":"replica"}"#)], &["error doctor-not-running"]);
    keys(&[("members/c", r#"{"state":"creating replica","role":"replica"}"#)], &["hint doctor-not-running"]);
    keys(&[("members/b", ""), ("members/c", "")], &["warning doctor-no-replica"]);
    keys(
        &[
            ("members/b", ""),
            (
                "members/c",
                r#"{"state":"running","receive_lsn":1000,"replication_state":"streaming","tags":{"nofailover":true}}"#,
            ),
        ],
        &["warning doctor-no-replica"],
    );
    keys(&[("status", r#"{"optime":9000000}"#)], &["warning doctor-replica-behind", "warning doctor-replica-behind"]);
    keys(&[("members/c", r#"{"state":"running","receive_lsn":1000}"#)], &["warning doctor-not-streaming"]);
    keys(
        &[(
            "members/c",
            r#"{"state":"running","receive_lsn":1000,"replication_state":"streaming","pending_restart":true}"#,
        )],
        &["hint doctor-pending-restart"],
    );
    keys(&[("history", "{")], &["warning doctor-unreadable-key"]);
    keys(&[("redis/cache/members/a", r#"{"address":"10.0.0.1:6379"}"#)], &["error doctor-redis-no-master"]);
}

#[test]
fn what_the_members_say_of_themselves() {
    let answer_of_b = |change: fn(&mut MemberFacts)| {
        found(|facts| change(facts.cluster.as_mut().unwrap().answers.get_mut(&"b".into()).unwrap()))
    };
    assert_eq!(answer_of_b(|b| b.silent = Some("refused".into())), ["error doctor-member-silent"]);
    assert_eq!(answer_of_b(|b| b.version = Some("0.2.0".into())), ["warning doctor-versions"]);
    assert_eq!(answer_of_b(|b| b.version = None), [""; 0], "a Patroni");
    assert_eq!(answer_of_b(|b| b.postgresql = Some(150_007)), ["warning doctor-versions"]);
    assert_eq!(answer_of_b(|b| b.clock_ahead_s = Some(-3.0)), ["warning doctor-clock"]);
    assert_eq!(answer_of_b(|b| b.clock_ahead_s = Some(1.4)), [""; 0]);
    assert_eq!(answer_of_b(|b| b.watchdog_seconds = Some(0.0)), ["warning doctor-watchdog"]);
    assert_eq!(answer_of_b(|b| b.watchdog_seconds = None), [""; 0], "a Patroni");
}

#[test]
fn what_could_be_lost() {
    const SYNC: &str = r#"{"synchronous_mode":true,"postgresql":{"parameters":{"max_slot_wal_keep_size":"10GB"}}}"#;
    const STANDBY: &str = r#"{"leader":"a","sync_standby":"b"}"#;
    keys(&[("config", SYNC), ("sync", STANDBY)], &[]);
    keys(&[("config", SYNC), ("sync", r#"{"leader":"a","sync_standby":null}"#)], &["error doctor-sync-nobody"]);
    keys(&[("config", SYNC), ("sync", STANDBY), ("members/c", "")], &["warning doctor-sync-single"]);
    keys(
        &[
            (
                "config",
                r#"{"synchronous_mode":true,"postgresql":{"parameters":{"max_slot_wal_keep_size":"1GB","synchronous_commit":"local"}}}"#,
            ),
            ("sync", STANDBY),
        ],
        &["error doctor-sync-commit"],
    );
    for wish in [
        r#"{"synchronous_mode_strict":true,"postgresql":{"parameters":{"max_slot_wal_keep_size":"1GB"}}}"#,
        r#"{"maximum_lag_on_failover":0,"postgresql":{"parameters":{"max_slot_wal_keep_size":"1GB"}}}"#,
        r#"{"postgresql":{"parameters":{"max_slot_wal_keep_size":"1GB","synchronous_commit":"remote_apply"}}}"#,
    ] {
        keys(&[("config", wish)], &["warning doctor-sync-off"]);
    }
    keys(
        &[(
            "config",
            r#"{"maximum_lag_on_failover":100000000,"postgresql":{"parameters":{"max_slot_wal_keep_size":"1GB"}}}"#,
        )],
        &["hint doctor-maximum-lag"],
    );
    keys(&[("config", "{}")], &["hint doctor-slots"]);
    keys(&[("config", r#"{"postgresql":{"use_slots":false}}"#)], &["warning doctor-wal-keep"]);
    keys(&[("config", r#"{"postgresql":{"use_slots":false,"parameters":{"wal_keep_size":"1GB"}}}"#)], &[]);
    keys(
        &[("config", r#"{"pause":true,"postgresql":{"parameters":{"max_slot_wal_keep_size":"10GB"}}}"#)],
        &["warning doctor-paused"],
    );
}

#[test]
fn in_synchronous_mode_a_missing_watchdog_is_a_hint() {
    let severity = found(|facts| {
        with_keys(
            facts,
            &[
                (
                    "config",
                    r#"{"synchronous_mode":true,"postgresql":{"parameters":{"max_slot_wal_keep_size":"10GB"}}}"#,
                ),
                ("sync", r#"{"leader":"a","sync_standby":"b"}"#),
            ],
        );
        facts.cluster.as_mut().unwrap().answers.get_mut(&"a".into()).unwrap().watchdog_seconds = Some(0.0);
    });
    assert_eq!(severity, ["hint doctor-watchdog"]);
}

#[test]
fn the_machine() {
    let machine = |change: fn(&mut MachineFacts)| found(|facts| change(facts.machine.as_mut().unwrap()));
    assert_eq!(machine(|it| it.disks[0].free = 2 * GB), ["error doctor-disk"]);
    assert_eq!(machine(|it| it.disks[0].free = 8 * GB), ["warning doctor-disk"]);
    assert_eq!(machine(|it| (it.disks[0].free, it.disks[0].total) = (GB / 16, GB / 8)), ["error doctor-disk"]);
    assert_eq!(machine(|it| it.fsync = Fsync::Median(Duration::from_millis(20))), ["warning doctor-fsync"]);
    assert_eq!(machine(|it| it.fsync = Fsync::Median(Duration::from_millis(300))), ["error doctor-fsync"]);
    assert_eq!(machine(|it| it.fsync = Fsync::NotMeasured("/s".into(), "no".into())), ["hint doctor-not-measured"]);
    assert_eq!(machine(|it| it.files_needed = 100_000), ["warning doctor-open-files"]);
    assert_eq!(machine(|it| it.readable_secrets = vec!["/q.yml".into()]), ["error doctor-secrets-readable"]);
    assert_eq!(machine(|it| it.open_rest_api = Some("0.0.0.0:8008".into())), ["warning doctor-rest-open"]);
    assert_eq!(machine(|it| it.redis = None), [""; 0]);
    let redis = |redis: RedisMachine| found(|facts| facts.machine.as_mut().unwrap().redis = Some(redis));
    assert_eq!(redis(RedisMachine { overcommit: Some(0), huge_pages_always: false }), ["warning doctor-overcommit"]);
    assert_eq!(redis(RedisMachine { overcommit: None, huge_pages_always: true }), ["warning doctor-huge-pages"]);
    assert_eq!(machine(|it| it.certificates[0].1 = -1), ["error doctor-certificate"]);
    assert_eq!(machine(|it| it.certificates[0].1 = 29), ["warning doctor-certificate"]);
}

/// The page lists every code, and nothing that is not one.
#[test]
fn the_reference_page_lists_the_codes() {
    let page = include_str!("../../../../../../docs/reference/errors.md");
    let sources =
        [include_str!("machine.rs"), include_str!("members.rs"), include_str!("safety.rs"), include_str!("store.rs")];
    let mut codes: Vec<&str> =
        sources.iter().flat_map(|text| text.split('"')).filter(|word| word.starts_with("doctor-")).collect();
    codes.sort_unstable();
    codes.dedup();
    assert!(codes.len() > 20);
    for code in &codes {
        assert!(page.contains(&format!("| `{code}` |")), "{code}");
    }
    let listed = page.lines().filter_map(|line| line.strip_prefix("| `doctor-")?.split('`').next());
    for code in listed {
        assert!(codes.contains(&format!("doctor-{code}").as_str()), "{code}");
    }
}
