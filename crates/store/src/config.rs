//! Who the members are, and every limit of the store with its reason.

use serde::{Deserialize, Serialize};
use types::Millis;

/// A member's number: a stable hash of its name and the cluster's token. Never 0, which raft takes for "nobody".
pub type MemberId = u64;

/// One voter. The list is the same on every member and fixed for the life of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub id: MemberId,
    pub name: String,
    pub peer_urls: Vec<String>,
    pub client_urls: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct StoreConfig {
    pub id: MemberId,
    /// All voters, this member included.
    pub members: Vec<Member>,
    /// Grows with every start of this member (a wall clock reading will do). Tells this run's requests from those of
    /// an earlier run that are still in the log.
    pub incarnation: u64,
    /// Of the election timeouts. Different on every member, or they keep colliding.
    pub seed: u64,
    /// A leader that has had nothing to say to a follower for so many ticks sends it a heartbeat.
    pub heartbeat_ticks: usize,
    /// A follower waits between this and twice as many ticks without a leader before it stands for election.
    pub election_ticks: usize,
    /// Local time after which a write or read is answered with a timeout.
    pub request_timeout: Millis,
    /// A snapshot is taken after this many applied entries, or [`limits::SNAPSHOT_BYTES`] of them.
    pub snapshot_entries: u64,
    /// Entries kept in memory behind a snapshot, so that a member that was away for a moment needs no snapshot.
    pub trailing_entries: u64,
}

impl StoreConfig {
    pub fn new(id: MemberId, members: Vec<Member>, incarnation: u64, seed: u64) -> Self {
        Self {
            id,
            members,
            incarnation,
            seed,
            heartbeat_ticks: limits::HEARTBEAT_TICKS,
            election_ticks: limits::ELECTION_TICKS,
            request_timeout: limits::REQUEST_TIMEOUT,
            snapshot_entries: limits::SNAPSHOT_ENTRIES,
            trailing_entries: limits::TRAILING_ENTRIES,
        }
    }
}

pub mod limits {
    use types::Millis;

    /// How often the driver ticks. Everything below that counts ticks counts these.
    pub const TICK: Millis = Millis(50);
    /// 100 ms without a word until a heartbeat: five can get lost before an election.
    pub const HEARTBEAT_TICKS: usize = 2;
    /// 500 to 1000 ms without a leader before an election: far above a round trip and an fsync on a busy disk, and
    /// short enough that a lost host costs less than two seconds in all.
    pub const ELECTION_TICKS: usize = 10;
    /// As etcd's clients see it: five seconds and two elections.
    pub const REQUEST_TIMEOUT: Millis = Millis(7_000);
    /// Writes of local callers that have no answer yet. More are refused: the cluster is slower than its callers.
    pub const PROPOSALS_IN_FLIGHT_MAX: usize = 1_024;
    /// Reads of local callers that have no answer yet.
    pub const READS_IN_FLIGHT_MAX: usize = 4_096;
    /// Writes wait here while the leader, or on the leader a majority, is silent for longer (200 ms: a heartbeat was lost).
    pub const LEADER_SILENT_TICKS_MAX: usize = 4;
    /// A write that was sent to the leader is sent again after this long; the leader recognises the copy.
    pub const FORWARD_RETRY: Millis = Millis(250);
    /// A read barrier that was lost is asked for again: two heartbeats later.
    pub const READ_RETRY: Millis = Millis(200);
    /// Entries in one append message. One entry may be larger (up to `kv::REQUEST_BYTES_MAX`).
    pub const APPEND_BYTES_MAX: u64 = 256 * 1024;
    /// Append messages on their way to one member.
    pub const APPENDS_IN_FLIGHT_MAX: usize = 64;
    /// Entries the leader has appended and not yet committed; above this writes wait at their origin.
    pub const UNCOMMITTED_BYTES_MAX: u64 = 8 * 1024 * 1024;
    /// Committed entries handed out at once: bounds the work of one event.
    pub const COMMITTED_BYTES_PER_STEP: u64 = 4 * 1024 * 1024;
    /// About ten minutes of an idle cluster's lease renewals, a megabyte or so.
    pub const SNAPSHOT_ENTRIES: u64 = 5_000;
    /// Bounds the log in memory when entries are large.
    pub const SNAPSHOT_BYTES: u64 = 8 * 1024 * 1024;
    pub const TRAILING_ENTRIES: u64 = 500;
    /// A snapshot that was sent and not confirmed is sent again after this many ticks (2 s).
    pub const SNAPSHOT_RETRY_TICKS: u32 = 40;
    /// Leases revoked by one entry.
    pub const LEASES_EXPIRED_AT_ONCE_MAX: usize = 128;
    /// Between two followers' stand for election after the leader's process died, so that they do not split the vote.
    pub const PROCESS_GONE_STAGGER_TICKS: usize = 2;
    /// Quick elections tried after a leader's process died; then the ordinary timeout rules.
    pub const PROCESS_GONE_ATTEMPTS_MAX: u32 = 5;
    /// A leader whose disk is full tries to hand over this often (1 s).
    pub const HANDOVER_RETRY_TICKS: u32 = 20;
    /// A message of a member, encoded: the largest entry, or a snapshot of the state.
    pub const PEER_MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
}
