//! What passes between a client and its server: everything, in order, with the ends of both streams, and no more at a time than
//! the slower side takes.

use crate::world::*;
use proxy::Routes;
use std::io;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Far more than all buffers on the way hold together.
const FLOOD_BYTES: usize = 64 * 1024 * 1024;
const PIECE_BYTES: usize = 100_000;
/// What two sockets on each side and the proxy may have taken in while nobody reads: the kernel's limits for a socket, four
/// times, with room to spare.
const UNREAD_BYTES_MAX: usize = 160 * 1024 * 1024;

/// Writes until it is told to stop or the other side does not take any more; how much was written.
async fn pour(stream: &mut TcpStream, total: usize) -> io::Result<usize> {
    let mut written = 0;
    while written < total {
        let piece = pattern(written, PIECE_BYTES.min(total - written));
        stream.write_all(&piece).await?;
        written += piece.len();
    }
    Ok(written)
}

async fn expect_flood(stream: &mut TcpStream, total: usize) {
    let mut seen = 0;
    let mut buffer = vec![0; 64 * 1024];
    while seen < total {
        let read = timeout(DEADLINE, stream.read(&mut buffer)).await.expect("the flood goes on").unwrap();
        assert!(read > 0, "it ended after {seen} bytes");
        assert!(buffer[..read] == pattern(seen, read), "something is wrong between {seen} and {}", seen + read);
        seen += read;
    }
}

