//! What the store tells about itself.

use crate::MemberId;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Follower,
    Candidate,
    Leader,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub id: MemberId,
    pub role: Role,
    pub leader: Option<MemberId>,
    pub term: u64,
    /// The end of the log.
    pub last_index: u64,
    pub committed_index: u64,
    pub applied_index: u64,
    /// The leader takes writes: it has committed an entry of its own term.
    pub takes_writes: bool,
    pub storage_full: bool,
    /// Of the log in memory.
    pub log_bytes: u64,
}
