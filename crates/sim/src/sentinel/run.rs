//! Seed after seed.

use super::mutant::Mutant;
use super::setup::Setup;
use super::world::World;
use crate::clock::{SECOND, Time};
use std::ops::Range;

/// How one seed went.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub seed: u64,
    pub violation: Option<String>,
    pub simulated_seconds: u64,
    pub events: u64,
    pub elections: u64,
    pub switches: u64,
    pub votes: u64,
    /// When the first sentinel said that the master is another one.
    pub first_switch_at: Option<Time>,
    pub trace: Vec<String>,
}

pub fn run(setup: Setup) -> Outcome {
    let seed = setup.seed;
    let mut world = World::new(setup);
    world.run();
    Outcome {
        seed,
        violation: world.oracle.violation.clone(),
        simulated_seconds: world.now / SECOND,
        events: world.events,
        elections: world.oracle.elections,
        switches: world.oracle.switches,
        votes: world.oracle.votes_given,
        first_switch_at: world.oracle.first_switch_at,
        trace: world.trace.lines().map(str::to_owned).collect(),
    }
}

/// The first of these seeds that violates anything.
pub fn first_failure(seeds: Range<u64>, mutant: Option<Mutant>) -> Option<Outcome> {
    seeds.map(|seed| run(Setup { mutant, ..Setup::new(seed) })).find(|outcome| outcome.violation.is_some())
}

/// What a person needs to see of a failure: what, how to see it again, and how it came to that.
pub fn report(setup: &Setup, lines: usize) -> String {
    let outcome = run(Setup { trace: true, ..setup.clone() });
    let trace = &outcome.trace;
    format!(
        "{}\n\nseed {}: {}\nreplay: {}\n",
        trace[trace.len().saturating_sub(lines)..].join("\n"),
        outcome.seed,
        outcome.violation.as_deref().unwrap_or("no violation"),
        setup.replay()
    )
}

/// `quorate-sim --world sentinel`: what the command line asked for. True: nothing was violated.
pub fn command(seed: Option<u64>, seeds: Range<u64>, mutant: Option<Mutant>, trace: bool, keep_going: bool) -> bool {
    const TAIL_LINES: usize = 60;
    let setup = |seed| Setup { mutant, trace, ..Setup::new(seed) };
    if let Some(seed) = seed {
        let outcome = run(setup(seed));
        for line in &outcome.trace {
            println!("{line}");
        }
        println!(
            "seed {seed}: {} s simulated, {} events, {} votes, {} elections, {} switches: {}",
            outcome.simulated_seconds,
            outcome.events,
            outcome.votes,
            outcome.elections,
            outcome.switches,
            outcome.violation.as_deref().unwrap_or("no violation")
        );
        return outcome.violation.is_none();
    }
    let (mut failures, mut events, mut seconds, mut elections, mut switches) = (0u64, 0, 0, 0, 0);
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let outcome = run(setup(seed));
        events += outcome.events;
        seconds += outcome.simulated_seconds;
        elections += outcome.elections;
        switches += outcome.switches;
        if let Some(violation) = &outcome.violation {
            failures += 1;
            if !keep_going {
                println!("{}", report(&setup(seed), TAIL_LINES));
                return false;
            }
            println!("seed {seed}: {violation}");
        }
    }
    println!(
        "{count} seeds, {failures} failed: {seconds} s simulated, {events} events, {elections} elections, {switches} switches"
    );
    failures == 0
}
