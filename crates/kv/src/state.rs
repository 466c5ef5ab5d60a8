//! The state itself, and the two ways a key changes: put and delete.
//!
//! The invariants: a key's lease exists and lists the key; `data_bytes` is the sum over the present keys; every change
//! goes through [`Kv::put_key`] or [`Kv::delete_key`], which record it in the history.

use crate::api::{Event, Key, KeyRange, KeyValue, KvError, LeaseStatus, Value};
use crate::history::{Change, History};
use crate::lease::Leases;
use crate::limits::{Limits, entry_bytes};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use types::{LeaseId, Millis, Revision};

/// An etcd's data: the present keys, their history since the compacted revision, and the leases.
#[derive(Clone, Debug)]
pub struct Kv {
    pub(crate) limits: Limits,
    pub(crate) now: Millis,
    pub(crate) revision: Revision,
    pub(crate) compact_revision: Revision,
    pub(crate) present: BTreeMap<Key, Arc<KeyValue>>,
    pub(crate) data_bytes: u64,
    pub(crate) history: History,
    pub(crate) leases: Leases,
}

/// An empty etcd is at revision 1; its first change makes revision 2.
const REVISION_FIRST: Revision = Revision(1);

impl Default for Kv {
    fn default() -> Self {
        Self::new()
    }
}

impl Kv {
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// Every member must start with the same limits. Only tests need others than the default.
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            limits,
            now: Millis::ZERO,
            revision: REVISION_FIRST,
            compact_revision: Revision(0),
            present: BTreeMap::new(),
            data_bytes: 0,
            history: History::default(),
            leases: Leases::default(),
        }
    }

    /// Of the newest change; 1 for an empty store.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The oldest revision that can be read and watched; 0 when nothing was compacted yet.
    pub fn compact_revision(&self) -> Revision {
        self.compact_revision
    }

    /// The store's clock, as of the last command.
    pub fn now(&self) -> Millis {
        self.now
    }

    /// What keys, values and history take, by the store's own reckoning.
    pub fn size_bytes(&self) -> u64 {
        self.data_bytes + self.history.bytes()
    }

    /// The part of [`Kv::size_bytes`] that is in use now: what the quota is about.
    pub fn data_bytes(&self) -> u64 {
        self.data_bytes
    }

    pub fn key_count(&self) -> usize {
        self.present.len()
    }

    /// All changes from this revision (inclusive) on, in order. A revision of the future gives none.
    pub fn events_since(&self, from: Revision) -> Result<impl Iterator<Item = Event>, KvError> {
        Ok(self.changes_since(from)?.map(Change::event))
    }

    pub(crate) fn changes_since(&self, from: Revision) -> Result<impl Iterator<Item = &Change>, KvError> {
        if from < self.compact_revision {
            return Err(KvError::Compacted);
        }
        Ok(self.history.since(from))
    }

    /// `at`: the store's time now, as the store's leader knows it.
    pub fn lease_status(&self, id: LeaseId, at: Millis) -> Option<LeaseStatus> {
        self.leases.status(id, at)
    }

    /// In ascending order.
    pub fn leases(&self) -> Vec<LeaseId> {
        self.leases.iter().map(|(id, _)| id).collect()
    }

    /// Those whose time is over at this moment, the longest over first.
    pub fn expired(&self, at: Millis) -> Vec<LeaseId> {
        self.leases.expired(at)
    }

    /// When the next lease runs out, by the store's clock.
    pub fn next_expiry(&self) -> Option<Millis> {
        self.leases.next_expiry()
    }

    /// The revision that a command gives to its changes, should it make any.
    pub(crate) fn next_revision(&self) -> Revision {
        Revision(self.revision.0 + 1)
    }

    pub(crate) fn present_in<'a>(&'a self, keys: &'a KeyRange) -> impl Iterator<Item = &'a Arc<KeyValue>> {
        bounds(keys).into_iter().flat_map(|bounds| self.present.range::<[u8], _>(bounds)).map(|(_, kv)| kv)
    }

    /// `at` is the command's revision, the same for all changes it makes. The caller has seen that the lease exists.
    pub(crate) fn put_key(&mut self, key: &[u8], value: Value, lease: Option<LeaseId>, at: Revision) {
        let prev = self.present.get(key).cloned();
        let kv = Arc::new(KeyValue {
            key: key.to_vec(),
            value,
            create_revision: prev.as_ref().map_or(at, |prev| prev.create_revision),
            mod_revision: at,
            version: prev.as_ref().map_or(0, |prev| prev.version) + 1,
            lease,
        });
        let lease_before = prev.as_ref().and_then(|prev| prev.lease);
        if lease_before != lease {
            if let Some(before) = lease_before {
                self.leases.detach(before, key);
            }
            if let Some(lease) = lease {
                self.leases.attach(lease, key);
            }
        }
        self.data_bytes += entry_bytes(&kv);
        self.data_bytes -= prev.as_deref().map_or(0, entry_bytes);
        self.present.insert(key.to_vec(), Arc::clone(&kv));
        self.history.push(Change::put(kv, prev));
        self.revision = at;
    }

    /// Without effect when the key is not there.
    pub(crate) fn delete_key(&mut self, key: &[u8], at: Revision) {
        let Some((key, prev)) = self.present.remove_entry(key) else {
            return;
        };
        if let Some(lease) = prev.lease {
            self.leases.detach(lease, &key);
        }
        self.data_bytes -= entry_bytes(&prev);
        self.history.push(Change::delete(key, at, prev));
        self.revision = at;
    }

    pub(crate) fn compact_to(&mut self, revision: Revision) {
        self.compact_revision = revision;
        self.history.compact(revision);
    }

    /// Keeps the history within its limits; part of every command, so all members compact at the same one.
    pub(crate) fn trim_history(&mut self) {
        let oldest = self.revision.0.saturating_sub_unsigned(self.limits.history_revisions_max);
        if oldest > self.compact_revision.0 {
            self.compact_to(Revision(oldest));
        }
        while self.history.bytes() > self.limits.history_bytes_max {
            let Some(next) = self.history.first_after(self.compact_revision) else { break };
            self.compact_to(next);
        }
    }
}

type KeyBounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// `None`: no key can be in this range (the map would panic).
fn bounds(keys: &KeyRange) -> Option<KeyBounds<'_>> {
    match keys {
        KeyRange::One(key) => Some((Bound::Included(key), Bound::Included(key))),
        KeyRange::Between(start, end) if start < end => Some((Bound::Included(start), Bound::Excluded(end))),
        KeyRange::Between(_, _) => None,
        KeyRange::From(start) => Some((Bound::Included(start), Bound::Unbounded)),
    }
}
