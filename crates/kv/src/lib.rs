//! What an etcd does, as a pure state machine: revisions, transactions, leases, watches, compaction.
//!
//! Deliberately without clock, disk and network: every command carries the store's time, and the same commands in the
//! same order give the same state and the same answers on every member.
//!
//! The way of a request: [`validate`] before it is proposed, [`Kv::apply`] once it is committed, [`WatchHub`] for who
//! wants to hear of it. Reads ([`Kv::range`], [`Kv::read_txn`]) need no command.

mod api;
mod apply;
mod compare;
mod history;
mod intervals;
mod lease;
mod limits;
mod range;
mod snapshot;
mod state;
#[cfg(test)]
mod testing;
mod txn;
mod validate;
mod watch;

pub use api::*;
pub use apply::Applied;
pub use lease::{LEASE_TTL_MAX, LEASE_TTL_MIN};
pub use limits::{DATA_BYTES_MAX, HISTORY_BYTES_MAX, HISTORY_REVISIONS_MAX, LEASES_MAX, Limits};
pub use snapshot::SnapshotError;
pub use state::Kv;
pub use txn::txn_is_read_only;
pub use validate::validate;
pub use watch::{
    WATCH_BATCH_BYTES_MAX, WATCH_BATCH_EVENTS_MAX, WATCHERS_MAX, WatchError, WatchHub, WatchId, WatchRequest,
    WatchUpdate,
};
