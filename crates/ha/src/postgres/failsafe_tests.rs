//! What failsafe mode changes in the decisions about PostgreSQL, rule by rule.

use super::safety_tests::{NOW, cluster, view};
use super::*;
use crate::cluster::{Cluster, FailsafeMembers, Leader, Member, StoreWrite, Versioned};
use crate::config::DynamicConfig;
use crate::failsafe::{Asks, Consent};
use crate::reason::{Obstacle, Reason};
use crate::vip::Standing;
use types::{LeaseId, MemberName, Millis, Revision};

const TTL: Millis = Millis(1500);

fn listed(names: &[&str], revision: i64) -> Versioned<FailsafeMembers> {
    let members = names.iter().map(|name| ((*name).into(), url(name))).collect();
    Versioned { value: FailsafeMembers { members, ttl: Some(TTL) }, revision: Revision(revision) }
}

fn url(name: &str) -> String {
    format!("http://{name}:8008/patroni")
}

/// "a" leads since revision 5, "b" is a member.
fn led(failsafe: Option<Versioned<FailsafeMembers>>) -> Cluster {
    let config = DynamicConfig { failsafe_mode: true, ..DynamicConfig::default() };
    let mut cluster = Cluster {
        leader: Some(Leader { name: "a".into(), epoch: Revision(5), lease: Some(LeaseId(1)) }),
        config: Some(Versioned { value: config, revision: Revision(2) }),
        failsafe,
        ..cluster()
    };
    let mut data = cluster.members[&MemberName::from("a")].data.clone();
    data.quorate = None;
    for name in ["a", "b"] {
        data.api_url = url(name);
        let entry = cluster.members.entry(name.into());
        let entry = entry.or_insert(Member { data: data.clone(), revision: Revision(8), lease: Some(LeaseId(2)) });
        entry.data.api_url = url(name);
    }
    cluster
}

/// Decisions of "a", one after the other, on these clusters.
fn decisions(views: &[(Cluster, Millis)]) -> Vec<Decision> {
    let mut memory = Memory::default();
    let mut made = Vec::new();
    for (cluster, now) in views {
        let mut view = view(false, Some(NOW + TTL));
        view.now = *now;
        view.dcs.lease = view.dcs.lease.map(|lease| crate::lease::Lease { renewed_at: *now, ..lease });
        view.dcs.cluster = Some(cluster.clone());
        let decision = decide(&memory, &view);
        memory = decision.next.clone();
        made.push(decision);
    }
    made
}

fn puts(decision: &Decision) -> Option<Vec<String>> {
    decision.actions.iter().find_map(|action| match action {
        Action::Write(StoreWrite::PutFailsafe { listed, .. }) => {
            Some(listed.members.keys().map(ToString::to_string).collect())
        }
        _ => None,
    })
}

fn takes(decision: &Decision) -> bool {
    decision.actions.iter().any(|action| matches!(action, Action::Write(StoreWrite::TakeLeader { .. })))
}

fn names(asks: Option<&Asks>) -> Option<Vec<&str>> {
    asks.map(|asks| asks.members.keys().map(MemberName::as_str).collect())
}

#[test]
fn nobody_is_asked_before_the_list_was_written_under_this_leadership_and_by_this_worker() {
    let before = led(Some(listed(&["a", "b"], 4)));
    let of_the_worker_before = led(Some(listed(&["a", "b"], 9)));
    for cluster in [led(None), before, of_the_worker_before] {
        let [first, second] = &decisions(&[(cluster.clone(), NOW), (cluster, NOW)])[..] else { panic!() };
        for decision in [first, second] {
            assert_eq!(decision.asks, None);
            assert_eq!(puts(decision), Some(vec!["a".to_owned(), "b".to_owned()]));
        }
    }
    let made = decisions(&[(led(Some(listed(&["a", "b"], 4))), NOW), (led(Some(listed(&["a", "b"], 11))), NOW)]);
    assert_eq!(names(made[1].asks.as_ref()), Some(vec!["b"]));
    assert_eq!(puts(&made[1]), None, "the list is as it should be");
}

