//! Worlds in which every member has a Redis beside its PostgreSQL: seeds, mutants, and scenarios that broke a promise once.

use sim::clock::{MS, SECOND, Time};
use sim::faults::{Fault, Planned};
use sim::mutant::Mutant;
use sim::network::Plane;
use sim::operator::Order;
use sim::redis::faults::RedisOrder;
use sim::run::{first_failure, first_failure_of, report, run};
use sim::setup::Setup;
use std::ops::Range;

/// Fewer than without Redis, because each takes twice as long.
const SEEDS: u64 = 400;
/// What a person needs of a failing run's trace to begin with.
const TAIL_LINES: usize = 80;
/// Several worlds, because what happens in a scenario still depends on delays.
const WORLDS: u64 = 8;

fn check_seeds(seeds: Range<u64>) {
    if let Some(failure) = first_failure_of(seeds.map(Setup::with_redis)) {
        panic!("{}", report(&Setup::with_redis(failure.seed), TAIL_LINES));
    }
}

#[test]
fn no_seed_of_the_first_half_breaks_a_promise() {
    check_seeds(0..SEEDS / 2);
}

#[test]
fn no_seed_of_the_second_half_breaks_a_promise() {
    check_seeds(SEEDS / 2..SEEDS);
}

#[test]
fn the_same_seed_gives_the_same_trace_byte_for_byte() {
    for seed in [1, 8] {
        let setup = Setup { trace: true, ..Setup::with_redis(seed) };
        let (first, second) = (run(setup.clone()), run(setup));
        assert_eq!(first.trace.join("\n"), second.trace.join("\n"), "seed {seed}");
        assert!(first.redis.is_some_and(|redis| redis.acknowledged > 100), "Redis takes part");
    }
}

/// `within`: several times the number of seeds it takes at present, because every change draws other worlds.
fn check_mutant(mutant: Mutant, within: u64, expected: &[&str]) {
    let failure = first_failure(0..within, Some(mutant));
    let violation = failure.and_then(|failure| failure.violation).unwrap_or_default();
    let seen = expected.iter().any(|words| violation.contains(words));
    assert!(seen, "{}: within {within} seeds the oracle said '{violation}'", mutant.name());
}

const TWO_MASTERS: [&str; 2] = ["of Redis passes to", "as an old master"];

#[test]
fn a_fence_over_redis_that_never_falls_is_noticed() {
    check_mutant(Mutant::RedisSkipFence, 100, &TWO_MASTERS);
}

#[test]
fn a_promotion_before_the_key_is_held_is_noticed() {
    check_mutant(Mutant::RedisPromoteEarly, 100, &TWO_MASTERS);
}

#[test]
fn a_claim_of_redis_that_is_not_seen_is_noticed() {
    check_mutant(Mutant::RedisDropClaim, 200, &TWO_MASTERS);
}

#[test]
fn a_hand_over_that_does_not_wait_for_the_candidate_is_noticed() {
    check_mutant(Mutant::RedisHandOverEarly, 400, &["loses writes"]);
}

#[test]
fn a_switchover_that_ends_a_lasting_claim_is_noticed() {
    check_mutant(Mutant::RedisRequestEndsClaims, 400, &TWO_MASTERS);
}

#[test]
fn a_first_leadership_without_data_that_is_not_noted_is_noticed() {
    check_mutant(Mutant::RedisFirstIsNotEmpty, 400, &["which began without data"]);
}

#[test]
fn a_lease_that_ends_with_a_refusal_while_a_server_runs_is_noticed() {
    check_mutant(Mutant::RedisRefusalEndsLease, 800, &[TWO_MASTERS[0], TWO_MASTERS[1], "could still acknowledge"]);
}

#[test]
fn an_empty_redis_that_leads_is_noticed() {
    check_mutant(Mutant::RedisEmptyLeads, 100, &["which began without data"]);
}

fn scenario(seed: u64, script: &[Planned]) -> Setup {
    Setup { members: 3, script: Some(script.to_vec()), redis_latecomer: false, ..Setup::with_redis(seed) }
}

