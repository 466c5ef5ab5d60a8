//! The Redis writer against one plain redis-server that is killed under it, and against sentinels that move the master.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed step of the test's own world is a failed test")]

use drill::redis::deployment::{Deployment, DeploymentOptions};
use drill::redis::scenario::{self, Fault, Way};
use drill::redis::sentinel::{Maker, Timing};
use drill::redis::server::Server;
use drill::redis::writer::{Endpoint, RedisClient, read_back};
use drill::writer::{Clock, Pace, Writer};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const DEADLINE: Duration = Duration::from_secs(60);

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_killed_server_costs_a_gap_and_an_error_and_no_confirmed_write() {
    let directory = tempfile::tempdir().unwrap();
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut server = Server::new(directory.path(), address, None).unwrap();
    let clock = Clock::start();
    // Before the server is there, so that refused connections are seen, too.
    let writer = Writer::start(RedisClient::new(Endpoint::Fixed(address), None), "run", Pace::default(), clock);
    until("a connection is refused", || writer.last_error().is_some()).await;
    server.start().unwrap();
    until("writes are confirmed", || writer.last().is_some_and(|write| write.number > 20)).await;
    let fault_us = clock.now_us();
    server.program.kill().unwrap();
    until("the loss is noticed", || writer.last().is_some_and(|write| write.at_us + 50_000 < clock.now_us())).await;
    server.start().unwrap();
    until("writes go on", || writer.last().is_some_and(|write| write.at_us > fault_us + 150_000)).await;

    let record = writer.stop().await;
    assert!(record.gap_us(fault_us).unwrap() > 10_000);
    assert!(record.errors_after(fault_us) >= 1);
    assert!(record.acknowledged.iter().all(|write| write.node == address.to_string()));
    // A write is in the file before it is confirmed, and the kernel keeps the file.
    assert_eq!(record.lost(&read_back(&server.login(), "run").await.unwrap()), [0; 0]);
}

#[tokio::test]
async fn a_client_of_sentinel_follows_the_master_and_the_fault_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let mut deployment = Deployment::start(&DeploymentOptions {
        directory: directory.path().join("deployment"),
        first_address: Ipv4Addr::new(127, 0, 66, 11),
        makers: [Maker::Distribution, Maker::Distribution, Maker::Distribution],
        timing: Timing::FAST,
    })
    .unwrap();
    deployment.wait_whole(DEADLINE).await.unwrap();
    let report = scenario::run(&mut deployment, Fault::KillMaster, &mut |_| {}).await.unwrap();
    assert_eq!(report.old_master, "127.0.66.11");
    assert_ne!(report.new_master, report.old_master);
    let [(way, outcome)] = &report.outcomes[..] else { panic!("{report:?}") };
    assert_eq!(*way, Way::Sentinel);
    assert!(outcome.gap_ms > 900.0 && outcome.errors > 0, "down-after-milliseconds passes first: {report:?}");
    assert_eq!(outcome.split_brain_writes, 0, "{report:?}");
}
