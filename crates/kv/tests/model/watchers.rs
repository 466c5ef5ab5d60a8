//! Watchers that write down what they are told, to be compared with all that ever happened.

use super::Model;
use kv::{Event, EventKind, Kv, WatchHub, WatchId, WatchRequest, WatchUpdate};
use std::collections::BTreeMap;
use types::Revision;

#[derive(Default)]
pub struct Watchers {
    hub: WatchHub,
    told: BTreeMap<WatchId, Told>,
}

struct Told {
    request: WatchRequest,
    start: Revision,
    events: Vec<Event>,
    compacted: Option<Revision>,
}

impl Watchers {
    pub fn create(&mut self, request: WatchRequest, newest: Revision) {
        let id = self.hub.create(None, request.clone(), newest).expect("there is room");
        let start = request.start_revision.unwrap_or(Revision(newest.0 + 1));
        self.told.insert(id, Told { request, start, events: Vec::new(), compacted: None });
    }

    pub fn notify(&mut self, revision: Revision, events: &[Event]) {
        for update in self.hub.notify(revision, events) {
            self.write_down(update);
        }
    }

    pub fn catch_up(&mut self, kv: &Kv) {
        while self.hub.is_behind(kv.revision()) {
            for update in self.hub.catch_up(kv) {
                self.write_down(update);
            }
        }
    }

    fn write_down(&mut self, update: WatchUpdate) {
        match update {
            WatchUpdate::Events { id, revision, events } => {
                let told = self.told.get_mut(&id).expect("it was created");
                assert!(told.compacted.is_none() && !events.is_empty());
                assert!(events.iter().all(|event| event.kv.mod_revision <= revision));
                told.events.extend(events);
            }
            WatchUpdate::Compacted { id, compact_revision } => {
                self.told.get_mut(&id).expect("it was created").compacted = Some(compact_revision);
            }
        }
    }

    /// Who was not told of a compaction has everything; who was has everything up to where it stopped.
    pub fn assert_complete(&self, kv: &Kv, model: &Model) {
        assert!(self.hub.is_synced(kv.revision()));
        for told in self.told.values() {
            let wanted = |event: &&Event| {
                let filtered = match event.kind {
                    EventKind::Put => told.request.no_put,
                    EventKind::Delete => told.request.no_delete,
                };
                event.kv.mod_revision >= told.start && !filtered && told.request.keys.contains(&event.kv.key)
            };
            let expected: Vec<&Event> = model.events.iter().filter(wanted).collect();
            if told.compacted.is_none() {
                assert_eq!(told.events.len(), expected.len(), "{:?}", told.request);
            }
            for (event, expected) in told.events.iter().zip(expected) {
                assert_eq!((event.kind, &event.kv), (expected.kind, &expected.kv));
                match &event.prev_kv {
                    Some(prev) => assert!(told.request.prev_kv && Some(prev) == expected.prev_kv.as_ref()),
                    // A replay from exactly the compacted revision cannot know what was before.
                    None => assert!(
                        !told.request.prev_kv
                            || expected.prev_kv.is_none()
                            || event.kv.mod_revision <= kv.compact_revision()
                    ),
                }
            }
        }
    }
}
