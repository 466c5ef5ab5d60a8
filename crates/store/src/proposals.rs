//! Writes on their way: from a local caller to its answer, through changes of leader, applied at most once.
//!
//! A write sent to the leader of term `t` is sent again as long as `t` lasts (the leader recognises copies). Once an entry
//! of a later term is applied here and the write was not, it can never be: leaders take forwarded writes only in the term
//! they were sent for, and the log before that entry is settled. Then, and only then, it is proposed anew.

use crate::{MemberId, RequestId, StoreError, entry::WriteId, limits, message::Forward};
use kv::Command;
use std::collections::{BTreeMap, BTreeSet};
use types::Millis;

/// A local write without an answer.
#[derive(Debug)]
pub struct Pending {
    pub id: RequestId,
    pub command: Command,
    deadline: Millis,
    /// The term it was appended or forwarded in, and when (local time).
    sent: Option<(u64, Millis)>,
}

/// The writes of this member's callers, by their sequence number.
#[derive(Debug, Default)]
pub struct Proposals {
    pending: BTreeMap<u64, Pending>,
    /// Those of `pending` that are not sent.
    waiting: BTreeSet<u64>,
    last_sequence: u64,
}

impl Proposals {
    /// `false`: there are too many already.
    pub fn add(&mut self, id: RequestId, command: Command, deadline: Millis) -> bool {
        if self.pending.len() >= limits::PROPOSALS_IN_FLIGHT_MAX {
            return false;
        }
        self.last_sequence += 1;
        self.pending.insert(self.last_sequence, Pending { id, command, deadline, sent: None });
        self.waiting.insert(self.last_sequence);
        true
    }

    /// The oldest write that is not sent.
    pub fn first_waiting(&self) -> Option<(u64, &Pending)> {
        let sequence = *self.waiting.first()?;
        self.pending.get(&sequence).map(|pending| (sequence, pending))
    }

    pub fn sent(&mut self, sequence: u64, term: u64, now: Millis) {
        self.waiting.remove(&sequence);
        if let Some(pending) = self.pending.get_mut(&sequence) {
            pending.sent = Some((term, now));
        }
    }

    /// Sequence number of the oldest write without an answer.
    pub fn oldest(&self) -> u64 {
        self.pending.first_key_value().map_or(self.last_sequence + 1, |(sequence, _)| *sequence)
    }

    pub fn take(&mut self, sequence: u64) -> Option<RequestId> {
        self.waiting.remove(&sequence);
        self.pending.remove(&sequence).map(|pending| pending.id)
    }

    /// An entry of `term` was applied: what was sent in an earlier term and is still here will never be applied.
    pub fn settled_before(&mut self, term: u64) {
        for (sequence, pending) in &mut self.pending {
            if pending.sent.is_some_and(|(sent, _)| sent < term) {
                pending.sent = None;
                self.waiting.insert(*sequence);
            }
        }
    }

    /// Removes and returns what was sent: a snapshot hides whether it was applied.
    pub fn take_sent(&mut self) -> Vec<RequestId> {
        let (waiting, sent) =
            std::mem::take(&mut self.pending).into_iter().partition(|(_, pending)| pending.sent.is_none());
        self.pending = waiting;
        BTreeMap::into_values(sent).map(|pending| pending.id).collect()
    }

    /// Removes and returns everything whose time is up.
    pub fn take_overdue(&mut self, now: Millis) -> Vec<(RequestId, StoreError)> {
        let overdue: Vec<_> =
            self.pending.iter().filter(|(_, pending)| pending.deadline <= now).map(|(sequence, _)| *sequence).collect();
        overdue
            .into_iter()
            .filter_map(|sequence| {
                let error = if self.waiting.contains(&sequence) { StoreError::NoLeader } else { StoreError::Timeout };
                self.take(sequence).map(|id| (id, error))
            })
            .collect()
    }

