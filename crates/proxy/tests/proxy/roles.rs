//! Who is led where, and who may stay when that changes.

use crate::world::*;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn each_port_leads_to_its_role() {
    let (a, b, c) = (server("a").await, server("b").await, server("c").await);
    let world = world(|_| {});
    world.route(Some(&a), &[&b, &c]);
    assert_eq!(ask(world.primary()).await.1, "a");
    // Each new connection goes where there are fewer, so two that stay open are on two servers.
    let (first, second) = (ask(world.replicas()).await, ask(world.replicas()).await);
    let mut answers = [first.1, second.1];
    answers.sort();
    assert_eq!(answers, ["b", "c"]);
}

#[tokio::test]
async fn without_replicas_the_replica_port_leads_to_the_primary_if_it_may() {
    let a = server("a").await;
    let world = world(|_| {});
    world.route(Some(&a), &[]);
    assert_eq!(ask(world.replicas()).await.1, "a");

    let strict = world_of_postgres(|config| {
        config.replicas_fall_back_to_primary = false;
        config.hold = Duration::from_millis(50);
    });
    strict.route(Some(&a), &[]);
    let mut client = connect(strict.replicas()).await;
    client.write_all(&startup_packet()).await.unwrap();
    assert_is_error(&read_to_end(client).await, "no replica is available");
}

#[tokio::test]
async fn a_replica_that_refuses_is_passed_over() {
    let (down, up) = (server("down").await, server("up").await);
    let world = world(|_| {});
    world.route(None, &[&down, &up]);
    drop(down);
    for _ in 0..8 {
        assert_eq!(ask(world.replicas()).await.1, "up");
    }
}

#[tokio::test]
async fn connections_to_a_member_that_is_no_longer_primary_are_reset_at_once() {
    let (a, b) = (server("a").await, server("b").await);
    let world = world(|_| {});
    world.route(Some(&a), &[&b]);
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(ask(world.primary()).await.0);
    }
    let start = Instant::now();
    world.route(None, &[&b]);
    for client in &mut clients {
        assert_reset(client).await;
    }
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    world.until(|now| now.primary.cut_total == 20 && now.primary.connections_now == 0).await;
    world.route(Some(&b), &[&a]);
    assert_eq!(ask(world.primary()).await.1, "b");
}

#[tokio::test]
async fn the_same_primary_under_a_new_epoch_keeps_its_connections() {
    let (a, b) = (server("a").await, server("b").await);
    let world = world(|_| {});
    world.route(Some(&a), &[]);
    let (mut client, _) = ask(world.primary()).await;
    world.route(Some(&a), &[&b]);
    world.route(Some(&a), &[]);
    assert_eq!(ask_on(&mut client).await.unwrap(), "a");
    assert_eq!(world.proxy.statistics().primary.cut_total, 0);
}

#[tokio::test]
async fn readers_stay_on_a_replica_that_became_primary_and_leave_one_that_is_gone() {
    let (a, b, c) = (server("a").await, server("b").await, server("c").await);
    let world = world(|_| {});
    world.route(Some(&a), &[&b]);
    let (mut on_b, answer) = ask(world.replicas()).await;
    assert_eq!(answer, "b");
    world.route(Some(&b), &[&c]);
    assert_eq!(ask_on(&mut on_b).await.unwrap(), "b", "it answers as before");
    let (mut on_c, answer) = ask(world.replicas()).await;
    assert_eq!(answer, "c");
    world.route(Some(&b), &[]);
    assert_reset(&mut on_c).await;
    assert_eq!(ask_on(&mut on_b).await.unwrap(), "b");
}

#[tokio::test]
async fn nobody_telling_the_roles_any_more_cuts_everything() {
    let a = server("a").await;
    let World { proxy, routes, shutdown: _shutdown } = world(|_| {});
    routes.send_modify(|routes| routes.primary = Some(a.target.clone()));
    let (mut client, _) = ask(proxy.primary_addresses()[0]).await;
    drop(routes);
    assert_reset(&mut client).await;
}

#[tokio::test]
async fn a_replica_that_accepts_nobody_new_keeps_its_readers() {
    let (a, b, c) = (server("a").await, server("b").await, server("c").await);
    let world = world(|_| {});
    world.route(Some(&a), &[&b]);
    let (mut on_b, answer) = ask(world.replicas()).await;
    assert_eq!(answer, "b");
    world.route(Some(&a), &[&b, &c]);
    world.routes.send_modify(|routes| routes.replicas[0].accepts = false);
    for _ in 0..4 {
        assert_eq!(ask(world.replicas()).await.1, "c");
    }
    world.routes.send_modify(|routes| routes.replicas[1].accepts = false);
    assert_eq!(ask(world.replicas()).await.1, "a", "none is left, so the primary serves");
    assert_eq!(ask_on(&mut on_b).await.unwrap(), "b", "it was there before");
    assert_eq!(world.proxy.statistics().replicas.cut_total, 0);
}

#[tokio::test]
async fn new_readers_go_where_there_are_fewest() {
    let servers = [server("a").await, server("b").await, server("c").await];
    let world = world(|_| {});
    world.route(None, &servers.each_ref());
    let mut clients = Vec::new();
    for _ in 0..30 {
        clients.push(ask(world.replicas()).await);
    }
    let numbers = |world: &World| -> Vec<usize> {
        world.proxy.replica_servers().iter().map(|server| server.connections_now).collect()
    };
    assert_eq!(numbers(&world), [10, 10, 10]);
    // Five leave one server; the next five go there.
    let mut leaving: Vec<_> = clients.extract_if(.., |(_, answer)| answer == "b").take(5).collect();
    assert_eq!(leaving.len(), 5);
    leaving.clear();
    world.until(|now| now.replicas.connections_now == 25).await;
    for _ in 0..5 {
        let client = ask(world.replicas()).await;
        assert_eq!(client.1, "b");
        clients.push(client);
    }
    assert_eq!(numbers(&world), [10, 10, 10]);
}
