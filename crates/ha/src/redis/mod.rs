//! The decisions for one Redis that our guard owns: `decide(&Memory, &View) -> Decision`.

mod decide;
mod memory;
mod reason;
mod view;

pub use decide::{Action, Arming, Decision, Job, decide};
pub use memory::{Memory, Retry, Stage, Switchover};
pub use reason::{Obstacle, Reason};
pub use view::{
    DOWN_AFTER_DEFAULT, DcsView, GuardView, JobState, JobView, PAUSE_MAX_DEFAULT, ReplicaLink, Running, Server,
    ServerRole, Settings, View,
};
