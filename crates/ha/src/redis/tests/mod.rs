//! Decisions about Redis as tables: a world of entries and a local server, and what is decided about it.

mod elections;
mod leading;
mod safety;
mod switchovers;

use super::*;
use crate::cluster::redis::{RedisLeader, RedisMember, RedisMemberData, RedisRole, RedisRunState, RedisWrite};
use crate::cluster::{Cluster, RedisGroup};
use crate::lease::Lease;
use types::{LeaseId, MemberName, Millis, Revision};

const NOW: Millis = Millis(100_000);
const FENCE: Millis = Millis(101_200);
/// Of the view.
const AT: Revision = Revision(100);
/// Of a leadership that began in the life of the memory.
const EPOCH: Revision = Revision(50);

fn name(text: &str) -> MemberName {
    MemberName::from(text)
}

/// A replica as its entry shows it.
fn entry(offset: u64) -> RedisMemberData {
    RedisMemberData {
        address: "x:6379".into(),
        state: RedisRunState::Running,
        replid: Some("r1".into()),
        offset,
        keys: offset,
        link_up: true,
        following: Some(name("a")),
        ..RedisMemberData::default()
    }
}

fn master_entry(offset: u64) -> RedisMemberData {
    RedisMemberData {
        role: RedisRole::Master,
        claim: true,
        writable: true,
        link_up: false,
        following: None,
        ..entry(offset)
    }
}

fn running(role: ServerRole, offset: u64) -> Running {
    Running {
        observed_at: NOW,
        run_id: "run".into(),
        role,
        replid: "r1".into(),
        replid2: None,
        offset,
        keys: offset,
        replicas: vec![],
    }
}

fn replica(of: Option<&str>, offset: u64) -> Server {
    let role = ServerRole::Replica { of: of.map(name), link_up: of.is_some() };
    Server::Running(Box::new(running(role, offset)))
}

/// With these replicas online.
fn master(offset: u64, online: &[&str]) -> Server {
    let mut running = running(ServerRole::Master, offset);
    running.replicas = online.iter().map(|at| ReplicaLink { name: name(at), online: true, offset }).collect();
    Server::Running(Box::new(running))
}

/// `a`, `b`, `c`: the view of `me`, who has a lease; the others' entries as given. `leader` leads since `EPOCH`.
fn view(me: &str, leader: Option<&str>, server: Server, entries: &[(&str, RedisMemberData)]) -> View {
    let mut group = RedisGroup::default();
    let lease_of = |name: &str| LeaseId(i64::from(name.as_bytes()[0]));
    for (at, data) in entries {
        let member = RedisMember { data: data.clone(), revision: Revision(10), lease: Some(lease_of(at)) };
        group.members.insert(name(at), member);
    }
    group.leader = leader.map(|leader| RedisLeader { name: name(leader), epoch: EPOCH, lease: Some(lease_of(leader)) });
    let cluster = Cluster { revision: AT, redis: [("db1".to_owned(), group)].into(), ..Cluster::default() };
    View {
        now: NOW,
        wall: "2026-01-01T00:00:00+00:00".into(),
        me: name(me),
        group: "db1".into(),
        identity: RedisMemberData { address: format!("{me}:6379"), ..RedisMemberData::default() },
        settings: Settings::default(),
        dcs: DcsView {
            cluster: Some(cluster),
            connected: true,
            lease: Some(Lease { id: lease_of(me), ttl: Millis(1500), renewed_at: NOW }),
            ..DcsView::default()
        },
        guard: GuardView { answering: true, armed: None },
        addresses: Vec::new(),
        server,
        job: None,
        trouble: None,
        stopping: false,
    }
}

fn group(view: &mut View) -> &mut RedisGroup {
    view.dcs.cluster.as_mut().unwrap().redis.get_mut("db1").unwrap()
}

/// A worker that has seen the store before `EPOCH`.
fn memory() -> Memory {
    Memory { first_revision: Some(Revision(1)), last_epoch: Revision(20), ..Memory::default() }
}

fn writes(decision: &Decision) -> Vec<&RedisWrite> {
    let mut writes = Vec::new();
    for action in &decision.actions {
        match action {
            Action::Write(write) => writes.push(write),
            Action::Begin(_) | Action::Probe => {}
        }
    }
    writes
}

fn job(decision: &Decision) -> Option<&Job> {
    decision.actions.iter().find_map(|action| match action {
        Action::Begin(job) => Some(job),
        Action::Write(_) | Action::Probe => None,
    })
}

fn takes(decision: &Decision) -> bool {
    writes(decision).iter().any(|write| matches!(write, RedisWrite::TakeLeader { .. }))
}

fn releases(decision: &Decision) -> bool {
    writes(decision).iter().any(|write| matches!(write, RedisWrite::ReleaseLeader { .. }))
}

fn done(job: Job, offset: Option<u64>) -> JobView {
    JobView { job, state: JobState::Done { offset } }
}
