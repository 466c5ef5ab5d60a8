//! What a run is made from: the seed, and what somebody wants otherwise.

use crate::clock::{SECOND, Time};
use crate::faults::Planned;
use crate::mutant::Mutant;
use crate::random::Random;

/// Every so many seeds one runs with failsafe mode.
const FAILSAFE_EVERY: u64 = 4;

#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // kinds of worlds, each on its own
pub struct Setup {
    pub seed: u64,
    pub members: usize,
    pub mutant: Option<Mutant>,
    pub trace: bool,
    /// The cluster begins as a standby cluster.
    pub standby: bool,
    /// Every member has a Redis beside its PostgreSQL.
    pub redis: bool,
    /// The last member comes late, when the others have a master already, and brings data of Redis along.
    pub redis_latecomer: bool,
    /// Failsafe mode is on, and the faults are those that it is for.
    pub failsafe: bool,
    /// Its `repl-ping-replica-period`.
    pub redis_ping: Time,
    /// JSON, as a new cluster gets it.
    pub bootstrap_config: String,
    /// These faults, and no others; `None`: as the seed draws them.
    pub script: Option<Vec<Planned>>,
}

impl Setup {
    pub fn new(seed: u64) -> Self {
        // Another stream than the world's, so that neither disturbs the other.
        let mut random = Random::new(seed ^ 0x5E70);
        let members = if random.percent(15) { 5 } else { 3 };
        let ttl = random.pick(&[1.5, 1.5, 1.5, 2.0, 3.0]).unwrap_or(1.5);
        let loop_wait = random.pick(&[1.0, 2.0, 2.0]).unwrap_or(2.0);
        let start_timeout = random.pick(&[0, 1, 5, 300]).unwrap_or(300);
        let synchronous = random.percent(55);
        let strict = synchronous && random.percent(30);
        let count = if random.percent(25) { 2 } else { 1 };
        let failsafe = seed % FAILSAFE_EVERY == FAILSAFE_EVERY - 1;
        let bootstrap_config = format!(
            r#"{{"ttl":{ttl},"loop_wait":{loop_wait},"primary_start_timeout":{start_timeout},"synchronous_mode":{synchronous},"synchronous_mode_strict":{strict},"synchronous_node_count":{count},"failsafe_mode":{failsafe}}}"#
        );
        Self {
            seed,
            members,
            mutant: None,
            trace: false,
            standby: false,
            redis: false,
            redis_latecomer: false,
            failsafe,
            redis_ping: SECOND,
            bootstrap_config,
            script: None,
        }
    }

    /// The same, with a Redis on every member.
    pub fn with_redis(seed: u64) -> Self {
        // Another stream than the faults', so that neither disturbs the other.
        let redis_latecomer = Random::new(seed ^ 0x1A7E).percent(10);
        Self { redis: true, redis_latecomer, ..Self::new(seed) }
    }

    /// The same as a standby cluster.
    pub fn as_standby(seed: u64) -> Self {
        let plain = Self::new(seed);
        let bootstrap_config = plain.bootstrap_config.replacen('{', r#"{"standby_cluster":{"host":"remote"},"#, 1);
        Self { standby: true, bootstrap_config, ..plain }
    }

    /// As a world that this mutant is about.
    pub fn for_mutant(seed: u64, mutant: Option<Mutant>) -> Self {
        let plain = match mutant {
            Some(mutant) if mutant.is_of_redis() => Self::with_redis(seed),
            Some(mutant) if mutant.is_of_standby() => Self::as_standby(seed),
            Some(_) | None => Self::new(seed),
        };
        Self { mutant, ..plain }
    }

    /// The command that runs this again.
    pub fn replay(&self) -> String {
        let redis = match (self.redis, self.standby) {
            (true, _) => " --redis",
            (false, true) => " --standby",
            (false, false) => "",
        };
        let mutant = self.mutant.map(|mutant| format!(" --mutant {}", mutant.name())).unwrap_or_default();
        format!("cargo run -p sim --bin quorate-sim -- --seed {}{redis}{mutant} --trace", self.seed)
    }
}