#[test]
fn everybody_is_asked_whom_a_list_names_that_may_be_on_its_way() {
    let mut with_c = led(Some(listed(&["a", "b"], 11)));
    let c = with_c.members[&MemberName::from("b")].clone();
    with_c.members.insert("c".into(), c);
    let mut known = with_c.clone();
    known.failsafe = Some(listed(&["a", "b", "c"], 12));
    let made = decisions(&[
        (led(None), NOW),
        (led(Some(listed(&["a", "b"], 11))), NOW),
        (with_c, NOW),
        (led(Some(listed(&["a", "b"], 11))), NOW),
        (known, NOW),
    ]);
    assert_eq!(puts(&made[2]).unwrap().len(), 3);
    assert_eq!(names(made[2].asks.as_ref()), Some(vec!["b", "c"]));
    assert_eq!(names(made[3].asks.as_ref()), Some(vec!["b", "c"]), "nobody knows what became of the write");
    assert_eq!(names(made[4].asks.as_ref()), Some(vec!["b", "c"]));
}

#[test]
fn who_never_leads_is_not_asked() {
    let mut cluster = led(None);
    let b = cluster.members.get_mut(&MemberName::from("b")).unwrap();
    b.data.tags.0.insert("nofailover".into(), true.into());
    assert_eq!(puts(&decisions(&[(cluster, NOW)])[0]), Some(vec!["a".to_owned()]));
}

#[test]
fn a_member_that_leaves_stays_listed_for_a_moment() {
    let alone = |revision| {
        let mut cluster = led(Some(listed(&["a", "b"], revision)));
        cluster.members.remove(&MemberName::from("b"));
        cluster
    };
    let made = decisions(&[
        (led(None), NOW),
        (led(Some(listed(&["a", "b"], 11))), NOW),
        (alone(11), NOW),
        (alone(11), NOW + Millis(9_999)),
        (alone(11), NOW + Millis(10_000)),
    ]);
    assert_eq!((puts(&made[2]), puts(&made[3])), (None, None));
    assert_eq!(puts(&made[4]), Some(vec!["a".to_owned()]));
    assert_eq!(names(made[4].asks.as_ref()), Some(vec!["b"]), "until the new list is seen");
}

#[test]
fn when_it_is_switched_off_nobody_is_asked_and_the_list_goes() {
    let mut off = led(Some(listed(&["a", "b"], 11)));
    off.config = Some(Versioned { value: DynamicConfig::default(), revision: Revision(12) });
    let on_again = led(Some(listed(&["a", "b"], 11)));
    let made = decisions(&[(led(None), NOW), (led(Some(listed(&["a", "b"], 11))), NOW), (off, NOW), (on_again, NOW)]);
    let deletes = |decision: &Decision| {
        decision.actions.iter().any(|action| matches!(action, Action::Write(StoreWrite::DeleteFailsafe { .. })))
    };
    assert!(made[2].asks.is_none() && deletes(&made[2]));
    assert!(made[3].asks.is_none(), "the deletion may still arrive");
    assert!(puts(&made[3]).is_some());
}

#[test]
fn while_a_fence_rests_on_promises_the_list_is_left_as_it_is() {
    let mut view = view(false, Some(NOW + TTL));
    view.dcs.cluster = Some(led(None));
    assert!(puts(&decide(&Memory::default(), &view)).is_some());
    view.dcs.failsafe.consent = Some(Consent { lease: LeaseId(1), until: NOW + Millis(1), by: vec!["b".into()] });
    let decision = decide(&Memory::default(), &view);
    assert_eq!(puts(&decision), None);
    assert!(decision.reasons.contains(&Reason::GoesOnByConsent { by: vec!["b".into()] }));
}

