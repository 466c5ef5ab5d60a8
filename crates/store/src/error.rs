//! Why the store refuses, in etcd's words where etcd has them (its clients match on them).

use kv::KvError;
use thiserror::Error;

/// The answer to a write or read that did not go through.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StoreError {
    /// The state machine said no, or would have: nothing was changed.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// No leader could be found in time. Nothing was changed.
    #[error("etcdserver: no leader")]
    NoLeader,
    /// No answer in time. A write may or may not have been applied.
    #[error("etcdserver: request timed out")]
    Timeout,
    /// This member was brought up to date by a snapshot while the write was on its way: it may or may not have been
    /// applied.
    #[error("etcdserver: request timed out, possibly due to previous leader failure")]
    Unknown,
    /// Too many requests without an answer. Nothing was changed.
    #[error("etcdserver: too many requests")]
    Overloaded,
    /// The disk is full. Nothing was changed, unless an earlier copy of the same write had got through.
    #[error("etcdserver: mvcc: database space exceeded")]
    NoSpace,
    #[error("etcdserver: server stopped")]
    Stopped,
}

/// Why a store cannot start. Nothing was changed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum OpenError {
    #[error("member {id:016x} is not in the list of members")]
    NotAMember { id: u64 },
    #[error("member id 0, or the same id twice")]
    BadMembers,
    #[error("the members on disk ({on_disk:x?}) are not those of the configuration ({configured:x?})")]
    MembersChanged { on_disk: Vec<u64>, configured: Vec<u64> },
    #[error("the log on disk has a gap: entry {found} follows {before}")]
    LogGap { before: u64, found: u64 },
    #[error("entry {index} on disk is of kind {kind}, which this version does not know")]
    UnknownEntry { index: u64, kind: u8 },
    #[error("the log on disk ends at {last}, but entries up to {committed} were committed")]
    LogTooShort { last: u64, committed: u64 },
    #[error("the snapshot at entry {index} cannot be read: {reason}")]
    BadSnapshot { index: u64, reason: String },
    #[error("raft refuses the configuration: {0}")]
    Raft(String),
}
