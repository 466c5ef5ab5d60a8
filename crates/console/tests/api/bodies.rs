//! Bodies, letter by letter.

use crate::world::{World, replica};
use console::{LocalStatus, MetricFamily, MetricKind, ReplicationRow, Sample, cluster_as_json};
use ha::cluster::RunState;
use serde_json::json;
use std::sync::Arc;

#[tokio::test]
async fn the_status_of_a_primary() {
    let world = World::new();
    world.publish(|snapshot| {
        snapshot.local.replication = vec![ReplicationRow {
            usename: Some("replicator".into()),
            application_name: "pg2".into(),
            client_addr: Some("10.0.0.2".into()),
            state: "streaming".into(),
            sync_state: "async".into(),
            sync_priority: 0,
        }];
    });
    let expected = concat!(
        r#"{"state": "running", "postmaster_start_time": "2024-08-28 19:39:26.352526+00:00", "role": "primary", "#,
        r#""server_version": 150002, "xlog": {"location": 50331648}, "timeline": 2, "#,
        r#""replication": [{"usename": "replicator", "application_name": "pg2", "client_addr": "10.0.0.2", "#,
        r#""state": "streaming", "sync_state": "async", "sync_priority": 0}], "dcs_last_seen": 1785000000, "#,
        r#""database_system_identifier": "7500000000000000001", "#,
        r#""patroni": {"version": "4.1.4", "scope": "demo", "name": "pg1"}}"#,
    );
    for (path, status) in [("/patroni", 200), ("/", 200), ("/replica", 503), ("/patroni/more", 200)] {
        let answer = world.get(path).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, expected), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
}

#[tokio::test]
async fn the_status_of_a_replica_with_everything() {
    let world = World::new();
    world.publish(|snapshot| {
        snapshot.store_reachable = false;
        snapshot.local = LocalStatus {
            sync_standby: true,
            pause: true,
            pending_restart: true,
            pending_restart_reason: Some(json!({"max_connections": {"old_value": "100", "new_value": "200"}})),
            scheduled_restart: Some(json!({"schedule": "2026-08-01T20:00:00+00:00"})),
            tags: serde_json::from_value(json!({"zone": "ä"})).unwrap(),
            watchdog_failed: true,
            ..replica()
        };
    });
    let expected = concat!(
        r#"{"state": "running", "postmaster_start_time": "2024-08-28 19:39:26.352526+00:00", "role": "replica", "#,
        r#""server_version": 150002, "xlog": {"received_location": 50331648, "replayed_location": 50330624, "#,
        r#""replayed_timestamp": "2024-08-28 19:39:30+00:00", "paused": false}, "sync_standby": true, "timeline": 2, "#,
        r#""replication_state": "streaming", "pause": true, "cluster_unlocked": true, "dcs_last_seen": 1785000000, "#,
        r#""tags": {"zone": "\u00e4"}, "database_system_identifier": "7500000000000000001", "pending_restart": true, "#,
        r#""pending_restart_reason": {"max_connections": {"new_value": "200", "old_value": "100"}}, "#,
        r#""patroni": {"version": "4.1.4", "scope": "demo", "name": "pg1"}, "#,
        r#""scheduled_restart": {"schedule": "2026-08-01T20:00:00+00:00"}, "watchdog_failed": true}"#,
    );
    assert_eq!(world.get("/patroni").await.body, expected);
}

#[tokio::test]
async fn a_postgresql_that_does_not_answer_is_not_quoted() {
    let world = World::new();
    world.publish(|snapshot| snapshot.local.state = RunState::Other);
    let expected = concat!(
        r#"{"state": "unknown", "role": "primary", "dcs_last_seen": 1785000000, "#,
        r#""database_system_identifier": "7500000000000000001", "#,
        r#""patroni": {"version": "4.1.4", "scope": "demo", "name": "pg1"}}"#,
    );
    assert_eq!(world.get("/patroni").await.body, expected);
}

