//! `/redis` and what is below it.

use super::world::{Answer, World, ask};
use console::redis::{RedisApi, RedisLocal, RedisServerStatus, RedisSnapshot};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use types::Revision;

const NAME: &str = "db1";

struct RedisWorld {
    world: World,
    snapshots: watch::Sender<Arc<RedisSnapshot>>,
}

fn entry(name: &str, more: &str) -> String {
    let host = name.trim_start_matches("pg");
    let told = r#""run_id":"r","replid":"8371","offset":100,"keys":3"#;
    format!(r#"{{"address":"10.0.0.{host}:6379","state":"running","version":"7.0.15",{told}{more}}}"#)
}

/// `pg1` is the master and this member, `pg2` its replica, `pg3` a replica without a link.
fn redis() -> RedisWorld {
    let mut world = World::new();
    let store = &world.store;
    store.put("redis/db1/leader", "pg1");
    store.put("redis/db1/members/pg1", &entry("pg1", r#","role":"master","claim":true,"writable":true"#));
    store.put("redis/db1/members/pg2", &entry("pg2", r#","role":"replica","link_up":true,"following":"pg1""#));
    store.put("redis/db1/members/pg3", &entry("pg3", r#","role":"replica""#).replace("100", "40"));
    let (snapshots, receiver) = watch::channel(Arc::new(RedisSnapshot::starting("pg1".into(), NAME.into())));
    world.api.redis = Some(RedisApi { snapshots: receiver });
    let redis = RedisWorld { world, snapshots };
    redis.publish();
    redis
}

impl RedisWorld {
    /// The store as it is now, on a master that answers.
    fn publish(&self) {
        let cluster = self.world.store.cluster();
        self.snapshots.send_modify(|snapshot| {
            let status = RedisServerStatus { is_master: true, offset: 100, keys: 3, ..RedisServerStatus::default() };
            let until = Instant::now() + Duration::from_secs(3600);
            *snapshot = Arc::new(RedisSnapshot {
                group: Arc::new(cluster.redis_group(NAME)),
                revision: cluster.revision,
                store_reachable: true,
                local: RedisLocal { is_leader: true, leader_until: Some(until), status: Some(status) },
                explanation: Arc::new(serde_json::json!({"here": ["it leads"]})),
                ..RedisSnapshot::clone(snapshot)
            });
        });
    }

    async fn ask(&self, method: &str, path: &str, body: Option<&str>) -> Answer {
        ask(&self.world.api, method, path, body).await
    }
}

#[tokio::test]
async fn a_member_without_redis_says_so() {
    let world = World::new();
    for path in ["/redis", "/redis/master", "/redis/replica"] {
        assert_eq!(world.get(path).await.status, 404, "{path}");
    }
    assert_eq!(ask(&world.api, "POST", "/redis/switchover", None).await.status, 404);
    assert!(!world.get("/metrics").await.body.contains("quorate_redis"));
}

#[tokio::test]
async fn the_group_is_shown_with_roles_and_lag() {
    let redis = redis();
    let answer = redis.ask("GET", "/redis", None).await;
    let json: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((answer.status, &json["master"], &json["role"]), (200, &"pg1".into(), &"master".into()));
    let member = |at: usize| (json["members"][at]["role"].clone(), json["members"][at]["lag"].clone());
    assert_eq!(member(0), ("master".into(), serde_json::Value::Null));
    assert_eq!((member(1), member(2)), (("replica".into(), 0.into()), ("replica".into(), 60.into())));
    assert_eq!(json["members"][1]["state"], "streaming");
    let explained: serde_json::Value =
        serde_json::from_str(&redis.ask("GET", "/quorate/explain", None).await.body).unwrap();
    assert_eq!(explained["redis"]["here"][0], "it leads");
    let metrics = redis.ask("GET", "/metrics", None).await.body;
    assert!(metrics.contains("quorate_redis_master{scope=\"demo\",name=\"pg1\",redis=\"db1\"} 1"), "{metrics}");
}

#[tokio::test]
async fn health_checks_go_by_the_lease_and_by_redis_itself() {
    let redis = redis();
    let check = async |master: u16, replica: u16| {
        assert_eq!(redis.ask("GET", "/redis/master", None).await.status, master);
        assert_eq!(redis.ask("HEAD", "/redis/replica", None).await.status, replica);
    };
    check(200, 503).await;
    let change = |change: &dyn Fn(&mut RedisSnapshot)| {
        redis.snapshots.send_modify(|snapshot| change(Arc::make_mut(snapshot)));
    };
    change(&|snapshot| snapshot.local.leader_until = Some(Instant::now()));
    check(503, 503).await;
    change(&|snapshot| snapshot.local.leader_until = None);
    check(200, 503).await;
    change(&|snapshot| snapshot.local.status.as_mut().unwrap().is_master = false);
    check(503, 503).await;
    change(&|snapshot| snapshot.local.status.as_mut().unwrap().link_up = true);
    check(503, 200).await;
    change(&|snapshot| snapshot.local.status = None);
    check(503, 503).await;
}

#[tokio::test]
async fn a_switchover_is_written_and_its_end_is_waited_for() {
    let redis = redis();
    let asked = redis.ask("POST", "/redis/switchover", Some(r#"{"candidate":"pg2"}"#));
    let carried_out = async {
        while redis.world.store.get("redis/db1/failover").is_none() {
            tokio::task::yield_now().await;
        }
        let wish = redis.world.store.get("redis/db1/failover").unwrap();
        assert_eq!(wish, r#"{"leader":"pg1","candidate":"pg2"}"#);
        let store = &redis.world.store;
        store.put("redis/db1/leader", "pg2");
        store.delete("redis/db1/failover");
        store.put("redis/db1/members/pg2", &entry("pg2", r#","role":"master","claim":true,"writable":true"#));
        redis.publish();
    };
    let (answer, ()) = tokio::join!(asked, carried_out);
    assert_eq!((answer.status, answer.body.as_str()), (200, "Successfully switched over to \"pg2\""));
}

#[tokio::test]
async fn a_switchover_that_was_withdrawn_is_no_success() {
    let redis = redis();
    let asked = redis.ask("POST", "/redis/switchover", None);
    let withdrawn = async {
        while redis.world.store.get("redis/db1/failover").is_none() {
            tokio::task::yield_now().await;
        }
        redis.world.store.delete("redis/db1/failover");
        redis.publish();
    };
    let (answer, ()) = tokio::join!(asked, withdrawn);
    assert_eq!((answer.status, answer.body.as_str()), (503, "Switchover failed: pg1 is still the master"));
}

#[tokio::test]
async fn what_cannot_be_is_refused_before_anything_is_written() {
    let redis = redis();
    for (path, body, status, words) in [
        ("/redis/switchover", r#"{"candidate":"pg1"}"#, 412, "is the master already"),
        ("/redis/switchover", r#"{"candidate":"pg9"}"#, 412, "not a member"),
        ("/redis/switchover", r#"{"candidate":"pg3"}"#, 412, "does not replicate"),
        ("/redis/switchover", r#"{"leader":"pg2"}"#, 412, "leader name does not match"),
        ("/redis/switchover", r#"{"candidate":1}"#, 400, "must be a text"),
        ("/redis/failover", r#"{"candidate":"pg2"}"#, 412, "must be forced"),
        ("/redis/nonsense", "", 404, "there is /redis/switchover"),
    ] {
        let answer = redis.ask("POST", path, Some(body).filter(|body| !body.is_empty())).await;
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.body);
        assert!(answer.body.contains(words), "{path} {body}: {}", answer.body);
    }
    assert_eq!(redis.world.store.get("redis/db1/failover"), None);
}

#[tokio::test]
async fn a_replica_may_be_told_to_take_the_masters_data() {
    let redis = redis();
    let refused = async |status: u16, words: &str| {
        let answer = redis.ask("POST", "/redis/overwrite", None).await;
        assert!(answer.status == status && answer.body.contains(words), "{answer:?}");
    };
    refused(412, "nobody to copy from").await;
    redis.world.store.delete("redis/db1/leader");
    refused(503, "there is no master").await;
    let Revision(epoch) = redis.world.store.put("redis/db1/leader", "pg2");
    refused(412, "does not wait for a permission").await;
    assert_eq!(redis.world.store.get("redis/db1/overwrite/pg1"), None);
    let history = format!(r#"[{{"epoch":{epoch},"leader":"pg2","replid":"other","empty":true}}]"#);
    redis.world.store.put("redis/db1/history", &history);
    // It is of the leadership that stands, and may be said again.
    for _ in 0..2 {
        let Revision(epoch) = redis.world.store.put("redis/db1/leader", "pg2");
        assert_eq!(redis.ask("POST", "/redis/overwrite", None).await.status, 202);
        let noted = redis.world.store.get("redis/db1/overwrite/pg1");
        assert_eq!(noted, Some(format!(r#"{{"epoch":{epoch}}}"#)));
    }
}
