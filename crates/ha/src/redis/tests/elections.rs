//! Who takes the key when there is none.

use super::*;
use crate::cluster::Versioned;
use crate::cluster::redis::{RedisFailoverRequest, RedisHistoryLine, RedisStatus};

fn reported(data: RedisMemberData) -> RedisMemberData {
    RedisMemberData { leaderless_at: Some(Revision(90)), ..data }
}

fn history(lines: &[(i64, &str)]) -> Versioned<Vec<RedisHistoryLine>> {
    let line = |(epoch, replid): &(i64, &str)| RedisHistoryLine {
        epoch: Revision(*epoch),
        leader: name("a"),
        replid: (*replid).to_owned(),
        offset: 0,
        empty: false,
        timestamp: None,
    };
    Versioned { value: lines.iter().map(line).collect(), revision: Revision(20) }
}

/// No leader for `waited`; `me` is `b`, whose Redis has what its entry says.
fn decide_after(waited: u64, entries: &[(&str, RedisMemberData)], change: impl Fn(&mut RedisGroup)) -> Decision {
    let mine = entries.iter().find(|(name, _)| *name == "b").map(|(_, data)| data.clone()).unwrap();
    let mut running = running(ServerRole::Replica { of: None, link_up: false }, mine.offset);
    (running.keys, running.replid) = (mine.keys, mine.replid.unwrap_or_default());
    let mut view = view("b", None, Server::Running(Box::new(running)), entries);
    group(&mut view).history = Some(history(&[(20, "r1")]));
    change(group(&mut view));
    let memory = Memory { leader_missing_since: Some(NOW - Millis(waited)), ..memory() };
    decide(&memory, &view)
}

fn none(_: &mut RedisGroup) {}

#[test]
fn the_one_with_the_most_of_the_stream_takes_the_key_at_once() {
    for (mine, theirs, expected) in [(7, 5, true), (5, 7, false), (5, 5, true)] {
        let entries = [("b", reported(entry(mine))), ("c", reported(entry(theirs)))];
        let decision = decide_after(5, &entries, none);
        assert_eq!(takes(&decision), expected, "{mine} {theirs}: {:?}", decision.reasons);
    }
}

#[test]
fn a_member_that_does_not_report_is_waited_for_and_not_for_long() {
    let entries = [("b", reported(entry(5))), ("c", entry(3))];
    let decision = decide_after(50, &entries, none);
    assert_eq!(decision.reasons[1], Reason::WaitingForReport { name: name("c") });
    assert!(decision.wake_at.is_some_and(|at| at <= NOW + Millis(50)));
    assert!(takes(&decide_after(100, &entries, none)));
}

#[test]
fn the_next_best_comes_to_its_turn() {
    let entries = [("b", reported(entry(5))), ("c", reported(entry(9)))];
    assert!(!takes(&decide_after(599, &entries, none)));
    assert!(takes(&decide_after(600, &entries, none)));
}

#[test]
fn a_newer_leadership_counts_for_more_than_a_longer_stream() {
    let newer = RedisMemberData { replid: Some("r2".into()), ..reported(entry(3)) };
    for (mine, theirs, expected) in
        [(newer.clone(), reported(entry(9)), true), (reported(entry(9)), newer.clone(), false)]
    {
        let entries = [("b", mine), ("c", theirs)];
        let decision = decide_after(50, &entries, |group| group.history = Some(history(&[(20, "r1"), (30, "r2")])));
        assert_eq!(takes(&decision), expected, "{:?}", decision.reasons);
    }
}

#[test]
fn an_empty_redis_leads_only_when_nobody_with_data_is_there_and_none_comes() {
    let empty = RedisMemberData { replid: Some("fresh".into()), ..reported(entry(0)) };
    let with_status = |group: &mut RedisGroup| {
        let value = RedisStatus { replid: "r1".into(), offset: 9, keys: 9, ..RedisStatus::default() };
        group.status = Some(Versioned { value, revision: Revision(20) });
    };
    let data = RedisMemberData { failover_priority: 0, ..entry(9) };
    let entries = [("b", empty.clone()), ("c", data)];
    let decision = decide_after(1_000_000, &entries[..], with_status);
    assert!(!takes(&decision), "also when the one with data may not lead");
    assert!(decision.reasons.contains(&Reason::Obstacle(Obstacle::Empty { has_data: name("c") })));
    let loading = RedisMemberData { state: RedisRunState::Starting, replid: None, ..entry(0) };
    let entries = [("b", empty.clone()), ("c", loading)];
    assert!(!takes(&decide_after(1_000_000, &entries, with_status)));
    let entries = [("b", empty)];
    for (waited, expected) in [(14_999, false), (15_000, true)] {
        assert_eq!(takes(&decide_after(waited, &entries, with_status)), expected, "{waited}");
    }
}

