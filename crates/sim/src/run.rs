//! Seed after seed.

use crate::clock::{SECOND, Time};
use crate::mutant::Mutant;
use crate::setup::Setup;
use crate::world::World;
use std::ops::Range;

/// How one seed went.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub seed: u64,
    pub violation: Option<String>,
    pub simulated_seconds: u64,
    pub events: u64,
    pub acknowledged: u64,
    /// When each began.
    pub leaderships: Vec<Time>,
    pub redis: Option<RedisOutcome>,
    /// Renewals by the consent of the others (failsafe mode).
    pub consents: u64,
    pub trace: Vec<String>,
}

/// What Redis did meanwhile.
#[derive(Clone, Copy, Debug, Default)]
pub struct RedisOutcome {
    pub acknowledged: u64,
    pub leaderships: u64,
    /// Planned ones that came true.
    pub switchovers: u64,
}

pub fn run(setup: Setup) -> Outcome {
    let seed = setup.seed;
    let redis = setup.redis;
    let mut world = World::new(setup);
    world.run();
    Outcome {
        seed,
        violation: world.oracle.violation.clone(),
        simulated_seconds: world.now / SECOND,
        events: world.events,
        acknowledged: world.oracle.acknowledged,
        leaderships: world.oracle.leaderships.clone(),
        redis: redis.then_some(RedisOutcome {
            acknowledged: world.oracle.redis.writes,
            leaderships: world.oracle.redis.leaderships,
            switchovers: world.oracle.redis.switchovers,
        }),
        consents: world.oracle.consents,
        trace: world.trace.lines().map(str::to_owned).collect(),
    }
}

/// The first of these seeds that violates anything.
pub fn first_failure(seeds: Range<u64>, mutant: Option<Mutant>) -> Option<Outcome> {
    first_failure_of(seeds.map(|seed| Setup::for_mutant(seed, mutant)))
}

/// The first of these worlds that violates anything.
pub fn first_failure_of(setups: impl Iterator<Item = Setup>) -> Option<Outcome> {
    setups.map(run).find(|outcome| outcome.violation.is_some())
}

/// What a person needs to see of a failure: what, how to see it again, and how it came to that.
pub fn report(setup: &Setup, lines: usize) -> String {
    let outcome = run(Setup { trace: true, ..setup.clone() });
    // What members write every other second says little.
    let routine = |line: &&String| !line.contains("writes: status") && !line.contains("writes: the own entry");
    let kept: Vec<&str> = outcome.trace.iter().filter(routine).map(String::as_str).collect();
    format!(
        "{}\n\nseed {}: {}\nreplay: {}\n",
        kept[kept.len().saturating_sub(lines)..].join("\n"),
        outcome.seed,
        outcome.violation.as_deref().unwrap_or("no violation"),
        setup.replay()
    )
}
