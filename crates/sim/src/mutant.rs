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
    /// A promotion takes the next number of a timeline as PostgreSQL alone would, whatever the store says.
    GiveTimelinesAgain,
    /// A request that names the new leader is taken for the word of an operator that the old one is gone, also when it is for
    /// a switchover.
    RequestEndsClaims,
    /// The claim that comes with the key ends with the lease, also in the pause.
    ClaimEndsWithLease,
    /// The fence of a virtual address never falls.
    VipSkipFence,
    /// A virtual address is given up with its lease only, and the role passes on without waiting for it.
    VipKeptBeyondRole,
    /// The leader of a standby cluster does not see that it is one.
    ForgetStandbyCluster,
    /// Failsafe mode: a member takes the key although it has promised not to.
    FailsafeTakesInSpiteOfPromise,
    /// The leader leaves one member out when it asks.
    FailsafeAsksAllButOne,
    /// A worker that was started again does not keep the word of the one before.
    FailsafeForgetsPromises,
    /// A member takes the key that nobody has asked, because it is not listed.
    FailsafeUnlistedTakes,
    /// The guard's fence over Redis never falls.
    RedisSkipFence,
    /// Redis is promoted when the leader key is asked for, not when it is held.
    RedisPromoteEarly,
    /// A switchover of Redis does not wait for the candidate.
    RedisHandOverEarly,
    /// Claims of other members' Redis are not seen.
    RedisDropClaim,
    /// A Redis without data takes itself for the best.
    RedisEmptyLeads,
    /// `RequestEndsClaims`, of Redis.
    RedisRequestEndsClaims,
    /// The first leadership of a group never counts as one that began without data.
    RedisFirstIsNotEmpty,
    /// An agent that refuses one server gives its lease up while the other one runs.
    RedisRefusalEndsLease,
}

pub const MUTANTS: [(&str, Mutant); 24] = [
    ("skip-fence", Mutant::SkipFence),
    ("renew-blindly", Mutant::RenewBlindly),
    ("stale-view", Mutant::StaleView),
    ("forget-fsync", Mutant::ForgetFsync),
    ("sync-too-early", Mutant::SyncTooEarly),
    ("drop-claim", Mutant::DropClaim),
    ("give-timelines-again", Mutant::GiveTimelinesAgain),
    ("request-ends-claims", Mutant::RequestEndsClaims),
    ("claim-ends-with-lease", Mutant::ClaimEndsWithLease),
    ("vip-skip-fence", Mutant::VipSkipFence),
    ("vip-kept-beyond-role", Mutant::VipKeptBeyondRole),
    ("standby-forget-cluster", Mutant::ForgetStandbyCluster),
    ("failsafe-takes-in-spite-of-promise", Mutant::FailsafeTakesInSpiteOfPromise),
    ("failsafe-asks-all-but-one", Mutant::FailsafeAsksAllButOne),
    ("failsafe-forgets-promises", Mutant::FailsafeForgetsPromises),
    ("failsafe-unlisted-takes", Mutant::FailsafeUnlistedTakes),
    ("redis-skip-fence", Mutant::RedisSkipFence),
    ("redis-promote-early", Mutant::RedisPromoteEarly),
    ("redis-hand-over-early", Mutant::RedisHandOverEarly),
    ("redis-drop-claim", Mutant::RedisDropClaim),
    ("redis-empty-leads", Mutant::RedisEmptyLeads),
    ("redis-request-ends-claims", Mutant::RedisRequestEndsClaims),
    ("redis-first-is-not-empty", Mutant::RedisFirstIsNotEmpty),
    ("redis-refusal-ends-lease", Mutant::RedisRefusalEndsLease),
];

impl Mutant {
    pub fn named(name: &str) -> Option<Self> {
        MUTANTS.iter().find(|(known, _)| *known == name).map(|(_, mutant)| *mutant)
    }

    /// It is about Redis, so the world must have one.
    pub fn is_of_redis(self) -> bool {
        self.name().starts_with("redis-")
    }

    /// It is about standby clusters.
    pub fn is_of_standby(self) -> bool {
        self.name().starts_with("standby-")
    }

    pub fn name(self) -> &'static str {
        MUTANTS.iter().find(|(_, mutant)| *mutant == self).map_or("", |(name, _)| name)
    }
}
