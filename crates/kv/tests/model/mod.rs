//! The naive model, the commands it is fed, and the watchers that are compared with it.

mod generate;
mod watchers;

pub use generate::{command, watch_request};
pub use watchers::Watchers;

use kv::{
    Applied, Command, Compare, CompareResult, CompareTarget, Event, EventKind, Key, KeyRange, KeyValue, KvError,
    LEASE_TTL_MIN, LeaseStatus, Limits, PutRequest, RangeRequest, RangeResponse, Response, SortOrder, SortTarget,
    TxnOperation, TxnOperationResponse, TxnRequest, TxnResponse,
};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use types::{LeaseId, Millis, Revision};

type State = BTreeMap<Key, KeyValue>;

/// Small enough that a short run of commands meets every limit.
pub fn limits() -> Limits {
    Limits { history_revisions_max: 8, history_bytes_max: 2000, data_bytes_max: 560, leases_max: 3 }
}

pub fn put(key: &str, value: &str) -> PutRequest {
    PutRequest {
        key: key.into(),
        value: value.into(),
        lease: None,
        prev_kv: false,
        ignore_value: false,
        ignore_lease: false,
    }
}

pub struct Model {
    /// The first is revision 1.
    states: Vec<State>,
    pub events: Vec<Event>,
    pub compact_revision: Revision,
    pub now: Millis,
    /// Time to live, last renewal.
    leases: BTreeMap<LeaseId, (Millis, Millis)>,
    leases_named: i64,
}

/// A command at work.
struct Work {
    state: State,
    events: Vec<Event>,
    revision: Revision,
}

impl Model {
    pub fn new() -> Self {
        Self {
            states: vec![State::new()],
            events: Vec::new(),
            compact_revision: Revision(0),
            now: Millis(0),
            leases: BTreeMap::new(),
            leases_named: 0,
        }
    }

    pub fn revision(&self) -> Revision {
        Revision(self.states.len() as i64)
    }

    fn state(&self) -> &State {
        self.states.last().expect("there is always one")
    }

    fn state_at(&self, revision: Revision) -> Result<&State, KvError> {
        if revision > self.revision() {
            Err(KvError::FutureRevision)
        } else if revision < self.compact_revision {
            Err(KvError::Compacted)
        } else {
            Ok(&self.states[revision.0 as usize - 1])
        }
    }

    pub fn keys_at(&self, revision: Revision) -> Result<Vec<KeyValue>, KvError> {
        Ok(self.state_at(revision)?.values().cloned().collect())
    }

    pub fn events_since(&self, from: Revision) -> Result<Vec<Event>, KvError> {
        if from < self.compact_revision {
            return Err(KvError::Compacted);
        }
        let mut events = self.events.clone();
        events.retain(|event| event.kv.mod_revision >= from);
        for event in &mut events {
            if event.kv.mod_revision == self.compact_revision {
                event.prev_kv = None;
            }
        }
        Ok(events)
    }

    pub fn lease_ids(&self) -> Vec<LeaseId> {
        self.leases.keys().copied().collect()
    }

    pub fn lease_status(&self, id: LeaseId) -> LeaseStatus {
        let (ttl, renewed) = self.leases[&id];
        let keys = self.state().values().filter(|kv| kv.lease == Some(id)).map(|kv| kv.key.clone()).collect();
        LeaseStatus { id, granted: ttl, remaining: Millis((renewed.0 + ttl.0).saturating_sub(self.now.0)), keys }
    }

    pub fn next_expiry(&self) -> Option<Millis> {
        self.leases.values().map(|(ttl, renewed)| Millis(ttl.0 + renewed.0)).min()
    }

    pub fn data_bytes(&self) -> u64 {
        self.state().values().map(bytes).sum()
    }

