//! The writer against one plain PostgreSQL that is killed under it.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed step of the test's own world is a failed test")]

use drill::analysis::split_brain_writes;
use drill::cluster::{POSTGRES_USER, find_user};
use drill::process::belonging_to;
use drill::writer::{Clock, Pace, Writer, login, prepare_table, read_back};
use rustix::process::Signal;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

const ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;
const DEADLINE: Duration = Duration::from_secs(60);

/// A server with a directory of its own, run as an unprivileged user when we are root.
struct Server {
    directory: TempDir,
    port: u16,
    postmaster: Option<Child>,
}

impl Server {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        if let Some((uid, gid)) = unprivileged() {
            chown(directory.path(), Some(uid), Some(gid)).unwrap();
        }
        let port = TcpListener::bind((ADDRESS, 0)).unwrap().local_addr().unwrap().port();
        let server = Self { directory, port, postmaster: None };
        let done = server.command("initdb").args(["--no-sync", "--auth=trust", "--username=postgres"]).status();
        assert!(done.unwrap().success());
        server
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(newest_postgres().join(program));
        command
            .arg("-D")
            .arg(self.data())
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if let Some((uid, gid)) = unprivileged() {
            command.uid(uid).gid(gid);
        }
        command
    }

    fn start(&mut self) {
        let sockets = format!("unix_socket_directories={}", self.directory.path().display());
        let mut command = self.command("postgres");
        command.args(["-c", &sockets, "-c", &format!("listen_addresses={ADDRESS}"), "-p", &self.port.to_string()]);
        self.postmaster = Some(command.stderr(Stdio::null()).spawn().unwrap());
    }

    fn signal(&mut self, signal: Signal) {
        if let Some(mut postmaster) = self.postmaster.take() {
            for process in belonging_to(&[postmaster.id()], self.directory.path()) {
                process.signal(signal);
            }
            postmaster.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::QUIT);
    }
}

fn unprivileged() -> Option<(u32, u32)> {
    rustix::process::geteuid().is_root().then(|| find_user(POSTGRES_USER).unwrap())
}

fn newest_postgres() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir(Path::new("/usr/lib/postgresql"))
        .unwrap()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|path| path.join("postgres").is_file())
        .collect();
    found.sort();
    found.pop().expect("PostgreSQL is installed")
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_killed_server_costs_a_gap_and_an_error_and_no_confirmed_write() {
    let mut server = Server::new();
    let config = login(ADDRESS.into(), server.port, "");
    let clock = Clock::start();
    // Before the server is there, so that refused connections are seen, too.
    let writer = Writer::start(config.clone(), "run", Pace::default(), clock);
    until("a connection is refused", || writer.last_error().is_some()).await;
    server.start();
    until("a missing table is an error", || writer.last_error().is_some_and(|text| text.starts_with("42P01"))).await;
    let other = Writer::start(config.clone(), "other run", Pace::default(), clock);
    prepare_table(&config).await.unwrap();
    until("writes are confirmed", || writer.last().is_some_and(|write| write.number > 20)).await;
    until("the other writer writes, too", || other.last().is_some()).await;

    let fault_us = clock.now_us();
    server.signal(Signal::KILL);
    until("the loss is noticed", || writer.last_error().is_some_and(|text| !text.starts_with("42P01"))).await;
    server.start();
    until("writes go on", || writer.last().is_some_and(|write| write.at_us > fault_us + 100_000)).await;

    let (record, other) = (writer.stop().await, other.stop().await);
    let gap_us = record.gap_us(fault_us).unwrap();
    assert!(gap_us > 10_000, "a restart takes longer than the usual distance: {gap_us}");
    assert!(record.errors_after(fault_us) >= 1);
    let node = format!("{ADDRESS}:{}", server.port);
    assert!(record.acknowledged.iter().all(|write| write.node == node));
    assert!(record.acknowledged.windows(2).all(|pair| pair[0].number < pair[1].number));

    let rows = read_back(&config, "run").await.unwrap();
    let other_rows = read_back(&config, "other run").await.unwrap();
    assert!(rows.len() >= record.acknowledged.len());
    assert_eq!(record.lost(&rows), [0; 0]);
    assert_eq!(split_brain_writes(&[(&record, &rows), (&other, &other_rows)], &node, fault_us), 0);
    assert_eq!(other.lost(&other_rows), [0; 0], "each run is counted by itself");
}
