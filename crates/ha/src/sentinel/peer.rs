//! Another Sentinel that watches the same master, and the one connection to it that all masters share.
//!
//! Deliberately plain state. The invariant: however many masters two Sentinels have in common, they have one connection and
//! one ping per second between them.

use super::address::Address;
use super::flags::Flags;
use super::node::Link;
use types::Millis;

/// The connection to a peer. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerLinkId(pub u32);

/// What one master's group knows about a peer.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Forty hexadecimal digits; also its name.
    pub run_id: Box<str>,
    pub address: Address,
    pub flags: Flags,
    pub link: PeerLinkId,
    pub s_down_since: Option<Millis>,
    /// When the next hello message is to be sent to it.
    pub publish_due: Millis,
    pub last_hello: Millis,
    /// The last reply about the master's state.
    pub last_reply: Millis,
    /// The last question about the master's state.
    pub last_asked: Option<Millis>,
    /// Whom it voted for, and in which epoch, as it told us.
    pub leader: Option<Box<str>>,
    pub leader_epoch: u64,
}

#[derive(Clone, Debug)]
pub struct PeerLink {
    pub run_id: Box<str>,
    pub address: Address,
    /// Groups that know this peer.
    pub users: u32,
    /// The smallest of its groups' `down-after-milliseconds`.
    pub down_after: Millis,
    /// Only `command` is used.
    pub link: Link,
    pub due: Millis,
}

impl PeerLink {
    pub fn disconnected(&self) -> bool {
        self.link.command.is_none()
    }
}
