//! The successor that is foreseen is the one that `decide` makes the leader: every combination of what sets two replicas apart.

use super::safety_tests::{NOW, view};
use super::*;
use crate::cluster::{
    Cluster, Leader, Member, MemberData, Quorate, Role, RunState, Status, StoreWrite, SyncState, Versioned,
};
use crate::config::{DynamicConfig, SynchronousMode};
use crate::foresight::{AfterPostgres, without};
use crate::lease::Lease;
use types::{LeaseId, Lsn, MemberName, Millis, Revision, Timeline};

/// Beyond every wait of the election.
const PATIENCE: u64 = 40_000;
const STEP: u64 = 100;
const END: u64 = 10_000_000;

#[derive(Clone, Copy, Debug)]
struct Replica {
    position: u64,
    timeline: u32,
    nofailover: bool,
    runs: bool,
}

const REPLICAS: [Replica; 6] = [
    Replica { position: END, timeline: 2, nofailover: false, runs: true },
    Replica { position: END - 500, timeline: 2, nofailover: false, runs: true },
    // Beyond maximum_lag_on_failover.
    Replica { position: END - 2_000_000, timeline: 2, nofailover: false, runs: true },
    Replica { position: END, timeline: 1, nofailover: false, runs: true },
    Replica { position: END, timeline: 2, nofailover: true, runs: true },
    Replica { position: END, timeline: 2, nofailover: false, runs: false },
];

fn member(replica: Replica, writable: bool) -> Member {
    let mut data = MemberData {
        state: if replica.runs { RunState::Running } else { RunState::Stopped },
        role: if writable { Role::Primary } else { Role::Replica },
        xlog_location: Some(Lsn(replica.position)),
        timeline: Some(Timeline(replica.timeline)),
        quorate: Some(Quorate { claim: writable, writable, ..Quorate::default() }),
        ..MemberData::default()
    };
    if replica.nofailover {
        data.tags.0.insert("nofailover".into(), true.into());
    }
    Member { data, revision: Revision(7), lease: Some(LeaseId(1)) }
}

fn cluster(b: Replica, c: Replica, standbys: Option<&[&str]>, pause: bool) -> Cluster {
    let config = DynamicConfig {
        synchronous_mode: if standbys.is_some() { SynchronousMode::On } else { SynchronousMode::Off },
        pause,
        ..DynamicConfig::default()
    };
    let sync = standbys.map(|names| {
        let names = names.iter().map(|name| (*name).into()).collect();
        Versioned { value: SyncState::new(&"a".into(), names), revision: Revision(6) }
    });
    Cluster {
        revision: Revision(10),
        initialize: Some(Versioned { value: "7".into(), revision: Revision(1) }),
        leader: Some(Leader { name: "a".into(), epoch: Revision(5), lease: Some(LeaseId(9)) }),
        members: [
            ("a".into(), member(REPLICAS[0], true)),
            ("b".into(), member(b, false)),
            ("c".into(), member(c, false)),
        ]
        .into(),
        config: Some(Versioned { value: config, revision: Revision(2) }),
        status: Some(Versioned { value: Status { optime: Lsn(END), ..Status::default() }, revision: Revision(6) }),
        sync,
        ..Cluster::default()
    }
}

/// Who takes the key when "a" is gone, its lease has run out, and everybody has reported what its entry says.
fn who_leads(cluster: &Cluster, replicas: &[(&str, Replica)]) -> Option<MemberName> {
    let mut after = cluster.clone();
    after.leader = None;
    after.members.remove(&"a".into());
    for member in after.members.values_mut() {
        if let Some(quorate) = &mut member.data.quorate {
            quorate.leaderless_at = Some(Revision(9));
        }
    }
    let last_seen = Memory { last_epoch: Revision(5), ..Memory::default() };
    let mut memories: Vec<Memory> = replicas.iter().map(|_| last_seen.clone()).collect();
    for passed in (0..PATIENCE).step_by(STEP as usize) {
        let now = NOW + Millis(passed);
        for ((name, replica), memory) in replicas.iter().zip(&mut memories) {
            let mut view = view(true, None);
            view.me = (*name).into();
            view.now = now;
            view.tags = after.members[&(*name).into()].data.tags.clone();
            view.dcs.cluster = Some(after.clone());
            view.dcs.lease = Some(Lease { id: LeaseId(1), ttl: Millis(1500), renewed_at: now });
            let running = Running {
                observed_at: now,
                in_recovery: true,
                timeline: Timeline(replica.timeline),
                receive: Some(Lsn(replica.position)),
                replay: Some(Lsn(replica.position)),
                ..Running::default()
            };
            // What does not run is on its way up for ever.
            view.postgres.server = if replica.runs { Server::Running(Box::new(running)) } else { Server::Starting };
            let decision = decide(memory, &view);
            let takes = |action: &Action| matches!(action, Action::Write(StoreWrite::TakeLeader { .. }));
            if decision.actions.iter().any(takes) {
                return Some((*name).into());
            }
            *memory = decision.next;
        }
    }
    None
}

#[test]
fn the_foreseen_successor_is_the_one_that_decide_makes_the_leader() {
    let modes: [Option<&[&str]>; 5] = [None, Some(&[]), Some(&["b"]), Some(&["c"]), Some(&["b", "c"])];
    let mut successors = std::collections::BTreeSet::new();
    for b in REPLICAS {
        for c in REPLICAS {
            for (standbys, pause) in modes.into_iter().flat_map(|mode| [(mode, false), (mode, true)]) {
                let cluster = cluster(b, c, standbys, pause);
                let foreseen = match without(&cluster, None, &"a".into()).postgres {
                    AfterPostgres::TakenOver { by, .. } => Some(by),
                    AfterPostgres::NobodyTakesOver { .. } | AfterPostgres::Paused => None,
                    other => panic!("{other:?} after the leader is gone"),
                };
                let decided = who_leads(&cluster, &[("b", b), ("c", c)]);
                assert_eq!(foreseen, decided, "b {b:?}, c {c:?}, synchronous {standbys:?}, pause {pause}");
                successors.insert(foreseen);
            }
        }
    }
    assert_eq!(successors.len(), 3, "nobody, b and c each in some case: {successors:?}");
}
