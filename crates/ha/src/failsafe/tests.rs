//! The rules of the promise and of the consent, one by one.

use super::*;
use crate::guard::{PerServer, ServerKind};
use crate::lease::Lease;
use std::collections::{BTreeMap, BTreeSet};
use types::{LeaseId, Revision};

const PG: ServerKind = ServerKind::Postgres;
const TTL: Millis = Millis(1500);
const START: Millis = Millis(1000);

fn seen(entry: i64, failsafe: i64) -> Seen {
    Seen { entry: Some(Revision(entry)), failsafe: Some(Revision(failsafe)), leads: false }
}

/// A worker that has written its entry.
fn word() -> Word {
    let mut word = Word::new(START, PerServer { postgres: true, redis: false });
    word.decided(PG, seen(5, 3));
    word.decided(PG, seen(6, 3));
    word
}

fn asks(word: &mut Word, now: u64) -> Result<(), Refusal> {
    word.promise(Millis(now), &"a".into(), TTL)
}

fn list(names: &[&str]) -> Versioned<FailsafeMembers> {
    let members = names.iter().map(|name| ((*name).into(), String::new())).collect();
    Versioned { value: FailsafeMembers { members, ttl: Some(TTL) }, revision: Revision(3) }
}

#[test]
fn who_has_promised_takes_no_key_until_that_is_over() {
    let mut word = word();
    assert_eq!(asks(&mut word, 10_000), Ok(()));
    assert_eq!(word.promise(Millis(10_100), &"a".into(), Millis(100)), Ok(()), "a shorter one takes nothing back");
    let view = word.view(PG, Some(&list(&["a", "b"])));
    for (now, free) in [(10_000, false), (11_499, false), (11_500, true)] {
        let now = Millis(now);
        let barred = bar(Some(&list(&["a", "b"])), &view, &"b".into(), now);
        assert_eq!(barred.is_none(), free, "{now}: {barred:?}");
        assert_eq!(word.clone().take(now, PG, None, None), free, "{now}");
    }
}

#[test]
fn no_promise_before_the_worker_has_written_its_entry() {
    let mut word = Word::new(START, PerServer { postgres: true, redis: true });
    assert_eq!(asks(&mut word, 2000), Err(Refusal::NotIntroduced));
    for (server, entry, expected) in [
        (PG, 5, Err(Refusal::NotIntroduced)),
        (PG, 6, Err(Refusal::NotIntroduced)),
        (ServerKind::Redis, 7, Err(Refusal::NotIntroduced)),
        (ServerKind::Redis, 8, Ok(())),
    ] {
        word.decided(server, seen(entry, 3));
        assert_eq!(asks(&mut word, 2000), expected, "{server} {entry}");
    }
}

#[test]
fn no_promise_while_a_key_may_be_on_its_way_here() {
    let compared = (Some(Revision(6)), Some(Revision(3)));
    for (after, settled) in [(seen(6, 3), false), (seen(7, 3), true), (seen(6, 4), true)] {
        let mut word = word();
        assert!(word.take(Millis(9000), PG, compared.0, compared.1));
        assert_eq!(asks(&mut word, 9001), Err(Refusal::Takes));
        word.decided(PG, after);
        assert_eq!(asks(&mut word, 9002).is_ok(), settled, "{after:?}");
    }
    let mut word = word();
    assert!(word.take(Millis(9000), PG, compared.0, compared.1));
    assert!(word.take(Millis(9500), PG, compared.0, compared.1), "nobody knows what became of the first one");
    word.was_refused(PG);
    assert_eq!(asks(&mut word, 9600), Err(Refusal::Takes));
    word.was_refused(PG);
    assert_eq!(asks(&mut word, 9700), Ok(()));
}

#[test]
fn no_promise_of_a_primary() {
    let mut word = word();
    word.decided(PG, Seen { leads: true, ..seen(7, 3) });
    assert_eq!(asks(&mut word, 9000), Err(Refusal::Leads));
}

#[test]
fn a_new_worker_keeps_the_word_of_the_one_before_while_there_is_a_list() {
    let word = word();
    let barred = |listed: Option<&Versioned<FailsafeMembers>>, now| {
        bar(listed, &word.view(PG, listed), &"b".into(), START + Millis(now))
    };
    assert_eq!(barred(None, 0), None);
    let until = START + TTL;
    assert_eq!(barred(Some(&list(&["b"])), 1499), Some(Bar::Bound { to: None, until }));
    assert_eq!(barred(Some(&list(&["b"])), 1500), None);
    assert_eq!(barred(Some(&list(&["a"])), 1500), Some(Bar::NotListed));
}

const LEASE: Lease = Lease { id: LeaseId(1), ttl: TTL, renewed_at: Millis(10_000) };

fn asking(names: &[&str]) -> Asking {
    let mut asking = Asking::default();
    let members = names.iter().map(|name| ((*name).into(), String::new())).collect();
    asking.decided(Some(Asks { lease: LEASE.id, members }));
    asking
}

fn names(names: &[&str]) -> BTreeSet<MemberName> {
    names.iter().map(|name| (*name).into()).collect()
}

#[test]
fn only_the_consent_of_all_renews_and_it_counts_from_the_question() {
    for (accepted, now, extended) in [
        (&["b", "c"][..], 11_000, true),
        (&["b"], 11_000, false),
        (&[], 11_000, false),
        (&["b", "c"], 11_200, false), // the fence has fallen
    ] {
        let mut asking = asking(&["b", "c"]);
        let lease = asking.answered(Millis(now), &LEASE, Millis(10_600), &names(accepted), &BTreeMap::new());
        assert_eq!(lease.map(|lease| lease.renewed_at), extended.then_some(Millis(10_600)), "{accepted:?} at {now}");
        assert_eq!(asking.consent().is_some(), extended);
        assert_eq!(asking.missing().is_empty(), accepted.len() == 2);
    }
}

#[test]
fn who_is_added_while_the_others_are_asked_must_consent_too() {
    let mut asking = asking(&["b"]);
    let members = [("b".into(), String::new()), ("c".into(), String::new())].into();
    asking.decided(Some(Asks { lease: LEASE.id, members }));
    assert_eq!(asking.answered(Millis(10_700), &LEASE, Millis(10_600), &names(&["b"]), &BTreeMap::new()), None);
    asking.decided(None);
    assert_eq!(asking.answered(Millis(10_700), &LEASE, Millis(10_600), &names(&["b", "c"]), &BTreeMap::new()), None);
    let other = Lease { id: LeaseId(2), ..LEASE };
    assert!(asking.whom(&other).is_none());
}

#[test]
fn the_list_changes_only_while_no_fence_rests_on_promises() {
    let mut asking = asking(&[]);
    assert!(asking.may_write(Millis(10_600)));
    let extended = asking.answered(Millis(10_601), &LEASE, Millis(10_600), &names(&[]), &BTreeMap::new()).unwrap();
    let fence = extended.fence();
    assert!(!asking.may_write(Millis(10_700)) && asking.may_write(fence));
    // Another lease's confirmation says nothing of the fence that was promised under this one.
    asking.confirmed(&Lease { id: LeaseId(2), renewed_at: Millis(10_700), ..LEASE });
    asking.confirmed(&Lease { renewed_at: Millis(10_599), ..LEASE });
    assert!(!asking.may_write(Millis(10_700)));
    asking.confirmed(&Lease { renewed_at: Millis(10_650), ..LEASE });
    assert!(asking.may_write(Millis(10_700)));
}
