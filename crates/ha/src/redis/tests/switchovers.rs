//! A planned switchover, step by step, and everything that can go wrong in it.

use super::*;
use crate::cluster::Versioned;
use crate::cluster::redis::RedisFailoverRequest;

const REQUEST: Revision = Revision(70);

/// `a` leads and was asked to hand over to `b`.
fn asked(force: bool) -> View {
    let entries = [("a", master_entry(9)), ("b", entry(9)), ("c", entry(9))];
    let mut view = view("a", Some("a"), master(9, &["b", "c"]), &entries);
    view.guard.armed = Some(FENCE);
    let value = RedisFailoverRequest { leader: Some(name("a")), candidate: Some(name("b")), force };
    group(&mut view).failover = Some(Versioned { value, revision: REQUEST });
    view
}

fn refuses(decision: &Decision) -> bool {
    writes(decision).contains(&&RedisWrite::DeleteFailover { expected: REQUEST })
}

/// The job that was begun is over, and the store shows what was written.
fn after(decision: &Decision, view: &View, offset: Option<u64>) -> (Memory, View) {
    let job = job(decision).cloned().unwrap();
    (decision.next.clone(), View { job: Some(done(job, offset)), ..shown(decision, view) })
}

fn failed(decision: &Decision, view: &View) -> (Memory, View) {
    let job = job(decision).cloned().unwrap();
    let state = JobState::Failed { why: "no answer".into() };
    (decision.next.clone(), View { job: Some(JobView { job, state }), ..shown(decision, view) })
}

fn shown(decision: &Decision, view: &View) -> View {
    let mut view = view.clone();
    for write in writes(decision) {
        if let RedisWrite::PutMember { me, member, .. } = write {
            *entry_of(&mut view, me.as_str()) = RedisMemberData::clone(member);
        }
    }
    view
}

#[test]
fn writes_wait_the_candidate_catches_up_the_master_steps_down_and_the_key_passes() {
    let view = asked(false);
    let pause = decide(&memory(), &view);
    assert!(matches!(job(&pause), Some(Job::Pause { lasts, .. }) if *lasts == PAUSE_MAX_DEFAULT));
    let (memory, view) = after(&pause, &view, None);
    let wait = decide(&memory, &view);
    let until = NOW + PAUSE_MAX_DEFAULT - Millis(150);
    assert_eq!(job(&wait), Some(&Job::WaitOffset { candidate: name("b"), until }));
    let (memory, view) = after(&wait, &view, Some(9));
    let demote = decide(&memory, &view);
    assert!(
        matches!(job(&demote), Some(Job::StepDown { until: Some(until), .. }) if *until == NOW + PAUSE_MAX_DEFAULT)
    );
    assert!(writes(&demote).iter().all(|write| !matches!(write, RedisWrite::HandOver(_))));
    let (memory, mut view) = after(&demote, &view, Some(9));
    view.server = replica(None, 9);
    let hand_over = decide(&memory, &view);
    let [RedisWrite::HandOver(write)] = writes(&hand_over)[..] else { panic!("{:?}", hand_over.actions) };
    assert_eq!((&write.candidate, write.candidate_lease), (&name("b"), LeaseId(98)));
    assert!(write.candidate_member.claim && !write.member.claim && !write.member.writable);
    assert_eq!((write.failover, write.candidate_at), (Some(REQUEST), Revision(10)));
    assert_eq!(hand_over.next.given_up, Some(EPOCH));
    // Also after that, until the view shows it, and whatever becomes of it: never a promotion.
    view.job = None;
    assert_eq!(job(&decide(&hand_over.next, &view)), None);
    // The other leads: no fence any more, and Redis follows it already.
    group(&mut view).leader = Some(RedisLeader { name: name("b"), epoch: Revision(80), lease: Some(LeaseId(98)) });
    let follows = decide(&hand_over.next, &view);
    assert_eq!((job(&follows), follows.arming), (None, Arming::Disarm));
}

