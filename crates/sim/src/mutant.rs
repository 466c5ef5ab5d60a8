//! Rules broken on purpose, to see that the oracle notices. They change the model around the decisions, never the
//! decisions themselves.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The guard's fence never falls.
    SkipFence,
    /// The lease is renewed whatever guard and decisions do, and the worker does not fence in the guard's place.
    RenewBlindly,
    /// The leader key is taken without looking at what is there.
    StaleView,
    /// The store's disk reports a sync that it did not do.
    ForgetFsync,
    /// A standby is listed in `/sync` before commits wait for it.
    SyncTooEarly,
    /// Claims of others are not seen.
    DropClaim,
}

pub const MUTANTS: [(&str, Mutant); 6] = [
    ("skip-fence", Mutant::SkipFence),
    ("renew-blindly", Mutant::RenewBlindly),
    ("stale-view", Mutant::StaleView),
    ("forget-fsync", Mutant::ForgetFsync),
    ("sync-too-early", Mutant::SyncTooEarly),
    ("drop-claim", Mutant::DropClaim),
];

impl Mutant {
    pub fn named(name: &str) -> Option<Self> {
        MUTANTS.iter().find(|(known, _)| *known == name).map(|(_, mutant)| *mutant)
    }

    pub fn name(self) -> &'static str {
        MUTANTS.iter().find(|(_, mutant)| *mutant == self).map_or("", |(name, _)| name)
    }
}
