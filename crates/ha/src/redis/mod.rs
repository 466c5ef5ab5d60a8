//! The decisions for one Redis that our guard owns: `decide(&Memory, &View) -> Decision`.
//!
//! A file per situation a member can be in (`leading`, `following`, `leaderless`, `stopping`), and a file per rule that
//! several of them need (`election`, `switchover`, `entry`). Deliberately not Sentinel: no votes, no opinions about hosts;
//! the store says who leads, and each agent speaks for its own Redis.
//!
//! **Why there are never two masters that acknowledge.** A Redis is a master only by `Job::Promote`: every start is a start as
//! a replica.
//! 1. It is promoted only while this member holds the leader key and the guard is armed, and a master is killed at the fence,
//!    which falls before the lease can run out in the store. So a lease that runs out leaves no master behind.
//! 2. The key passes in no other way than by that lease, or by a transaction of its holder (`HandOver`, `ReleaseLeader`),
//!    which is sent only when its Redis is gone or has confirmed that it is a replica (`Draft::certainly_no_master`), and
//!    after which it is never promoted under that leadership again (`Memory::given_up`; a worker that was started again
//!    and cannot know promotes nothing under a leadership of before its time).
//! 3. Whoever takes the key, or is handed it, has the claim from that transaction on, so a key that somebody deletes is taken
//!    by nobody else while its master lives.
//!
//! **What can be lost.** Redis acknowledges before its replicas have a write: a master that dies takes the last moments
//! along. A planned switchover loses nothing (`switchover`), and an empty Redis never replaces one with data while that lives
//! (`election`, `following`).

mod decide;
mod draft;
mod election;
mod entry;
mod explain;
mod following;
mod leaderless;
mod leading;
mod memory;
mod reason;
mod remember;
mod stopping;
mod switchover;
#[cfg(test)]
mod tests;
mod view;

pub use decide::{Action, Arming, Decision, Job, decide};
pub use election::{obstacles, successor, switchover_obstacles};
pub use explain::{Explanation, explain};
pub use following::waits_for_permission;
pub use memory::{Memory, Retry, Stage, Switchover};
pub use reason::{Obstacle, Reason};
pub use view::{
    DOWN_AFTER_DEFAULT, DcsView, GuardView, JobState, JobView, PAUSE_MAX_DEFAULT, ReplicaLink, Running, Server,
    ServerRole, Settings, View,
};
