//! Drills for Redis: plain servers and sentinels of any maker as processes, a client that writes, and the faults.
//!
//! [`deployment`] is what people have today: three redis-servers and three sentinels, either the distribution's
//! `redis-sentinel` or our own program in its place, or some of each. [`scenario`] runs the same faults with the same writer
//! on that and on a [`crate::cluster::Cluster`] with Redis. As everywhere in drills, nothing is known of how they decide.

pub mod client;
pub mod deployment;
mod native;
pub mod scenario;
pub mod sentinel;
pub mod server;
pub mod stub;
pub mod writer;

/// What the sentinels of a drill call the master.
pub const MASTER: &str = "db1";
