//! Switchover and failover: the checks, and the wait for what comes of them.

use crate::world::{Answer, World, ask, member};
use std::time::Duration;

async fn check(world: &World, path: &str, body: &str, status: u16, text: &str) {
    let answer = ask(&world.api, "POST", path, Some(body)).await;
    assert_eq!((answer.status, answer.body.as_str()), (status, text), "{path} {body}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_patronis_words() {
    let world = World::new();
    let past = "Cannot schedule switchover in the past";
    for (path, body, status, text) in [
        ("/switchover", r#"{"candidate":"pg2"}"#, 400, "Switchover could be performed only from a specific leader"),
        (
            "/switchover",
            r#"{"leader":null,"candidate":"pg2"}"#,
            400,
            "Switchover could be performed only from a specific leader",
        ),
        ("/failover", r#"{"leader":"pg1"}"#, 400, "Failover could be performed only to a specific candidate"),
        ("/failover", r#"{"candidate":"pg2","scheduled_at":"2099-01-01T00:00Z"}"#, 400, "Failover can't be scheduled"),
        ("/switchover", r#"{"leader":"pg1","candidate":"pg1"}"#, 400, "Switchover target and source are the same"),
        ("/switchover", r#"{"leader":1}"#, 400, "leader must be a text"),
        ("/switchover", r#"{"leader":"pg1","scheduled_at":"2020-01-01T00:00Z"}"#, 422, past),
        (
            "/switchover",
            r#"{"leader":"pg1","scheduled_at":"2099-01-01T00:00"}"#,
            400,
            "Timezone information is mandatory for the scheduled switchover",
        ),
        ("/switchover", r#"{"leader":"pg2"}"#, 412, "leader name does not match"),
        ("/failover", r#"{"leader":"pg9","candidate":"pg2"}"#, 412, "leader name does not match"),
        ("/switchover", r#"{"leader":"pg1","candidate":"pg9"}"#, 412, "candidate does not exists"),
        (
            "/switchover",
            r#"{"leader":"pg1","candidate":"pg3"}"#,
            412,
            "switchover is not possible: no good candidates have been found",
        ),
        ("/failover", r#"{"candidate":"pg3"}"#, 412, "failover is not possible: no good candidates have been found"),
        ("/failover", r#"{"candidate":"pg1"}"#, 412, "failover is not possible: \"pg1\" is the leader already"),
    ] {
        check(&world, path, body, status, text).await;
    }
    assert_eq!(world.store.get("failover"), None);
}

#[tokio::test]
async fn synchronous_mode_and_the_pause_have_their_own_rules() {
    let world = World::new();
    world.store.put("config", r#"{"synchronous_mode":true}"#);
    let none = "switchover is not possible: can not find sync_standby";
    check(&world, "/switchover", r#"{"leader":"pg1"}"#, 412, none).await;
    world.store.put("sync", r#"{"leader":"pg1","sync_standby":"pg3"}"#);
    let other = "candidate name does not match with sync_standby";
    check(&world, "/switchover", r#"{"leader":"pg1","candidate":"pg2"}"#, 412, other).await;
    world.store.put("config", r#"{"pause":true}"#);
    let specific = "Switchover is possible only to a specific candidate in a paused state";
    check(&world, "/switchover", r#"{"leader":"pg1"}"#, 400, specific).await;
    let body = r#"{"leader":"pg1","scheduled_at":"2099-01-01T00:00Z"}"#;
    check(&world, "/switchover", body, 400, "Can't schedule switchover in the paused state").await;
}

#[tokio::test]
async fn a_cluster_of_one_has_nowhere_to_go() {
    let world = World::new();
    world.store.delete("members/pg2");
    world.store.delete("members/pg3");
    let alone = "switchover is not possible: cluster does not have members except leader";
    check(&world, "/switchover", r#"{"leader":"pg1"}"#, 412, alone).await;
}

/// Patroni empties the key where we delete it.
#[tokio::test]
async fn a_request_that_patroni_emptied_is_in_nobodys_way() {
    let world = World::new();
    world.store.put("failover", "{}");
    let body = r#"{"leader":"pg1","candidate":"pg2","scheduled_at":"2099-01-01T02:00+02:00"}"#;
    check(&world, "/switchover", body, 202, "Switchover scheduled").await;
}

#[tokio::test]
async fn a_scheduled_switchover_is_noted_and_can_be_withdrawn() {
    let world = World::new();
    let body = r#"{"leader":"pg1","candidate":"pg2","scheduled_at":"2099-01-01T02:00+02:00"}"#;
    check(&world, "/switchover", body, 202, "Switchover scheduled").await;
    let stored = r#"{"leader":"pg1","member":"pg2","scheduled_at":"2099-01-01T02:00:00+02:00"}"#;
    assert_eq!(world.store.get("failover").as_deref(), Some(stored));
    for (status, text) in [(200, "scheduled switchover deleted"), (404, "no switchover is scheduled")] {
        let answer = ask(&world.api, "DELETE", "/switchover", None).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, text));
    }
    assert_eq!(world.store.get("failover"), None);
}

/// Sends the request and lets `cluster` play what the members do, once the wish is in the store.
async fn play(world: &World, path: &str, body: &str, cluster: impl AsyncFnOnce()) -> Answer {
    let members = async {
        while world.store.get("failover").is_none() {
            tokio::task::yield_now().await;
        }
        // An old view, which must not count as a failure although it knows of no wish.
        world.snapshots.send_modify(|_| {});
        cluster().await;
    };
    tokio::join!(ask(&world.api, "POST", path, Some(body)), members).0
}

/// Publishes the store's keys and lets the API look at them.
async fn seen(world: &World) {
    world.publish(|_| {});
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

/// From the wish to the new primary, step by step.
async fn lead(world: &World, name: &str) {
    seen(world).await;
    world.store.delete("leader");
    seen(world).await;
    world.store.put("leader", name);
    world.store.put(&format!("members/{name}"), &member(name, "replica", r#","quorate":{"claim":true}"#));
    world.store.delete("failover");
    seen(world).await;
    world.store.put(&format!("members/{name}"), &member(name, "primary", r#","quorate":{"claim":true}"#));
    seen(world).await;
    world
        .store
        .put(&format!("members/{name}"), &member(name, "primary", r#","quorate":{"claim":true,"writable":true}"#));
    seen(world).await;
}

#[tokio::test(start_paused = true)]
async fn success_is_a_new_leader_that_takes_writes() {
    for (path, body, leader, text) in [
        ("/switchover", r#"{"leader":"pg1","candidate":"pg2"}"#, "pg2", r#"Successfully switched over to "pg2""#),
        ("/switchover", r#"{"leader":"pg1"}"#, "pg2", r#"Successfully switched over to "pg2""#),
        ("/failover", r#"{"member":"pg2"}"#, "pg2", r#"Successfully failed over to "pg2""#),
        ("/failover", r#"{"candidate":"pg2"}"#, "pg3", r#"Failed over to "pg3" instead of "pg2""#),
        ("/failover", r#"{"leader":"pg1","candidate":"pg2"}"#, "pg3", r#"Switched over to "pg3" instead of "pg2""#),
    ] {
        let world = World::new();
        let answer = play(&world, path, body, async || lead(&world, leader).await).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, text), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_that_is_not_writable_yet_is_no_success() {
    let world = World::new();
    let body = r#"{"leader":"pg1","candidate":"pg2"}"#;
    let answer = play(&world, "/switchover", body, async || {
        world.store.put("leader", "pg2");
        world.store.delete("failover");
        seen(&world).await;
    })
    .await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "Switchover status unknown after 20 seconds"));
}

#[tokio::test(start_paused = true)]
async fn a_wish_that_vanishes_while_the_leader_stays_has_failed() {
    let world = World::new();
    let body = r#"{"leader":"pg1","candidate":"pg2"}"#;
    let answer = play(&world, "/switchover", body, async || {
        seen(&world).await;
        world.store.delete("failover");
        seen(&world).await;
    })
    .await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "Switchover failed"));
}

#[tokio::test(start_paused = true)]
async fn silence_ends_after_twice_the_loop() {
    let world = World::new();
    world.store.put("config", r#"{"loop_wait":15}"#);
    let started = tokio::time::Instant::now();
    let answer = play(&world, "/failover", r#"{"candidate":"pg2"}"#, async || seen(&world).await).await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "Failover status unknown after 30 seconds"));
    assert_eq!(started.elapsed().as_secs(), Duration::from_secs(30).as_secs());
}