/// As much as fits into all buffers on the way: until nothing more was taken for a while.
async fn fill_up(stream: &TcpStream) -> usize {
    const STILL: std::time::Duration = std::time::Duration::from_millis(300);
    let piece = vec![7; PIECE_BYTES];
    let mut written = 0;
    while let Ok(writable) = timeout(STILL, stream.writable()).await {
        writable.unwrap();
        match stream.try_write(&piece) {
            Ok(count) => written += count,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        assert!(written < UNREAD_BYTES_MAX, "{written} bytes were taken though nobody reads");
    }
    written
}

#[tokio::test]
async fn half_a_close_of_the_client_is_passed_on_and_the_server_may_still_answer() {
    let a = server("a").await;
    let world = world(|_| {});
    world.route(Some(&a), &[]);
    let (mut client, _) = ask(world.primary()).await;
    client.shutdown().await.unwrap();
    assert_eq!(read_to_end(client).await, b"bye");
    world.until(|now| now.primary.connections_now == 0).await;
}

#[tokio::test]
async fn half_a_close_of_the_server_is_passed_on_and_the_client_may_still_send() {
    let world = world(|_| {});
    let listener = raw_server(&world).await;
    let (mut client, mut server) = pair(&world, &listener).await;
    server.write_all(b"last words").await.unwrap();
    server.shutdown().await.unwrap();
    assert_eq!(read(&mut client).await.unwrap(), "last words");
    assert_eq!(read(&mut client).await.unwrap(), "", "the end of its stream");
    client.write_all(b"still here").await.unwrap();
    assert_eq!(read(&mut server).await.unwrap(), "still here");
    assert_eq!(world.proxy.statistics().primary.connections_now, 1);
    drop(client);
    assert_eq!(read(&mut server).await.unwrap(), "");
    world.until(|now| now.primary.connections_now == 0).await;
}

#[tokio::test]
async fn a_flood_arrives_whole_in_both_directions_at_once_and_is_counted() {
    let world = world(|_| {});
    let listener = raw_server(&world).await;
    let (client, server) = pair(&world, &listener).await;
    let both = |stream: TcpStream| async move {
        let (mut reader, mut writer) = stream.into_split();
        let writing = tokio::spawn(async move {
            let mut written = 0;
            while written < FLOOD_BYTES {
                let piece = pattern(written, PIECE_BYTES.min(FLOOD_BYTES - written));
                writer.write_all(&piece).await.unwrap();
                written += piece.len();
            }
            writer
        });
        let (mut seen, mut buffer) = (0, vec![0; 64 * 1024]);
        while seen < FLOOD_BYTES {
            let read = timeout(DEADLINE, reader.read(&mut buffer)).await.expect("the flood goes on").unwrap();
            assert!(read > 0 && buffer[..read] == pattern(seen, read), "after {seen} bytes");
            seen += read;
        }
        (reader, writing.await.unwrap())
    };
    let (client, server) = tokio::join!(tokio::spawn(both(client)), tokio::spawn(both(server)));
    drop((client.unwrap(), server.unwrap()));
    world.until(|now| now.primary.connections_now == 0).await;
    let numbers = world.proxy.statistics().primary;
    assert_eq!(numbers.bytes_up_total, FLOOD_BYTES as u64 + 1);
    assert_eq!(numbers.bytes_down_total, FLOOD_BYTES as u64);
}

#[tokio::test]
async fn small_messages_between_floods_arrive_at_once() {
    let world = world(|_| {});
    let listener = raw_server(&world).await;
    let (mut client, mut server) = pair(&world, &listener).await;
    for _ in 0..5 {
        let (poured, ()) = tokio::join!(pour(&mut server, 4_000_000), expect_flood(&mut client, 4_000_000));
        poured.unwrap();
        for _ in 0..5 {
            client.write_all(b"question").await.unwrap();
            assert_eq!(read(&mut server).await.unwrap(), "question");
            server.write_all(b"answer").await.unwrap();
            assert_eq!(read(&mut client).await.unwrap(), "answer");
        }
    }
}

#[tokio::test]
async fn a_client_that_never_reads_slows_its_server_down_and_nobody_else() {
    let world = world(|_| {});
    let listener = raw_server(&world).await;
    let (mut silent, mut server) = pair(&world, &listener).await;
    let taken = fill_up(&server).await;
    let (mut other, mut others_server) = pair(&world, &listener).await;
    others_server.write_all(b"as usual").await.unwrap();
    assert_eq!(read(&mut other).await.unwrap(), "as usual");
    // And when it reads after all, everything is there.
    let mut rest = vec![0; taken];
    timeout(DEADLINE, silent.read_exact(&mut rest)).await.expect("it comes").unwrap();
    assert!(rest.iter().all(|byte| *byte == 7));
    server.write_all(b"more").await.unwrap();
    assert_eq!(read(&mut silent).await.unwrap(), "more");
}

#[tokio::test]
async fn both_sides_see_a_cut_at_once_also_when_all_buffers_are_full() {
    let world = world(|_| {});
    let listener = raw_server(&world).await;
    let (mut client, mut server) = pair(&world, &listener).await;
    fill_up(&server).await;
    let start = Instant::now();
    world.routes.send_modify(|routes| *routes = Routes::default());
    let mut buffer = [0; 1024];
    let seen_by_server = timeout(DEADLINE, server.read(&mut buffer)).await.expect("at once");
    assert_eq!(seen_by_server.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    // What had arrived before may be read or be gone; then comes the reset.
    let seen_by_client = loop {
        match timeout(DEADLINE, client.read(&mut buffer)).await.expect("at once") {
            Ok(0) => panic!("an orderly end would look as if everything had been sent"),
            Ok(_) => {}
            Err(error) => break error.kind(),
        }
    };
    assert_eq!(seen_by_client, io::ErrorKind::ConnectionReset);
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    world.until(|now| now.primary.cut_total == 1 && now.primary.connections_now == 0).await;
}

#[tokio::test]
async fn a_client_that_breaks_off_is_a_reset_for_its_server() {
    let world = world(|_| {});
    let listener = raw_server(&world).await;
    let (client, mut server) = pair(&world, &listener).await;
    socket2::SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(client);
    assert_reset(&mut server).await;
    world.until(|now| now.primary.connections_now == 0 && now.primary.cut_total == 0).await;
}

#[tokio::test]
async fn the_last_words_of_a_server_that_breaks_off_reach_its_client() {
    let world = world(|_| {});
    let listener = raw_server(&world).await;
    let (mut client, mut server) = pair(&world, &listener).await;
    server.write_all(b"terminating connection").await.unwrap();
    // What it has not read makes its close a reset, as when PostgreSQL ends a session that has just been asked something.
    client.write_all(b"?").await.unwrap();
    timeout(DEADLINE, server.readable()).await.expect("the question arrives").unwrap();
    drop(server);
    assert_eq!(read_to_end(client).await, b"terminating connection");
}
