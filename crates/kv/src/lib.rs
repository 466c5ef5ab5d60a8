//! What an etcd does, as a pure state machine: revisions, transactions, leases, watches, compaction.
//!
//! Deliberately without clock, disk and network: every command carries the store's time, and the same commands in the
//! same order give the same state and the same answers on every member.

mod api;

pub use api::*;
