//! The store: one real `store::Store` on every member, and how agents reach it.
//!
//! `node` drives a store as the agent's own driver does, `client` asks one store after the other, `watch` follows.

pub mod client;
pub mod node;
pub mod watch;

use kv::{Command, KeyValue};
use store::PeerMessage;
use types::Revision;

/// What comes to a member's store over the network.
#[derive(Clone, Debug)]
pub enum Inbound {
    Peer(PeerMessage),
    Request { call: u64, request: Request },
    Watch { session: u64, after: Revision },
    Ping { session: u64 },
}

#[derive(Clone, Debug)]
pub enum Request {
    Change(Command),
    /// All keys of the scope, linearizable.
    Load,
}

#[derive(Clone, Debug)]
pub enum Answer {
    Changed {
        revision: Revision,
        response: kv::Response,
    },
    Loaded {
        revision: Revision,
        keys: Vec<KeyValue>,
    },
    /// Certainly nothing was changed; another store may do better.
    NotTaken,
    /// The state machine said no.
    Refused(kv::KvError),
    /// It may have been carried out.
    Unknown,
}
