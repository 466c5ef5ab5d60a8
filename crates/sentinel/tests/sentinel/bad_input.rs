//! What should not be there: broken frames, endless ones, and clients that do not read.

use crate::support::{Ours, PATIENCE, free_port, wait_for};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn start() -> Ours {
    Ours::start(&format!(
        "client-output-buffer-limit pubsub 1mb 512kb 60\nsentinel monitor m 127.0.0.1 {} 2",
        free_port()
    ))
}

async fn send(sentinel: &Ours, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", sentinel.port)).await.expect("connected");
    // The other side may hang up before it has read all of it.
    let _ = stream.write_all(bytes).await;
    let mut reply = Vec::new();
    let mut piece = [0; 1024];
    while let Ok(Ok(count)) = tokio::time::timeout(PATIENCE, stream.read(&mut piece)).await
        && count > 0
    {
        reply.extend_from_slice(&piece[..count]);
    }
    String::from_utf8_lossy(&reply).into_owned()
}

#[tokio::test]
async fn a_broken_frame_is_answered_with_an_error_and_the_end() {
    let sentinel = start();
    for (bytes, expected) in [
        (b"*1\r\n$1073741824\r\n".to_vec(), "-ERR Protocol error: invalid bulk length\r\n"),
        (b"*1073741824\r\n".to_vec(), "-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*1\r\nPING\r\n".to_vec(), "-ERR Protocol error: expected '$', got 'P'\r\n"),
        (b"a \"b\r\n".to_vec(), "-ERR Protocol error: unbalanced quotes in request\r\n"),
        (b"*1\r\n*1\r\n*1\r\n".to_vec(), "-ERR Protocol error: expected '$', got '*'\r\n"),
    ] {
        assert_eq!(send(&sentinel, &bytes).await, expected, "{:?}", String::from_utf8_lossy(&bytes));
    }
    let endless = send(&sentinel, &vec![b'x'; 200_000]).await;
    assert!(endless.is_empty() || endless == "-ERR Protocol error: too big inline request\r\n", "{endless}");
    assert_eq!(crate::support::text(&sentinel.ask("PING").await), "PONG");
}

#[tokio::test]
async fn a_client_that_asks_and_does_not_read_is_not_answered_without_end() {
    let sentinel = start();
    let mut stream = TcpStream::connect(("127.0.0.1", sentinel.port)).await.expect("connected");
    let request = b"COMMAND DOCS\r\n".repeat(1000);
    // At some moment the sentinel stops reading, because nobody reads what it answers.
    let deadline = Instant::now() + PATIENCE;
    while let Ok(written) = tokio::time::timeout(Duration::from_millis(300), stream.write_all(&request)).await {
        written.expect("the connection stays");
        assert!(Instant::now() < deadline, "it reads on and on");
    }
    let list = crate::support::text(&sentinel.ask("CLIENT LIST").await);
    let largest = list.split_whitespace().filter_map(|word| word.strip_prefix("obl=")?.parse::<usize>().ok()).max();
    assert!(largest.expect("clients") < 4 * 1024 * 1024, "{list}");
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_is_cut_off() {
    let sentinel = start();
    let mut slow = TcpStream::connect(("127.0.0.1", sentinel.port)).await.expect("connected");
    slow.write_all(b"PSUBSCRIBE *\r\n").await.expect("sent");
    wait_for("the subscription", || async {
        crate::support::text(&sentinel.ask("CLIENT LIST TYPE pubsub").await).contains("psub=1").then_some(())
    })
    .await;
    let user = "u".repeat(100_000);
    let mut connection = sentinel.connect().await;
    let deadline = Instant::now() + PATIENCE;
    while crate::support::text(&sentinel.ask("CLIENT LIST TYPE pubsub").await).contains("psub=1") {
        assert!(Instant::now() < deadline, "it is never cut off");
        connection.call(&["SENTINEL", "SET", "m", "auth-user", &user], PATIENCE).await.expect("a reply");
    }
}

#[tokio::test]
async fn more_clients_than_maxclients_are_told_so() {
    let sentinel = Ours::start(&format!("maxclients 1\nsentinel monitor m 127.0.0.1 {} 2", free_port()));
    let _first = sentinel.connect().await;
    wait_for("the refusal", || async {
        (send(&sentinel, b"PING\r\n").await == "-ERR max number of clients reached\r\n").then_some(())
    })
    .await;
}
