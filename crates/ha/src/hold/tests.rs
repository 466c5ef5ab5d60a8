//! A hold begins when the leader asks for it, and ends whatever happens.

use super::*;
use crate::cluster::{FailoverRequest, Leader, Member, Quorate, Role, RunState, Versioned};

const HOLD_MAX: Millis = Millis(10_000);
const NOW: Millis = Millis(50_000);
const REQUEST: Revision = Revision(20);

fn member(address: &str, writable: bool, pause_pools: Option<Revision>) -> Member {
    let data = MemberData {
        conn_url: format!("postgres://{address}/postgres"),
        state: RunState::Running,
        role: if writable { Role::Primary } else { Role::Replica },
        quorate: Some(Quorate { claim: writable, writable, pause_pools, ..Quorate::default() }),
        ..MemberData::default()
    };
    Member { data, revision: Revision(1), lease: None }
}

fn led_by(leader: Option<(&str, i64)>, members: &[(&str, Member)], request: Option<Revision>) -> Cluster {
    Cluster {
        leader: leader.map(|(name, epoch)| Leader { name: name.into(), epoch: Revision(epoch), lease: None }),
        members: members.iter().map(|(name, member)| ((*name).into(), member.clone())).collect(),
        failover: request.map(|revision| Versioned { value: FailoverRequest::default(), revision }),
        ..Cluster::default()
    }
}

fn asking() -> Cluster {
    let members = [("a", member("10.0.0.1:5432", true, Some(REQUEST))), ("b", member("10.0.0.2:5432", false, None))];
    led_by(Some(("a", 7)), &members, Some(REQUEST))
}

fn flow(member: &str, address: &str, epoch: i64) -> Wanted {
    let primary = Primary { member: member.into(), address: address.to_owned(), epoch: Revision(epoch) };
    Wanted::Flow { primary: Some(primary) }
}

#[test]
fn a_hold_ends_with_another_primary_or_the_end_of_the_switchover_or_its_time() {
    let begun = decide(&HoldMemory::default(), &asking(), HOLD_MAX, NOW);
    assert_eq!(begun.wanted, Wanted::Hold { request: REQUEST });
    assert_eq!(begun.wake_at, Some(NOW + HOLD_MAX));

    let old = |writable, asks: Option<Revision>| ("a", member("10.0.0.1:5432", writable, asks));
    let new = |writable| ("b", member("10.0.0.2:5432", writable, None));
    let hold = Wanted::Hold { request: REQUEST };
    for (what, cluster, after, wanted) in [
        ("it stops", led_by(Some(("a", 7)), &[old(false, Some(REQUEST)), new(false)], Some(REQUEST)), 1, hold.clone()),
        ("nobody leads", led_by(None, &[old(false, None), new(false)], Some(REQUEST)), 1, hold.clone()),
        ("its entry is gone", led_by(Some(("a", 7)), &[new(false)], Some(REQUEST)), 1, hold.clone()),
        ("the new one is promoted", led_by(Some(("b", 9)), &[old(false, None), new(false)], None), 1, hold.clone()),
        (
            "the new one accepts writes",
            led_by(Some(("b", 9)), &[old(false, Some(REQUEST)), new(true)], None),
            1,
            flow("b", "10.0.0.2:5432", 9),
        ),
        (
            "the switchover is given up",
            led_by(Some(("a", 7)), &[old(true, None), new(false)], None),
            1,
            flow("a", "10.0.0.1:5432", 7),
        ),
        // Where the clients go on is not known, and they are not held any longer.
        ("time", led_by(None, &[], None), HOLD_MAX.0, Wanted::Flow { primary: None }),
    ] {
        assert_eq!(decide(&begun.next, &cluster, HOLD_MAX, NOW + Millis(after)).wanted, wanted, "{what}");
    }
}

#[test]
fn a_request_whose_time_is_over_is_not_held_for_again() {
    let held = decide(&HoldMemory::default(), &asking(), HOLD_MAX, NOW);
    let over = decide(&held.next, &asking(), HOLD_MAX, NOW + HOLD_MAX);
    assert_eq!(over.wanted, flow("a", "10.0.0.1:5432", 7));
    assert_eq!(decide(&over.next, &asking(), HOLD_MAX, NOW + HOLD_MAX + Millis(1)).wanted, over.wanted);
    let mut next = asking();
    next.failover = Some(Versioned { value: FailoverRequest::default(), revision: Revision(30) });
    next.members.insert("a".into(), member("10.0.0.1:5432", true, Some(Revision(30))));
    let again = decide(&over.next, &next, HOLD_MAX, NOW + HOLD_MAX + Millis(2));
    assert_eq!(again.wanted, Wanted::Hold { request: Revision(30) });
}

#[test]
fn only_the_leaders_wish_for_the_request_that_stands_counts() {
    let mut replica_asks = asking();
    replica_asks.members.insert("a".into(), member("10.0.0.1:5432", true, None));
    replica_asks.members.insert("b".into(), member("10.0.0.2:5432", false, Some(REQUEST)));
    let withdrawn = Cluster { failover: None, ..asking() };
    for cluster in [replica_asks, withdrawn] {
        let decision = decide(&HoldMemory::default(), &cluster, HOLD_MAX, NOW);
        assert_eq!(decision.wanted, flow("a", "10.0.0.1:5432", 7));
    }
}

#[test]
fn after_a_failover_the_pools_are_led_to_the_new_primary_and_until_then_nowhere_else() {
    let first = decide(&HoldMemory::default(), &Cluster { failover: None, ..asking() }, HOLD_MAX, NOW);
    let nobody = led_by(None, &[("b", member("10.0.0.2:5432", false, None))], None);
    let between = decide(&first.next, &nobody, HOLD_MAX, NOW);
    assert_eq!(between.wanted, flow("a", "10.0.0.1:5432", 7));
    let new = led_by(Some(("b", 9)), &[("b", member("10.0.0.2:5432", true, None))], None);
    assert_eq!(decide(&between.next, &new, HOLD_MAX, NOW).wanted, flow("b", "10.0.0.2:5432", 9));
}

#[test]
fn the_leader_waits_for_everybody_with_pools_as_long_as_the_slowest_may_take() {
    let mut cluster = asking();
    let me: MemberName = "a".into();
    let none = HoldView::default();
    assert_eq!((pause_max(&cluster, &me, &none), waiting_for(&cluster, &me, &none, REQUEST)), (None, vec![]));
    let mut with_pools = |name: &str, pools: u64, pools_paused| {
        let mut entry = member("h:1", false, None);
        let quorate = Quorate { pools: Some(Millis(pools)), pools_paused, ..Quorate::default() };
        entry.data.quorate = Some(quorate);
        cluster.members.insert(name.into(), entry);
    };
    with_pools("b", 2000, Some(REQUEST));
    with_pools("c", 3000, Some(Revision(19)));
    let mine = HoldView { pause_max: Some(Millis(1000)), ..HoldView::default() };
    assert_eq!(waiting_for(&cluster, &me, &mine, REQUEST), ["c".into(), "a".into()]);
    let mine = HoldView { paused_for: Some(REQUEST), ..mine };
    assert_eq!(waiting_for(&cluster, &me, &mine, REQUEST), ["c".into()]);
    assert_eq!(pause_max(&cluster, &me, &mine), Some(Millis(3000) + REPORT_TIME_MAX));
}
