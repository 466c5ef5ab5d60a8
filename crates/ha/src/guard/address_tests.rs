//! Addresses under the guard: the fence, the order of answers, announcements, and the guard's own end.

use super::*;
use crate::vip::VirtualAddress;

fn vip() -> VirtualAddress {
    VirtualAddress { ip: "10.0.0.42".parse().unwrap(), prefix: 24, interface: "eth0".into() }
}

fn guard() -> Guard {
    let mut guard = Guard::new(Millis(0));
    guard.handle(Millis(0), GuardEvent::Tick);
    guard
}

fn hold(until: u64) -> GuardEvent {
    GuardEvent::FromWorker(ToGuard::Hold { address: vip(), until: Millis(until) })
}

fn set() -> GuardEvent {
    GuardEvent::AddressSet { address: vip(), result: Ok(()) }
}

fn removed() -> GuardEvent {
    GuardEvent::AddressRemoved { address: vip(), result: Ok(()) }
}

fn release() -> GuardEvent {
    GuardEvent::FromWorker(ToGuard::Release { address: vip() })
}

const REMOVE: fn() -> GuardEffect = || GuardEffect::RemoveAddress { address: vip() };
const ANNOUNCE: fn() -> GuardEffect = || GuardEffect::AnnounceAddress { address: vip() };

fn said(effects: &[GuardEffect]) -> Vec<Presence> {
    let of = |effect: &GuardEffect| match effect {
        GuardEffect::Send(FromGuard::Address(state)) => Some(state.presence),
        _ => None,
    };
    effects.iter().filter_map(of).collect()
}

/// Held until 1200.
fn holding() -> Guard {
    let mut guard = guard();
    let effects = guard.handle(Millis(0), hold(1200));
    assert_eq!(effects[0], GuardEffect::SetAddress { address: vip(), seconds: 1, until: Millis(1200) });
    assert_eq!(said(&effects), [Presence::Uncertain]);
    let effects = guard.handle(Millis(1), set());
    assert_eq!(effects[0], ANNOUNCE(), "at once");
    assert_eq!(said(&effects), [Presence::Present]);
    guard
}

#[test]
fn the_fence_removes_the_address_whatever_became_of_the_worker() {
    for worker_dies in [false, true] {
        let mut guard = holding();
        if worker_dies {
            guard.handle(Millis(2), GuardEvent::WorkerExited);
        }
        assert!(!guard.handle(Millis(1199), GuardEvent::Tick).contains(&REMOVE()));
        let effects = guard.handle(Millis(1200), GuardEvent::Tick);
        assert!(effects.contains(&REMOVE()));
        assert_eq!(said(&effects), [Presence::Uncertain]);
        assert_eq!(said(&guard.handle(Millis(1201), removed())), [Presence::Absent]);
    }
}

#[test]
fn a_renewal_moves_the_fence_and_a_late_one_does_not_move_it_back() {
    let mut guard = holding();
    let effects = guard.handle(Millis(300), hold(1500));
    assert_eq!(said(&effects), [], "nothing new to say");
    guard.handle(Millis(301), set());
    guard.handle(Millis(302), hold(1300));
    guard.handle(Millis(303), set());
    assert!(!guard.handle(Millis(1499), GuardEvent::Tick).contains(&REMOVE()));
    assert!(guard.handle(Millis(1500), GuardEvent::Tick).contains(&REMOVE()));
    let late = guard.handle(Millis(1600), hold(1600));
    assert!(late.is_empty(), "a promise that is over: {late:?}");
}

#[test]
fn an_answer_that_crosses_a_release_does_not_make_the_address_absent() {
    let mut guard = guard();
    guard.handle(Millis(0), hold(1200));
    let effects = guard.handle(Millis(1), release());
    assert_eq!(effects[0], REMOVE());
    // The answer to the first of the two.
    assert_eq!(said(&guard.handle(Millis(2), set())), []);
    assert_eq!(said(&guard.handle(Millis(3), removed())), [Presence::Absent]);
    // And the other way round.
    let mut guard = holding();
    guard.handle(Millis(10), release());
    guard.handle(Millis(11), hold(1300));
    assert!(!said(&guard.handle(Millis(12), removed())).contains(&Presence::Absent));
    let effects = guard.handle(Millis(13), set());
    assert_eq!(said(&effects), [Presence::Present]);
    assert!(effects.contains(&ANNOUNCE()), "it was away for a moment");
}

#[test]
fn announcements_are_repeated_while_the_address_is_held() {
    let mut guard = holding();
    let mut heard = vec![Millis(1)];
    let mut now = Millis(1);
    while now < Millis(30_000) {
        now = now + Millis(1);
        let mut effects = guard.handle(now, GuardEvent::Tick);
        if now.0.is_multiple_of(300) {
            effects.extend(guard.handle(now, hold(now.0 + 1200)));
            effects.extend(guard.handle(now, set()));
        }
        heard.extend(effects.contains(&ANNOUNCE()).then_some(now));
    }
    let heard: Vec<u64> = heard.iter().map(|at| at.0).collect();
    assert_eq!(heard, [1, 101, 301, 1001, 2001, 5001, 15_001, 25_001]);
    guard.handle(Millis(30_000), release());
    guard.handle(Millis(30_000), removed());
    assert_eq!(guard.next_tick(), None);
}

