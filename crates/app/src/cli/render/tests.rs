//! The tables, against what patronictl 4.1.4 prints for the same keys (golden/keys.txt): character by character.

use super::{Clusters, Format, explanation, explanation_from_store, history, members};
use ha::cluster::redis::{RedisMember, RedisMemberData};
use ha::cluster::{Cluster, Keys, RedisGroup};
use kv::KeyValue;
use serde_json::json;
use types::{Revision, Scope};

const KEYS: &str = include_str!("golden/keys.txt");

fn cluster(scope: &str) -> Cluster {
    let keys = Keys::new(None, &Scope::from(scope));
    let kvs: Vec<KeyValue> = KEYS
        .lines()
        .filter_map(|line| {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            key.starts_with(keys.prefix()).then(|| KeyValue {
                key: key.into(),
                value: value.into(),
                create_revision: Revision(1),
                mod_revision: Revision(2),
                version: 1,
                lease: None,
            })
        })
        .collect();
    Cluster::from_keys(&keys, &kvs, Revision(3))
}

fn shown(scope: &str, format: Format, extended: bool) -> String {
    super::scope(&Clusters { scope: &Scope::from(scope), cluster: &cluster(scope) }, format, extended)
}

#[test]
fn members_are_printed_as_patronictl_prints_them() {
    for (scope, format, extended, expected) in [
        ("demo", Format::Pretty, false, include_str!("golden/demo-list.txt")),
        ("demo", Format::Pretty, true, include_str!("golden/demo-extended.txt")),
        ("demo", Format::Topology, false, include_str!("golden/demo-topology.txt")),
        ("demo", Format::Tsv, false, include_str!("golden/demo-list.tsv")),
        ("demo", Format::Json, false, include_str!("golden/demo-list.json")),
        ("old", Format::Pretty, false, include_str!("golden/old-list.txt")),
        ("old", Format::Pretty, true, include_str!("golden/old-extended.txt")),
        ("old", Format::Topology, false, include_str!("golden/old-topology.txt")),
        ("old", Format::Tsv, false, include_str!("golden/old-list.tsv")),
        ("old", Format::Json, false, include_str!("golden/old-list.json")),
        ("none", Format::Pretty, false, include_str!("golden/none-list.txt")),
        ("none", Format::Json, false, include_str!("golden/none-list.json")),
    ] {
        let found = shown(scope, format, extended);
        assert_eq!(found, expected, "\n{scope} {format:?} {extended}\n{found}");
    }
}

#[test]
fn the_history_is_printed_as_patronictl_prints_it() {
    let lines = cluster("demo").history.unwrap().value;
    for (format, expected) in [
        (Format::Pretty, include_str!("golden/demo-history.txt")),
        (Format::Tsv, include_str!("golden/demo-history.tsv")),
        (Format::Json, include_str!("golden/demo-history.json")),
    ] {
        assert_eq!(history(&lines, format), expected);
    }
}

#[test]
fn redis_stands_below_postgresql_and_behind_it_in_json() {
    let with_redis = |name: &str| {
        let mut cluster = cluster(name);
        let data = RedisMemberData { address: "10.0.0.1:6379".to_owned(), ..RedisMemberData::default() };
        let member = RedisMember { data, revision: Revision(1), lease: None };
        let group = RedisGroup { members: [("pg1".into(), member)].into(), ..RedisGroup::default() };
        cluster.redis.insert("db1".to_owned(), group);
        cluster.redis.insert("nobody's".to_owned(), RedisGroup::default());
        cluster
    };
    let show = |name: &str, format| {
        super::scope(&Clusters { scope: &Scope::from(name), cluster: &with_redis(name) }, format, false)
    };
    let pretty = show("demo", Format::Pretty);
    assert!(pretty.starts_with(include_str!("golden/demo-list.txt")) && pretty.contains("+ Redis: db1 "), "{pretty}");
    let alone = show("none", Format::Pretty);
    assert!(!pretty.contains("nobody's"), "a group without members: {pretty}");
    assert!(alone.starts_with("+ Redis: db1 "), "a scope for Redis alone has one table: {alone}");
    let json: serde_json::Value = serde_json::from_str(&show("demo", Format::Json)).unwrap();
    let rows = json.as_array().unwrap();
    assert!(rows[0].get("Cluster").is_some() && rows.last().unwrap()["Redis"] == "db1", "{json}");
    assert!(show("demo", Format::Tsv).starts_with(include_str!("golden/demo-list.tsv")));
    assert_eq!(show("demo", Format::Topology), include_str!("golden/demo-topology.txt"));
}

#[test]
fn yaml_says_the_same_as_json() {
    let yaml = config::yaml_to_json("yaml", &shown("demo", Format::Yaml, false)).unwrap();
    let json: serde_json::Value = serde_json::from_str(include_str!("golden/demo-list.json")).unwrap();
    assert_eq!(yaml, json);
}

#[test]
fn replicas_that_name_each_other_as_source_are_shown_once_each() {
    let mut cluster = cluster("old");
    for (name, source) in [("b", "c"), ("c", "b")] {
        let member = cluster.members.get_mut(&name.into()).unwrap();
        member.data.tags.0.insert("replicatefrom".to_owned(), json!(source));
    }
    let scope = Scope::from("old");
    let text = members(&Clusters { scope: &scope, cluster: &cluster }, Format::Topology, false);
    let names: Vec<&str> = text.lines().skip(3).filter_map(|line| line.split('|').nth(1)).map(str::trim_end).collect();
    assert_eq!(names, [" a", " + b", "   + c"]);
}

#[test]
fn an_explanation_is_sentences() {
    let answer = json!({
        "leader": {"name": "pg1", "because": ["it holds the leader key"]},
        "members": [{"name": "pg2", "obstacles": ["it is 5 bytes behind", "it is tagged nofailover"]}, {"name": "pg3", "obstacles": []}],
        "here": ["it follows pg1"],
    });
    assert_eq!(
        explanation(&answer, "pg2"),
        "pg1 leads:\n  - it holds the leader key\n\
         pg2 does not lead:\n  - it is 5 bytes behind\n  - it is tagged nofailover\n\
         pg3 does not lead:\n  - nothing keeps it from taking over\n\
         On pg2 now:\n  - it follows pg1\n"
    );
    assert!(explanation(&json!({}), "x").starts_with("No member leads:\n  - no reason is known\n"));
    let concluded = explanation(&explanation_from_store(&cluster("demo")), "");
    assert!(concluded.contains("pg1 leads:") && concluded.contains("pg4 does not lead:"), "{concluded}");
}
