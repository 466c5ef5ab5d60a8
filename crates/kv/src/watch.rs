//! Who is told of which change. One hub for each client stream (watch ids are the stream's own).
//!
//! Deliberately neither channels nor tasks. A server either passes every change on with [`WatchHub::notify`] or, when it
//! has time, asks for what is missing with [`WatchHub::catch_up`]; it may mix the two in any order, forget a
//! notification or repeat one. The invariant: a watcher gets each change from its start on exactly once, in order, a
//! revision never divided, or is told that the changes it needs were compacted.

use crate::api::{Event, EventKind, KeyRange};
use crate::history::Change;
use crate::limits::entry_bytes;
use crate::state::Kv;
use std::collections::BTreeMap;
use thiserror::Error;
use types::Revision;

/// More watchers on one stream are refused; an HA agent has a handful.
pub const WATCHERS_MAX: usize = 4096;
/// A replay is handed out in pieces: after so many events a piece ends with the revision it is in (etcd's
/// `watchBatchMaxRevs`).
pub const WATCH_BATCH_EVENTS_MAX: usize = 1000;
/// The same by size, so that a piece fits gRPC's usual 4 MiB message, also with the previous values.
pub const WATCH_BATCH_BYTES_MAX: u64 = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WatchId(pub i64);

#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "etcd's options, as they are")]
pub struct WatchRequest {
    pub keys: KeyRange,
    /// `None` (0 on the wire): the changes from now on.
    pub start_revision: Option<Revision>,
    pub no_put: bool,
    pub no_delete: bool,
    pub prev_kv: bool,
    pub progress_notify: bool,
}

/// What the server sends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchUpdate {
    /// At least one event. `revision`: the watcher has everything up to and including this.
    Events { id: WatchId, revision: Revision, events: Vec<Event> },
    /// The watcher is gone: changes it needs are older than `compact_revision`.
    Compacted { id: WatchId, compact_revision: Revision },
}

#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum WatchError {
    #[error("mvcc: duplicate watch ID provided on the WatchStream")]
    DuplicateId,
    #[error("etcdserver: too many watchers on this stream")]
    TooManyWatchers,
}

#[derive(Clone, Debug)]
struct Watcher {
    request: WatchRequest,
    start: Revision,
    /// Everything up to here has been looked at.
    covered: Revision,
}

impl Watcher {
    fn wants(&self, kind: EventKind, key: &[u8]) -> bool {
        let filtered = match kind {
            EventKind::Put => self.request.no_put,
            EventKind::Delete => self.request.no_delete,
        };
        !filtered && self.request.keys.contains(key)
    }

    fn next(&self) -> Revision {
        self.start.max(after(self.covered))
    }

    fn event(&self, change: &Change) -> Event {
        if self.request.prev_kv { change.event() } else { change.event_without_prev() }
    }

    /// A piece of the history, as far as the limits let it go.
    fn replay<'a>(&mut self, changes: impl Iterator<Item = &'a Change>, newest: Revision) -> Vec<Event> {
        let mut events = Vec::new();
        let mut bytes = 0;
        let mut last = Revision(0);
        for change in changes.filter(|change| self.wants(change.kind, &change.kv.key)) {
            let full = events.len() >= WATCH_BATCH_EVENTS_MAX || bytes >= WATCH_BATCH_BYTES_MAX;
            if full && change.revision() != last {
                self.covered = last;
                return events;
            }
            let event = self.event(change);
            bytes += entry_bytes(&event.kv) + event.prev_kv.as_ref().map_or(0, entry_bytes);
            last = change.revision();
            events.push(event);
        }
        self.covered = newest;
        events
    }
}

fn after(revision: Revision) -> Revision {
    Revision(revision.0.saturating_add(1))
}

#[derive(Clone, Debug, Default)]
pub struct WatchHub {
    watchers: BTreeMap<WatchId, Watcher>,
    next_id: i64,
}

impl WatchHub {
    pub fn new() -> Self {
        Self::default()
    }