#[test]
fn a_removal_that_fails_is_tried_again() {
    let mut guard = holding();
    guard.handle(Millis(10), release());
    let failed = GuardEvent::AddressRemoved { address: vip(), result: Err("busy".into()) };
    let effects = guard.handle(Millis(11), failed);
    assert_eq!(said(&effects), [Presence::Uncertain]);
    let again = Millis(11) + REMOVE_AGAIN_AFTER;
    assert_eq!(guard.next_tick(), Some(again));
    assert!(guard.handle(again, GuardEvent::Tick).contains(&REMOVE()));
    assert_eq!(said(&guard.handle(again, removed())), [Presence::Absent]);
}

#[test]
fn what_cannot_be_set_is_said_and_still_removed_at_the_fence() {
    let mut guard = guard();
    guard.handle(Millis(0), hold(1200));
    let refused = GuardEvent::AddressSet { address: vip(), result: Err("no such device".into()) };
    let effects = guard.handle(Millis(1), refused);
    let state = AddressState {
        address: vip(),
        presence: Presence::Absent,
        problem: Some("no such device".into()),
        conflict: None,
    };
    assert_eq!(effects, [GuardEffect::Send(FromGuard::Address(state))]);
    assert!(guard.handle(Millis(1200), GuardEvent::Tick).contains(&REMOVE()));
}

#[test]
fn the_next_worker_is_told_and_takes_it_up() {
    let mut guard = holding();
    let effects = guard.handle(Millis(500), GuardEvent::WorkerExited);
    let known = effects.iter().find_map(|effect| match effect {
        GuardEffect::Send(FromGuard::Hello { addresses, .. }) => Some(addresses.clone()),
        _ => None,
    });
    assert_eq!(known.unwrap()[0].presence, Presence::Present);
    guard.handle(Millis(700), hold(1900));
    guard.handle(Millis(701), set());
    assert!(!guard.handle(Millis(1899), GuardEvent::Tick).contains(&REMOVE()));
}

#[test]
fn the_guard_does_not_end_before_its_addresses_are_gone() {
    for leave_running in [false, true] {
        let mut guard = holding();
        guard.handle(Millis(10), GuardEvent::FromWorker(ToGuard::Finish { leave_running }));
        let effects = guard.handle(Millis(11), GuardEvent::WorkerExited);
        assert!(effects.contains(&REMOVE()) && !effects.contains(&GuardEffect::Exit), "{effects:?}");
        assert!(guard.handle(Millis(12), removed()).contains(&GuardEffect::Exit));
    }
}

#[test]
fn an_address_that_nobody_can_remove_does_not_keep_the_guard_for_ever() {
    let mut guard = holding();
    guard.handle(Millis(10), GuardEvent::FromWorker(ToGuard::Finish { leave_running: false }));
    let mut effects = guard.handle(Millis(11), GuardEvent::WorkerExited);
    let mut now = Millis(11);
    for _ in 0..REMOVALS_MAX {
        assert!(!effects.contains(&GuardEffect::Exit));
        let failed = GuardEvent::AddressRemoved { address: vip(), result: Err("busy".into()) };
        effects = guard.handle(now, failed);
        if effects.contains(&GuardEffect::Exit) {
            break;
        }
        now = now + REMOVE_AGAIN_AFTER;
        guard.handle(now, GuardEvent::Tick);
    }
    assert!(effects.contains(&GuardEffect::Exit));
    assert!(now >= Millis(2000), "longer than the kernel keeps it: {now}");
}

#[test]
fn a_second_holder_is_reported_until_the_address_is_given_up() {
    let mut guard = holding();
    let conflict = GuardEvent::AddressConflict { address: vip(), with: "02:00:00:00:00:09".into() };
    let effects = guard.handle(Millis(2), conflict.clone());
    assert!(matches!(
        &effects[0],
        GuardEffect::Send(FromGuard::Address(AddressState { conflict: Some(with), .. })) if with == "02:00:00:00:00:09"
    ));
    assert!(guard.handle(Millis(3), conflict).is_empty(), "said once");
}

#[test]
fn the_kernels_own_limit_is_the_fence_in_whole_seconds() {
    let seconds = |left: u64| lifetime_s(Millis(100), Millis(100 + left));
    assert_eq!([seconds(1200), seconds(999), seconds(2400), seconds(24_000)], [1, 1, 2, 24]);
}

#[test]
fn more_addresses_than_anybody_needs_are_not_taken() {
    let mut guard = guard();
    let address = |number: usize| VirtualAddress { interface: format!("eth{number}"), ..vip() };
    for number in 0..=ADDRESSES_MAX {
        let message = ToGuard::Hold { address: address(number), until: Millis(1200) };
        let effects = guard.handle(Millis(1), GuardEvent::FromWorker(message));
        assert_eq!(effects.is_empty(), number == ADDRESSES_MAX);
    }
}
