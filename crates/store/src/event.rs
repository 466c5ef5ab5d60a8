//! Everything that can happen to a store, and everything it can ask for.

use crate::{MemberId, PeerMessage, StoreError};
use kv::{Command, Response};
use serde::{Deserialize, Serialize};
use types::{Millis, Revision};

/// Names a request of a local caller until its reply. Chosen by the driver, never used twice in one run.
pub type RequestId = u64;
/// Names a [`Persist`]. Grows by one.
pub type Token = u64;

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// [`crate::limits::TICK`] has passed since the last one.
    Tick,
    /// Another member said something.
    Received { from: MemberId, message: PeerMessage },
    /// A local caller wants to change something. Answered by exactly one [`Effect::Reply`]. `within`: what is not on its way
    /// by then is given up; never longer than the request timeout, which holds without it.
    Propose { id: RequestId, command: Command, within: Option<Millis> },
    /// A local caller wants to read what was there when it asked or later. Answered by one [`Effect::ReadReady`] or
    /// [`Effect::ReadFailed`].
    Read { id: RequestId },
    /// Everything up to and including this [`Persist`] is on disk and survives a power cut (if it asked for that).
    Persisted { token: Token },
    /// What was sent to this member lately may be lost.
    PeerUnreachable { id: MemberId },
    /// This member's host refuses connections: its process is dead, not merely silent.
    PeerProcessGone { id: MemberId },
    /// Hand the leadership to this member if it is up to date. Nothing happens otherwise.
    TransferLeader { to: MemberId },
    /// Hand the leadership to whoever is most likely to take it; another one each time. For a leader that is to stop, or
    /// whose disk is slow.
    HandOver,
    /// The disk refused a write for lack of space (`true`), or takes writes again (`false`).
    StorageFull(bool),
}

/// What to do, in this order. Nothing waits for a [`Persist`] but what the store itself holds back until
/// [`Event::Persisted`].
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Write to disk; report with [`Event::Persisted`]. In the order of their tokens; several may share one fsync.
    Persist(Persist),
    /// Send to this member. May be lost, delayed, repeated; not altered. The order within one connection is kept where
    /// that is cheap.
    Send {
        to: MemberId,
        message: PeerMessage,
    },
    /// The answer to [`Event::Propose`].
    Reply {
        id: RequestId,
        result: Result<Reply, StoreError>,
    },
    /// The state of this member is at least as new as when [`Event::Read`] came in.
    ReadReady {
        id: RequestId,
    },
    ReadFailed {
        id: RequestId,
        error: StoreError,
    },
    /// Keys changed; for watches. In the order of revisions.
    Applied {
        revision: Revision,
        events: Vec<kv::Event>,
    },
    /// The whole state was replaced by another member's snapshot: watches must read history again.
    Restored {
        revision: Revision,
    },
    /// Somebody else leads, or nobody is known to.
    LeaderChanged {
        leader: Option<MemberId>,
        term: u64,
    },
    /// Something a person may want to know.
    Notice(Notice),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The store's revision right after this command.
    pub revision: Revision,
    pub response: Response,
}

/// One write to disk.
///
/// With a snapshot it stands for itself: it replaces everything that was written before, entries and hard state too.
/// Without, it adds to what is there. Either way all of it counts, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persist {
    pub token: Token,
    pub snapshot: Option<Snapshot>,
    /// To follow the log on disk. An entry whose index is there already replaces that one and everything behind it.
    pub entries: Vec<LogEntry>,
    pub hard_state: HardState,
}

/// What raft must never forget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardState {
    pub term: u64,
    /// Whom this member voted for in `term`; 0: nobody.
    pub vote: MemberId,
    pub commit: u64,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    pub index: u64,
    pub term: u64,
    /// Raft's entry type: 0 a command (or the empty entry that starts a term), others are not in use.
    pub kind: u8,
    pub data: Vec<u8>,
}

/// The whole state after the entry `index`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    pub index: u64,
    pub term: u64,
    pub voters: Vec<MemberId>,
    pub data: Vec<u8>,
}

/// What a member finds on its disk when it starts. Entries behind the snapshot, without gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Persisted {
    pub snapshot: Option<Snapshot>,
    pub entries: Vec<LogEntry>,
    pub hard_state: HardState,
}

impl Persisted {
    /// This member has never taken part in anything, or its data are lost.
    pub fn is_empty(&self) -> bool {
        self.snapshot.is_none() && self.entries.is_empty() && self.hard_state == HardState::default()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Notice {
    #[error("the leader has entries that this member confirmed and no longer has: asking for a snapshot")]
    DataLost,
    #[error("the data directory is empty while the cluster has data: no vote until a leader has brought it up to date")]
    VoteWithheld,
    #[error("a message of member {from:016x} makes no sense and was dropped: {reason}")]
    BadMessage { from: MemberId, reason: &'static str },
    #[error("a snapshot of member {from:016x} cannot be read: {reason}")]
    BadSnapshot { from: MemberId, reason: String },
    #[error("entry {index} cannot be read and was skipped")]
    BadEntry { index: u64 },
}