#[test]
fn the_first_master_is_one_with_data_where_there_are_any() {
    let first = |group: &mut RedisGroup| group.history = None;
    let fresh = |keys| RedisMemberData { replid: Some(format!("fresh{keys}")), ..reported(entry(keys)) };
    for (mine, theirs, waited, expected) in
        [(0, 0, 999, false), (0, 0, 1000, true), (4, 0, 5, true), (0, 4, 9000, false)]
    {
        let entries = [("b", fresh(mine)), ("c", fresh(theirs))];
        let decision = decide_after(waited, &entries, first);
        assert_eq!(takes(&decision), expected, "{mine} {theirs} {waited}: {:?}", decision.reasons);
    }
}

#[test]
fn a_claim_keeps_the_key_from_everybody_else() {
    let entries = [("b", reported(entry(9))), ("c", RedisMemberData { claim: true, ..entry(1) })];
    let decision = decide_after(1_000_000, &entries, none);
    assert!(!takes(&decision));
    assert!(decision.reasons.contains(&Reason::Obstacle(Obstacle::Claimed { by: name("c") })));
}

#[test]
fn the_requested_one_is_left_the_key_for_a_while() {
    let asked = |candidate: &'static str, force| {
        move |group: &mut RedisGroup| {
            let value = RedisFailoverRequest { leader: None, candidate: Some(name(candidate)), force };
            group.failover = Some(Versioned { value, revision: Revision(20) });
        }
    };
    let entries = [("b", reported(entry(5))), ("c", reported(entry(3)))];
    assert!(!takes(&decide_after(999, &entries, asked("c", false))));
    assert!(takes(&decide_after(1000, &entries, asked("c", false))));
    let behind = [("b", reported(entry(3))), ("c", reported(entry(5)))];
    assert!(takes(&decide_after(5, &behind, asked("b", false))));
    let empty = RedisMemberData { replid: Some("fresh".into()), ..reported(entry(0)) };
    let entries = [("b", empty), ("c", reported(entry(5)))];
    assert!(!takes(&decide_after(5000, &entries, asked("b", false))));
    assert!(takes(&decide_after(5, &entries, asked("b", true))), "an operator may say so all the same");
}

/// The master of the claim may only be cut off: a switchover was asked for while it led.
#[test]
fn only_a_failover_says_that_the_holder_of_a_lasting_claim_is_gone() {
    for (leader, taken) in [(None, true), (Some(name("c")), false)] {
        let lasting = |group: &mut RedisGroup| {
            let value = RedisFailoverRequest { leader: leader.clone(), candidate: Some(name("b")), force: true };
            group.failover = Some(Versioned { value, revision: Revision(20) });
            if let Some(member) = group.members.get_mut(&name("c")) {
                member.lease = None;
            }
        };
        let entries = [("b", reported(entry(9))), ("c", RedisMemberData { claim: true, ..entry(1) })];
        assert_eq!(takes(&decide_after(1_000_000, &entries, lasting)), taken, "{leader:?}");
    }
}

#[test]
fn nofailover_and_the_pause_keep_a_member_from_leading() {
    let never = RedisMemberData { failover_priority: 0, ..reported(entry(9)) };
    assert!(!takes(&decide_after(1_000_000, &[("b", never)], none)));
    let mut view = view("b", None, replica(None, 9), &[("b", reported(entry(9)))]);
    let config = crate::config::DynamicConfig { pause: true, ..Default::default() };
    view.dcs.cluster.as_mut().unwrap().config = Some(Versioned { value: config, revision: Revision(1) });
    let decision = decide(&memory(), &view);
    assert!(!takes(&decision) && decision.reasons.contains(&Reason::Paused));
}

#[test]
fn a_report_is_of_a_look_taken_after_the_leader_was_gone() {
    let mut view = view("b", None, replica(None, 9), &[("b", entry(9))]);
    if let Server::Running(running) = &mut view.server {
        running.observed_at = NOW - Millis(10);
    }
    let memory = Memory { leader_missing_since: Some(NOW - Millis(5)), ..memory() };
    let decision = decide(&memory, &view);
    assert!(decision.actions.contains(&Action::Probe));
    assert!(writes(&decision).iter().all(|write| match write {
        RedisWrite::PutMember { member, .. } => member.leaderless_at.is_none(),
        _ => false,
    }));
}

