//! What the simulator found once, written down: each scenario broke a promise before it was mended.

use sim::clock::{MS, Time};
use sim::faults::{Aim, Fault, Planned};
use sim::mutant::Mutant;
use sim::network::Plane;
use sim::operator::Order;
use sim::run::{first_failure_of, run};
use sim::setup::Setup;

/// Several worlds, because what happens in a scenario still depends on delays.
const WORLDS: u64 = 12;

const ASYNCHRONOUS: &str = r#"{"ttl":1.5,"loop_wait":2,"primary_start_timeout":300}"#;
const IMPATIENT: &str = r#"{"ttl":1.5,"loop_wait":2,"primary_start_timeout":0}"#;
const SYNCHRONOUS: &str = r#"{"ttl":1.5,"loop_wait":2,"synchronous_mode":true}"#;

fn scenario(seed: u64, config: &str, script: &[Planned]) -> Setup {
    let bootstrap_config = config.to_owned();
    Setup { members: 3, bootstrap_config, script: Some(script.to_vec()), ..Setup::new(seed) }
}

fn check(config: &str, script: &[Planned]) {
    for seed in 0..WORLDS {
        let setup = scenario(seed, config, script);
        let outcome = run(setup.clone());
        if let Some(violation) = outcome.violation {
            let trace = run(Setup { trace: true, ..setup }).trace.join("\n");
            panic!("{trace}\nworld {seed}: {violation}");
        }
    }
}

fn isolate(plane: Option<Plane>) -> Fault {
    Fault::Isolate { plane, inward: true, outward: true }
}

#[test]
fn a_member_of_the_store_that_was_up_first_ends_no_lease_when_it_comes_to_lead() {
    // Members start up to half a second apart, and each counted the store's time from its own start.
    check(ASYNCHRONOUS, &[Planned::at_leader(10_000, Fault::PowerOffLeaders, 4_000)]);
}

/// The leader of both PostgreSQL and the store: what it asks for in its last moments must not keep the others waiting.
#[test]
fn a_leader_that_is_heard_and_hears_nobody_is_replaced_as_soon_as_any_other() {
    const CUT_AT_MS: u64 = 9_000;
    const WITHIN: Time = 1_900 * MS;
    let cut = Fault::Isolate { plane: None, inward: true, outward: false };
    let script = [Planned::at_leader(CUT_AT_MS, cut, 6_000)];
    check(ASYNCHRONOUS, &script);
    for seed in 0..WORLDS {
        let outcome = run(scenario(seed, ASYNCHRONOUS, &script));
        let next = outcome.leaderships.into_iter().find(|began| *began > CUT_AT_MS * MS).expect("somebody takes over");
        assert!(next <= CUT_AT_MS * MS + WITHIN, "world {seed}: after {} ms", next / MS - CUT_AT_MS);
    }
}

#[test]
fn a_restart_that_was_asked_for_is_not_taken_for_a_crash() {
    check(IMPATIENT, &[Planned::at_leader(9_000, Fault::Order(Order::Restart), 0)]);
}

#[test]
fn an_interrupted_rewind_ends_in_a_clone() {
    check(
        ASYNCHRONOUS,
        &[
            Planned::at_leader(9_000, isolate(None), 6_000),
            Planned::at_leader(15_300, Fault::PowerOff, 2_000),
            Planned::at_leader(15_400, Fault::KillWorker, 0),
        ],
    );
}

#[test]
fn a_machine_that_was_stopped_with_its_clock_does_not_take_the_key_up_again() {
    check(
        IMPATIENT,
        &[
            Planned::at_leader(9_000, Fault::FreezeHost { clock_too: true }, 8_000),
            // The second leader gives its place up just before the first comes back.
            Planned::at_leader(16_900, Fault::KillPostmaster, 0),
        ],
    );
}

#[test]
fn a_primary_left_alone_in_the_pause_is_not_replaced_when_the_pause_ends() {
    check(
        ASYNCHRONOUS,
        &[
            Planned::at_leader(9_000, Fault::Order(Order::Pause), 5_000),
            Planned::at_leader(12_000, Fault::FreezeWorker, 6_000),
        ],
    );
    check(
        SYNCHRONOUS,
        &[
            Planned::at_leader(9_000, Fault::Order(Order::Pause), 5_000),
            Planned::at_leader(11_000, isolate(None), 6_000),
        ],
    );
}

