//! What can happen to a Sentinel, as one closed enum.
//!
//! The driver reports and judges nothing. The invariant: an event about a link, script or save that is not known any more
//! is without effect, so the driver need not take back what was already on its way.

use super::address::Address;
use super::master::Mode;
use super::request::{Request, Token};
use std::net::IpAddr;

/// One connection that was asked for with `Effect::Open`. Never used twice, so late news about an old connection cannot
/// be taken for news about the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// A master, for as long as it is monitored. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MasterId(pub u32);

/// An execution of a user's script. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScriptId(pub u64);

/// What a request was about; comes back with its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    Ping,
    Info,
    /// A hello message about this master was published.
    Hello(MasterId),
    /// A peer was asked whether this master is down.
    IsMasterDown(MasterId),
    /// Nobody looks at the reply: the effect shows in the next INFO.
    Ignored,
}

/// A reply, as far as a Sentinel looks at replies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Status(String),
    /// The whole error line without the leading minus, such as `LOADING Redis is loading ...`.
    Error(String),
    Integer(i64),
    /// Bulk and verbatim strings. Bytes that are not UTF-8 are replaced.
    Bulk(String),
    Array(Vec<Reply>),
    Null,
    /// Anything else.
    Other,
}

/// Why a connection is over or never came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEnd {
    /// The host lives and nobody listens there.
    Refused,
    /// It was open and ended.
    Lost,
    /// No connection, for another reason: timeout, no route, TLS, a name that does not resolve. In words, for the log.
    Failed(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptEnd {
    Exited(i32),
    Signalled(i32),
    /// It could not be started at all.
    NotStarted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Once, after the configuration was read and the port is open.
    Start,
    /// The time that `Sentinel::next_tick` asked for has come.
    Tick,
    /// Connected. `local` is this side's address: it is what hello messages announce. `remote` is where it led to.
    LinkOpened {
        link: LinkId,
        local: IpAddr,
        remote: IpAddr,
    },
    /// Also for links that were never opened. Not after `Effect::Close` (harmless if it comes).
    LinkClosed {
        link: LinkId,
        end: LinkEnd,
    },
    /// Replies come in the order of the requests; those of the greeting are dropped by the driver.
    Reply {
        link: LinkId,
        tag: Tag,
        reply: Reply,
    },
    /// A message on the hello channel of a pub/sub link.
    Message {
        link: LinkId,
        payload: String,
    },
    /// A client wants something; the answer is an `Effect::Answer` with the same token, perhaps later.
    Request {
        token: Token,
        request: Request,
    },
    /// The save with this version has succeeded (it is on the disk) or failed.
    Saved {
        version: u64,
        ok: bool,
    },
    ScriptStarted {
        script: ScriptId,
        pid: u32,
    },
    ScriptEnded {
        script: ScriptId,
        end: ScriptEnd,
    },
    /// The answer to `Effect::Resolve`; `None`: it does not resolve.
    Resolved {
        name: String,
        ip: Option<IpAddr>,
    },

    /// Who decides about this master changed: all its sentinels are ours now, or not any more.
    ModeIs {
        master: String,
        mode: Mode,
    },

    // What comes from the store, native masters only.
    /// The compare-and-swap of the epoch key succeeded: this sentinel, and nobody else, owns this epoch of this master.
    EpochClaimed {
        master: String,
        epoch: u64,
    },
    /// Somebody else was first, or the store did not answer. `epoch`: the newest that is known to be taken.
    EpochRefused {
        master: String,
        epoch: u64,
    },
    /// What our agents have decided about a master whose servers they run. Makes the master, if it is not known yet.
    StoreSays {
        master: String,
        quorum: u32,
        address: Address,
        epoch: u64,
        replicas: Vec<Address>,
    },
    /// The store has no such master any more.
    StoreForgot {
        master: String,
    },
}
