//! The whole state as bytes, and back: for a member that joins or starts, so that it need not replay everything.
//!
//! The same state gives the same bytes. Deliberately without a checksum: who stores or sends the bytes has one. The
//! invariant: what was restored is well-formed (references resolve, order holds, leases exist), or it is refused.

use crate::api::{EventKind, KeyValue};
use crate::history::{Change, History};
use crate::lease::Leases;
use crate::limits::{Limits, entry_bytes};
use crate::state::Kv;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use thiserror::Error;
use types::{LeaseId, Millis, Revision};

/// The first four bytes, little-endian. A new layout gets a new number; the old ones stay readable.
const SNAPSHOT_VERSION: u32 = 1;

/// No store counts so far; counting on from here cannot overflow.
const NUMBER_MAX: i64 = i64::MAX / 2;

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SnapshotError {
    #[error("the snapshot has format {0}, this version of the program reads format {SNAPSHOT_VERSION}")]
    UnknownVersion(u32),
    #[error("the snapshot cannot be decoded: {0}")]
    Malformed(String),
    #[error("the snapshot contradicts itself: {0}")]
    Inconsistent(&'static str),
}

/// Layout of format 1. Values that the present and the history share are written once. `V` is a key's version, borrowed
/// for writing and owned after reading.
#[derive(Serialize, Deserialize)]
struct Snapshot<V> {
    limits: Limits,
    now: Millis,
    revision: Revision,
    compact_revision: Revision,
    leases_named: u64,
    /// In order of their ids.
    leases: Vec<LeaseRecord>,
    /// Every version of a key that is still known. The others refer to them by position.
    versions: Vec<V>,
    /// In key order.
    present: Vec<u32>,
    /// Oldest first.
    changes: Vec<ChangeRecord>,
}

#[derive(Serialize, Deserialize)]
struct LeaseRecord {
    id: LeaseId,
    ttl: Millis,
    renewed: Millis,
}

#[derive(Serialize, Deserialize)]
struct ChangeRecord {
    kind: EventKind,
    kv: u32,
    prev: Option<u32>,
}

/// Gives each version its position, in the order of first mention. The address only says which ones are the same.
#[derive(Default)]
struct Numbering<'a> {
    positions: BTreeMap<*const KeyValue, u32>,
    versions: Vec<&'a KeyValue>,
}

impl<'a> Numbering<'a> {
    fn of(&mut self, kv: &'a Arc<KeyValue>) -> u32 {
        let next = self.versions.len() as u32;
        let position = *self.positions.entry(Arc::as_ptr(kv)).or_insert(next);
        if position == next {
            self.versions.push(kv);
        }
        position
    }
}

impl Kv {
    pub fn snapshot(&self) -> Vec<u8> {
        let mut numbering = Numbering::default();
        let present = self.present.values().map(|kv| numbering.of(kv)).collect();
        let changes = self
            .history
            .since(Revision(0))
            .map(|change| ChangeRecord {
                kind: change.kind,
                kv: numbering.of(&change.kv),
                prev: change.prev.as_ref().map(|prev| numbering.of(prev)),
            })
            .collect();
        let leases =
            self.leases.iter().map(|(id, lease)| LeaseRecord { id, ttl: lease.ttl, renewed: lease.renewed }).collect();
        let snapshot = Snapshot {
            limits: self.limits,
            now: self.now,
            revision: self.revision,
            compact_revision: self.compact_revision,
            leases_named: self.leases.named(),
            leases,
            versions: numbering.versions,
            present,
            changes,
        };
        let bytes = postcard::to_extend(&snapshot, SNAPSHOT_VERSION.to_le_bytes().to_vec());
        // Plain structures of known length always encode; the format fails only on what is not used here.
        bytes.expect("a snapshot encodes into memory")
    }

    pub fn restore(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let (version, body) =
            bytes.split_first_chunk().ok_or_else(|| SnapshotError::Malformed("it is empty or cut off".to_owned()))?;
        match u32::from_le_bytes(*version) {
            SNAPSHOT_VERSION => {}
            other => return Err(SnapshotError::UnknownVersion(other)),
        }
        let (snapshot, rest): (Snapshot<KeyValue>, _) =
            postcard::take_from_bytes(body).map_err(|error| SnapshotError::Malformed(error.to_string()))?;
        if !rest.is_empty() {
            return Err(SnapshotError::Malformed(format!("{} bytes too many", rest.len())));
        }
        rebuild(snapshot)
    }
}

fn rebuild(snapshot: Snapshot<KeyValue>) -> Result<Kv, SnapshotError> {
    use SnapshotError::Inconsistent;
    if !(1..NUMBER_MAX).contains(&snapshot.revision.0)
        || !(0..=snapshot.revision.0).contains(&snapshot.compact_revision.0)
    {
        return Err(Inconsistent("revisions out of bounds"));
    }
    if snapshot.leases_named > NUMBER_MAX as u64 {
        return Err(Inconsistent("a number of leases out of bounds"));
    }
    let mut kv = Kv::with_limits(snapshot.limits);
    kv.now = snapshot.now;
    kv.revision = snapshot.revision;
    kv.compact_revision = snapshot.compact_revision;
    kv.leases = restore_leases(snapshot.leases, snapshot.leases_named)?;

    let versions: Vec<Arc<KeyValue>> = snapshot.versions.into_iter().map(Arc::new).collect();
    if versions.iter().any(|version| version.mod_revision > kv.revision || version.version > NUMBER_MAX) {
        return Err(Inconsistent("a value of the future"));
    }
    let version = |position: u32| -> Result<Arc<KeyValue>, SnapshotError> {
        versions.get(position as usize).cloned().ok_or(Inconsistent("a reference to no value"))
    };
    for position in snapshot.present {
        let present = version(position)?;
        if kv.present.last_key_value().is_some_and(|(last, _)| *last >= present.key) {
            return Err(Inconsistent("keys out of order"));
        }
        if let Some(lease) = present.lease {
            if !kv.leases.contains(lease) {
                return Err(Inconsistent("a key without its lease"));
            }
            kv.leases.attach(lease, &present.key);
        }
        kv.data_bytes += entry_bytes(&present);
        kv.present.insert(present.key.clone(), present);
    }
    kv.history = restore_history(snapshot.changes, kv.compact_revision, version)?;
    Ok(kv)
}