#[test]
fn nobody_is_led_to_the_old_master_any_more_when_it_steps_down() {
    let view = asked(false);
    let (memory, view) = after(&decide(&memory(), &view), &view, None);
    let wait = decide(&memory, &view);
    let not_writable = |write: &&RedisWrite| matches!(write, RedisWrite::PutMember { member, .. } if !member.writable);
    assert_eq!(writes(&wait).iter().filter(|write| not_writable(write)).count(), 1);
    // The store is slower than the candidate.
    let job = job(&wait).cloned().unwrap();
    let mut slow = View { job: Some(done(job, Some(9))), ..view.clone() };
    let waits = decide(&wait.next, &slow);
    assert_eq!(super::job(&waits), None, "{:?}", waits.reasons);
    slow.job = None;
    let shown = shown(&wait, &slow);
    assert!(matches!(super::job(&decide(&waits.next, &shown)), Some(Job::StepDown { .. })));
    // It is not waited for for long: a switchover must not depend on it.
    slow.now = waits.wake_at.unwrap();
    slow.dcs.lease = slow.dcs.lease.map(|lease| Lease { renewed_at: slow.now, ..lease });
    assert!(matches!(super::job(&decide(&waits.next, &slow)), Some(Job::StepDown { .. })));
}

#[test]
fn whatever_fails_before_the_demotion_leaves_the_master_and_lets_writes_go_on() {
    let view = asked(false);
    let pause = decide(&memory(), &view);
    for step in 0..2 {
        let (memory, view) = after(&pause, &view, None);
        let wait = decide(&memory, &view);
        let (memory, view) = if step == 0 {
            failed(&wait, &view)
        } else {
            let (memory, view) = after(&wait, &view, Some(9));
            failed(&decide(&memory, &view), &view)
        };
        let decision = decide(&memory, &view);
        assert!(refuses(&decision), "{step}: {:?}", decision.reasons);
        assert_eq!(job(&decision), Some(&Job::Unpause), "{step}");
        assert!(decision.reasons.iter().any(|reason| matches!(reason, Reason::SwitchoverAborted { .. })));
    }
}

/// The master has stepped down at this end of its stream, and the candidate was known to have 9.
fn stepped_down(end: Option<u64>) -> (Memory, View) {
    let view = asked(false);
    let (memory, view) = after(&decide(&memory(), &view), &view, None);
    let (memory, view) = after(&decide(&memory, &view), &view, Some(9));
    let (memory, mut view) = after(&decide(&memory, &view), &view, end);
    view.server = replica(None, end.unwrap_or(9));
    (memory, view)
}

fn hands_over(decision: &Decision) -> bool {
    writes(decision).iter().any(|write| matches!(write, RedisWrite::HandOver(_)))
}

#[track_caller]
fn is_master_again(decision: &Decision) {
    assert!(matches!(job(decision), Some(Job::Promote { .. })), "{:?}", decision.reasons);
    assert!(refuses(decision) && !hands_over(decision));
}

#[test]
fn what_the_master_sent_after_the_candidate_was_asked_is_waited_for_when_it_has_stepped_down() {
    let (memory, view) = stepped_down(Some(9));
    assert!(hands_over(&decide(&memory, &view)), "nothing to wait for");
    // A PING, or a write.
    let (memory, view) = stepped_down(Some(23));
    let waits = decide(&memory, &view);
    assert_eq!(job(&waits), Some(&Job::WaitOffset { candidate: name("b"), until: NOW + Millis(300) }));
    assert!(!hands_over(&waits) && waits.next.given_up.is_none());
    for (has, passes) in [(Some(23), true), (Some(40), true), (Some(22), false), (None, false)] {
        let (memory, view) = after(&waits, &view, has);
        let decision = decide(&memory, &view);
        if passes {
            assert!(hands_over(&decision), "{has:?}: {:?}", decision.reasons);
        } else {
            is_master_again(&decision);
        }
    }
    // The candidate has lost its link, or is gone.
    let (memory, view) = failed(&waits, &view);
    let promotes = decide(&memory, &view);
    is_master_again(&promotes);
    // And writes go on at once: Redis keeps its pause through both changes of its role.
    let (memory, mut view) = after(&promotes, &view, None);
    view.server = master(23, &["b", "c"]);
    group(&mut view).failover = None;
    assert_eq!(job(&decide(&memory, &view)), Some(&Job::Unpause));
}

