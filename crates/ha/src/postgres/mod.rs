//! The decisions for one PostgreSQL: `decide(&Memory, &View) -> Decision`.
//!
//! A file per situation a member can be in (`bootstrap`, `leading`, `standby`, `following`, `leaderless`, `stopping`), and a file
//! per rule that several of them need (`election`, `synchronous`, `switchover`, `timelines`, `entry`).

mod bootstrap;
mod decide;
mod election;
mod entry;
mod explain;
mod failsafe;
#[cfg(test)]
mod failsafe_tests;
mod following;
mod leaderless;
mod leading;
mod memory;
#[cfg(test)]
mod safety_tests;
mod source;
mod standby;
#[cfg(test)]
mod standby_tests;
mod stopping;
#[cfg(test)]
mod successor_tests;
mod switchover;
#[cfg(test)]
mod switchover_tests;
mod synchronous;
#[cfg(test)]
mod timeline_tests;
mod timelines;
mod view;

pub use decide::{Action, Arming, Decision, Job, decide};
pub use election::{obstacles, successor, switchover_obstacles};
pub use explain::{Explanation, explain};
pub use leading::slot_name;
pub use memory::Memory;
pub use source::Source;
pub use synchronous::{NOT_IN_FORCE, names_at_start};
pub use view::{
    DataDirectory, DcsView, GuardView, JobState, JobView, PostgresView, Request, Running, Server, Standby, View,
};