    pub fn apply(&mut self, now: Millis, command: &Command) -> Applied {
        self.now = Millis(self.now.0.max(now.0));
        let mut work =
            Work { state: self.state().clone(), events: Vec::new(), revision: Revision(self.revision().0 + 1) };
        let result = self.run(command, &mut work);
        if result.is_err() {
            assert!(work.events.is_empty(), "the model itself left an error half done");
        }
        if !work.events.is_empty() {
            self.states.push(work.state);
            self.events.extend(work.events.clone());
        }
        self.compact_old();
        Applied { result, events: work.events }
    }

    fn compact_old(&mut self) {
        let oldest = self.revision().0 - limits().history_revisions_max as i64;
        self.compact_revision = Revision(self.compact_revision.0.max(oldest));
        while self.history_bytes() > limits().history_bytes_max && self.compact_revision < self.revision() {
            self.compact_revision.0 += 1;
        }
    }

    fn history_bytes(&self) -> u64 {
        let events = self.events_since(self.compact_revision).expect("it is not older");
        let own = |event: &Event| if event.kind == EventKind::Put { 64 } else { bytes(&event.kv) };
        events.iter().map(|event| own(event) + event.prev_kv.as_ref().map_or(0, bytes)).sum()
    }

    fn run(&mut self, command: &Command, work: &mut Work) -> Result<Response, KvError> {
        match command {
            Command::Put(put) if put.lease.is_some_and(|lease| !self.leases.contains_key(&lease)) => {
                Err(KvError::LeaseNotFound)
            }
            Command::Put(put) => {
                let txn = TxnRequest { success: vec![TxnOperation::Put(put.clone())], ..TxnRequest::default() };
                match self.txn(&txn, work)?.responses.remove(0) {
                    TxnOperationResponse::Put { prev_kv } => Ok(Response::Put { prev_kv }),
                    other => panic!("{other:?}"),
                }
            }
            Command::DeleteRange(delete) => {
                let prev_kvs = work.delete(|key| delete.keys.contains(key));
                let deleted = prev_kvs.len() as i64;
                Ok(Response::DeleteRange { deleted, prev_kvs: if delete.prev_kv { prev_kvs } else { Vec::new() } })
            }
            Command::Txn(txn) => self.txn(txn, work).map(Response::Txn),
            Command::Compact { revision } if *revision <= self.compact_revision => Err(KvError::Compacted),
            Command::Compact { revision } if *revision > self.revision() => Err(KvError::FutureRevision),
            Command::Compact { revision } => {
                self.compact_revision = *revision;
                Ok(Response::Compact)
            }
            Command::LeaseGrant { .. } if self.leases.len() as u64 >= limits().leases_max => Err(KvError::NoSpace),
            Command::LeaseGrant { id: Some(id), .. } if self.leases.contains_key(id) => Err(KvError::LeaseExists),
            Command::LeaseGrant { id, ttl } => {
                let ttl = Millis(ttl.0.max(LEASE_TTL_MIN.0));
                let id = id.unwrap_or_else(|| {
                    self.leases_named += 1;
                    LeaseId(0x6c65_6173_0000_0000 + self.leases_named - 1)
                });
                self.leases.insert(id, (ttl, self.now));
                Ok(Response::LeaseGrant { id, ttl })
            }
            Command::LeaseRevoke { id } => self.revoke(*id, work).map(|()| Response::LeaseRevoke),
            Command::LeaseKeepAlive { id } => {
                let lease = self.leases.get_mut(id).ok_or(KvError::LeaseNotFound)?;
                lease.1 = self.now;
                Ok(Response::LeaseKeepAlive { id: *id, ttl: lease.0 })
            }
            Command::LeaseExpire { ids } => {
                let mut revoked = Vec::new();
                for id in ids {
                    if self.leases.get(id).is_some_and(|(ttl, renewed)| renewed.0 + ttl.0 <= self.now.0) {
                        self.revoke(*id, work)?;
                        revoked.push(*id);
                    }
                }
                Ok(Response::LeaseExpire { revoked })
            }
        }
    }

    fn revoke(&mut self, id: LeaseId, work: &mut Work) -> Result<(), KvError> {
        self.leases.remove(&id).ok_or(KvError::LeaseNotFound)?;
        let state = work.state.clone();
        work.delete(|key| state[key].lease == Some(id));
        Ok(())
    }

