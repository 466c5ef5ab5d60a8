//! The table: which member is healthy for which path.

use crate::world::{World, ask, primary, replica};
use console::{LocalStatus, Snapshot, Xlog};
use ha::cluster::{Role, RunState, Tags};
use std::time::{Duration, Instant};
use types::Lsn;

fn tags(text: &str) -> Tags {
    serde_json::from_str(text).unwrap()
}

/// For each state: the paths that answer 200. All other paths of the table answer 503.
async fn check(what: &str, change: impl FnOnce(&mut Snapshot), healthy: &[&str]) {
    const PATHS: &[&str] = &[
        "/",
        "/primary",
        "/master",
        "/read-write",
        "/leader",
        "/standby-leader",
        "/standby_leader",
        "/replica",
        "/replica?lag=1023",
        "/replica?lag=1kB",
        "/replica?replication_state=streaming",
        "/replica?replication_state=in%20archive+recovery",
        "/replica?tag_zone=a",
        "/read-only",
        "/read-only?tag_zone=a",
        "/sync",
        "/synchronous",
        "/read-only-sync",
        "/quorum",
        "/read-only-quorum",
        "/async",
        "/asynchronous?lag=0",
        "/health",
        "/liveness",
        "/readiness",
        "/nonsense",
        "/switchover",
    ];
    let world = World::new();
    world.publish(change);
    let mut got = Vec::new();
    for path in PATHS {
        let answer = world.get(path).await;
        assert!(matches!(answer.status, 200 | 503), "{what}: {path}: {answer:?}");
        for method in ["HEAD", "OPTIONS"] {
            let bare = ask(&world.api, method, path, None).await;
            assert_eq!((bare.status, bare.body.as_str()), (answer.status, ""), "{what}: {method} {path}");
        }
        if answer.status == 200 {
            got.push(*path);
        }
    }
    assert_eq!(got, healthy, "{what}");
}

const LEADS: &[&str] = &[
    "/",
    "/primary",
    "/master",
    "/read-write",
    "/leader",
    "/read-only",
    "/read-only-sync",
    "/read-only-quorum",
    "/health",
    "/liveness",
    "/readiness",
];

#[tokio::test]
async fn a_primary_with_the_lock_serves_writes() {
    check("primary", |snapshot| snapshot.local = primary(), LEADS).await;
    check("primary in the pause", |snapshot| snapshot.local.pause = true, LEADS).await;
}

#[tokio::test]
async fn a_primary_whose_lease_ran_out_serves_nothing() {
    let stale = |snapshot: &mut Snapshot| snapshot.local.leader_until = Some(Instant::now());
    check("lease over", stale, &["/health", "/liveness"]).await;
    let lost = |snapshot: &mut Snapshot| snapshot.local.is_leader = false;
    check("lock lost", lost, &["/health", "/liveness"]).await;
}

#[tokio::test]
async fn in_a_pause_without_the_store_the_role_counts() {
    let change = |snapshot: &mut Snapshot| {
        snapshot.store_reachable = false;
        snapshot.local.pause = true;
        snapshot.local.is_leader = false;
    };
    // The paths about synchronous standbys need the store.
    let expected = ["/", "/primary", "/master", "/read-write", "/leader", "/read-only", "/health", "/liveness"];
    check("paused, no store", change, &expected).await;
}

#[tokio::test]
async fn the_leader_of_a_standby_cluster_is_no_primary() {
    let change = |snapshot: &mut Snapshot| {
        snapshot.local = LocalStatus { role: Role::StandbyLeader, is_leader: true, ..replica() };
    };
    let expected = [
        "/leader",
        "/standby-leader",
        "/standby_leader",
        "/read-only",
        "/read-only-sync",
        "/read-only-quorum",
        "/health",
        "/liveness",
        "/readiness",
    ];
    check("standby leader", change, &expected).await;
}