    /// `id` `None` (0 on the wire): the hub picks the next free one. `newest`: the store's revision now. A start in the
    /// past needs [`WatchHub::catch_up`] to come alive; that also says so if the start is compacted.
    pub fn create(
        &mut self,
        id: Option<WatchId>,
        request: WatchRequest,
        newest: Revision,
    ) -> Result<WatchId, WatchError> {
        if self.watchers.len() >= WATCHERS_MAX {
            return Err(WatchError::TooManyWatchers);
        }
        let id = match id {
            Some(id) if self.watchers.contains_key(&id) => return Err(WatchError::DuplicateId),
            Some(id) => id,
            None => self.free_id(),
        };
        let start = request.start_revision.filter(|start| start.0 != 0).unwrap_or(after(newest));
        let covered = newest.min(Revision(start.0.saturating_sub(1)));
        self.watchers.insert(id, Watcher { request, start, covered });
        Ok(id)
    }

    fn free_id(&mut self) -> WatchId {
        loop {
            let id = WatchId(self.next_id);
            self.next_id = self.next_id.wrapping_add(1);
            if !self.watchers.contains_key(&id) {
                return id;
            }
        }
    }

    /// Whether there was such a watcher.
    pub fn cancel(&mut self, id: WatchId) -> bool {
        self.watchers.remove(&id).is_some()
    }

    pub fn is_empty(&self) -> bool {
        self.watchers.is_empty()
    }

    pub fn len(&self) -> usize {
        self.watchers.len()
    }

    /// The events of one applied command. A watcher that has not seen everything before this revision is left for
    /// [`WatchHub::catch_up`]; one that has this revision already does not get it again.
    pub fn notify(&mut self, revision: Revision, events: &[Event]) -> Vec<WatchUpdate> {
        let mut updates = Vec::new();
        for (id, watcher) in &mut self.watchers {
            if after(watcher.covered) != revision {
                continue;
            }
            watcher.covered = revision;
            if revision < watcher.start {
                continue;
            }
            let wanted = events.iter().filter(|event| watcher.wants(event.kind, &event.kv.key));
            let events: Vec<Event> = wanted.map(|event| strip(event, watcher.request.prev_kv)).collect();
            if !events.is_empty() {
                updates.push(WatchUpdate::Events { id: *id, revision, events });
            }
        }
        updates
    }

    /// Whether a watcher misses changes that a store of this revision has.
    pub fn is_behind(&self, newest: Revision) -> bool {
        self.watchers.values().any(|watcher| watcher.covered < newest)
    }

    /// Replays what is missing, at most one piece for each watcher: call again while [`WatchHub::is_behind`], when the
    /// client has taken what it got.
    pub fn catch_up(&mut self, kv: &Kv) -> Vec<WatchUpdate> {
        let newest = kv.revision();
        let mut updates = Vec::new();
        self.watchers.retain(|id, watcher| {
            if watcher.covered >= newest {
                return true;
            }
            let Ok(changes) = kv.changes_since(watcher.next()) else {
                updates.push(WatchUpdate::Compacted { id: *id, compact_revision: kv.compact_revision() });
                return false;
            };
            let events = watcher.replay(changes, newest);
            if !events.is_empty() {
                updates.push(WatchUpdate::Events { id: *id, revision: watcher.covered, events });
            }
            true
        });
        updates
    }

    /// Whether all watchers have everything up to this revision: then the answer to a progress request may name it.
    pub fn is_synced(&self, revision: Revision) -> bool {
        !self.is_behind(revision)
    }

    /// Those who asked for progress reports and have everything up to this revision.
    pub fn progress(&self, revision: Revision) -> Vec<WatchId> {
        let due = |watcher: &Watcher| watcher.request.progress_notify && watcher.covered >= revision;
        self.watchers.iter().filter(|(_, watcher)| due(watcher)).map(|(id, _)| *id).collect()
    }
}

fn strip(event: &Event, with_prev: bool) -> Event {
    let prev_kv = if with_prev { event.prev_kv.clone() } else { None };
    Event { kind: event.kind, kv: event.kv.clone(), prev_kv }
}
