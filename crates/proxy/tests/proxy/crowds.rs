//! Thousands of connections at once.

use crate::world::*;
use proxy::EngineConfig;
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const CROWD: usize = 2000;
/// A client's socket, the proxy's two and the server's, all in this process.
const FILES: u64 = CROWD as u64 * 4 + 500;

async fn crowd(world: &World, count: usize) -> Vec<TcpStream> {
    let mut asking = JoinSet::new();
    let address = world.primary();
    for _ in 0..count {
        asking.spawn(async move { ask(address).await });
    }
    let mut clients = Vec::new();
    while let Some(done) = asking.join_next().await {
        let (client, answer) = done.unwrap();
        assert_eq!(answer, "a");
        clients.push(client);
    }
    clients
}

fn large() -> EngineConfig {
    let files = platform::allow_open_files(FILES);
    assert!(files >= FILES, "this test needs {FILES} open files, and {files} are allowed: ulimit -n");
    EngineConfig { threads: Some(2), connections_max: Some(CROWD + 100) }
}

#[tokio::test]
async fn thousands_of_connections_are_served_and_cut_at_once() {
    let (a, b) = (server("a").await, server("b").await);
    let world = world_on(large(), |_| {});
    world.route(Some(&a), &[]);
    let mut clients = crowd(&world, CROWD).await;
    assert_eq!(world.proxy.statistics().primary.connections_now, CROWD as u64);
    for client in clients.iter_mut().step_by(50) {
        assert_eq!(ask_on(client).await.unwrap(), "a");
    }
    let start = Instant::now();
    world.route(Some(&b), &[]);
    for client in &mut clients {
        assert_reset(client).await;
    }
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    world.until(|now| now.primary.cut_total == CROWD as u64 && now.primary.connections_now == 0).await;
}

#[tokio::test]
async fn a_thousand_held_clients_are_let_in_when_there_is_a_primary() {
    let a = server("a").await;
    let world = world_on(large(), |_| {});
    let address = world.primary();
    let mut asking = JoinSet::new();
    for _ in 0..1000 {
        asking.spawn(async move { ask(address).await });
    }
    world.until(|now| now.primary.held_now == 1000).await;
    let start = Instant::now();
    world.route(Some(&a), &[]);
    while let Some(done) = asking.join_next().await {
        assert_eq!(done.unwrap().1, "a");
    }
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
}
