//! The decisions: who leads, when to step down, what to do next, and why.
//!
//! Deliberately no IO of any kind: `decide(&Memory, &View) -> Decision` is a function of what is known now. The
//! invariant: every rule that keeps two primaries apart stands in this crate, and the simulator runs exactly this code.

pub mod backstop;
pub mod chronicle;
pub mod cluster;
pub mod config;
pub mod failsafe;
pub mod foresight;
pub mod guard;
pub mod hold;
pub mod lease;
pub mod postgres;
pub mod reason;
pub mod redis;
pub mod render;
pub mod sentinel;
pub mod vip;
