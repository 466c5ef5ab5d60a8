//! Over a real socket: what a client may send, and what it gets.

use crate::world::World;
use console::serve;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Longer than anything here takes; the tests fail instead of hanging.
const DEADLINE: Duration = Duration::from_secs(30);

struct Server {
    world: World,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn start() -> Server {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(serve(listener, None, world.api.clone(), async {
        let _ = stopped.await;
    }));
    Server { world, address, stop, task }
}

/// Sends bytes and reads until the server closes.
async fn talk(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("the server did not close");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn whatever_is_sent_is_answered_and_the_server_lives_on() {
    let server = start().await;
    let long_line = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000));
    let long_header = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(100_000));
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(500));
    let announced = "PATCH /config HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 999999999999\r\n\r\n{";
    for (bytes, status) in [
        ("GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK"),
        ("OPTIONS /primary HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK"),
        ("HEAD /replica HTTP/1.0\r\n\r\n", "HTTP/1.0 503 Service Unavailable"),
        ("GET /leader HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK"),
        ("OPTIONS * HTTP/1.0\r\n\r\n", "HTTP/1.0 503"),
        ("GET http://x/primary HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK"),
        ("GET /?lag=%zz&%00=&&=&tag_=%ff HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK"),
        ("POST /switchover HTTP/1.0\r\n\r\n", "HTTP/1.0 411 Length Required"),
        ("POST /switchover HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.0 400 Bad Request"),
        ("BREW / HTTP/1.0\r\n\r\n", "HTTP/1.0 405 Method Not Allowed"),
        ("CONNECT x:1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"),
        (announced, "HTTP/1.1 413 Payload Too Large"),
        ("POST /restart HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        ("GET / HTTP/9.9\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        ("hello\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}", "HTTP/1.1 400 Bad Request"),
        (long_line.as_str(), "HTTP/1.1 431"),
        (long_header.as_str(), "HTTP/1.1 431"),
        (many_headers.as_str(), "HTTP/1.1 431"),
    ] {
        let answer = talk(server.address, bytes.as_bytes()).await;
        assert!(answer.starts_with(status), "{:?} got {answer:?}", &bytes[..bytes.len().min(60)]);
    }
    assert!(!server.task.is_finished());
}

#[tokio::test]
async fn one_connection_takes_many_requests() {
    let server = start().await;
    let requests = "GET /patroni HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3)
        + "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = talk(server.address, requests.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 4, "{answer}");
}

#[tokio::test]
async fn it_stops_when_told_also_with_connections_open_and_requests_waiting() {
    let server = start().await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let mut waiting = TcpStream::connect(server.address).await.unwrap();
    waiting.write_all(b"POST /restart HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut world = server.world;
    let request = tokio::time::timeout(DEADLINE, world.commands.recv()).await.unwrap();
    server.stop.send(()).unwrap();
    tokio::time::timeout(DEADLINE, server.task).await.expect("the server did not stop").unwrap();
    drop(request);
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_or_half_is_let_go() {
    let server = start().await;
    for bytes in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
        let answer = talk(server.address, bytes.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{bytes:?} got {answer:?}");
    }
    let kept = talk(server.address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(kept.starts_with("HTTP/1.1 200"), "{kept}");
    let slow = "PATCH /config HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{";
    let answer = talk(server.address, slow.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}
