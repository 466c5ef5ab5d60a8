//! Clients that are turned away, and how they learn why.

use crate::world::*;
use proxy::{EngineConfig, Service};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn a_redis_client_whose_hold_time_is_over_reads_an_error_reply() {
    let world = world(|config| config.hold = Duration::from_millis(50));
    for said in ["PING\r\n", "*1\r\n$4\r\nPING\r\n"] {
        let mut client = connect(world.primary()).await;
        client.write_all(said.as_bytes()).await.unwrap();
        let answer = String::from_utf8(read_to_end(client).await).unwrap();
        assert!(answer.starts_with("-ERR no Redis master is available") && answer.ends_with("\r\n"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_client_whose_hold_time_is_over_reads_a_postgresql_error() {
    let world = world_of_postgres(|config| config.hold = Duration::from_millis(50));
    for encryption_requests in [&[][..], &[80_877_103], &[80_877_104], &[80_877_104, 80_877_103]] {
        let mut client = connect(world.primary()).await;
        for code in encryption_requests {
            client.write_all(&request(*code)).await.unwrap();
            assert_eq!(read(&mut client).await.unwrap(), "N");
        }
        // In two pieces, as a slow network may deliver it.
        let packet = startup_packet();
        client.write_all(&packet[..5]).await.unwrap();
        tokio::task::yield_now().await;
        client.write_all(&packet[5..]).await.unwrap();
        assert_is_error(&read_to_end(client).await, "no primary is available");
    }
    assert_eq!(world.proxy.statistics().primary.refused_total, 4);
}

#[tokio::test]
async fn too_many_connections_are_told_so() {
    let a = server("a").await;
    let world =
        world_on(EngineConfig { connections_max: Some(2), ..SMALL }, |config| config.service = Service::Postgres);
    world.route(Some(&a), &[]);
    let first = introduce(world.primary()).await;
    let _second = introduce(world.replicas()).await;
    let mut third = connect(world.primary()).await;
    third.write_all(&startup_packet()).await.unwrap();
    assert_is_error(&read_to_end(third).await, "too many connections through the proxy");
    drop(first);
    world.until(|now| now.primary.connections_now == 0).await;
    introduce(world.primary()).await;
}

#[tokio::test]
async fn a_client_that_says_a_lot_while_it_is_held_is_refused_like_the_others() {
    let world = world_of_postgres(|config| config.hold = Duration::from_millis(50));
    let mut packet = startup_packet();
    packet.resize(9_999, b'x');
    packet[..4].copy_from_slice(&9_999_u32.to_be_bytes());
    let mut client = connect(world.primary()).await;
    client.write_all(&packet).await.unwrap();
    assert_is_error(&read_to_end(client).await, "no primary is available");
}