fn check_scenario(script: &[Planned]) -> u64 {
    check_scenario_with_pings(script, SECOND)
}

fn check_scenario_with_pings(script: &[Planned], redis_ping: Time) -> u64 {
    let mut switchovers = 0;
    for seed in 0..WORLDS {
        let setup = Setup { redis_ping, ..scenario(seed, script) };
        let outcome = run(setup.clone());
        if let Some(violation) = outcome.violation {
            let trace = run(Setup { trace: true, ..setup }).trace.join("\n");
            panic!("{trace}\nworld {seed}: {violation}");
        }
        switchovers += outcome.redis.map_or(0, |redis| redis.switchovers);
    }
    switchovers
}

const SWITCHOVER: Fault = Fault::RedisOrder(RedisOrder::Switchover { named: false });

#[test]
fn a_planned_switchover_comes_true_and_loses_nothing() {
    assert_eq!(check_scenario(&[Planned::at_redis(9_000, SWITCHOVER, 0)]), WORLDS);
}

/// In every switchover one comes between the look at the candidate and the demotion.
#[test]
fn pings_of_the_master_do_not_keep_a_switchover_from_coming_true() {
    assert_eq!(check_scenario_with_pings(&[Planned::at_redis(9_000, SWITCHOVER, 0)], MS / 5), WORLDS);
}

#[test]
fn a_switchover_loses_nothing_while_processes_die_in_it() {
    let faults = [
        Fault::KillWorker,
        Fault::KillGuard,
        Fault::KillRedis,
        Fault::FreezeWorker,
        Fault::FreezeRedis,
        Fault::PowerOff,
    ];
    for fault in faults {
        for after in [2, 5, 9] {
            check_scenario(&[
                Planned::at_redis(9_000, SWITCHOVER, 0),
                Planned::at_redis(9_000 + after, fault.clone(), 1_500),
            ]);
        }
    }
}

#[test]
fn a_master_that_lost_its_data_does_not_pass_them_on() {
    let isolate = |plane| Fault::Isolate { plane, inward: true, outward: true };
    // Nobody is in sync, so it is started again in place, and its old replicas connect by themselves.
    check_scenario(&[
        Planned::at_redis(9_000, isolate(Some(Plane::Replication)), 6_000),
        Planned::at_redis(14_900, Fault::LoseRedisData, 0),
    ]);
    check_scenario(&[
        Planned::at_redis(9_000, isolate(None), 1_000),
        Planned::at_redis(9_100, Fault::LoseRedisData, 0),
    ]);
}

#[test]
fn the_key_of_redis_is_taken_again_when_somebody_deletes_it() {
    let delete = Fault::RedisOrder(RedisOrder::DeleteLeaderKey);
    check_scenario(&[Planned::at_redis(9_000, delete.clone(), 0)]);
    check_scenario(&[Planned::at_redis(9_000, Fault::FreezeWorker, 4_000), Planned::at_redis(9_100, delete, 0)]);
}

/// The claim of a master that is only cut off outlives its lease in the pause. A switchover that was asked for while it led says
/// nothing of its end.
#[test]
fn a_switchover_that_the_master_does_not_hear_of_replaces_it_only_when_it_is_gone() {
    let script = [
        Planned::at_redis(9_000, Fault::Order(Order::Pause), 7_000),
        Planned::at_redis(9_900, Fault::FreezeWorker, 5_000),
        Planned::at_redis(9_950, Fault::RedisOrder(RedisOrder::Switchover { named: true }), 0),
    ];
    check_scenario(&script);
    let broken = |seed| Setup { mutant: Some(Mutant::RedisRequestEndsClaims), ..scenario(seed, &script) };
    let failure = first_failure_of((0..WORLDS).map(broken)).and_then(|failure| failure.violation);
    assert!(failure.as_ref().is_some_and(|what| what.contains(TWO_MASTERS[0])), "{failure:?}");
}
