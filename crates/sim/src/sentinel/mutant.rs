//! Rules broken on purpose, to see that the oracle notices. They change the driver around the decisions, never the decisions
//! themselves.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A save is reported as done before anything is on the disk.
    AnswerBeforeDurable,
    /// The epoch of the last vote is not read back after a restart.
    ForgetLeaderEpoch,
    /// A hello with the epoch that is known already is taken for a newer one.
    AdoptEqualEpoch,
    /// Every answer of a peer counts as a vote.
    PromoteWithoutMajority,
    /// The store gives an epoch to everybody who asks.
    EpochForEverybody,
    /// Sentinels do not hear each other's hellos.
    DeafToHellos,
    /// A server that says it is a master is believed without a look at who should be.
    LeaveRenegades,
    /// A master that is monitored anew has no vote of before.
    ForgetVoteOfRemoved,
    /// A hello with an epoch that cannot be is taken for one with the largest that can.
    HearImpossibleEpochs,
}

pub const MUTANTS: [(&str, Mutant); 9] = [
    ("answer-before-durable", Mutant::AnswerBeforeDurable),
    ("forget-leader-epoch", Mutant::ForgetLeaderEpoch),
    ("adopt-equal-epoch", Mutant::AdoptEqualEpoch),
    ("promote-without-majority", Mutant::PromoteWithoutMajority),
    ("epoch-for-everybody", Mutant::EpochForEverybody),
    ("deaf-to-hellos", Mutant::DeafToHellos),
    ("leave-renegades", Mutant::LeaveRenegades),
    ("forget-vote-of-removed", Mutant::ForgetVoteOfRemoved),
    ("hear-impossible-epochs", Mutant::HearImpossibleEpochs),
];

impl Mutant {
    pub fn named(name: &str) -> Option<Self> {
        MUTANTS.iter().find(|(known, _)| *known == name).map(|(_, mutant)| *mutant)
    }

    pub fn name(self) -> &'static str {
        MUTANTS.iter().find(|(_, mutant)| *mutant == self).map_or("", |(name, _)| name)
    }
}
