//! Starting, breaking and ending members, with a stand-in for the agent: a script that starts a "worker" and waits.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed step of the test's own world is a failed test")]

use drill::cluster::{Cluster, ClusterOptions, StoreKind};
use drill::member::{Member, Part};
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(20);

/// The guard starts a worker, the worker starts something that outlives it and has a child, as PostgreSQL would.
const AGENT: &str = r#"#!/bin/sh
case $1 in
agent) "$0" worker "$2" & wait ;;
worker) "$0" deeper & wait ;;
deeper) sleep 1000; : ;;
esac
"#;

const PROCESSES: usize = 4;

fn stand_in(directory: &Path) -> PathBuf {
    let path = directory.join("quorate");
    fs::write(&path, AGENT).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::yield_now();
    }
}

fn started(directory: &Path, first_address: Ipv4Addr) -> Cluster {
    let mut options = ClusterOptions::new(stand_in(directory), directory.join("cluster"));
    options.first_address = first_address;
    let cluster = Cluster::start(options).unwrap();
    for member in cluster.members() {
        until("all of them run", || member.processes().len() == PROCESSES && member.worker().is_some());
    }
    cluster
}

/// One letter per process, as `ps` shows it: S sleeps, T is stopped.
fn state(member: &Member, pick: fn(&Member) -> Option<drill::process::Process>) -> char {
    let pid = pick(member).unwrap().pid;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}

#[test]
fn members_are_killed_frozen_and_started_again_and_nothing_is_left() {
    let temporary = tempfile::tempdir().unwrap();
    fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut cluster = started(temporary.path(), Ipv4Addr::new(127, 0, 61, 11));
    assert_eq!(cluster.members().iter().map(|member| member.name.as_str()).collect::<Vec<_>>(), ["pg1", "pg2", "pg3"]);
    let config = fs::read_to_string(cluster.members()[2].config_file.clone()).unwrap();
    assert!(config.contains("127.0.61.13:5432"), "{config}");

    let first = cluster.member("pg1").unwrap();
    first.freeze(Part::Worker).unwrap();
    until("the worker is stopped", || state(first, Member::worker) == 'T');
    assert_ne!(state(first, Member::guard), 'T');
    first.freeze(Part::Everything).unwrap();
    until("the guard is stopped, too", || state(first, Member::guard) == 'T');
    first.resume(Part::Everything).unwrap();
    until("both go on", || state(first, Member::worker) == 'S' && state(first, Member::guard) == 'S');
    first.freeze(Part::GuardAndWorker).unwrap(); // what is frozen can be killed

    let first = cluster.member_mut("pg1").unwrap();
    // Not always all of them: frozen processes that lose their parent are hung up by the kernel, which is a race.
    assert!((1..=PROCESSES).contains(&first.kill().unwrap()));
    assert!(!first.is_running().unwrap());
    assert!(first.processes().is_empty());
    first.start().unwrap();
    until("it is back", || cluster.member("pg1").unwrap().processes().len() == PROCESSES);

    // A guard that dies alone leaves the worker, which is still found by its place.
    let second = cluster.member_mut("pg2").unwrap();
    second.kill_guard().unwrap();
    until("the guard is gone", || !second.is_running().unwrap());
    assert!(second.worker().is_some());
    assert!(second.kill_postmaster().is_err(), "there is none");
    second.kill_worker().unwrap();
    until("the worker is gone", || second.worker().is_none());
    assert_eq!(second.processes().len(), 2, "what has lost its parents is still found");

    let pids: Vec<i32> = cluster.members().iter().flat_map(Member::processes).map(|process| process.pid).collect();
    assert_eq!(pids.len(), 2 * PROCESSES + 2);
    let directory = cluster.options().directory.clone();
    drop(cluster);
    let left: Vec<_> = drill::process::all().into_iter().filter(|process| pids.contains(&process.pid)).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!directory.exists());
}

#[test]
fn nothing_is_started_when_a_port_is_taken_or_the_directory_is_somebody_elses() {
    let temporary = tempfile::tempdir().unwrap();
    fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut options = ClusterOptions::new(stand_in(temporary.path()), temporary.path().join("cluster"));
    options.first_address = Ipv4Addr::new(127, 0, 62, 11);
    let taken = TcpListener::bind(("127.0.62.12", 5432)).unwrap();
    let error = format!("{:#}", Cluster::start(options.clone()).unwrap_err());
    assert!(error.contains("127.0.62.12:5432") && error.contains("hint: "), "{error}");
    drop(taken);

    options.directory = temporary.path().to_owned(); // the stand-in is in it
    let error = format!("{:#}", Cluster::start(options).unwrap_err());
    assert!(error.contains("not empty"), "{error}");
    assert!(temporary.path().join("quorate").exists());
}

#[tokio::test]
async fn a_member_that_ends_is_reported_with_its_last_words() {
    let temporary = tempfile::tempdir().unwrap();
    fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let quorate = temporary.path().join("quorate");
    fs::write(&quorate, "#!/bin/sh\necho 'the key foo is not known' >&2\nexit 2\n").unwrap();
    fs::set_permissions(&quorate, fs::Permissions::from_mode(0o755)).unwrap();
    let mut options = ClusterOptions::new(quorate, temporary.path().join("cluster"));
    options.first_address = Ipv4Addr::new(127, 0, 63, 11);
    let mut cluster = Cluster::start(options).unwrap();
    let error = cluster.wait_whole(DEADLINE).await.unwrap_err().to_string();
    assert!(error.contains(" ended (") && error.contains("the key foo is not known"), "{error}");
}

#[tokio::test]
async fn a_real_etcd_runs_beside_each_member_and_its_leader_can_be_moved() {
    let temporary = tempfile::tempdir().unwrap();
    fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut options = ClusterOptions::new(stand_in(temporary.path()), temporary.path().join("cluster"));
    options.first_address = Ipv4Addr::new(127, 0, 64, 11);
    options.store = StoreKind::Etcd;
    let mut cluster = Cluster::start(options).unwrap();
    for name in ["pg1", "pg2", "pg3", "pg1"] {
        let deadline = Instant::now() + DEADLINE;
        loop {
            // An election may be under way.
            match cluster.move_store_leader_to(cluster.member(name).unwrap()).await {
                Ok(true) => break,
                other => assert!(Instant::now() < deadline, "{name}: {other:?}"),
            }
        }
    }
    let first = cluster.member_mut("pg1").unwrap();
    assert_eq!(first.kill().unwrap(), PROCESSES + 1, "etcd is a part of the host");
    first.start().unwrap();
    until("etcd is back, too", || first.processes().len() == PROCESSES + 1);
}
