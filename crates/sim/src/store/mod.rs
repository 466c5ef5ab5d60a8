//! The store: one real `store::Store` on every member, and how agents reach it.
//!
//! `node` drives a store as the agent's own driver does, `client` asks one store after the other, `watch` follows.

pub mod client;
pub mod node;
pub mod watch;

use kv::{Command, KeyValue};
use store::PeerMessage;
use types::{Millis, Revision};

/// What comes to a member's store over the network.
#[derive(Clone, Debug)]
pub enum Inbound {
    Peer(PeerMessage),
    /// `within`: it is given up when it has to wait for longer.
    Request {
        call: u64,
        request: Request,
        within: Option<Millis>,
    },
    /// Is this store within hearing?
    Probe {
        call: u64,
    },
    Watch {
        session: u64,
        after: Revision,
    },
    Ping {
        session: u64,
    },
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
