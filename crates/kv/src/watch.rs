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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;
    use crate::testing::{between, delete, everything, one, put, run, store_with};
    use types::Millis;

    fn watch(keys: KeyRange, start: i64) -> WatchRequest {
        WatchRequest {
            keys,
            start_revision: (start != 0).then_some(Revision(start)),
            no_put: false,
            no_delete: false,
            prev_kv: false,
            progress_notify: false,
        }
    }

    /// `id@revision: +key -key`, `id compacted revision`.
    fn show(updates: &[WatchUpdate]) -> String {
        let event = |event: &Event| {
            let sign = if event.kind == EventKind::Put { '+' } else { '-' };
            let before = if event.prev_kv.is_some() { "'" } else { "" };
            format!(" {sign}{}{before}", String::from_utf8_lossy(&event.kv.key))
        };
        let update = |update: &WatchUpdate| match update {
            WatchUpdate::Events { id, revision, events } => {
                format!("{}@{revision}:{}", id.0, events.iter().map(event).collect::<String>())
            }
            WatchUpdate::Compacted { id, compact_revision } => format!("{} compacted {compact_revision}", id.0),
        };
        updates.iter().map(update).collect::<Vec<_>>().join(", ")
    }

    fn change(kv: &mut Kv, hub: &mut WatchHub, command: &Command) -> String {
        let applied = kv.apply(Millis(0), command);
        show(&hub.notify(kv.revision(), &applied.events))
    }

    #[test]
    fn each_watcher_hears_what_it_asked_for() {
        let mut kv = store_with(&[]);
        let mut hub = WatchHub::new();
        for request in [
            watch(one("a"), 0),
            WatchRequest { no_put: true, ..watch(everything(), 0) },
            WatchRequest { no_delete: true, prev_kv: true, ..watch(between("a", "c"), 0) },
            watch(everything(), 4),
        ] {
            hub.create(None, request, kv.revision()).unwrap();
        }
        assert_eq!(change(&mut kv, &mut hub, &Command::Put(put("a", "1"))), "0@2: +a, 2@2: +a");
        assert_eq!(change(&mut kv, &mut hub, &Command::Put(put("a", "2"))), "0@3: +a, 2@3: +a'");
        assert_eq!(change(&mut kv, &mut hub, &Command::Put(put("c", "1"))), "3@4: +c");
        let all = Command::DeleteRange(delete(everything()));
        assert_eq!(change(&mut kv, &mut hub, &all), "0@5: -a, 1@5: -a -c, 3@5: -a -c");
        assert!(hub.cancel(WatchId(3)) && !hub.cancel(WatchId(3)));
        assert_eq!(change(&mut kv, &mut hub, &Command::Put(put("z", "1"))), "");
        assert!(hub.is_synced(kv.revision()));
    }

    #[test]
    fn a_start_in_the_past_is_replayed_before_anything_new() {
        let mut kv = store_with(&[("a", "1"), ("b", "1"), ("a", "2")]);
        let mut hub = WatchHub::new();
        hub.create(None, watch(one("a"), 2), kv.revision()).unwrap();
        assert!(hub.is_behind(kv.revision()));
        assert_eq!(change(&mut kv, &mut hub, &Command::Put(put("a", "3"))), "", "it would be out of order");
        assert_eq!(show(&hub.catch_up(&kv)), "0@5: +a +a +a");
        assert_eq!(show(&hub.catch_up(&kv)), "");
        assert_eq!(change(&mut kv, &mut hub, &Command::Put(put("a", "4"))), "0@6: +a");
        let applied = kv.apply(Millis(0), &Command::Put(put("a", "5")));
        assert_eq!(show(&hub.catch_up(&kv)), "0@7: +a");
        assert_eq!(show(&hub.notify(kv.revision(), &applied.events)), "", "it has that already");
    }

    #[test]
    fn a_compacted_start_ends_the_watch() {
        let mut kv = store_with(&[("a", "1"), ("a", "2"), ("a", "3")]);
        run(&mut kv, Command::Compact { revision: Revision(3) });
        let mut hub = WatchHub::new();
        for start in [2, 3, 9, -1] {
            hub.create(None, WatchRequest { prev_kv: true, ..watch(one("a"), start) }, kv.revision()).unwrap();
        }
        assert_eq!(show(&hub.catch_up(&kv)), "0 compacted 3, 1@4: +a +a', 3 compacted 3");
        assert_eq!(hub.len(), 2);
        // A start in the future outlives a compaction that it does not need.
        for _ in 5..=8 {
            run(&mut kv, Command::Put(put("a", "x")));
        }
        run(&mut kv, Command::Compact { revision: Revision(8) });
        assert_eq!(show(&hub.catch_up(&kv)), "1 compacted 8");
        assert_eq!(change(&mut kv, &mut hub, &Command::Put(put("a", "x"))), "2@9: +a'");
    }

    #[test]
    fn a_long_replay_comes_in_pieces_of_whole_revisions() {
        let mut kv = Kv::new();
        let operations = |value: &str| {
            (0..100).map(|number| crate::TxnOperation::Put(put(&format!("{number:03}"), value))).collect::<Vec<_>>()
        };
        for _ in 0..25 {
            run(&mut kv, Command::Txn(crate::testing::txn(vec![], operations("v"), vec![])));
        }
        let large = "x".repeat(WATCH_BATCH_BYTES_MAX as usize / 150);
        run(&mut kv, Command::Txn(crate::testing::txn(vec![], operations(&large), vec![])));
        run(&mut kv, Command::Txn(crate::testing::txn(vec![], operations(&large), vec![])));
        let mut hub = WatchHub::new();
        hub.create(None, watch(everything(), 2), kv.revision()).unwrap();
        let mut pieces = Vec::new();
        while hub.is_behind(kv.revision()) {
            for update in hub.catch_up(&kv) {
                let WatchUpdate::Events { revision, events, .. } = update else { panic!("{update:?}") };
                assert_eq!(events.last().map(|event| event.kv.mod_revision), Some(revision));
                pieces.push(events.len());
            }
        }
        assert_eq!(pieces, [1000, 1000, 700]);
    }

    #[test]
    fn progress_names_only_who_asked_and_is_up_to_date() {
        let kv = store_with(&[("a", "1")]);
        let mut hub = WatchHub::new();
        let asked = |start| WatchRequest { progress_notify: true, ..watch(one("x"), start) };
        for request in [watch(one("x"), 0), asked(0), asked(1), asked(9)] {
            hub.create(None, request, kv.revision()).unwrap();
        }
        assert_eq!(hub.progress(kv.revision()), [WatchId(1), WatchId(3)]);
        hub.catch_up(&kv);
        assert_eq!(hub.progress(kv.revision()), [WatchId(1), WatchId(2), WatchId(3)]);
    }

    #[test]
    fn ids_are_unique_and_limited() {
        let mut hub = WatchHub::new();
        let mut create = |id| hub.create(id, watch(one("a"), 0), Revision(1));
        assert_eq!(create(Some(WatchId(1))), Ok(WatchId(1)));
        assert_eq!(create(Some(WatchId(1))), Err(WatchError::DuplicateId));
        assert_eq!([create(None), create(None)], [Ok(WatchId(0)), Ok(WatchId(2))]);
        for _ in 3..WATCHERS_MAX {
            create(None).unwrap();
        }
        assert_eq!(create(None), Err(WatchError::TooManyWatchers));
    }
}