fn restore_leases(records: Vec<LeaseRecord>, named: u64) -> Result<Leases, SnapshotError> {
    let mut leases = Leases::restored(named);
    for record in records {
        if leases.contains(record.id) {
            return Err(SnapshotError::Inconsistent("a lease twice"));
        }
        leases.insert(record.id, record.ttl, record.renewed);
    }
    Ok(leases)
}

fn restore_history(
    records: Vec<ChangeRecord>,
    compact_revision: Revision,
    version: impl Fn(u32) -> Result<Arc<KeyValue>, SnapshotError>,
) -> Result<History, SnapshotError> {
    let mut history = History::default();
    let mut last = compact_revision;
    for record in records {
        let change =
            Change { kind: record.kind, kv: version(record.kv)?, prev: record.prev.map(&version).transpose()? };
        if change.revision() < last {
            return Err(SnapshotError::Inconsistent("changes out of order"));
        }
        if change.prev.as_ref().is_some_and(|prev| prev.key != change.kv.key) {
            return Err(SnapshotError::Inconsistent("a change that replaces another key"));
        }
        last = change.revision();
        history.push(change);
    }
    Ok(history)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;
    use crate::testing::{delete, everything, one, put, put_leased, run, run_at, show, store_with};

    fn busy_store() -> Kv {
        let mut kv = store_with(&[("a", "1"), ("b", "2"), ("a", "3")]);
        run_at(&mut kv, 700, Command::LeaseGrant { id: None, ttl: Millis(5000) });
        let lease = kv.leases()[0];
        run(&mut kv, Command::Put(put_leased("l", lease.0)));
        run(&mut kv, Command::DeleteRange(delete(one("b"))));
        run(&mut kv, Command::Compact { revision: Revision(3) });
        kv
    }

    #[test]
    fn everything_comes_back() {
        let kv = busy_store();
        let restored = Kv::restore(&kv.snapshot()).unwrap();
        assert_eq!(show(&restored), show(&kv));
        let numbers = |kv: &Kv| (kv.revision(), kv.compact_revision(), kv.now(), kv.size_bytes(), kv.next_expiry());
        assert_eq!(numbers(&restored), numbers(&kv));
        let id = kv.leases()[0];
        assert_eq!(restored.lease_status(id, Millis(1000)), kv.lease_status(id, Millis(1000)));
        let events = |kv: &Kv| kv.events_since(Revision(3)).unwrap().collect::<Vec<_>>();
        assert_eq!(events(&restored), events(&kv));
        assert_eq!(restored.snapshot(), kv.snapshot());
    }

    #[test]
    fn a_value_is_written_once() {
        let mut kv = Kv::new();
        for key in ["a", "b"] {
            run(&mut kv, Command::Put(put(key, &"x".repeat(10_000))));
            run(&mut kv, Command::Put(put(key, &"y".repeat(10_000))));
        }
        let bytes = kv.snapshot();
        assert!((40_000..41_000).contains(&bytes.len()), "{}", bytes.len());
        run(&mut kv, Command::DeleteRange(delete(everything())));
        assert!(kv.snapshot().len() < 41_000);
    }

    #[test]
    fn what_is_no_snapshot() {
        let bytes = busy_store().snapshot();
        let malformed = |bytes: &[u8]| matches!(Kv::restore(bytes), Err(SnapshotError::Malformed(_)));
        assert!(malformed(&[]));
        assert!(malformed(&bytes[..3]));
        assert!(malformed(&bytes[..bytes.len() - 1]));
        assert!(malformed(&[bytes.as_slice(), &[0]].concat()));
        let newer = [&2_u32.to_le_bytes(), &bytes[4..]].concat();
        assert_eq!(Kv::restore(&newer).map(|_| ()), Err(SnapshotError::UnknownVersion(2)));
    }

    #[test]
    fn what_contradicts_itself() {
        let check = |damage: fn(&mut Snapshot<KeyValue>)| {
            let kv = busy_store();
            let mut snapshot: Snapshot<KeyValue> = postcard::from_bytes(&kv.snapshot()[4..]).unwrap();
            damage(&mut snapshot);
            match rebuild(snapshot) {
                Err(SnapshotError::Inconsistent(why)) => why,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(check(|s| s.revision = Revision(0)), "revisions out of bounds");
        assert_eq!(check(|s| s.compact_revision = Revision(99)), "revisions out of bounds");
        assert_eq!(check(|s| s.revision = Revision(3)), "a value of the future");
        assert_eq!(check(|s| s.leases.clear()), "a key without its lease");
        assert_eq!(check(|s| s.leases.push(LeaseRecord { ..s.leases[0] })), "a lease twice");
        assert_eq!(check(|s| s.present.reverse()), "keys out of order");
        assert_eq!(check(|s| s.present[0] = 99), "a reference to no value");
        assert_eq!(check(|s| s.changes.reverse()), "changes out of order");
        assert_eq!(check(|s| s.changes[0].prev = Some(s.changes[1].kv)), "a change that replaces another key");
    }
}