/// The store is back, and neither key nor claim are in it.
fn store_is_back(change: impl Fn(&mut View)) -> Decision {
    let mut view = view(false, Some(NOW + Millis(900)));
    view.dcs.cluster = Some(led(Some(listed(&["a", "b"], 11))));
    let memory = decide(&Memory::default(), &view).next;
    let mut cluster = led(Some(listed(&["a", "b"], 11)));
    cluster.leader = None;
    cluster.members.clear();
    view.dcs.cluster = Some(cluster);
    view.dcs.lease = Some(crate::lease::Lease { id: LeaseId(7), ttl: TTL, renewed_at: NOW });
    view.dcs.failsafe.consent = Some(Consent { lease: LeaseId(1), until: NOW + Millis(900), by: vec!["b".into()] });
    change(&mut view);
    decide(&memory, &view)
}

#[test]
fn the_key_is_taken_again_while_the_promises_are_in_force_and_the_guard_is_armed_only_then() {
    let decision = store_is_back(|_| {});
    assert!(takes(&decision), "{decision:?}");
    assert_eq!(decision.arming, Arming::Leave);
    assert_eq!(decision.standing, Standing::Unknown, "the address stays until the fence");
}

#[test]
fn the_key_is_not_taken_again_when_the_promises_are_over_or_the_new_lease_is_shorter() {
    for (what, change) in [
        ("promises", &(|view: &mut View| view.dcs.failsafe.consent = None) as &dyn Fn(&mut View)),
        ("time", &|view| view.now = NOW + Millis(900)),
        ("fence", &|view| view.guard.armed = None),
        ("lease", &|view| view.guard.armed = Some(NOW + Millis(1201))),
        ("another leads", &|view| {
            let cluster = view.dcs.cluster.as_mut().unwrap();
            cluster.leader = Some(Leader { name: "b".into(), epoch: Revision(20), lease: Some(LeaseId(9)) });
        }),
    ] {
        let decision = store_is_back(change);
        assert!(!takes(&decision), "{what}: {decision:?}");
        assert_ne!(decision.arming, Arming::Arm, "{what}");
    }
}

#[test]
fn a_member_that_is_bound_or_not_listed_does_not_stand_for_election() {
    let stands = |failsafe: Option<Versioned<FailsafeMembers>>, change: &dyn Fn(&mut View)| {
        let mut view = view(true, None);
        let mut cluster = led(failsafe);
        cluster.leader = None;
        let mine = cluster.members.get_mut(&MemberName::from("a")).unwrap();
        mine.data.state = crate::cluster::RunState::Running;
        mine.data.quorate = Some(crate::cluster::Quorate { leaderless_at: Some(Revision(10)), ..Default::default() });
        cluster.members.remove(&MemberName::from("b"));
        view.dcs.cluster = Some(cluster);
        change(&mut view);
        decide(&Memory::default(), &view)
    };
    let free = |_: &mut View| {};
    assert!(takes(&stands(None, &free)));
    assert!(takes(&stands(Some(listed(&["a"], 11)), &free)));
    let unlisted = stands(Some(listed(&["b"], 11)), &free);
    assert!(!takes(&unlisted));
    assert!(unlisted.reasons.contains(&Reason::Obstacle(Obstacle::NotInFailsafe)), "{:?}", unlisted.reasons);
    let bound = |view: &mut View| {
        (view.dcs.failsafe.bound_until, view.dcs.failsafe.bound_to) = (Some(NOW + Millis(5)), Some("b".into()));
    };
    let decision = stands(Some(listed(&["a"], 11)), &bound);
    assert!(!takes(&decision));
    assert!(decision.reasons.contains(&Reason::Obstacle(Obstacle::Promised { to: "b".into() })));
    assert_eq!(decision.wake_at, Some(NOW + Millis(5)));
    let unbound = stands(Some(listed(&["a"], 11)), &|view| view.dcs.failsafe.bound_until = Some(NOW));
    assert!(takes(&unbound));
}
