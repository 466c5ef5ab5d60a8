//! The live stream, over a real socket: what listeners get, and what becomes of the slow and the many.

use super::world::World;
use console::{LISTENERS_MAX, serve};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

const DEADLINE: Duration = Duration::from_secs(30);
const REQUEST: &[u8] = b"GET /quorate/stream HTTP/1.1\r\nHost: x\r\n\r\n";

struct Listener {
    stream: TcpStream,
    seen: String,
}

impl Listener {
    async fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        Self { stream, seen: String::new() }
    }

    /// Reads until the text was seen; false: the server closed before.
    async fn wait_for(&mut self, text: &str) -> bool {
        let reading = async {
            let mut bytes = vec![0; 65536];
            while !self.seen.contains(text) {
                let read = self.stream.read(&mut bytes).await.unwrap_or(0);
                if read == 0 {
                    return false;
                }
                self.seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
            true
        };
        tokio::time::timeout(DEADLINE, reading).await.unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.seen))
    }
}

async fn start() -> (World, SocketAddr) {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, None, world.api.clone(), std::future::pending()));
    (world, address)
}

#[tokio::test]
async fn a_listener_sees_what_is_and_each_change_well_below_a_second() {
    let (world, address) = start().await;
    let mut listener = Listener::connect(address).await;
    assert!(listener.wait_for("\"leader\":\"pg1\"").await);
    assert!(listener.seen.contains("text/event-stream") && listener.seen.contains("event: overview"));
    world.store.put("leader", "pg2");
    let changed = Instant::now();
    world.publish(|_| {});
    assert!(listener.wait_for("\"leader\":\"pg2\"").await);
    assert!(changed.elapsed() < Duration::from_millis(500), "{:?}", changed.elapsed());
    // The same again is no news.
    let seen = listener.seen.matches("event: overview").count();
    world.publish(|_| {});
    world.store.put("leader", "pg3");
    world.publish(|_| {});
    assert!(listener.wait_for("\"leader\":\"pg3\"").await);
    assert_eq!(listener.seen.matches("event: overview").count(), seen + 1);
}

#[tokio::test]
async fn there_are_so_many_places_and_who_leaves_makes_room() {
    let (_world, address) = start().await;
    let mut listeners = Vec::new();
    for _ in 0..LISTENERS_MAX {
        let mut listener = Listener::connect(address).await;
        assert!(listener.wait_for("event: overview").await);
        listeners.push(listener);
    }
    let mut refused = Listener::connect(address).await;
    assert!(refused.wait_for("HTTP/1.1 503").await);
    listeners.pop();
    let deadline = Instant::now() + DEADLINE;
    loop {
        let mut next = Listener::connect(address).await;
        assert!(next.wait_for("\r\n").await);
        if next.seen.starts_with("HTTP/1.1 200") {
            return;
        }
        assert!(Instant::now() < deadline, "the place was not given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_listener_that_takes_nothing_is_dropped() {
    let (world, address) = start().await;
    let socket = TcpSocket::new_v4().unwrap();
    // As little as the kernel gives, so that the events pile up soon.
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = socket.connect(address).await.unwrap();
    slow.write_all(REQUEST).await.unwrap();
    let mut other = Listener::connect(address).await;
    assert!(other.wait_for("event: overview").await);
    // Every change is larger than what the kernel keeps for a connection.
    let reasons: Vec<String> = (0..4000).map(|n| format!("{n} {}", "x".repeat(500))).collect();
    let closed = async {
        for round in 0.. {
            world.publish(|snapshot| {
                let here: Vec<String> = reasons.iter().map(|reason| format!("{round} {reason}")).collect();
                snapshot.explanation = std::sync::Arc::new(serde_json::json!({"here": here}));
            });
            assert!(other.wait_for(&format!("\"{round} 3999 ")).await, "a listener that reads stays");
            other.seen.clear();
            tokio::time::sleep(Duration::from_millis(200)).await;
            if world.api.extras.listeners.free() == LISTENERS_MAX - 1 {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, closed).await.expect("the slow listener keeps its place");
    drop(slow);
}