#[test]
fn a_stream_of_which_nobody_knows_the_end_makes_the_old_master_go_on() {
    let (memory, view) = stepped_down(None);
    is_master_again(&decide(&memory, &view));
}

#[test]
fn an_agent_that_stops_waits_for_the_end_of_the_stream_too() {
    let (memory, mut view) = stepped_down(Some(23));
    view.stopping = true;
    let waits = decide(&memory, &view);
    assert!(matches!(job(&waits), Some(Job::WaitOffset { .. })) && !releases(&waits), "{:?}", waits.reasons);
    let (memory, view) = after(&waits, &view, Some(23));
    assert!(hands_over(&decide(&memory, &view)));
}

#[test]
fn a_candidate_that_cannot_take_over_is_refused_with_why() {
    type Case = (&'static str, fn(&mut View), Obstacle);
    let cases: [Case; 4] = [
        ("b", |view| drop(group(view).members.remove(&name("b"))), Obstacle::NotAMember),
        ("b", |view| entry_of(view, "b").failover_priority = 0, Obstacle::NoFailover),
        ("b", |view| view.server = master(9, &["c"]), Obstacle::NotInSync),
        ("a", |_| {}, Obstacle::IsLeader),
    ];
    for (candidate, change, expected) in cases {
        let mut view = asked(false);
        change(&mut view);
        group(&mut view).failover.as_mut().unwrap().value.candidate = Some(name(candidate));
        let decision = decide(&memory(), &view);
        assert!(refuses(&decision) && job(&decision).is_none(), "{expected:?}");
        let why = vec![expected];
        let impossible = Reason::SwitchoverImpossible { candidate: Some(name(candidate)), why };
        assert!(decision.reasons.contains(&impossible), "{:?}", decision.reasons);
    }
}

fn entry_of<'a>(view: &'a mut View, at: &str) -> &'a mut RedisMemberData {
    &mut group(view).members.get_mut(&name(at)).unwrap().data
}

#[test]
fn without_a_name_the_operators_priority_decides_and_then_the_offset() {
    let mut view = asked(false);
    group(&mut view).failover.as_mut().unwrap().value.candidate = None;
    entry_of(&mut view, "c").failover_priority = 2;
    let decision = decide(&memory(), &view);
    assert_eq!(decision.next.switchover.map(|switchover| switchover.candidate), Some(name("c")));
}

#[test]
fn a_forced_one_waits_for_nobody() {
    let mut view = asked(true);
    view.server = master(9, &[]);
    let decision = decide(&memory(), &view);
    assert!(matches!(job(&decision), Some(Job::StepDown { until: None, .. })), "{:?}", decision.reasons);
    let (memory, mut view) = after(&decision, &view, Some(12));
    view.server = replica(None, 12);
    let decision = decide(&memory, &view);
    assert!(writes(&decision).iter().any(|write| matches!(write, RedisWrite::HandOver(_))));
}

#[test]
fn a_store_that_does_not_take_the_hand_over_is_asked_to_release_the_key() {
    let mut view = asked(false);
    view.server = replica(Some("b"), 9);
    let switchover = |since| Switchover {
        candidate: name("b"),
        request: Some(REQUEST),
        forced: false,
        began: NOW,
        paused_until: None,
        stage: Stage::HandOver { since },
    };
    for (waited, expected) in [(1_999, false), (2_000, true)] {
        let stage = Some(switchover(NOW - Millis(waited)));
        let memory = Memory { switchover: stage, demoted: true, given_up: Some(EPOCH), ..memory() };
        assert_eq!(releases(&decide(&memory, &view)), expected, "{waited}");
    }
    group(&mut view).members.remove(&name("b"));
    let memory = Memory { switchover: Some(switchover(NOW)), demoted: true, ..memory() };
    assert!(releases(&decide(&memory, &view)), "the candidate is gone");
}