/// The last master, `a`, told of `in_sync` and so many bytes; who noted data of which leadership.
fn told(
    in_sync: &'static [&'static str],
    offset: u64,
    notes: &'static [(&'static str, i64)],
) -> impl Fn(&mut RedisGroup) {
    move |group| {
        for (member, epoch) in notes {
            group.data.insert(name(member), Versioned { value: Revision(*epoch), revision: Revision(30) });
        }
        let in_sync = in_sync.iter().map(|at| name(at)).collect();
        let value = RedisStatus { replid: "r1".into(), offset, keys: 9, leader: Some(name("a")), in_sync };
        group.status = Some(Versioned { value, revision: Revision(20) });
    }
}

/// As a restart leaves it: nobody knows how old its data are.
fn restarted(keys: u64) -> RedisMemberData {
    RedisMemberData { replid: Some("fresh".into()), offset: 0, keys, ..reported(entry(0)) }
}

fn loading() -> RedisMemberData {
    RedisMemberData { state: RedisRunState::Starting, replid: None, ..entry(0) }
}

/// After a loss of power the first to be up is not the one with the most.
#[test]
fn who_may_have_less_waits_for_those_who_load() {
    const SAME: &[(&str, i64)] = &[("b", 20), ("c", 20)];
    let both = [("b", restarted(9)), ("c", loading())];
    for (notes, waited, expected) in
        [(SAME, 14_999, false), (SAME, 15_000, true), (&[("b", 20), ("c", 10)], 5, true), (&[("b", 20)], 5, true)]
    {
        let decision = decide_after(waited, &both, told(&[], 9, notes));
        assert_eq!(takes(&decision), expected, "{notes:?} {waited}: {:?}", decision.reasons);
    }
    let known = [("b", reported(entry(9))), ("c", loading())];
    assert!(takes(&decide_after(5, &known, told(&[], 1000, SAME))), "what the master told last may not have come");
    assert!(!takes(&decide_after(5, &known, told(&[], 10_000_000, SAME))), "it was cut off long ago");
    let never = RedisMemberData { failover_priority: 0, ..loading() };
    assert!(takes(&decide_after(5, &[("b", restarted(9)), ("c", never)], told(&[], 9, SAME))));
}

#[test]
fn older_data_wait_for_newer_ones_that_may_come_back() {
    const NEWER: &[(&str, i64)] = &[("b", 10), ("c", 20)];
    let alone = [("b", restarted(9))];
    let decision = decide_after(5, &alone, told(&[], 9, NEWER));
    assert!(!takes(&decision));
    assert!(decision.reasons.contains(&Reason::WaitingForNewer { until: NOW + Millis(14_995) }));
    assert!(decision.wake_at.is_some_and(|at| at <= NOW + Millis(14_995)));
    assert!(takes(&decide_after(15_000, &alone, told(&[], 9, NEWER))));
    let lost = RedisMemberData { replid: None, ..reported(entry(0)) };
    let with_lost = [("b", restarted(9)), ("c", lost)];
    assert!(takes(&decide_after(5, &with_lost, told(&[], 9, NEWER))), "who is up has lost what it noted");
    let stopped = RedisMemberData { state: RedisRunState::Stopped, ..loading() };
    let with_stopped = [("b", restarted(9)), ("c", stopped)];
    assert!(takes(&decide_after(5, &with_stopped, told(&[], 9, NEWER))), "its agent says that it does not come");
}

#[test]
fn who_was_in_sync_comes_before_who_was_not_when_a_restart_has_forgotten_the_offsets() {
    const ALL: &[(&str, i64)] = &[("a", 20), ("b", 20), ("c", 20)];
    let pair = [("b", restarted(5)), ("c", restarted(9))];
    let cases: [(&'static [&'static str], bool); 3] = [(&["b"], true), (&["c"], false), (&["b", "c"], false)];
    for (in_sync, expected) in cases {
        let decision = decide_after(5, &pair, told(in_sync, 99, ALL));
        assert_eq!(takes(&decision), expected, "{in_sync:?}: {:?}", decision.reasons);
    }
    let alone = [("b", restarted(5))];
    let cases: [(&'static [&'static str], u64, bool); 4] =
        [(&["b"], 5, true), (&["c"], 5, false), (&[], 14_999, false), (&[], 15_000, true)];
    for (in_sync, waited, expected) in cases {
        let decision = decide_after(waited, &alone, told(in_sync, 99, ALL));
        assert_eq!(takes(&decision), expected, "{in_sync:?} {waited}: {:?}", decision.reasons);
    }
}