#[tokio::test]
async fn the_cluster() {
    let world = World::new();
    let expected = concat!(
        r#"{"members": [{"name": "pg1", "role": "leader", "state": "running", "#,
        r#""api_url": "http://10.0.0.1:8008/patroni", "host": "10.0.0.1", "port": 5432, "timeline": 2}, "#,
        r#"{"name": "pg2", "role": "replica", "state": "streaming", "api_url": "http://10.0.0.2:8008/patroni", "#,
        r#""host": "10.0.0.2", "port": 5432, "timeline": 2, "receive_lag": 0, "receive_lsn": "0/3000000", "#,
        r#""replay_lag": 1024, "replay_lsn": "0/2FFFC00", "lag": 1024, "lsn": "0/2FFFC00"}, "#,
        r#"{"name": "pg3", "role": "replica", "state": "running", "api_url": "http://10.0.0.3:8008/patroni", "#,
        r#""host": "10.0.0.3", "port": 5432, "pending_restart": true, "tags": {"nofailover": true, "zone": "b"}, "#,
        r#""receive_lag": "unknown", "receive_lsn": "unknown", "replay_lag": "unknown", "replay_lsn": "unknown", "#,
        r#""lag": "unknown", "lsn": "unknown"}], "scope": "demo"}"#,
    );
    assert_eq!(world.get("/cluster").await.body, expected);
    world.store.put("config", r#"{"pause":true,"synchronous_mode":true}"#);
    world.store.put("sync", r#"{"leader":"pg1","quorum":0,"sync_standby":"pg2"}"#);
    world.store.put("failover", r#"{"leader":"pg1","member":"pg2","scheduled_at":"2026-08-01T20:00:00+00:00"}"#);
    let view = cluster_as_json(&world.store.cluster());
    assert_eq!(view["members"][1]["role"], "sync_standby");
    assert_eq!(view["pause"], true);
    assert_eq!(view["scheduled_switchover"], json!({"at": "2026-08-01T20:00:00+00:00", "from": "pg1", "to": "pg2"}));
}

#[tokio::test]
async fn history_configuration_failsafe_and_explanation() {
    let world = World::new();
    world.publish(|snapshot| {
        snapshot.explanation = Arc::new(json!({"leader": {"name": "pg1", "because": ["it holds the lease"]}}));
    });
    for (path, status, body) in [
        ("/history", 200, r#"[[1, 25165824, "no recovery target specified", "2026-08-01T10:00:00+00:00", "pg1"]]"#),
        ("/config", 200, r#"{"loop_wait": 10, "postgresql": {"parameters": {"max_connections": 100}}, "ttl": 30}"#),
        ("/failsafe", 502, "Failsafe mode is disabled."),
        ("/quorate/explain", 200, r#"{"leader": {"because": ["it holds the lease"], "name": "pg1"}}"#),
    ] {
        let answer = world.get(path).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{path}");
    }
    world.store.put("config", r#"{"failsafe_mode":true}"#);
    world.store.put("failsafe", r#"{"pg1":"http://pg1:8008/patroni","quorate.ttl_ms":"1500"}"#);
    world.publish(|snapshot| snapshot.local.failsafe_is_active = true);
    assert_eq!(world.get("/failsafe").await.body, r#"{"pg1": "http://pg1:8008/patroni"}"#);
    assert!(world.get("/patroni").await.body.contains(r#""failsafe_mode_is_active": true"#));
    let metrics = world.get("/metrics").await.body;
    for name in ["patroni_failsafe_mode_is_active", "patroni_failsafe_mode_enabled", "patroni_failsafe_member"] {
        assert!(metrics.contains(&format!(r#"{name}{{scope="demo",name="pg1"}} 1"#)), "{name}");
    }
    world.store.delete("config");
    world.store.delete("history");
    world.publish(|_| {});
    assert_eq!(world.get("/config").await.status, 502);
    assert_eq!(world.get("/history").await.body, "[]");
}

#[tokio::test]
async fn metrics_have_patronis_names_and_the_agents_own() {
    let mut world = World::new();
    world.api.metrics = Some(Arc::new(|| {
        let sample = |reason: &str, value| Sample { labels: vec![("reason", reason.to_owned())], value };
        vec![MetricFamily {
            name: "quorate_decisions_total",
            help: "Decisions by their reason",
            kind: MetricKind::Counter,
            samples: vec![sample("leader_is_healthy", 12.0), sample("a\"b\\c", 1.0)],
        }]
    }));
    let answer = world.get("/metrics").await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        r#"patroni_version{scope="demo",name="pg1"} 040104"#,
        r#"patroni_postgres_running{scope="demo",name="pg1"} 1"#,
        r#"patroni_postmaster_start_time{scope="demo",name="pg1"} 1724873966.352526"#,
        r#"patroni_primary{scope="demo",name="pg1"} 1"#,
        r#"patroni_xlog_location{scope="demo",name="pg1"} 50331648"#,
        r#"patroni_standby_leader{scope="demo",name="pg1"} 0"#,
        r#"patroni_replica{scope="demo",name="pg1"} 0"#,
        r#"patroni_sync_standby{scope="demo",name="pg1"} 0"#,
        r#"patroni_quorum_standby{scope="demo",name="pg1"} 0"#,
        r#"patroni_xlog_received_location{scope="demo",name="pg1"} 0"#,
        r#"patroni_xlog_replayed_location{scope="demo",name="pg1"} 0"#,
        r#"patroni_xlog_replayed_timestamp{scope="demo",name="pg1"} 0"#,
        r#"patroni_xlog_paused{scope="demo",name="pg1"} 0"#,
        r#"patroni_postgres_streaming{scope="demo",name="pg1"} 0"#,
        r#"patroni_postgres_in_archive_recovery{scope="demo",name="pg1"} 0"#,
        r#"patroni_postgres_server_version{scope="demo",name="pg1"} 150002"#,
        r#"patroni_cluster_unlocked{scope="demo",name="pg1"} 0"#,
        r#"patroni_failsafe_mode_is_active{scope="demo",name="pg1"} 0"#,
        r#"patroni_failsafe_mode_enabled{scope="demo",name="pg1"} 0"#,
        r#"patroni_failsafe_member{scope="demo",name="pg1"} 0"#,
        r#"patroni_postgres_timeline{scope="demo",name="pg1"} 2"#,
        r#"patroni_dcs_last_seen{scope="demo",name="pg1"} 1785000000"#,
        r#"patroni_pending_restart{scope="demo",name="pg1"} 0"#,
        r#"patroni_is_paused{scope="demo",name="pg1"} 0"#,
        r#"patroni_postgres_state{scope="demo",name="pg1"} 5"#,
        r#"patroni_failover_priority{scope="demo",name="pg1"} 1"#,
        r#"quorate_store_reachable{scope="demo",name="pg1"} 1"#,
        r#"quorate_leader_lock{scope="demo",name="pg1"} 1"#,
        r#"quorate_decisions_total{scope="demo",name="pg1",reason="leader_is_healthy"} 12"#,
        r#"quorate_decisions_total{scope="demo",name="pg1",reason="a\"b\\c"} 1"#,
        "# TYPE patroni_xlog_location counter",
        "# TYPE quorate_decisions_total counter",
    ] {
        assert!(answer.body.lines().any(|got| got == line), "{line} is missing in\n{}", answer.body);
    }
    world.publish(|snapshot| snapshot.local = replica());
    let body = world.get("/metrics").await.body;
    for line in [
        r#"patroni_replica{scope="demo",name="pg1"} 1"#,
        r#"patroni_xlog_received_location{scope="demo",name="pg1"} 50331648"#,
        r#"patroni_xlog_replayed_location{scope="demo",name="pg1"} 50330624"#,
        r#"patroni_xlog_replayed_timestamp{scope="demo",name="pg1"} 1724873970"#,
        r#"patroni_postgres_streaming{scope="demo",name="pg1"} 1"#,
    ] {
        assert!(body.lines().any(|got| got == line), "{line} is missing in\n{body}");
    }
}
