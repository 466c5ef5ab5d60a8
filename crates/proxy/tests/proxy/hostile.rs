//! Scanners, garbage, the slow and the silent: they cost no server anything, and nobody notices them.

use crate::world::*;
use proxy::{EngineConfig, Service};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

async fn is_closed_without_a_word(mut client: TcpStream) {
    let mut answer = Vec::new();
    let _ = timeout(DEADLINE, client.read_to_end(&mut answer)).await.expect("closed within the deadline");
    assert_eq!(answer, b"");
}

#[tokio::test]
async fn what_is_not_postgresql_is_closed_before_any_server_hears_of_it() {
    let world = world_of_postgres(|_| {});
    let listener = raw_server(&world).await;
    let oversized = [20_000u32.to_be_bytes(), 196_608u32.to_be_bytes()].concat();
    let cases: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n",
        b"\0\0\0\0\0\0\0\0",
        &oversized,
        &[0xFF; 12_000],
    ];
    for garbage in cases {
        let mut client = connect(world.primary()).await;
        // The proxy may close while we are still sending.
        let _ = client.write_all(garbage).await;
        is_closed_without_a_word(client).await;
    }
    world.until(|now| now.primary.unopened_total == 6 && now.primary.connections_now == 0).await;
    let mut client = connect(world.primary()).await;
    client.write_all(&startup_packet()).await.unwrap();
    let (mut first, _) = listener.accept().await.unwrap();
    assert_eq!(read(&mut first).await.unwrap().as_bytes(), startup_packet(), "the first thing the server hears");
}

#[tokio::test]
async fn what_only_begins_like_postgresql_ends_with_its_hold_time() {
    let world = world_of_postgres(|config| config.hold = Duration::from_millis(50));
    let endless = [request(80_877_103), request(80_877_103), request(80_877_103), request(80_877_103)].concat();
    let cancel = [16u32, 80_877_102, 1, 2].map(u32::to_be_bytes).concat();
    for begun in [&endless[..], &cancel, b"\x16\x03\x01\x02\0\x01\0\x01", &startup_packet()[..9]] {
        let mut client = connect(world.primary()).await;
        client.write_all(begun).await.unwrap();
        let mut answer = Vec::new();
        let _ = timeout(DEADLINE, client.read_to_end(&mut answer)).await.expect("closed within the deadline");
        assert!(answer.len() <= 3 && answer.iter().all(|byte| *byte == b'N'), "{answer:?}");
    }
    world.until(|now| now.primary.connections_now == 0).await;
}

#[tokio::test]
async fn a_scanner_that_comes_and_goes_reaches_no_server() {
    let world = world(|_| {});
    let listener = raw_server(&world).await;
    let (mut client, mut server) = pair(&world, &listener).await;
    for _ in 0..20 {
        for _ in 0..100 {
            drop(connect(world.primary()).await);
        }
        client.write_all(b"question").await.unwrap();
        assert_eq!(read(&mut server).await.unwrap(), "question");
    }
    world.until(|now| now.primary.unopened_total == 2000 && now.primary.connections_now == 1).await;
    let (_second, mut seconds_server) = pair(&world, &listener).await;
    seconds_server.write_all(b"and no other connection came between").await.unwrap();
}

#[tokio::test]
async fn those_who_say_nothing_make_room_for_those_who_speak() {
    let a = server("a").await;
    let world = world_on(EngineConfig { connections_max: Some(3), ..SMALL }, |config| config.service = Service::Redis);
    world.route(Some(&a), &[]);
    let mut silent = Vec::new();
    for count in 1..=3 {
        silent.push(connect(world.primary()).await);
        world.until(|now| now.primary.connections_now == count).await;
    }
    let (mut speaker, answer) = ask(world.primary()).await;
    assert_eq!(answer, "a");
    is_closed_without_a_word(silent.remove(0)).await;
    // The others have lost nothing, and are served when they speak.
    for waiting in &mut silent {
        assert_eq!(ask_on(waiting).await.unwrap(), "a");
    }
    let refused = connect(world.primary()).await;
    assert_eq!(read_to_end(refused).await, b"-ERR max number of clients reached at the proxy\r\n");
    assert_eq!(ask_on(&mut speaker).await.unwrap(), "a");
}

#[tokio::test]
async fn a_client_that_speaks_one_byte_at_a_time_is_served() {
    let world = world_of_postgres(|_| {});
    let listener = raw_server(&world).await;
    let mut client = connect(world.primary()).await;
    client.set_nodelay(true).unwrap();
    let packet = startup_packet();
    for byte in &packet {
        client.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let (mut server, _) = timeout(DEADLINE, listener.accept()).await.expect("the proxy connects").unwrap();
    let mut received = vec![0; packet.len()];
    timeout(DEADLINE, server.read_exact(&mut received)).await.expect("all of it").unwrap();
    assert_eq!(received, packet);
}
