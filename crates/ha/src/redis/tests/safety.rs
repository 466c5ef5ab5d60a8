//! What must not be done, whatever the view.

use super::*;
use crate::guard::StopMode;

/// Every server state there is, with a word for it.
fn servers() -> Vec<(&'static str, Server)> {
    let silent = |role| Server::Silent { since: NOW, refused: false, last: Box::new(running(role, 9)) };
    vec![
        ("unknown", Server::Unknown),
        ("down", Server::Down),
        ("starting", Server::Starting),
        ("replica", replica(None, 9)),
        ("follower", replica(Some("b"), 9)),
        ("master", master(9, &["b", "c"])),
        ("silent master", silent(ServerRole::Master)),
        ("silent replica", silent(ServerRole::default())),
    ]
}

/// Every small view of `a`: who leads, what its Redis is, what the guard and the lease say, what is remembered.
fn every_case(mut check: impl FnMut(&str, &Memory, &View)) {
    let memories = [
        memory(),
        Memory::default(),
        Memory { promoting: true, ..memory() },
        Memory { demoted: true, ..memory() },
        Memory { given_up: Some(EPOCH), ..memory() },
        Memory { unbroken: true, ..memory() },
        Memory { in_sync: [name("b")].into(), ..memory() },
    ];
    let jobs = [None, Some(Job::Stop { mode: StopMode::Kill }), Some(Job::Follow { leader: None })];
    for leader in [None, Some("a"), Some("b")] {
        for (word, server) in servers() {
            for armed in [None, Some(NOW), Some(FENCE)] {
                for lease in [true, false] {
                    for claim in [true, false] {
                        for job in &jobs {
                            for (at, memory) in memories.iter().enumerate() {
                                for stopping in [false, true] {
                                    let mine = RedisMemberData { claim, ..entry(9) };
                                    let entries = [("a", mine), ("b", entry(9)), ("c", entry(8))];
                                    let mut view = view("a", leader, server.clone(), &entries);
                                    view.guard.armed = armed;
                                    view.stopping = stopping;
                                    view.job =
                                        job.clone().map(|job| JobView { job, state: JobState::Running { since: NOW } });
                                    if !lease {
                                        view.dcs.lease = None;
                                    }
                                    let text = format!(
                                        "{leader:?} leads, {word}, armed {armed:?}, lease {lease}, claim {claim}, job {job:?}, memory {at}, stopping {stopping}"
                                    );
                                    check(&text, memory, &view);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn every_decision_has_a_reason_and_at_most_one_job() {
    every_case(|case, memory, view| {
        let decision = decide(memory, view);
        assert!(!decision.reasons.is_empty(), "{case}");
        let jobs = decision.actions.iter().filter(|action| matches!(action, Action::Begin(_))).count();
        assert!(jobs <= usize::from(view.job.is_none()), "{case}");
    });
}

#[test]
fn nothing_is_promoted_without_the_key_the_lease_and_the_guard() {
    every_case(|case, memory, view| {
        let decision = decide(memory, view);
        let Some(Job::Promote { fence }) = job(&decision) else { return };
        let leader = view.dcs.cluster.as_ref().unwrap().redis_group("db1").leader;
        assert!(leader.is_some_and(|leader| leader.name == view.me && leader.epoch == fence.epoch), "{case}");
        assert!(view.dcs.lease.is_some() && view.guard.armed == Some(FENCE), "{case}");
        assert_ne!(memory.given_up, Some(fence.epoch), "{case}");
        assert!(memory.first_revision.is_some(), "{case}");
        assert_eq!(decision.arming, Arming::Arm, "{case}");
    });
}

#[test]
fn the_key_and_the_claim_are_given_up_only_where_redis_is_certainly_no_master() {
    every_case(|case, memory, view| {
        let decision = decide(memory, view);
        let certain = match &view.server {
            Server::Down => true,
            Server::Running(running) => !running.is_master() && (view.guard.armed.is_none() || memory.demoted),
            Server::Unknown | Server::Starting | Server::Silent { .. } => false,
        };
        let promoting = memory.promoting && !matches!(view.server, Server::Down);
        let certain = certain && view.job.is_none() && !promoting;
        let claimed = view.dcs.cluster.as_ref().unwrap().redis_group("db1").members[&view.me].data.claim;
        for write in writes(&decision) {
            let drops = match write {
                RedisWrite::ReleaseLeader { .. } | RedisWrite::HandOver(_) => true,
                RedisWrite::PutMember { member, .. } => claimed && !member.claim,
                RedisWrite::TakeLeader { member, .. } => !member.claim,
                RedisWrite::PutStatus { .. }
                | RedisWrite::PutHistory { .. }
                | RedisWrite::PutData { .. }
                | RedisWrite::PutFailover { .. }
                | RedisWrite::DeleteFailover { .. } => false,
            };
            assert!(!drops || certain, "{case}: {write:?}");
        }
        if decision.arming == Arming::Disarm {
            assert!(certain, "{case}");
        }
    });
}

#[test]
fn a_replica_whose_leader_may_be_one_no_longer_does_not_connect_to_it_again() {
    let lost = || {
        let role = ServerRole::Replica { of: Some(name("b")), link_up: false };
        Server::Running(Box::new(running(role, 9)))
    };
    let park = Job::Follow { leader: None };
    let mut view = view("a", Some("b"), lost(), &[("a", entry(9))]);
    assert_eq!(job(&decide(&memory(), &view)), None, "the leader is the leader");
    view.dcs.connected = false;
    assert_eq!(job(&decide(&memory(), &view)), Some(&park));
    view.server = replica(Some("b"), 9);
    assert_eq!(job(&decide(&memory(), &view)), None, "the link is up");
    view.dcs.connected = true;
    view.server = lost();
    group(&mut view).leader = None;
    for (missing, expected) in [(999, None), (1000, Some(&park))] {
        let memory = Memory { leader_missing_since: Some(NOW - Millis(missing)), ..memory() };
        view.guard.answering = false;
        assert_eq!(job(&decide(&memory, &view)), expected, "{missing}");
    }
}

#[test]
fn a_master_without_the_key_is_demoted_or_ended() {
    for (leader, armed, unbroken, expected) in [
        (Some("b"), None, false, Some(Job::Follow { leader: None })),
        (None, None, false, Some(Job::Follow { leader: None })),
        (None, None, true, Some(Job::Stop { mode: StopMode::Kill })),
        (None, Some(FENCE), true, None),
    ] {
        let mine = RedisMemberData { claim: unbroken, ..master_entry(9) };
        let mut view = view("a", leader, master(9, &[]), &[("a", mine), ("b", entry(9))]);
        view.guard.armed = armed;
        let decision = decide(&Memory { unbroken, ..memory() }, &view);
        assert_eq!(job(&decision), expected.as_ref(), "{leader:?} {armed:?} {unbroken}: {:?}", decision.reasons);
        assert_eq!(takes(&decision), expected.is_none(), "the key is taken again before the fence falls");
    }
}

#[test]
fn a_member_with_data_does_not_follow_a_leader_that_began_without() {
    use crate::cluster::Versioned;
    use crate::cluster::redis::RedisHistoryLine;
    let line = |epoch, replid: &str, empty| RedisHistoryLine {
        epoch,
        leader: name("b"),
        replid: replid.into(),
        offset: 0,
        empty,
        timestamp: None,
    };
    let value = vec![line(Revision(20), "r1", false), line(EPOCH, "r9", true)];
    let mut view = view("a", Some("b"), replica(None, 9), &[("a", entry(9)), ("b", master_entry(2))]);
    group(&mut view).history = Some(Versioned { value, revision: Revision(60) });
    let decision = decide(&memory(), &view);
    assert_eq!(job(&decision), None);
    assert!(decision.reasons.contains(&Reason::WouldBeEmptied { leader: name("b"), keys: 9 }));
    let follow = Job::Follow { leader: Some(name("b")) };
    let from_it = Memory { data_epoch: Some(EPOCH), ..memory() };
    assert_eq!(job(&decide(&from_it, &view)), Some(&follow), "what it has is that leader's");
    let noted = |group: &mut RedisGroup, epoch| {
        group.data.insert(name("a"), Versioned { value: epoch, revision: Revision(60) });
    };
    noted(group(&mut view), EPOCH);
    assert_eq!(job(&decide(&memory(), &view)), Some(&follow), "it had noted that");
    noted(group(&mut view), Revision(20));
    view.may_overwrite = true;
    assert_eq!(job(&decide(&memory(), &view)), Some(&follow));
    view.may_overwrite = false;
    view.server = replica(None, 0);
    assert_eq!(job(&decide(&memory(), &view)), Some(&follow), "nothing is lost");
}

/// Its Redis was down while that leader was chosen, so that its data counted for nothing.
#[test]
fn a_redis_that_is_down_is_not_started_right_into_a_leader_that_began_without_data() {
    use crate::cluster::Versioned;
    use crate::cluster::redis::RedisHistoryLine;
    for (empty, data_epoch, upstream) in [
        (true, Some(Revision(20)), None),
        (true, Some(EPOCH), Some(name("b"))),
        (true, None, None),
        (false, Some(Revision(20)), Some(name("b"))),
    ] {
        let line = RedisHistoryLine {
            epoch: EPOCH,
            leader: name("b"),
            replid: "r9".into(),
            offset: 0,
            empty,
            timestamp: None,
        };
        let mut view = view("a", Some("b"), Server::Down, &[("a", entry(0)), ("b", master_entry(2))]);
        group(&mut view).history = Some(Versioned { value: vec![line], revision: Revision(60) });
        let decision = decide(&Memory { data_epoch, ..memory() }, &view);
        assert_eq!(job(&decision), Some(&Job::Start { upstream }), "{empty} {data_epoch:?}");
    }
}