    fn txn(&self, txn: &TxnRequest, work: &mut Work) -> Result<TxnResponse, KvError> {
        let growth = self.check(txn)?;
        if growth > 0 && self.data_bytes() as i64 + growth > limits().data_bytes_max as i64 {
            return Err(KvError::NoSpace);
        }
        Ok(self.txn_checked(txn, work))
    }

    fn taken<'a>(&self, txn: &'a TxnRequest) -> (bool, &'a [TxnOperation]) {
        let succeeded = txn.compare.iter().all(|compare| holds(self.state(), compare));
        (succeeded, if succeeded { &txn.success } else { &txn.failure })
    }

    fn check(&self, txn: &TxnRequest) -> Result<i64, KvError> {
        let mut growth = 0;
        for operation in self.taken(txn).1 {
            match operation {
                TxnOperation::Range(range) => {
                    if let Some(revision) = range.revision {
                        self.state_at(revision)?;
                    }
                }
                TxnOperation::Put(put) => {
                    let before = self.state().get(&put.key);
                    if before.is_none() && (put.ignore_value || put.ignore_lease) {
                        return Err(KvError::KeyNotFound);
                    }
                    if put.lease.is_some_and(|lease| !self.leases.contains_key(&lease)) {
                        return Err(KvError::LeaseNotFound);
                    }
                    if !put.ignore_value {
                        let size = put.key.len() as i64 + put.value.len() as i64 + 128;
                        growth += size - before.map_or(0, |kv| bytes(kv) as i64);
                    }
                }
                TxnOperation::DeleteRange(_) => {}
                TxnOperation::Txn(nested) => growth += self.check(nested)?,
            }
        }
        Ok(growth)
    }

    fn txn_checked(&self, txn: &TxnRequest, work: &mut Work) -> TxnResponse {
        let (succeeded, operations) = self.taken(txn);
        let mut responses = Vec::new();
        for operation in operations {
            responses.push(match operation {
                TxnOperation::Range(request) => {
                    let state = request.revision.map_or(&work.state, |revision| &self.states[revision.0 as usize - 1]);
                    TxnOperationResponse::Range(range(state, request))
                }
                TxnOperation::Put(put) => TxnOperationResponse::Put { prev_kv: work.put(put) },
                TxnOperation::DeleteRange(delete) => {
                    let prev_kvs = work.delete(|key| delete.keys.contains(key));
                    let deleted = prev_kvs.len() as i64;
                    let prev_kvs = if delete.prev_kv { prev_kvs } else { Vec::new() };
                    TxnOperationResponse::DeleteRange { deleted, prev_kvs }
                }
                TxnOperation::Txn(nested) => TxnOperationResponse::Txn(self.txn_checked(nested, work)),
            });
        }
        TxnResponse { succeeded, responses }
    }
}

impl Work {
    fn put(&mut self, put: &PutRequest) -> Option<KeyValue> {
        let before = self.state.get(&put.key).cloned();
        let mut kv = KeyValue {
            key: put.key.clone(),
            value: put.value.clone(),
            create_revision: self.revision,
            mod_revision: self.revision,
            version: 1,
            lease: put.lease,
        };
        if let Some(before) = &before {
            kv.create_revision = before.create_revision;
            kv.version = before.version + 1;
            if put.ignore_value {
                kv.value.clone_from(&before.value);
            }
            if put.ignore_lease {
                kv.lease = before.lease;
            }
        }
        self.state.insert(put.key.clone(), kv.clone());
        self.events.push(Event { kind: EventKind::Put, kv, prev_kv: before.clone() });
        before.filter(|_| put.prev_kv)
    }

