//! A Redis server that is watched: a master or one of its replicas, and the connections to it.
//!
//! Deliberately plain state; the rules are in the files named after them. Times are `None` where Sentinel has 0 for never.

use super::address::Address;
use super::event::LinkId;
use super::flags::Flags;
use std::net::IpAddr;
use types::Millis;

/// A server of one master: unique within the Sentinel, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Master,
    Replica,
}

impl Role {
    /// Sentinel's words, in events, flags and replies.
    pub fn word(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Replica => "slave",
        }
    }
}

/// The connections to one instance, and what its answers say about its life.
#[derive(Clone, Debug)]
pub struct Link {
    pub command: Option<LinkId>,
    pub pubsub: Option<LinkId>,
    /// This side's address of the command connection, once it is there.
    pub local: Option<IpAddr>,
    /// Requests without a reply yet.
    pub pending: u32,
    pub command_since: Millis,
    pub pubsub_since: Millis,
    pub pubsub_activity: Millis,
    /// The last good answer to a ping.
    pub last_available: Millis,
    /// When the oldest ping without a good answer was sent. Also set for a link that never was connected.
    pub ping_waiting_since: Option<Millis>,
    pub last_ping: Option<Millis>,
    /// The last answer of any kind to a ping.
    pub last_pong: Millis,
    pub last_connect: Option<Millis>,
    /// The same for the pub/sub connection. Sentinel has one time for both, and after a role change, which kills both, waits
    /// a second for one of them without sending pings meanwhile.
    pub last_pubsub_connect: Option<Millis>,
    /// The last attempt to connect was refused: the host lives and nobody listens.
    pub refused: bool,
}

impl Link {
    pub fn new(now: Millis) -> Self {
        Self {
            command: None,
            pubsub: None,
            local: None,
            pending: 0,
            command_since: Millis::ZERO,
            pubsub_since: Millis::ZERO,
            pubsub_activity: Millis::ZERO,
            last_available: now,
            ping_waiting_since: Some(now),
            last_ping: None,
            last_pong: now,
            last_connect: None,
            last_pubsub_connect: None,
            refused: false,
        }
    }
}

/// What the last INFO said about replication.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replication {
    /// How long the link to the master is down; zero when it is up or nothing was said.
    pub link_down: Millis,
    pub link_up: bool,
    pub master_host: Option<Box<str>>,
    pub master_port: u16,
    pub priority: u32,
    pub offset: u64,
    pub announced: bool,
}

/// Whether the server is in the middle of its own FAILOVER command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnFailover {
    /// Too old to say (before Redis 6.2).
    NotSupported,
    No,
    Running,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub id: NodeId,
    /// What it should be; `reported` is what it says.
    pub role: Role,
    /// A replica's name: `host:port`. Empty for a master, whose name is the group's.
    pub name: Box<str>,
    pub address: Address,
    pub run_id: Option<Box<str>>,
    pub flags: Flags,
    pub link: Link,
    /// When the next hello message is to be published there.
    pub publish_due: Millis,
    pub s_down_since: Option<Millis>,
    pub info_at: Option<Millis>,
    /// An INFO that has no reply yet was sent then.
    pub info_asked_at: Option<Millis>,
    pub reported: Role,
    pub reported_since: Millis,
    /// When the master that this replica follows changed last.
    pub master_changed_at: Millis,
    pub own_failover: OwnFailover,
    pub own_failover_since: Millis,
    pub replication: Replication,
    pub reconf_sent_at: Millis,
    pub reboot_since: Millis,
    /// The last INFO, for INFO-CACHE.
    pub info: Option<Box<str>>,
}

/// What a replica is taken for until its INFO says otherwise.
pub const REPLICA_PRIORITY_DEFAULT: u32 = 100;

impl Node {
    pub fn new(id: NodeId, role: Role, name: &str, address: Address, now: Millis) -> Self {
        Self {
            id,
            role,
            name: name.into(),
            address,
            run_id: None,
            flags: Flags::NONE,
            link: Link::new(now),
            publish_due: now,
            s_down_since: None,
            info_at: None,
            info_asked_at: None,
            reported: role,
            reported_since: now,
            master_changed_at: now,
            own_failover: OwnFailover::NotSupported,
            own_failover_since: now,
            replication: Replication { priority: REPLICA_PRIORITY_DEFAULT, announced: true, ..Replication::default() },
            reconf_sent_at: Millis::ZERO,
            reboot_since: Millis::ZERO,
            info: None,
        }
    }

    /// Not both connections are there or under way.
    pub fn disconnected(&self) -> bool {
        self.link.command.is_none() || self.link.pubsub.is_none()
    }
}
