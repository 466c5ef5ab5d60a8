//! Members whose data are lost: how they come back without harm.
//!
//! A member that starts with an empty disk may have confirmed entries and cast votes that it no longer knows of. With its
//! vote a member that lacks committed entries could win. So until a leader has brought it up to date it votes only for
//! members with an empty log, which is what the first election of a new cluster needs. (It keeps this in memory: a second
//! loss of the process in those moments is not covered.)
//!
//! The leader still takes it to have the entries, and raft would stop the process over that; it asks for a snapshot
//! instead.

use raft::eraftpb::{Message, MessageType};

#[derive(Debug)]
pub enum Rejoin {
    /// This member's vote counts.
    Proven,
    /// It started with nothing; `target` is how far the leader's log went when it was first heard.
    Unproven { target: Option<u64>, told: bool },
}

/// What to do with a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Take,
    /// A vote that must not be given. `true`: say so, it is the first time.
    WithholdVote(bool),
    AskForSnapshot,
}

impl Rejoin {
    pub fn starting_empty(empty: bool) -> Self {
        if empty { Self::Unproven { target: None, told: false } } else { Self::Proven }
    }

    pub fn judge(&mut self, message: &Message, last_index: u64) -> Verdict {
        let kind = message.get_msg_type();
        if kind == MessageType::MsgHeartbeat && message.commit > last_index {
            return Verdict::AskForSnapshot;
        }
        let Self::Unproven { target, told } = self else { return Verdict::Take };
        match kind {
            MessageType::MsgAppend => {
                let end = message.index + message.entries.len() as u64;
                target.get_or_insert(end.max(message.commit));
            }
            MessageType::MsgSnapshot => {
                target.get_or_insert(message.get_snapshot().get_metadata().index);
            }
            MessageType::MsgRequestVote | MessageType::MsgRequestPreVote if message.index > 0 => {
                return Verdict::WithholdVote(!std::mem::replace(told, true));
            }
            _ => {}
        }
        Verdict::Take
    }

    /// `vote`: whom this member voted for since it started (0: nobody). It did so among empty logs.
    pub fn progress(&mut self, last_index: u64, vote: u64) {
        if let Self::Unproven { target, .. } = self
            && (vote != 0 || target.is_some_and(|target| last_index >= target))
        {
            *self = Self::Proven;
        }
    }
}

/// Tells the leader that what it thinks this member has, up to `rejected`, is not there. The `raft` crate has
/// `request_snapshot` for it, which refuses on an empty log.
pub fn request_snapshot(heartbeat: &Message, rejected: u64, last: (u64, u64), me: u64) -> Message {
    let mut message = Message { to: heartbeat.from, from: me, term: heartbeat.term, ..Message::default() };
    message.set_msg_type(MessageType::MsgAppendResponse);
    message.index = rejected;
    message.reject = true;
    message.reject_hint = last.0;
    message.log_term = last.1;
    // Any snapshot will do; 0 would mean none is wanted.
    message.request_snapshot = 1;
    message
}