    fn delete(&mut self, doomed: impl Fn(&[u8]) -> bool) -> Vec<KeyValue> {
        let (gone, kept): (State, State) =
            std::mem::take(&mut self.state).into_iter().partition(|(key, _)| doomed(key));
        self.state = kept;
        for (key, before) in &gone {
            let kv = KeyValue {
                key: key.clone(),
                value: Vec::new(),
                create_revision: Revision(0),
                mod_revision: self.revision,
                version: 0,
                lease: None,
            };
            self.events.push(Event { kind: EventKind::Delete, kv, prev_kv: Some(before.clone()) });
        }
        gone.into_values().collect()
    }
}

fn bytes(kv: &KeyValue) -> u64 {
    kv.key.len() as u64 + kv.value.len() as u64 + 128
}

fn in_range(state: &State, keys: &KeyRange) -> Vec<KeyValue> {
    state.values().filter(|kv| keys.contains(&kv.key)).cloned().collect()
}

fn range(state: &State, request: &RangeRequest) -> RangeResponse {
    let mut kvs = in_range(state, &request.keys);
    let count = kvs.len() as i64;
    if request.count_only {
        return RangeResponse { kvs: Vec::new(), more: false, count };
    }
    let above = |max: Revision, revision: Revision| max.0 != 0 && revision > max;
    kvs.retain(|kv| !above(request.max_mod_revision, kv.mod_revision) && kv.mod_revision >= request.min_mod_revision);
    kvs.retain(|kv| !above(request.max_create_revision, kv.create_revision));
    kvs.retain(|kv| kv.create_revision >= request.min_create_revision);
    match request.sort_target {
        SortTarget::Key => {}
        SortTarget::Version => kvs.sort_by_key(|kv| kv.version),
        SortTarget::CreateRevision => kvs.sort_by_key(|kv| kv.create_revision),
        SortTarget::ModRevision => kvs.sort_by_key(|kv| kv.mod_revision),
        SortTarget::Value => kvs.sort_by_key(|kv| kv.value.clone()),
    }
    if request.sort_order == SortOrder::Descend {
        match request.sort_target {
            SortTarget::Key => kvs.reverse(),
            SortTarget::Version => kvs.sort_by_key(|kv| std::cmp::Reverse(kv.version)),
            SortTarget::CreateRevision => kvs.sort_by_key(|kv| std::cmp::Reverse(kv.create_revision)),
            SortTarget::ModRevision => kvs.sort_by_key(|kv| std::cmp::Reverse(kv.mod_revision)),
            SortTarget::Value => kvs.sort_by_key(|kv| std::cmp::Reverse(kv.value.clone())),
        }
    }
    let more = request.limit > 0 && kvs.len() as i64 > request.limit;
    if more {
        kvs.truncate(request.limit as usize);
    }
    if request.keys_only {
        for kv in &mut kvs {
            kv.value.clear();
        }
    }
    RangeResponse { kvs, more, count }
}

fn holds(state: &State, compare: &Compare) -> bool {
    let kvs = in_range(state, &compare.keys);
    let number = |given: i64, wanted: i64| given.cmp(&wanted);
    let one = |version: i64, create: i64, modified: i64, lease: Option<LeaseId>, value: Option<&[u8]>| {
        let order = match &compare.target {
            CompareTarget::Version(wanted) => number(version, *wanted),
            CompareTarget::CreateRevision(wanted) => number(create, wanted.0),
            CompareTarget::ModRevision(wanted) => number(modified, wanted.0),
            CompareTarget::Lease(wanted) => number(lease.map_or(0, |id| id.0), wanted.map_or(0, |id| id.0)),
            CompareTarget::Value(wanted) => match value {
                Some(value) => value.cmp(wanted),
                None => return false,
            },
        };
        match compare.result {
            CompareResult::Equal => order == Ordering::Equal,
            CompareResult::NotEqual => order != Ordering::Equal,
            CompareResult::Greater => order == Ordering::Greater,
            CompareResult::Less => order == Ordering::Less,
        }
    };
    if kvs.is_empty() {
        return one(0, 0, 0, None, None);
    }
    kvs.iter().all(|kv| one(kv.version, kv.create_revision.0, kv.mod_revision.0, kv.lease, Some(&kv.value)))
}
