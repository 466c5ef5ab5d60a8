//! Three members and nothing else: they become one cluster.

use super::support::{World, eventually, options, run};
use serde_json::Value;
use std::collections::BTreeMap;

#[test]
fn three_members_that_start_from_nothing_are_a_patroni_cluster() {
    run(async {
        let mut world = World::whole(options("bootstrap", 5)).await;
        let (leader, replicas) = world.roles().await;
        the_table_says_so(&world, &leader);
        the_keys_are_patronis(&world, &leader, &replicas).await;
        for path in ["/primary", "/leader", "/read-write", "/health", "/readiness", "/liveness"] {
            assert_eq!(world.get(&leader, path).await.0, 200, "{path}");
        }
        for replica in &replicas {
            for (path, status) in
                [("/primary", 503), ("/replica", 200), ("/async", 200), ("/sync", 503), ("/health", 200)]
            {
                assert_eq!(world.get(replica, path).await.0, status, "{replica}{path}");
            }
        }
        // The data has gone round: what the leader has, the others have.
        world.ask(&leader, "create table t as select 42 as answer").await;
        let end = world.ask(&leader, "select pg_current_wal_lsn()").await;
        for replica in &replicas {
            let replayed = format!("select pg_last_wal_replay_lsn() >= '{end}'");
            eventually("the replica has replayed", async || (world.ask(replica, &replayed).await == "t").then_some(()))
                .await;
            assert_eq!(world.ask(replica, "select answer from t").await, "42");
        }
        // Each proxy leads to the leader, and for reading to a replica.
        for member in ["pg1", "pg2", "pg3"] {
            let address = "select host(inet_server_addr())";
            let primary = world.try_ask(member, 5000, address).await.unwrap();
            assert_eq!(primary, world.named(&leader).address.to_string());
            let replica = world.try_ask(member, 5001, address).await.unwrap();
            assert!(replicas.iter().any(|name| world.named(name).address.to_string() == replica), "{replica}");
        }
    });
}

fn the_table_says_so(world: &World, leader: &str) {
    let listed = world.quorate("pg2", &["list", "-f", "json"]).ok();
    let members: Vec<BTreeMap<String, Value>> = serde_json::from_str(&listed).unwrap();
    let names: Vec<&str> = members.iter().map(|member| member["Member"].as_str().unwrap()).collect();
    assert_eq!(names, ["pg1", "pg2", "pg3"]);
    for member in &members {
        assert_eq!(member["Cluster"], world.scope());
        assert_eq!(member["TL"], 1);
        let is_leader = member["Member"] == leader;
        assert_eq!(member["Role"], if is_leader { "Leader" } else { "Replica" }, "{listed}");
        assert_eq!(member["State"], if is_leader { "running" } else { "streaming" }, "{listed}");
        assert!(!member.contains_key("Pending restart"), "{listed}");
    }
}

/// On a cluster that has just begun.
pub async fn the_keys_are_patronis(world: &World, leader: &str, replicas: &[String]) {
    eventually("the leader has published its status", async || (!world.key("status").is_empty()).then_some(())).await;
    let keys = world.etcdctl(&["get", "--prefix", "--keys-only", "/service/demo/"]).ok();
    let keys: Vec<&str> = keys.lines().filter(|line| !line.is_empty()).collect();
    for key in ["config", "initialize", "leader", "members/pg1", "members/pg2", "members/pg3", "status"] {
        assert!(keys.contains(&format!("/service/demo/{key}").as_str()), "{key} is missing: {keys:?}");
    }
    assert_eq!(world.key("leader"), leader);
    let system = world.key("initialize");
    assert!(system.len() > 15 && system.parse::<u64>().is_ok(), "{system}");
    let status: Value = serde_json::from_str(&world.key("status")).unwrap();
    assert!(status["optime"].as_u64().unwrap() > 0, "{status}");
    let config: Value = serde_json::from_str(&world.key("config")).unwrap();
    assert_eq!(config["postgresql"]["use_pg_rewind"], true, "{config}");
    let entry = |name: &str| serde_json::from_str::<Value>(&world.key(&format!("members/{name}"))).unwrap();
    let entry_of_leader = entry(leader);
    let address = world.named(leader).address;
    assert_eq!(entry_of_leader["conn_url"], format!("postgres://{address}:5432/postgres"));
    assert_eq!(entry_of_leader["api_url"], format!("http://{address}:8008/patroni"));
    assert_eq!((&entry_of_leader["role"], &entry_of_leader["state"]), (&"primary".into(), &"running".into()));
    assert_eq!(entry_of_leader["timeline"], 1);
    for name in replicas {
        let entry = entry(name);
        assert_eq!((&entry["role"], &entry["state"]), (&"replica".into(), &"running".into()), "{entry}");
        assert_eq!(entry["replication_state"], "streaming", "{entry}");
        assert!(entry["xlog_location"].as_u64().unwrap() > 0, "{entry}");
    }
}
