//! What a run is made from.

use super::faults::Planned;
use super::mutant::Mutant;
use crate::random::Random;

#[derive(Clone, Debug)]
pub struct Setup {
    pub seed: u64,
    /// All sentinels are ours and take their epochs from the store.
    pub native: bool,
    pub sentinels: usize,
    pub masters: usize,
    /// Servers of each master, itself included.
    pub servers: usize,
    pub down_after: u64,
    pub failover_timeout: u64,
    pub mutant: Option<Mutant>,
    pub trace: bool,
    /// These faults, and no others; `None`: as the seed draws them.
    pub script: Option<Vec<Planned>>,
}

impl Setup {
    pub fn new(seed: u64) -> Self {
        // Another stream than the world's, so that neither disturbs the other.
        let mut random = Random::new(seed ^ 0x5E47);
        Self {
            seed,
            native: random.percent(35),
            sentinels: if random.percent(25) { 5 } else { 3 },
            masters: if random.percent(30) { 2 } else { 1 },
            servers: if random.percent(25) { 4 } else { 3 },
            down_after: random.pick(&[300, 500, 1_000, 2_000]).unwrap_or(1_000),
            failover_timeout: random.pick(&[2_000, 4_000, 8_000]).unwrap_or(4_000),
            mutant: None,
            trace: false,
            script: None,
        }
    }

    pub fn quorum(&self) -> usize {
        self.sentinels / 2 + 1
    }

    /// The command that runs this again.
    pub fn replay(&self) -> String {
        let mutant = self.mutant.map(|mutant| format!(" --mutant {}", mutant.name())).unwrap_or_default();
        format!("cargo run -p sim --bin quorate-sim -- --world sentinel --seed {}{mutant} --trace", self.seed)
    }
}
