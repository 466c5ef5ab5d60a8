//! Thousands of clusters, each with its own faults. A failure prints what happened and the command that shows it again.
//!
//! In two halves, so that two cores have something to do.

use sim::run::{first_failure, report};
use sim::setup::Setup;
use std::ops::Range;

const SEEDS: u64 = 4000;
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
