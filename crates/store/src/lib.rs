//! The consensus store of one member: the `raft` crate and the `kv` state machine behind one closed [`Event`] in and
//! [`Effect`]s out.
//!
//! Deliberately without clock, disk, network and threads: the driver passes in the time and what happened, and does what
//! the effects say, in their order. The invariant: the same configuration, persisted state and events give the same
//! effects, byte for byte, so a simulator can replay any run.
//!
//! The `raft` crate draws its election timeouts from the thread's random generator and offers no way to turn that off.
//! Its draw is overwritten with one of our own seeded generator after every call, before a tick can look at it; no other
//! part of it is random (its maps hash with a fixed seed), and its logger is silenced. So no random value of it is used.
//!
//! The map: `store` (events), `ready` (what raft wants persisted and sent), `apply` (committed entries), `proposals`
//! (writes on their way, exactly once), `reads` (linearizable barriers), `clock` (the replicated clock of leases),
//! `log` (entries in memory, snapshots), `rejoin` (members that lost their data), `message` (what members say).

mod apply;
mod clock;
mod config;
mod election;
mod entry;
mod error;
mod event;
mod log;
mod message;
mod proposals;
mod random;
mod reads;
mod ready;
mod rejoin;
mod status;
mod store;
#[cfg(test)]
mod tests;

pub use config::{Member, MemberId, StoreConfig, limits};
pub use error::{OpenError, StoreError};
pub use event::{Effect, Event, HardState, LogEntry, Notice, Persist, Persisted, Reply, RequestId, Snapshot, Token};
pub use message::{MessageError, PeerMessage};
pub use status::{Role, Status};
pub use store::Store;
