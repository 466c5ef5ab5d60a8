//! What a Sentinel wants done, as one closed enum.
//!
//! The driver carries effects out in their order and decides nothing. The invariant: whatever must be durable first is not
//! in the list until `Event::Saved` has said that it is.

use super::event::{LinkId, ScriptId, Tag};
use super::request::{Answer, Token};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// Requests and replies. One per master and replica, and one per peer sentinel for all masters together.
    Command,
    /// Subscribed to the hello channel (the greeting does that). Masters and replicas only.
    PubSub,
}

/// A command for a Redis server: its words, already renamed where the user asked for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Made without allocating: pings are most of what is sent.
    Fixed(&'static [&'static str]),
    Built(Vec<String>),
}

impl Command {
    pub fn words(&self) -> impl Iterator<Item = &str> {
        let (fixed, built): (&[&'static str], &[String]) = match self {
            Self::Fixed(words) => (words, &[]),
            Self::Built(words) => (&[], words),
        };
        fixed.iter().copied().chain(built.iter().map(String::as_str))
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Fixed(words) => words.len(),
            Self::Built(words) => words.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How important a line is, in Redis's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Verbose,
    Notice,
    Warning,
}

/// How a failover that a client asked for is to be carried out by our agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Planned: writes paused, replica caught up, then switched. Nothing is lost.
    Coordinated,
    /// At once, whatever is lost.
    Forced,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Connect, with TLS when `tls-replication` says so. Then send the greeting (AUTH, CLIENT SETNAME, SUBSCRIBE) and drop
    /// its replies. Requests may follow at once and wait in the driver until the connection is there; there are never more
    /// than `REQUESTS_PENDING_MAX` times the users of the link.
    Open {
        link: LinkId,
        kind: LinkKind,
        host: String,
        port: u16,
        greeting: Vec<Command>,
    },
    /// Close it, or give up connecting. Nothing more is heard of it.
    Close {
        link: LinkId,
    },
    Send {
        link: LinkId,
        tag: Tag,
        command: Command,
    },
    /// Write `Sentinel::configuration()`, as it is when this effect is carried out, to the disk. Answer with
    /// `Event::Saved` and this version. At most one is under way.
    Save {
        version: u64,
    },
    /// An event for subscribers: publish and log it.
    Publish {
        level: Level,
        channel: &'static str,
        payload: String,
    },
    /// For the log only.
    Log {
        level: Level,
        text: String,
    },
    /// Start a user's script: `arguments[0]` is the program. No file descriptor may leak into it.
    RunScript {
        script: ScriptId,
        arguments: Vec<String>,
    },
    /// Kill it; it still reports its end.
    KillScript {
        script: ScriptId,
    },
    Answer {
        token: Token,
        answer: Answer,
    },
    /// Resolve a name; answer with `Event::Resolved`.
    Resolve {
        name: String,
    },
    /// Compare-and-swap of this master's epoch key in the store, from anything smaller to this epoch.
    ClaimEpoch {
        master: String,
        epoch: u64,
    },
    /// A client wants a failover of a master whose servers our agents run. The agent answers the client.
    RequestFailover {
        token: Token,
        master: String,
        manner: Manner,
    },
    /// End the process with this code.
    Exit {
        code: i32,
    },
}

/// Requests that may wait for a reply on one link, for each user of it. As Sentinel's limit.
pub const REQUESTS_PENDING_MAX: u32 = 100;
