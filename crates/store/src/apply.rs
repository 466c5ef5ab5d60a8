//! Committed entries become state, events and answers.

use crate::{
    Effect, MemberId, Notice, Reply, Store, StoreError,
    entry::{Entry, WriteId},
};
use kv::Command;
use raft::eraftpb;
use std::collections::BTreeSet;

impl Store {
    /// Returns who is to learn at once that this is committed: everybody, or of a renewal only who asked for it. (The others
    /// learn it with the next message; the time it gives the lease they know from the entry.)
    pub(crate) fn apply(&mut self, entries: Vec<eraftpb::Entry>) -> BTreeSet<MemberId> {
        let mut awaited_by = BTreeSet::new();
        for entry in entries {
            self.applied_bytes += entry.data.len() as u64;
            // The first entry of a leader's term says nothing; its being here settles the terms before.
            let asked_by = if entry.data.is_empty() { None } else { self.apply_entry(&entry) };
            match asked_by {
                Some(origin) => drop(awaited_by.insert(origin)),
                None => awaited_by.extend(self.raft.store().voters()),
            }
            let new_term = entry.term > self.applied.1;
            self.applied = (entry.index, entry.term);
            if new_term {
                self.proposals.settled_before(entry.term);
            }
        }
        awaited_by
    }

    /// Whose renewal it was, if it was one.
    fn apply_entry(&mut self, entry: &eraftpb::Entry) -> Option<MemberId> {
        // Every member skips what cannot be read; they all have the same bytes.
        let Some(Entry::Command { id: WriteId { origin, incarnation, sequence }, at, command }) =
            Entry::decode(&entry.data)
        else {
            self.effects.push(Effect::Notice(Notice::BadEntry { index: entry.index }));
            return None;
        };
        if entry.index <= self.recovered {
            self.clock.observe(at, self.now);
        }
        if let Command::LeaseExpire { ids } = &command {
            for id in ids {
                self.expiring.remove(id);
            }
        }
        let applied = self.kv.apply(at, &command);
        let revision = self.kv.revision();
        if !applied.events.is_empty() {
            self.effects.push(Effect::Applied { revision, events: applied.events });
        }
        if origin == self.config.id
            && incarnation == self.config.incarnation
            && let Some(id) = self.proposals.take(sequence)
        {
            let result = applied.result.map(|response| Reply { revision, response }).map_err(StoreError::Kv);
            self.effects.push(Effect::Reply { id, result });
        }
        matches!(command, Command::LeaseKeepAlive { .. }).then_some(origin)
    }

    /// After the state was replaced: nobody knows which of the writes on their way it contains.
    pub(crate) fn snapshot_installed(&mut self) {
        for id in self.proposals.take_sent() {
            self.effects.push(Effect::Reply { id, result: Err(StoreError::Unknown) });
        }
        self.expiring.clear();
        self.effects.push(Effect::Restored { revision: self.kv.revision() });
    }

    /// The leader answered a read barrier of this member's.
    pub(crate) fn barrier_answered(&mut self, context: &[u8], index: u64) {
        let Some((context, &[])) = context.split_first_chunk::<24>() else { return };
        let (own, number) = context.split_at(16);
        if own == [self.config.id, self.config.incarnation].map(u64::to_be_bytes).concat()
            && let Ok(number) = number.try_into()
        {
            self.reads.answered(u64::from_be_bytes(number), index);
        }
    }

    pub(crate) fn release_reads(&mut self) {
        for id in self.reads.take_ready(self.applied.0) {
            self.effects.push(Effect::ReadReady { id });
        }
    }
}