#[test]
fn a_release_whose_outcome_is_not_known_is_not_taken_back() {
    check(
        IMPATIENT,
        &[
            Planned::at_leader(9_000, isolate(Some(Plane::Store)), 2_500),
            Planned::at_leader(9_050, Fault::LoseMessages { percent: 40 }, 3_000),
            Planned::at_leader(9_100, Fault::KillPostmaster, 0),
        ],
    );
}

#[test]
fn the_key_is_taken_again_when_somebody_deletes_it() {
    check(ASYNCHRONOUS, &[Planned::at_leader(9_000, Fault::Order(Order::DeleteLeaderKey), 0)]);
    check(
        ASYNCHRONOUS,
        &[
            Planned::at_leader(9_000, Fault::FreezeWorker, 4_000),
            Planned::at_leader(9_100, Fault::Order(Order::DeleteLeaderKey), 0),
        ],
    );
}

#[test]
fn two_leaders_that_begin_the_same_timeline_leave_one_history() {
    check(
        ASYNCHRONOUS,
        &[
            Planned::at_leader(9_000, Fault::PowerOff, 7_000),
            Planned::at_leader(10_900, Fault::PowerOff, 6_000),
            Planned::at_leader(15_000, Fault::PowerOff, 4_000),
        ],
    );
}

/// The first of them was promoted, and nobody saw it: nothing of it came to the store or to a standby. It comes back while there
/// is no leader, so it starts as a standby, and nothing on its disk says any more that it led.
#[test]
fn a_promotion_that_nobody_saw_does_not_share_its_timeline_with_the_next() {
    let mut given_again = 0;
    for cut_at in (10_550..10_800).step_by(50) {
        let script = [
            Planned::at_leader(9_000, Fault::PowerOff, 12_000),
            Planned::at_leader(cut_at, isolate(None), 6_000),
            Planned::at_leader(cut_at + 5_400, Fault::PowerOff, 6_000),
        ];
        check(ASYNCHRONOUS, &script);
        let mutant = Some(Mutant::GiveTimelinesAgain);
        let broken = |seed| Setup { mutant, ..scenario(seed, ASYNCHRONOUS, &script) };
        given_again += (0..WORLDS).filter(|seed| run(broken(*seed)).violation.is_some()).count();
    }
    assert!(given_again > 0, "no such promotion came to pass");
}

#[test]
fn a_standby_that_nothing_reaches_is_not_listed_as_synchronous() {
    check(
        SYNCHRONOUS,
        &[
            Planned::at_leader(9_000, Fault::Order(Order::Synchronous { on: false, strict: false }), 0),
            Planned::at_leader(11_000, isolate(Some(Plane::Replication)), 8_000),
            Planned::at_leader(11_500, Fault::Order(Order::Synchronous { on: true, strict: false }), 0),
            Planned::at_leader(13_500, Fault::PowerOff, 5_000),
        ],
    );
}

#[test]
fn a_replication_network_that_fails_for_a_while_costs_no_data_directory() {
    check(SYNCHRONOUS, &[Planned::at_leader(9_000, isolate(Some(Plane::Replication)), 25_000)]);
}

#[test]
fn worker_and_guard_that_stop_one_after_the_other_leave_no_primary_behind() {
    check(ASYNCHRONOUS, &[Planned::at_leader(9_000, Fault::FreezeBoth { apart: 5_000_000 }, 6_000)]);
    check(
        ASYNCHRONOUS,
        &[Planned::at_leader(9_000, Fault::FreezeGuard, 9_000), Planned::at_leader(13_500, Fault::KillWorker, 0)],
    );
}

#[test]
fn a_switchover_reaches_its_candidate_while_processes_die() {
    for fault in [Fault::KillWorker, Fault::KillGuard, Fault::KillPostmaster, Fault::FreezeWorker] {
        check(
            SYNCHRONOUS,
            &[
                Planned::at_leader(9_000, Fault::Order(Order::Switchover { named: false }), 0),
                Planned::at_leader(9_060, fault, 1_500),
            ],
        );
    }
}

/// The claim of a primary that is only cut off outlives its lease in the pause. A switchover that was asked for while it led says
/// nothing of its end.
#[test]
fn a_switchover_that_the_leader_does_not_hear_of_replaces_it_only_when_it_is_gone() {
    let script = [
        Planned::at_leader(9_000, Fault::Order(Order::Pause), 7_000),
        Planned::at_leader(9_900, Fault::FreezeWorker, 5_000),
        Planned::at_leader(9_950, Fault::Order(Order::Switchover { named: true }), 0),
    ];
    check(ASYNCHRONOUS, &script);
    let broken = |seed| Setup { mutant: Some(Mutant::RequestEndsClaims), ..scenario(seed, ASYNCHRONOUS, &script) };
    let violation = first_failure_of((0..WORLDS).map(broken)).and_then(|failure| failure.violation);
    assert!(violation.as_ref().is_some_and(|what| what.contains("could still acknowledge")), "{violation:?}");
}

