//! Clients that wait for a server.

use crate::world::*;
use proxy::Target;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

#[tokio::test]
async fn a_new_connection_is_held_until_there_is_a_primary_and_keeps_what_it_sent() {
    let a = server("a").await;
    let world = world(|_| {});
    let mut client = connect(world.primary()).await;
    client.write_all(b"said before anybody listened").await.unwrap();
    world.until(|now| now.primary.held_now == 1).await;
    world.route(Some(&a), &[]);
    assert_eq!(read(&mut client).await.unwrap(), "said before anybody listened");
    assert_eq!(ask_on(&mut client).await.unwrap(), "a");
    world.until(|now| now.primary.held_now == 0 && now.primary.connections_now == 1).await;
}

#[tokio::test]
async fn while_the_primary_is_about_to_hand_over_connections_stay_and_new_ones_wait_for_the_next() {
    let (a, b) = (server("a").await, server("b").await);
    let world = world(|_| {});
    world.route(Some(&a), &[]);
    let (mut before, _) = ask(world.primary()).await;
    world.routes.send_modify(|routes| routes.holds = true);
    let mut during = connect(world.primary()).await;
    during.write_all(b"ping").await.unwrap();
    world.until(|now| now.primary.held_now == 1).await;
    assert_eq!(ask_on(&mut before).await.unwrap(), "a");
    world.routes.send_modify(|routes| {
        routes.primary = Some(b.target.clone());
        routes.holds = false;
    });
    assert_reset(&mut before).await;
    assert_eq!(read(&mut during).await.unwrap(), "b");
}

#[tokio::test]
async fn a_primary_that_refuses_is_tried_again_until_it_accepts() {
    let gone = server("a").await;
    let address = gone.target.address.clone();
    let world = world(|_| {});
    world.route(Some(&gone), &[]);
    drop(gone);
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = connect(world.primary()).await;
        client.write_all(b"ping").await.unwrap();
        clients.push(client);
    }
    world.until(|now| now.primary.held_now == 50).await;
    let _back = server_at("a", &address).await;
    let start = Instant::now();
    for client in &mut clients {
        assert_eq!(read(client).await.unwrap(), "a");
    }
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_held_connection_follows_the_routes_while_the_old_primary_is_silent() {
    // A listener whose queue is full answers nothing: the attempt hangs, as with a host that has lost its power.
    let silent = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    silent.bind(&LOCAL.parse::<SocketAddr>().unwrap().into()).unwrap();
    silent.listen(0).unwrap();
    let address = silent.local_addr().unwrap().as_socket().unwrap();
    let mut filling = JoinSet::new();
    for _ in 0..4 {
        filling.spawn(TcpStream::connect(address));
    }
    let _full = filling.join_next().await;

    let b = server("b").await;
    let world = world(|config| config.connect_timeout = DEADLINE);
    let target = Target { member: "a".to_owned(), address: address.to_string() };
    world.routes.send_modify(|routes| routes.primary = Some(target));
    let mut client = connect(world.primary()).await;
    client.write_all(b"ping").await.unwrap();
    world.until(|now| now.primary.connections_now == 1).await;
    let start = Instant::now();
    world.route(Some(&b), &[]);
    assert_eq!(read(&mut client).await.unwrap(), "b");
    assert!(start.elapsed() < PROMPT, "the hanging attempt was waited for: {:?}", start.elapsed());
}

#[tokio::test]
async fn a_client_that_gives_up_while_held_is_forgotten() {
    let world = world_of_postgres(|config| config.hold = Duration::from_hours(1));
    let mut client = connect(world.primary()).await;
    client.write_all(&startup_packet()).await.unwrap();
    world.until(|now| now.primary.held_now == 1).await;
    drop(client);
    world.until(|now| now.primary.held_now == 0 && now.primary.connections_now == 0).await;
}

#[tokio::test]
async fn a_client_that_sends_without_end_while_it_is_held_waits_like_the_others_and_loses_nothing() {
    const BYTES: usize = 32 * 1024 * 1024;
    let (a, world) = (server("a").await, world(|_| {}));
    let (mut reader, mut writer) = connect(world.primary()).await.into_split();
    let sent = pattern(0, BYTES);
    let expected = sent.clone();
    let sending = tokio::spawn(async move { writer.write_all(&sent).await.map(|()| writer) });
    world.until(|now| now.primary.held_now == 1).await;
    // Another one comes and goes meanwhile.
    let other = connect(world.primary()).await;
    world.until(|now| now.primary.connections_now == 2).await;
    drop(other);
    world.until(|now| now.primary.connections_now == 1).await;
    assert!(!sending.is_finished(), "it was read without end");
    world.route(Some(&a), &[]);
    let mut back = vec![0; BYTES];
    timeout(DEADLINE, reader.read_exact(&mut back)).await.expect("everything comes back").unwrap();
    assert!(back == expected, "what came back is not what was sent");
    drop(sending.await.unwrap().unwrap());
}
