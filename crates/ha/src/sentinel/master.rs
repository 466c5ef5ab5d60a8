//! A master with its replicas and peers: all that a Sentinel knows about one group.
//!
//! Deliberately plain state; the rules are in the files named after them.

use super::address::Address;
use super::event::MasterId;
use super::flags::Flags;
use super::node::{Node, NodeId};
use super::peer::Peer;
use super::request::Token;
use super::settings::MasterSettings;
use types::Millis;

/// Who decides about a master.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Sentinels vote; any of them may be a real one. Exactly Sentinel's protocol.
    #[default]
    Mixed,
    /// All sentinels are ours: an epoch is claimed in the store, and a refused connection is evidence at once.
    Native,
    /// Our agents run the servers and decide. This Sentinel shows what the store says and never starts a failover.
    Supervised,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailoverState {
    None,
    /// Asking for votes (or the store for the epoch).
    WaitStart,
    SelectReplica,
    SendReplicaOfNoOne,
    WaitPromotion,
    /// The new master serves; the other replicas are told one after the other.
    ReconfReplicas,
}

impl FailoverState {
    /// Sentinel's words.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::WaitStart => "wait_start",
            Self::SelectReplica => "select_slave",
            Self::SendReplicaOfNoOne => "send_slaveof_noone",
            Self::WaitPromotion => "wait_promotion",
            Self::ReconfReplicas => "reconf_slaves",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Failover {
    pub state: FailoverState,
    pub changed_at: Millis,
    pub epoch: u64,
    /// When the last attempt began, ours or the one we voted for, with up to a second added by chance. No attempt of our
    /// own within twice the failover timeout after it. `None`: at any time.
    pub started_at: Option<Millis>,
    /// An election of our own begins then: a moment after the master is found down, so that sentinels that found out at the
    /// same time do not split the votes.
    pub start_at: Option<Millis>,
    /// For which start the delay was logged.
    pub delay_logged: Option<Millis>,
    pub promoted: Option<NodeId>,
    /// The epoch is ours: claimed in the store (native).
    pub claimed: bool,
    /// The client that asked for it and has no answer yet (native: it depends on the store).
    pub asked_by: Option<Token>,
    /// The save that makes the epoch durable. Nothing is acted on before that.
    pub save: u64,
}

/// Whom this sentinel voted for. The leader is known only until a restart; the epoch is durable, so that nobody else gets
/// a second vote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vote {
    pub leader: Option<Box<str>>,
    pub epoch: u64,
    /// The save that makes it durable.
    pub save: u64,
}

#[derive(Clone, Debug)]
pub struct Master {
    pub id: MasterId,
    pub name: Box<str>,
    pub mode: Mode,
    pub settings: MasterSettings,
    pub config_epoch: u64,
    pub node: Node,
    pub replicas: Vec<Node>,
    pub peers: Vec<Peer>,
    pub o_down_since: Option<Millis>,
    /// The newest epoch that the store told us since the start (supervised).
    pub store_epoch: u64,
    pub vote: Vote,
    pub failover: Failover,
    /// When this group wants to be looked at again.
    pub due: Millis,
}

impl Master {
    pub fn new(id: MasterId, name: &str, mode: Mode, settings: MasterSettings, node: Node) -> Self {
        Self {
            id,
            name: name.into(),
            mode,
            settings,
            config_epoch: 0,
            node,
            replicas: Vec::new(),
            peers: Vec::new(),
            o_down_since: None,
            store_epoch: 0,
            vote: Vote::default(),
            failover: Failover {
                state: FailoverState::None,
                changed_at: Millis::ZERO,
                epoch: 0,
                started_at: None,
                start_at: None,
                delay_logged: None,
                promoted: None,
                claimed: false,
                asked_by: None,
                save: 0,
            },
            due: Millis::ZERO,
        }
    }

    /// What GET-MASTER-ADDR-BY-NAME answers. A promoted replica becomes `node` the moment it serves, so this is it.
    pub fn address(&self) -> &Address {
        &self.node.address
    }

    pub fn failover_in_progress(&self) -> bool {
        self.node.flags.any(Flags::FAILOVER_IN_PROGRESS)
    }

    pub fn replica(&self, id: NodeId) -> Option<&Node> {
        self.replicas.iter().find(|replica| replica.id == id)
    }

    pub fn replica_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        self.replicas.iter_mut().find(|replica| replica.id == id)
    }

    /// The master itself or one of its replicas.
    pub fn any_node_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        if self.node.id == id { Some(&mut self.node) } else { self.replica_mut(id) }
    }

    pub fn peer_mut(&mut self, run_id: &str) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| &*peer.run_id == run_id)
    }
}

/// Which server of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    Master,
    Replica(usize),
}

impl Master {
    /// The master first, then its replicas.
    pub(super) fn everywhere(&self) -> impl Iterator<Item = At> + use<> {
        std::iter::once(At::Master).chain((0..self.replicas.len()).map(At::Replica))
    }

    pub(super) fn at(&self, at: At) -> &Node {
        match at {
            At::Master => &self.node,
            At::Replica(index) => &self.replicas[index],
        }
    }

    pub(super) fn at_mut(&mut self, at: At) -> &mut Node {
        match at {
            At::Master => &mut self.node,
            At::Replica(index) => &mut self.replicas[index],
        }
    }

    pub(super) fn find(&self, id: NodeId) -> Option<At> {
        if self.node.id == id {
            return Some(At::Master);
        }
        self.replicas.iter().position(|replica| replica.id == id).map(At::Replica)
    }
}
