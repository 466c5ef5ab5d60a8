//! What members say to each other, and how it is written.
//!
//! Raft's own messages are protobuf, as the `raft` crate defines them; ours are postcard. The first byte tells which.
//! [`PeerMessage::decode`] takes any bytes without panic and without allocating more than they could fill.

use crate::{MemberId, entry::WriteId, limits};
use kv::Command;
use prost_011::Message as _;
use raft::eraftpb::{Entry, EntryType, Message, MessageType};
use serde::{Deserialize, Serialize};
use thiserror::Error;

#[derive(Clone, Debug, PartialEq)]
pub enum PeerMessage {
    Raft(Box<Message>),
    Forward(Forward),
    Refused(Refused),
    /// Please hand the leadership to `to`.
    Transfer {
        to: MemberId,
    },
}

/// A follower passes a write on to the leader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forward {
    /// The leader takes it only in this term. So once an entry of a later term is applied and this write was not, it
    /// never will be, and can be proposed anew.
    pub term: u64,
    /// Writes of this origin's run below this number are answered: copies of them still on their way are void.
    pub oldest: u64,
    pub id: WriteId,
    pub command: Command,
}

/// The leader's disk is full.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    pub id: WriteId,
}

#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum MessageError {
    #[error("empty message")]
    Empty,
    #[error("message of unknown kind {0}")]
    UnknownKind(u8),
    #[error("malformed message of kind {0}")]
    Malformed(u8),
    #[error("message of {0} bytes")]
    TooLarge(usize),
}

const KIND_RAFT: u8 = 1;
const KIND_FORWARD: u8 = 2;
const KIND_REFUSED: u8 = 3;
const KIND_TRANSFER: u8 = 4;

impl PeerMessage {
    pub fn encode(&self) -> Vec<u8> {
        fn own(kind: u8, body: &impl Serialize) -> Vec<u8> {
            // Postcard fails only on types it cannot describe; these it can. An empty body is refused on arrival.
            postcard::to_extend(body, vec![kind]).unwrap_or_default()
        }
        match self {
            Self::Raft(message) => {
                let mut bytes = Vec::with_capacity(1 + message.encoded_len());
                bytes.push(KIND_RAFT);
                message.encode_raw(&mut bytes);
                bytes
            }
            Self::Forward(forward) => own(KIND_FORWARD, forward),
            Self::Refused(refused) => own(KIND_REFUSED, refused),
            Self::Transfer { to } => own(KIND_TRANSFER, to),
        }
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        if bytes.len() > limits::PEER_MESSAGE_BYTES_MAX {
            return Err(MessageError::TooLarge(bytes.len()));
        }
        let (&kind, body) = bytes.split_first().ok_or(MessageError::Empty)?;
        let malformed = |_| MessageError::Malformed(kind);
        match kind {
            KIND_RAFT => Message::decode(body)
                .ok()
                .filter(has_known_kinds)
                .map(|message| Self::Raft(Box::new(message)))
                .ok_or(MessageError::Malformed(kind)),
            KIND_FORWARD => postcard::from_bytes(body).map(Self::Forward).map_err(malformed),
            KIND_REFUSED => postcard::from_bytes(body).map(Self::Refused).map_err(malformed),
            KIND_TRANSFER => postcard::from_bytes(body).map(|to| Self::Transfer { to }).map_err(malformed),
            unknown => Err(MessageError::UnknownKind(unknown)),
        }
    }

    /// Large and easily sent again: a full queue to a peer drops these first.
    pub fn is_replaceable(&self) -> bool {
        matches!(self, Self::Raft(_))
    }
}

/// The generated getters panic on numbers that a later version may give a meaning.
fn has_known_kinds(message: &Message) -> bool {
    MessageType::from_i32(message.msg_type).is_some()
        && message.entries.iter().all(|entry| EntryType::from_i32(entry.entry_type) == Some(EntryType::EntryNormal))
}

/// Raft trusts its peers: some well-formed messages make it stop the process. They are sorted out here.
/// `last_index` is the end of the local log.
pub fn check(message: &Message, from: MemberId, me: MemberId, last_index: u64) -> Result<(), &'static str> {
    if message.from != from {
        return Err("sender is not who it says");
    }
    if message.to != me {
        return Err("not for this member");
    }
    let kind = message.get_msg_type();
    if message.term == 0 && kind != MessageType::MsgReadIndex {
        return Err("no term");
    }
    match kind {
        MessageType::MsgAppend => check_entries(message),
        MessageType::MsgAppendResponse if !message.reject && message.index > last_index => {
            Err("confirms entries that do not exist")
        }
        MessageType::MsgReadIndex | MessageType::MsgReadIndexResp if message.entries.len() != 1 => {
            Err("a read barrier has one context")
        }
        MessageType::MsgSnapshot if message.get_snapshot().get_metadata().index == 0 => Err("empty snapshot"),
        MessageType::MsgAppendResponse
        | MessageType::MsgReadIndex
        | MessageType::MsgReadIndexResp
        | MessageType::MsgSnapshot
        | MessageType::MsgHeartbeat
        | MessageType::MsgHeartbeatResponse
        | MessageType::MsgRequestVote
        | MessageType::MsgRequestVoteResponse
        | MessageType::MsgRequestPreVote
        | MessageType::MsgRequestPreVoteResponse
        | MessageType::MsgTimeoutNow => Ok(()),
        // Local ones, and those we have our own message for.
        MessageType::MsgHup
        | MessageType::MsgBeat
        | MessageType::MsgPropose
        | MessageType::MsgUnreachable
        | MessageType::MsgSnapStatus
        | MessageType::MsgCheckQuorum
        | MessageType::MsgTransferLeader => Err("not a message between members"),
    }
}

fn check_entries(message: &Message) -> Result<(), &'static str> {
    let mut before = (message.index, message.log_term);
    for Entry { index, term, .. } in &message.entries {
        if *index != before.0.wrapping_add(1) || *term < before.1 || *term > message.term {
            return Err("entries out of order");
        }
        before = (*index, *term);
    }
    Ok(())
}