#[tokio::test]
async fn a_replica_serves_reads_as_far_as_it_is_up_to_date() {
    let expected = [
        "/replica",
        "/replica?lag=1kB",
        "/replica?replication_state=streaming",
        "/read-only",
        "/async",
        "/health",
        "/liveness",
        "/readiness",
    ];
    check("replica, 1024 bytes behind", |snapshot| snapshot.local = replica(), &expected).await;
    let tagged = |snapshot: &mut Snapshot| {
        snapshot.local = LocalStatus { tags: tags(r#"{"zone":"a"}"#), ..replica() };
    };
    let expected = [
        "/replica",
        "/replica?lag=1kB",
        "/replica?replication_state=streaming",
        "/replica?tag_zone=a",
        "/read-only",
        "/read-only?tag_zone=a",
        "/async",
        "/health",
        "/liveness",
        "/readiness",
    ];
    check("replica in zone a", tagged, &expected).await;
    let current = |snapshot: &mut Snapshot| {
        let xlog = Xlog::Replica {
            received: Lsn(60_000_000),
            replayed: Lsn(60_000_000),
            replayed_timestamp: None,
            paused: false,
        };
        snapshot.local = LocalStatus { xlog: Some(xlog), sync_standby: true, ..replica() };
    };
    let expected = [
        "/replica",
        "/replica?lag=1023",
        "/replica?lag=1kB",
        "/replica?replication_state=streaming",
        "/read-only",
        "/sync",
        "/synchronous",
        "/read-only-sync",
        "/health",
        "/liveness",
        "/readiness",
    ];
    check("sync standby, ahead of what is published", current, &expected).await;
}

#[tokio::test]
async fn a_replica_that_must_not_or_cannot_serve_says_so() {
    let hidden = |snapshot: &mut Snapshot| {
        snapshot.local = LocalStatus { tags: tags(r#"{"noloadbalance":true}"#), ..replica() };
    };
    check("noloadbalance", hidden, &["/health", "/liveness", "/readiness"]).await;
    let silent = |snapshot: &mut Snapshot| snapshot.local = LocalStatus { state: RunState::Other, ..replica() };
    check("PostgreSQL hangs", silent, &["/liveness"]).await;
    let stopped = |snapshot: &mut Snapshot| snapshot.local = LocalStatus { state: RunState::Stopped, ..replica() };
    check("stopped", stopped, &["/liveness"]).await;
}

#[tokio::test]
async fn readiness_has_its_own_lag() {
    let world = World::new();
    world.publish(|snapshot| {
        let xlog =
            Xlog::Replica { received: Lsn(50_331_648), replayed: Lsn(1), replayed_timestamp: None, paused: false };
        snapshot.local = LocalStatus { xlog: Some(xlog), ..replica() };
    });
    for (path, status) in [
        ("/readiness", 503),
        ("/readiness?mode=write", 200),
        ("/readiness?lag=1GB", 200),
        ("/readiness?lag=nonsense", 503),
    ] {
        assert_eq!(world.get(path).await.status, status, "{path}");
    }
    world.publish(|snapshot| {
        snapshot.store_reachable = false;
        snapshot.local = LocalStatus { latest_end_lsn: None, ..replica() };
    });
    assert_eq!(world.get("/readiness").await.status, 503, "the leader's position is not known");
}

#[tokio::test]
async fn liveness_fails_when_the_loop_is_stuck_for_longer_than_the_lease() {
    // loop_wait 10 s, ttl 30 s: 40 s on the primary, 70 s on a replica.
    for (local, age, status) in [(primary(), 39, 200), (primary(), 41, 503), (replica(), 69, 200), (replica(), 71, 503)]
    {
        let world = World::new();
        world.publish(|snapshot| {
            snapshot.local = local.clone();
            snapshot.last_decision_at = Instant::now().checked_sub(Duration::from_secs(age)).unwrap();
        });
        assert_eq!(world.get("/liveness").await.status, status, "{age} s old");
        world.publish(|snapshot| snapshot.local.pause = true);
        assert_eq!(world.get("/liveness").await.status, 200, "in the pause");
    }
}
