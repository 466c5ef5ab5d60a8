//! The log in memory: what raft reads back, and the translation between its types and ours.
//!
//! Not the disk: entries are here from the moment they are to be persisted. The invariant: `entries` follow `before`
//! without gaps, and a snapshot held here is never older than `before`.

use crate::{HardState, LogEntry, MemberId, OpenError, Persisted, Snapshot};
use raft::{
    Error, GetEntriesContext, RaftState, Storage, StorageError,
    eraftpb::{self, ConfState, Entry, SnapshotMetadata},
};
use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
};

/// Bytes an entry costs besides its data, roughly.
const ENTRY_OVERHEAD_BYTES: u64 = 64;

pub struct Log {
    hard_state: eraftpb::HardState,
    voters: Vec<MemberId>,
    /// Index and term of the entry before the first one here.
    before: (u64, u64),
    entries: VecDeque<Entry>,
    bytes: u64,
    /// For members that need older entries than there are here.
    snapshot: Option<eraftpb::Snapshot>,
    /// Raft needs a snapshot newer than `snapshot`. (Raft asks through a shared reference.)
    wanted: AtomicBool,
}

impl Log {
    pub fn open(persisted: &Persisted, voters: Vec<MemberId>) -> Result<Self, OpenError> {
        let before = persisted.snapshot.as_ref().map_or((0, 0), |snapshot| (snapshot.index, snapshot.term));
        let mut last = before.0;
        for entry in &persisted.entries {
            if entry.index != last + 1 {
                return Err(OpenError::LogGap { before: last, found: entry.index });
            }
            if entry.kind != 0 {
                return Err(OpenError::UnknownEntry { index: entry.index, kind: entry.kind });
            }
            last = entry.index;
        }
        if persisted.hard_state.commit > last {
            return Err(OpenError::LogTooShort { last, committed: persisted.hard_state.commit });
        }
        let mut hard_state = to_raft_hard_state(persisted.hard_state);
        // The commit index on disk may be older than the snapshot.
        hard_state.commit = hard_state.commit.max(before.0);
        hard_state.term = hard_state.term.max(before.1);
        let entries: VecDeque<_> = persisted.entries.iter().map(to_raft_entry).collect();
        Ok(Self {
            hard_state,
            bytes: entries.iter().map(entry_bytes).sum(),
            before,
            entries,
            snapshot: persisted.snapshot.as_ref().map(to_raft_snapshot),
            voters,
            wanted: AtomicBool::new(false),
        })
    }

    pub fn last(&self) -> u64 {
        self.before.0 + self.entries.len() as u64
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn voters(&self) -> &[MemberId] {
        &self.voters
    }

    pub fn snapshot_index(&self) -> u64 {
        self.snapshot.as_ref().map_or(0, |snapshot| snapshot.get_metadata().index)
    }

    pub fn hard_state(&self) -> HardState {
        from_raft_hard_state(&self.hard_state)
    }

    /// Everything behind the entry `index`.
    pub fn behind(&self, index: u64) -> Vec<LogEntry> {
        let skipped = index.saturating_sub(self.before.0) as usize;
        self.entries.iter().skip(skipped).map(from_raft_entry).collect()
    }

    pub fn set_hard_state(&mut self, hard_state: eraftpb::HardState) {
        self.hard_state = hard_state;
    }

    /// Appends; entries that are here already with other contents go, with everything behind them.
    pub fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        assert!(first.index > self.before.0 && first.index <= self.last() + 1, "a gap or a compacted entry appended");
        let kept = (first.index - self.before.0 - 1) as usize;
        let removed: u64 = self.entries.drain(kept..).map(|entry| entry_bytes(&entry)).sum();
        let added: u64 = entries.iter().map(entry_bytes).sum();
        self.bytes = self.bytes - removed + added;
        self.entries.extend(entries.iter().cloned());
    }