    /// Writes forwarded in `term` whose last copy is older than [`limits::FORWARD_RETRY`].
    pub fn repeat_after_a_while(&mut self, term: u64, now: Millis) -> Vec<(u64, Command)> {
        let mut again = Vec::new();
        for (sequence, pending) in &mut self.pending {
            if let Some((sent_term, at)) = &mut pending.sent
                && *sent_term == term
                && now.since(*at) >= limits::FORWARD_RETRY
            {
                *at = now;
                again.push((*sequence, pending.command.clone()));
            }
        }
        again
    }
}

/// What the leader remembers of the forwarded writes of its present term.
#[derive(Debug, Default)]
pub struct Forwarded {
    accepted: BTreeMap<MemberId, Accepted>,
    /// Came before the leader may take writes.
    pub early: Vec<Forward>,
}

#[derive(Debug)]
struct Accepted {
    incarnation: u64,
    /// Everything below is answered.
    floor: u64,
    sequences: BTreeSet<u64>,
}

impl Forwarded {
    /// A new term, or not the leader any more.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    pub fn keep_for_later(&mut self, forward: Forward) {
        if self.early.len() < limits::PROPOSALS_IN_FLIGHT_MAX {
            self.early.push(forward);
        }
    }

    /// Whether this write is new in this term. Bounded: an origin has at most
    /// [`limits::PROPOSALS_IN_FLIGHT_MAX`] writes without an answer.
    pub fn is_new(&mut self, id: WriteId, oldest: u64) -> bool {
        let WriteId { origin, incarnation, sequence } = id;
        let fresh = || Accepted { incarnation, floor: 0, sequences: BTreeSet::new() };
        let accepted = self.accepted.entry(origin).or_insert_with(fresh);
        if incarnation < accepted.incarnation {
            return false;
        }
        if incarnation > accepted.incarnation {
            *accepted = fresh();
        }
        if oldest > accepted.floor {
            accepted.floor = oldest;
            accepted.sequences = accepted.sequences.split_off(&oldest);
        }
        sequence >= accepted.floor
            && accepted.sequences.len() < limits::PROPOSALS_IN_FLIGHT_MAX * 2
            && accepted.sequences.insert(sequence)
    }

    /// It was not appended after all.
    pub fn forget(&mut self, id: WriteId) {
        if let Some(accepted) = self.accepted.get_mut(&id.origin) {
            accepted.sequences.remove(&id.sequence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::LeaseId;

    fn write(sequence: u64) -> WriteId {
        WriteId { origin: 1, incarnation: 7, sequence }
    }

    #[test]
    fn the_leader_takes_each_forwarded_write_once() {
        let mut forwarded = Forwarded::default();
        assert!(forwarded.is_new(write(1), 1));
        assert!(!forwarded.is_new(write(1), 1), "a copy");
        assert!(forwarded.is_new(write(3), 2));
        assert!(!forwarded.is_new(write(1), 2), "a copy of an answered write");
        assert!(forwarded.is_new(write(2), 2));
        forwarded.forget(write(2));
        assert!(forwarded.is_new(write(2), 2), "it was not appended");
        let next_run = WriteId { incarnation: 8, ..write(1) };
        assert!(forwarded.is_new(next_run, 1));
        assert!(!forwarded.is_new(write(9), 1), "a late write of the run before");
    }

    #[test]
    fn a_write_is_proposed_anew_only_when_its_term_is_settled() {
        let mut proposals = Proposals::default();
        let command = Command::LeaseKeepAlive { id: LeaseId(1) };
        assert!(proposals.add(10, command.clone(), Millis(1_000)));
        assert_eq!(proposals.first_waiting().map(|(sequence, _)| sequence), Some(1));
        proposals.sent(1, 3, Millis(0));
        proposals.settled_before(3);
        assert!(proposals.first_waiting().is_none());
        assert_eq!(proposals.repeat_after_a_while(3, limits::FORWARD_RETRY), [(1, command)]);
        assert_eq!(proposals.repeat_after_a_while(3, limits::FORWARD_RETRY), []);
        proposals.settled_before(4);
        assert_eq!(proposals.first_waiting().map(|(sequence, _)| sequence), Some(1));
        assert_eq!(proposals.take_overdue(Millis(1_000)), [(10, StoreError::NoLeader)]);
    }
}
