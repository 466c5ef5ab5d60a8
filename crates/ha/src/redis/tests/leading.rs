//! With the leader key: promotion, ends, hanging, restarting.

use super::*;
use crate::guard::StopMode;

fn entries() -> [(&'static str, RedisMemberData); 3] {
    [("a", master_entry(9)), ("b", entry(9)), ("c", entry(8))]
}

fn armed(mut view: View) -> View {
    view.guard.armed = Some(FENCE);
    view
}

#[test]
fn redis_is_promoted_only_under_an_armed_guard() {
    let view = view("a", Some("a"), replica(None, 9), &entries());
    let decision = decide(&memory(), &view);
    assert_eq!((job(&decision), decision.arming), (None, Arming::Arm));
    assert!(decision.reasons.contains(&Reason::GuardNotArmed));
    let decision = decide(&memory(), &armed(view.clone()));
    assert!(matches!(job(&decision), Some(Job::Promote { fence }) if fence.epoch == EPOCH));
    let fallen = View { guard: GuardView { answering: true, armed: Some(NOW) }, ..view.clone() };
    assert_eq!(job(&decide(&memory(), &fallen)), None);
    let silent = View { guard: GuardView { answering: false, armed: Some(FENCE) }, ..view };
    assert_eq!(job(&decide(&memory(), &silent)), None);
}

#[test]
fn a_worker_that_was_started_again_promotes_nothing_under_a_leadership_of_before() {
    let view = view("a", Some("a"), replica(None, 9), &entries());
    let decision = decide(&Memory::default(), &view);
    assert!(releases(&decision), "{:?}", decision.reasons);
    let decision = decide(&Memory::default(), &armed(view));
    assert_eq!(job(&decision), Some(&Job::Stop { mode: StopMode::Kill }), "something may be on its way");
    assert!(!releases(&decision));
    let decision = decide(&Memory::default(), &super::view("a", Some("a"), Server::Down, &entries()));
    assert!(releases(&decision) && job(&decision).is_none(), "gone: {:?}", decision.reasons);
}

#[test]
fn a_worker_that_was_started_again_goes_on_with_its_master() {
    let view = armed(view("a", Some("a"), master(9, &["b"]), &entries()));
    let decision = decide(&Memory::default(), &view);
    assert_eq!((job(&decision), decision.arming), (None, Arming::Arm));
    assert!(decision.reasons.contains(&Reason::Leading { epoch: EPOCH }));
}

#[test]
fn a_master_that_ended_gives_up_at_once_when_somebody_is_in_sync_and_else_starts_again() {
    let in_sync = Memory { in_sync: [name("b")].into(), ..memory() };
    let view = view("a", Some("a"), Server::Down, &entries());
    let decision = decide(&in_sync, &view);
    assert!(releases(&decision) && job(&decision).is_none());
    assert_eq!(decision.next.given_up, Some(EPOCH));
    let alone = [("a", master_entry(9)), ("b", RedisMemberData { failover_priority: 0, ..entry(9) })];
    let view = super::view("a", Some("a"), Server::Down, &alone);
    let decision = decide(&in_sync, &view);
    assert!(!releases(&decision));
    assert_eq!(job(&decision), Some(&Job::Start { upstream: None }), "as a replica of nobody, to be promoted anew");
}

#[test]
fn a_master_that_does_not_come_back_is_replaced_by_whoever_has_data() {
    let behind = RedisMemberData { link_up: false, ..entry(5) };
    let view = view("a", Some("a"), Server::Starting, &[("a", master_entry(9)), ("b", behind)]);
    for (since, expected) in [(1_999, None), (2_000, Some(&Job::Stop { mode: StopMode::Kill }))] {
        let memory = Memory { down_since: Some(NOW - Millis(since)), in_sync: [name("x")].into(), ..memory() };
        let decision = decide(&memory, &view);
        assert_eq!(job(&decision), expected, "{since}");
    }
}

#[test]
fn a_master_that_hangs_is_ended_after_down_after_and_one_that_refuses_at_once() {
    let stop = Job::Stop { mode: StopMode::Kill };
    for (silent, refused, online, expected) in [
        (999, false, true, None),
        (1_000, false, true, Some(&stop)),
        (0, true, true, Some(&stop)),
        (9_999, false, false, None),
        (9_999, true, false, None),
        (10_000, false, false, Some(&stop)),
    ] {
        let last = Box::new(running(ServerRole::Master, 9));
        let server = Server::Silent { since: NOW - Millis(silent), refused, last };
        let view = armed(view("a", Some("a"), server, &[("a", master_entry(9)), ("b", entry(9))]));
        let in_sync = if online { name("b") } else { name("x") };
        let decision = decide(&Memory { in_sync: [in_sync].into(), ..memory() }, &view);
        assert_eq!(job(&decision), expected, "{silent} {refused} {online}");
        assert!(!releases(&decision), "the key passes when it is gone");
    }
}

#[test]
fn a_master_that_began_empty_gives_way_to_data() {
    let mut view = armed(view("a", Some("a"), master(0, &[]), &[("a", master_entry(0)), ("b", entry(9))]));
    if let Server::Running(running) = &mut view.server {
        running.replid = "fresh".into();
    }
    let decision = decide(&Memory { began_empty: true, ..memory() }, &view);
    assert_eq!(job(&decision), Some(&Job::Follow { leader: None }));
    let decision = decide(&memory(), &view);
    assert_eq!(job(&decision), None, "data of a leadership that had some may be none, after a flush");
    view.server = replica(None, 0);
    let decision = decide(&Memory { demoted: true, ..memory() }, &view);
    assert!(releases(&decision), "{:?}", decision.reasons);
}

#[test]
fn the_leader_notes_whose_data_these_are() {
    let view = armed(view("a", Some("a"), master(9, &["b"]), &entries()));
    let decision = decide(&memory(), &view);
    let lines = writes(&decision).into_iter().find_map(|write| match write {
        RedisWrite::PutHistory { lines, .. } => Some(lines.clone()),
        _ => None,
    });
    let lines = lines.unwrap();
    assert_eq!((lines.len(), lines[0].epoch, lines[0].replid.as_str(), lines[0].empty), (1, EPOCH, "r1", false));
}

#[test]
fn the_agent_that_stops_switches_over_first_and_ends_redis_then() {
    let mut view = armed(view("a", Some("a"), master(9, &["b"]), &entries()));
    view.stopping = true;
    let decision = decide(&memory(), &view);
    assert!(matches!(job(&decision), Some(Job::Pause { .. })));
    view.server = master(9, &[]);
    let decision = decide(&memory(), &view);
    assert_eq!(job(&decision), Some(&Job::Stop { mode: StopMode::Fast }), "nobody can take over");
    view.server = Server::Down;
    assert!(releases(&decide(&memory(), &view)));
    group(&mut view).leader = None;
    assert!(decide(&memory(), &view).finished);
}

#[test]
fn who_is_asked_to_stop_before_it_has_seen_the_store_stops() {
    for (server, ends) in [(Server::Down, true), (replica(Some("b"), 9), false), (master(9, &[]), false)] {
        let mut view = view("a", None, server.clone(), &[]);
        view.dcs.cluster = None;
        assert!(!decide(&memory(), &view).finished, "not asked");
        view.stopping = true;
        let decision = decide(&memory(), &view);
        assert_eq!((decision.finished, job(&decision).is_none()), (ends, ends), "{server:?}");
    }
}

#[test]
fn who_is_in_sync_is_told_as_soon_as_it_changes() {
    use crate::cluster::Versioned;
    use crate::cluster::redis::RedisStatus;
    let memory = Memory { status_written: Some((NOW, 9)), ..memory() };
    for (known, expected) in [(&["b", "c"][..], false), (&["b"], true), (&[], true)] {
        let mut view = armed(view("a", Some("a"), master(9, &["b", "c"]), &entries()));
        let in_sync = known.iter().map(|at| name(at)).collect();
        let value = RedisStatus { offset: 9, in_sync, ..RedisStatus::default() };
        group(&mut view).status = Some(Versioned { value, revision: Revision(20) });
        let decision = decide(&memory, &view);
        let told = writes(&decision).into_iter().find_map(|write| match write {
            RedisWrite::PutStatus { status, .. } => Some(status.in_sync.len()),
            _ => None,
        });
        assert_eq!(told, expected.then_some(2), "{known:?}");
    }
}

#[test]
fn a_redis_that_refuses_its_agent_is_no_candidate_and_its_master_stays() {
    let why = "Redis refuses its own agent: WRONGPASS".to_owned();
    let refused = Some(why.clone());
    let mut view = armed(view("a", Some("a"), master(9, &["b", "c"]), &[("a", master_entry(9)), ("b", entry(9))]));
    view.trouble.clone_from(&refused);
    let decision = decide(&memory(), &view);
    assert!(decision.reasons.contains(&Reason::LeadingUnseen { epoch: EPOCH }), "{:?}", decision.reasons);
    assert!(decision.reasons.iter().any(|reason| reason.to_string().contains("WRONGPASS")));
    assert!(job(&decision).is_none() && !releases(&decision), "clients may be served all the same");
    let published = writes(&decision).into_iter().find_map(|write| match write {
        RedisWrite::PutMember { member, .. } => Some(member.clone()),
        _ => None,
    });
    let published = published.unwrap();
    assert!(published.trouble == refused && published.is_writable(), "{published:?}");

    group(&mut view).members.get_mut(&name("b")).unwrap().data.trouble.clone_from(&refused);
    let cluster = view.dcs.cluster.as_mut().unwrap();
    assert_eq!(explain(cluster, "db1").members, [(name("b"), vec![Obstacle::Trouble { why }])]);
}
