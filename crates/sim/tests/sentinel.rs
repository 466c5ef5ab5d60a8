//! Hundreds of groups of sentinels, each with its own faults; and every rule that is broken on purpose is noticed.

use sim::sentinel::mutant::Mutant;
use sim::sentinel::run::{first_failure, report, run};
use sim::sentinel::setup::Setup;
use std::ops::Range;

const SEEDS: u64 = 400;
/// What a person needs of a failing run's trace to begin with.
const TAIL_LINES: usize = 80;

fn check(seeds: Range<u64>) {
    if let Some(failure) = first_failure(seeds, None) {
        panic!("{}", report(&Setup::new(failure.seed), TAIL_LINES));
    }
}

#[test]
fn no_seed_of_the_first_half_breaks_a_promise() {
    check(0..SEEDS / 2);
}

#[test]
fn no_seed_of_the_second_half_breaks_a_promise() {
    check(SEEDS / 2..SEEDS);
}

#[test]
fn the_same_seed_gives_the_same_trace_byte_for_byte() {
    for seed in [1, 2, 3] {
        let setup = Setup { trace: true, ..Setup::new(seed) };
        let (first, second) = (run(setup.clone()), run(setup));
        assert_eq!(first.trace.join("\n"), second.trace.join("\n"), "seed {seed}");
        assert!(first.trace.len() > 20, "seed {seed} has a trace");
    }
}

#[test]
fn worlds_are_eventful() {
    let outcomes: Vec<_> = (0..40).map(|seed| run(Setup::new(seed))).collect();
    let sum = |count: fn(&sim::sentinel::run::Outcome) -> u64| outcomes.iter().map(count).sum::<u64>();
    assert!(sum(|outcome| outcome.elections) > 40, "{}", sum(|outcome| outcome.elections));
    assert!(sum(|outcome| outcome.votes) > 40, "{}", sum(|outcome| outcome.votes));
}

/// `within`: several times the number of seeds it takes at present, because every change draws other worlds.
fn check_mutant(mutant: Mutant, within: u64, expected: &[&str]) {
    let failure = first_failure(0..within, Some(mutant));
    let violation = failure.and_then(|failure| failure.violation).unwrap_or_default();
    let seen = expected.iter().any(|words| violation.contains(words));
    assert!(seen, "{}: within {within} seeds the oracle said '{violation}'", mutant.name());
}

const TWO_LEADERS: &str = "two leaders";
const VOTED_TWICE: &str = "voted twice";
const TWO_ADDRESSES: &str = "two addresses";
const AT_THE_END: &str = "at the end";

#[test]
fn a_vote_that_is_answered_before_it_is_durable_is_noticed() {
    check_mutant(Mutant::AnswerBeforeDurable, 2_000, &[TWO_LEADERS, VOTED_TWICE, TWO_ADDRESSES]);
}

#[test]
fn a_vote_that_is_forgotten_in_a_restart_is_noticed() {
    check_mutant(Mutant::ForgetLeaderEpoch, 4_000, &[TWO_LEADERS, VOTED_TWICE, TWO_ADDRESSES]);
}

#[test]
fn a_configuration_that_is_taken_over_without_being_newer_is_noticed() {
    check_mutant(Mutant::AdoptEqualEpoch, 600, &[TWO_ADDRESSES, AT_THE_END]);
}

#[test]
fn a_leader_without_a_majority_is_noticed() {
    check_mutant(Mutant::PromoteWithoutMajority, 600, &[TWO_LEADERS, TWO_ADDRESSES]);
}

#[test]
fn an_epoch_with_two_owners_is_noticed() {
    check_mutant(Mutant::EpochForEverybody, 600, &[TWO_LEADERS, TWO_ADDRESSES]);
}

#[test]
fn sentinels_that_do_not_hear_each_other_are_noticed() {
    check_mutant(Mutant::DeafToHellos, 300, &[AT_THE_END]);
}

#[test]
fn a_vote_that_is_forgotten_with_a_removed_master_is_noticed() {
    check_mutant(Mutant::ForgetVoteOfRemoved, 4_000, &[TWO_LEADERS, VOTED_TWICE, TWO_ADDRESSES]);
}

#[test]
fn an_epoch_that_leaves_no_next_one_is_noticed() {
    check_mutant(Mutant::HearImpossibleEpochs, 400, &[AT_THE_END]);
}

#[test]
fn a_server_that_is_left_a_master_is_noticed() {
    check_mutant(Mutant::LeaveRenegades, 300, &[AT_THE_END]);
}
