//! The changes since the compacted revision, oldest first: what watchers replay and what reads of the past undo.
//!
//! Deliberately not a second store: the past is the present with the later changes taken back, and values are shared
//! with the present. The invariant: changes are ordered by revision, none is older than the compacted revision, and
//! each later than it knows what it replaced.

use crate::api::{Event, EventKind, Key, KeyValue};
use crate::limits::entry_bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use types::Revision;

/// An [`Event`] that shares its values.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub kind: EventKind,
    /// After a deletion: only the key and the revision, as etcd reports it.
    pub kv: Arc<KeyValue>,
    /// The version this one replaced, even one of the same transaction (etcd reports the one before the revision).
    pub prev: Option<Arc<KeyValue>>,
}

impl Change {
    pub fn put(kv: Arc<KeyValue>, prev: Option<Arc<KeyValue>>) -> Self {
        Self { kind: EventKind::Put, kv, prev }
    }

    pub fn delete(key: Key, revision: Revision, prev: Arc<KeyValue>) -> Self {
        let tombstone = KeyValue {
            key,
            value: Vec::new(),
            create_revision: Revision(0),
            mod_revision: revision,
            version: 0,
            lease: None,
        };
        Self { kind: EventKind::Delete, kv: Arc::new(tombstone), prev: Some(prev) }
    }

    pub fn revision(&self) -> Revision {
        self.kv.mod_revision
    }

    pub fn event(&self) -> Event {
        Event { kind: self.kind, kv: KeyValue::clone(&self.kv), prev_kv: self.prev.as_deref().cloned() }
    }

    pub fn event_without_prev(&self) -> Event {
        Event { kind: self.kind, kv: KeyValue::clone(&self.kv), prev_kv: None }
    }

    /// A put's own value is counted with the present, or with the change that replaced it.
    fn bytes(&self) -> u64 {
        let own = match self.kind {
            EventKind::Put => CHANGE_BYTES,
            EventKind::Delete => entry_bytes(&self.kv),
        };
        own + self.prev_bytes()
    }

    fn prev_bytes(&self) -> u64 {
        self.prev.as_deref().map_or(0, entry_bytes)
    }
}

/// The record of a change, without the values.
const CHANGE_BYTES: u64 = 64;

#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    changes: VecDeque<Change>,
    bytes: u64,
}

impl History {
    pub fn push(&mut self, change: Change) {
        self.bytes += change.bytes();
        self.changes.push_back(change);
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// From this revision (inclusive) to the newest.
    pub fn since(&self, from: Revision) -> impl DoubleEndedIterator<Item = &Change> {
        let start = self.changes.partition_point(|change| change.revision() < from);
        self.changes.range(start..)
    }

    /// The oldest revision later than this one that changed something.
    pub fn first_after(&self, revision: Revision) -> Option<Revision> {
        self.since(Revision(revision.0 + 1)).next().map(Change::revision)
    }

    /// Forgets what is older than `revision`, and what the changes of `revision` itself replaced: like etcd, a watch
    /// may still start at the compacted revision, but without the values before it.
    pub fn compact(&mut self, revision: Revision) {
        let forgotten = self.changes.partition_point(|change| change.revision() < revision);
        self.bytes -= self.changes.drain(..forgotten).map(|change| change.bytes()).sum::<u64>();
        for change in self.changes.iter_mut().take_while(|change| change.revision() == revision) {
            self.bytes -= change.prev_bytes();
            change.prev = None;
        }
    }
}
