//! What is foreseen, against the views it is foreseen for.

use super::*;
use crate::cluster::{Leader, Member, MemberData, Quorate, Role, RunState, Status, SyncState, Versioned};
use crate::config::{DynamicConfig, SynchronousMode};
use types::{LeaseId, Lsn, Revision, Timeline};

const END: u64 = 1000;

fn member(role: Role, position: u64) -> Member {
    let writable = role == Role::Primary;
    let data = MemberData {
        state: RunState::Running,
        role,
        xlog_location: Some(Lsn(position)),
        timeline: Some(Timeline(1)),
        quorate: Some(Quorate { writable, claim: writable, ..Quorate::default() }),
        ..MemberData::default()
    };
    Member { data, revision: Revision(7), lease: Some(LeaseId(1)) }
}

/// "a" leads, "b" has everything, "c" lacks a little.
fn cluster(change: impl FnOnce(&mut Cluster, &mut DynamicConfig)) -> Cluster {
    let mut cluster = Cluster {
        initialize: Some(Versioned { value: "7".into(), revision: Revision(1) }),
        leader: Some(Leader { name: "a".into(), epoch: Revision(5), lease: Some(LeaseId(1)) }),
        members: [
            ("a".into(), member(Role::Primary, END)),
            ("b".into(), member(Role::Replica, END)),
            ("c".into(), member(Role::Replica, END - 100)),
        ]
        .into(),
        status: Some(Versioned { value: Status { optime: Lsn(END), ..Status::default() }, revision: Revision(6) }),
        ..Cluster::default()
    };
    let mut config = DynamicConfig::default();
    change(&mut cluster, &mut config);
    cluster.config = Some(Versioned { value: config, revision: Revision(2) });
    cluster
}

fn synchronous(cluster: &mut Cluster, config: &mut DynamicConfig, standbys: &[&str]) {
    config.synchronous_mode = SynchronousMode::On;
    let standbys = standbys.iter().map(|name| (*name).into()).collect();
    cluster.sync = Some(Versioned { value: SyncState::new(&"a".into(), standbys), revision: Revision(6) });
}

fn voters(absent: &[&str]) -> Voters {
    let set = |names: &[&str]| names.iter().map(|name| MemberName::from(*name)).collect();
    Voters { names: set(&["a", "b", "c"]), absent: set(absent) }
}

#[test]
fn what_can_be_lost_follows_from_the_mode_and_from_who_could_take_over() {
    let cases: [(&str, Cluster, &str); 8] = [
        ("asynchronous", cluster(|_, _| {}), "last_commits"),
        ("synchronous", cluster(|it, config| synchronous(it, config, &["b"])), "nothing"),
        ("no standby now", cluster(|it, config| synchronous(it, config, &[])), "no_successor"),
        (
            "the only standby may not lead",
            cluster(|it, config| {
                synchronous(it, config, &["b"]);
                let tags = &mut it.members.get_mut(&"b".into()).unwrap().data.tags.0;
                tags.insert("nofailover".into(), true.into());
            }),
            "no_successor",
        ),
        ("alone", cluster(|it, _| it.members.retain(|name, _| name.as_str() == "a")), "no_successor"),
        ("no leader", cluster(|it, _| it.leader = None), "nobody_serves"),
        (
            "not promoted yet",
            cluster(|it, _| drop(it.members.insert("a".into(), member(Role::Replica, END)))),
            "nobody_serves",
        ),
        ("nothing there", Cluster::default(), "no_postgres"),
    ];
    for (what, cluster, code) in cases {
        let (loss, because) = loss(&cluster, Some(&voters(&[])));
        assert_eq!(loss.code(), code, "{what}: {loss} {because:?}");
        assert!(because.contains(&LossReason::Voters { total: 3, spare: 1 }), "{what}");
    }
    let (lost, because) = loss(&cluster(|_, _| {}), None);
    assert_eq!(lost, Loss::LastCommits { leader: "a".into(), successor: "b".into(), bytes: 0 });
    assert_eq!(because, [LossReason::Asynchronous, LossReason::Behind { member: "c".into(), bytes: 100 }]);
}

#[test]
fn each_server_is_missed_in_its_own_way() {
    let taken = |by: &str, covered, bytes| AfterPostgres::TakenOver { by: by.into(), covered, bytes };
    let plain = cluster(|_, _| {});
    let one = cluster(|it, config| synchronous(it, config, &["c"]));
    let strict = cluster(|it, config| {
        synchronous(it, config, &["c"]);
        config.synchronous_mode_strict = true;
        it.members.remove(&"b".into());
    });
    let loose = cluster(|it, config| {
        synchronous(it, config, &["c"]);
        it.members.remove(&"b".into());
    });
    let paused = cluster(|_, config| config.pause = true);
    for (cluster, absent, name, expected) in [
        (&plain, &[][..], "a", taken("b", false, 0)),
        (&plain, &[], "b", AfterPostgres::GoesOn),
        (&plain, &["c"], "b", AfterPostgres::Fenced),
        (&plain, &[], "w", AfterPostgres::NotHere),
        (&one, &[], "a", taken("c", true, 100)),
        (&one, &[], "b", AfterPostgres::GoesOn),
        (&one, &[], "c", AfterPostgres::OtherStandby { name: "b".into() }),
        (&strict, &[], "c", AfterPostgres::CommitsWait),
        (&loose, &[], "c", AfterPostgres::NoLongerCovered),
        (&paused, &[], "a", AfterPostgres::Paused),
        (&paused, &["c"], "b", AfterPostgres::GoesOn),
    ] {
        let after = without(cluster, Some(&voters(absent)), &name.into());
        assert_eq!(after.postgres, expected, "without {name}, {absent:?} absent");
    }
    assert_eq!(without(&plain, Some(&voters(&[])), &"a".into()).store, AfterStore::GoesOn { spare: 0 });
    assert_eq!(without(&plain, Some(&voters(&["b"])), &"a".into()).store, AfterStore::Stops);
    assert_eq!(without(&plain, None, &"a".into()).store, AfterStore::NotConcerned);
}