/// The leader of a paused cluster takes a key that somebody deleted again, and is cut off in the next moment: its claim must have
/// come with the key, and outlive the lease.
#[test]
fn a_claim_in_the_pause_lasts_from_the_moment_the_key_is_taken() {
    let mut noticed = 0;
    for frozen_after in 3..15 {
        let script = [
            Planned::at_leader(9_000, Fault::Order(Order::Pause), 7_000),
            Planned::at_leader(9_500, Fault::Order(Order::DeleteLeaderKey), 0),
            Planned::at_leader(9_500 + frozen_after, Fault::FreezeWorker, 5_000),
            Planned::at_leader(9_600, Fault::Order(Order::Switchover { named: true }), 0),
        ];
        check(ASYNCHRONOUS, &script);
        let broken = |seed| Setup { mutant: Some(Mutant::ClaimEndsWithLease), ..scenario(seed, ASYNCHRONOUS, &script) };
        noticed += (0..WORLDS).filter(|seed| run(broken(*seed)).violation.is_some()).count();
    }
    assert!(noticed > 0, "nobody was cut off in that moment");
}

const FAILSAFE: &str = r#"{"ttl":1.5,"loop_wait":2,"failsafe_mode":true}"#;
const FAILSAFE_SYNCHRONOUS: &str = r#"{"ttl":1.5,"loop_wait":2,"failsafe_mode":true,"synchronous_mode":true}"#;

#[test]
fn without_the_store_the_primary_goes_on_as_long_as_everybody_consents() {
    for config in [FAILSAFE, FAILSAFE_SYNCHRONOUS] {
        for fault in [Fault::StoreAway, Fault::CutFromStore] {
            let script = [Planned::at_leader(12_000, fault.clone(), 10_000)];
            check(config, &script);
            for seed in 0..WORLDS {
                let outcome = run(Setup { trace: true, ..scenario(seed, config, &script) });
                let ended = outcome.trace.iter().any(|line| line.contains("PostgreSQL") && line.contains("kill"));
                assert!(!ended, "world {seed}, {fault:?}: {}", outcome.trace.join("\n"));
                assert!(outcome.consents > 10, "world {seed}, {fault:?}: {} consents", outcome.consents);
                let leaders: Vec<&str> =
                    outcome.trace.iter().filter_map(|line| line.split_once("LEADER m")?.1.split(' ').next()).collect();
                assert!(
                    leaders.windows(2).all(|pair| pair[0] == pair[1]),
                    "{}\nworld {seed}, {fault:?}: {leaders:?}",
                    outcome.trace.join("\n")
                );
            }
        }
    }
}

#[test]
fn a_primary_that_misses_one_consent_ends_at_its_fence() {
    let script = [
        Planned::at_leader(12_000, Fault::CutFromStore, 9_000),
        Planned { at: 14_000 * MS, fault: isolate(Some(Plane::Rest)), lasts: 5_000 * MS, aim: Aim::Leader },
    ];
    check(FAILSAFE, &script);
    for seed in 0..WORLDS {
        let outcome = run(scenario(seed, FAILSAFE, &script));
        let next = outcome.leaderships.iter().find(|began| **began > 14_000 * MS).expect("somebody takes over");
        // The last promise was given before the cut, and the election follows its end.
        assert!(*next <= 18_000 * MS, "world {seed}: at {} ms", next / MS);
    }
}

/// A member was away for long when the list was written, and comes back while the leader goes on without the store.
#[test]
fn a_member_that_was_never_asked_does_not_take_over() {
    let script = [
        Planned { at: 9_000 * MS, fault: Fault::PowerOff, lasts: 16_000 * MS, aim: Aim::Anybody },
        Planned::at_leader(23_500, Fault::CutFromStore, 9_000),
    ];
    check(FAILSAFE, &script);
    let broken = |seed| Setup { mutant: Some(Mutant::FailsafeUnlistedTakes), ..scenario(seed, FAILSAFE, &script) };
    let failure = first_failure_of((0..WORLDS).map(broken)).and_then(|failure| failure.violation).unwrap_or_default();
    assert!(failure.contains("could still acknowledge"), "the oracle said '{failure}'");
}