    /// Another member's snapshot takes the place of everything.
    pub fn install(&mut self, snapshot: eraftpb::Snapshot) {
        let metadata = snapshot.get_metadata();
        self.before = (metadata.index, metadata.term);
        self.hard_state.commit = self.hard_state.commit.max(metadata.index);
        self.entries.clear();
        self.bytes = 0;
        self.snapshot = Some(snapshot);
    }

    /// Keeps our own snapshot, and of the entries it covers only the last `trailing`.
    pub fn compact(&mut self, snapshot: eraftpb::Snapshot, trailing: u64) {
        let until = snapshot.get_metadata().index.saturating_sub(trailing);
        while let Some(first) = self.entries.front().filter(|first| first.index <= until) {
            self.before = (first.index, first.term);
            self.bytes -= entry_bytes(first);
            self.entries.pop_front();
        }
        self.snapshot = Some(snapshot);
    }

    /// Whether raft asked for a newer snapshot since the last call.
    pub fn take_wanted(&mut self) -> bool {
        std::mem::take(self.wanted.get_mut())
    }

    pub fn term_of(&self, index: u64) -> Option<u64> {
        if index == self.before.0 {
            return Some(self.before.1);
        }
        let offset = index.checked_sub(self.before.0 + 1)?;
        self.entries.get(offset as usize).map(|entry| entry.term)
    }
}

impl Storage for Log {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(self.hard_state.clone(), conf_state(&self.voters)))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low <= self.before.0 {
            return Err(Error::Store(StorageError::Compacted));
        }
        if high > self.last() + 1 {
            return Err(Error::Store(StorageError::Unavailable));
        }
        let max_size = max_size.into().unwrap_or(u64::MAX);
        let mut size = 0;
        let mut entries = Vec::new();
        for entry in self.entries.iter().skip((low - self.before.0 - 1) as usize).take((high - low) as usize) {
            size += entry_bytes(entry);
            // One always goes, or a large entry would stop everything.
            if size > max_size && !entries.is_empty() {
                break;
            }
            entries.push(entry.clone());
        }
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index < self.before.0 {
            return Err(Error::Store(StorageError::Compacted));
        }
        self.term_of(index).ok_or(Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.before.0 + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, request_index: u64, _to: u64) -> raft::Result<eraftpb::Snapshot> {
        match &self.snapshot {
            Some(snapshot) if snapshot.get_metadata().index >= request_index.max(self.before.0) => Ok(snapshot.clone()),
            Some(_) | None => {
                self.wanted.store(true, Ordering::Relaxed);
                Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable))
            }
        }
    }
}

fn entry_bytes(entry: &Entry) -> u64 {
    entry.data.len() as u64 + ENTRY_OVERHEAD_BYTES
}

fn conf_state(voters: &[MemberId]) -> ConfState {
    ConfState { voters: voters.to_vec(), ..ConfState::default() }
}

fn to_raft_hard_state(from: HardState) -> eraftpb::HardState {
    eraftpb::HardState { term: from.term, vote: from.vote, commit: from.commit }
}

pub fn from_raft_hard_state(from: &eraftpb::HardState) -> HardState {
    HardState { term: from.term, vote: from.vote, commit: from.commit }
}

fn to_raft_entry(from: &LogEntry) -> Entry {
    Entry {
        index: from.index,
        term: from.term,
        entry_type: i32::from(from.kind),
        data: from.data.clone(),
        ..Entry::default()
    }
}

pub fn from_raft_entry(from: &Entry) -> LogEntry {
    LogEntry { index: from.index, term: from.term, kind: from.entry_type as u8, data: from.data.clone() }
}

pub fn to_raft_snapshot(from: &Snapshot) -> eraftpb::Snapshot {
    let metadata = SnapshotMetadata { index: from.index, term: from.term, conf_state: Some(conf_state(&from.voters)) };
    eraftpb::Snapshot { data: from.data.clone(), metadata: Some(metadata) }
}

pub fn from_raft_snapshot(from: &eraftpb::Snapshot) -> Snapshot {
    let metadata = from.get_metadata();
    Snapshot {
        index: metadata.index,
        term: metadata.term,
        voters: metadata.get_conf_state().voters.clone(),
        data: from.data.clone(),
    }
}
