//! Standby clusters: nobody is writable while `standby_cluster` stands, and taking it out makes one primary, faults or not.

use sim::clock::MS;
use sim::faults::{Fault, Planned};
use sim::mutant::Mutant;
use sim::operator::Order;
use sim::run::{first_failure, first_failure_of, report, run};
use sim::setup::Setup;

const SEEDS: u64 = 800;
/// What a person needs of a failing run's trace to begin with.
const TAIL_LINES: usize = 80;

#[test]
fn no_seed_breaks_a_promise() {
    if let Some(failure) = first_failure_of((0..SEEDS).map(Setup::as_standby)) {
        panic!("{}", report(&Setup::as_standby(failure.seed), TAIL_LINES));
    }
}

#[test]
fn a_leader_that_forgets_what_the_cluster_is_is_noticed() {
    let failure = first_failure(0..20, Some(Mutant::ForgetStandbyCluster));
    let violation = failure.and_then(|failure| failure.violation).unwrap_or_default();
    assert!(violation.contains("in a standby cluster"), "{violation}");
}

#[test]
fn a_lost_standby_leader_is_replaced_and_the_cluster_can_be_promoted_afterwards() {
    const LOST_AT_MS: u64 = 9_000;
    const PROMOTED_AT_MS: u64 = 18_000;
    let script = [
        Planned::at_leader(LOST_AT_MS, Fault::PowerOff, 4_000),
        Planned::at_leader(PROMOTED_AT_MS, Fault::Order(Order::PromoteCluster), 0),
    ];
    for seed in 0..12 {
        let bootstrap_config = r#"{"ttl":1.5,"loop_wait":2,"standby_cluster":{"host":"remote"}}"#.to_owned();
        let setup = Setup { members: 3, bootstrap_config, script: Some(script.to_vec()), ..Setup::as_standby(seed) };
        let outcome = run(setup.clone());
        assert_eq!(outcome.violation, None, "{}", report(&setup, TAIL_LINES));
        assert!(outcome.leaderships.iter().any(|at| (LOST_AT_MS * MS..PROMOTED_AT_MS * MS).contains(at)), "{seed}");
        assert!(outcome.acknowledged > 0, "{seed}: nobody took writes in the end");
    }
}
