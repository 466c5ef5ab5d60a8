//! Reads, of the present and of the past, with all of etcd's options.

use crate::api::{KeyRange, KeyValue, KvError, RangeRequest, RangeResponse, SortOrder, SortTarget};
use crate::state::Kv;
use crate::validate::validate_range;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use types::Revision;

impl Kv {
    pub fn range(&self, request: &RangeRequest) -> Result<RangeResponse, KvError> {
        validate_range(request)?;
        self.read_range(request)
    }

    pub(crate) fn read_range(&self, request: &RangeRequest) -> Result<RangeResponse, KvError> {
        let mut found: Vec<&KeyValue> = match self.past_revision(request)? {
            None => self.present_in(&request.keys).map(|kv| &**kv).collect(),
            Some(revision) => self.past(&request.keys, revision).into_values().map(|kv| &**kv).collect(),
        };
        // etcd counts before the filters and the limit.
        let count = found.len() as i64;
        if request.count_only {
            return Ok(RangeResponse { kvs: Vec::new(), more: false, count });
        }
        found.retain(|kv| passes_filters(kv, request));
        sort(&mut found, request);
        let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let more = found.len() > limit;
        let kvs = found.into_iter().take(limit).map(|kv| answer(kv, request.keys_only)).collect();
        Ok(RangeResponse { kvs, more, count })
    }

    /// `None`: the present. Zero and below mean the present too, as on the wire.
    pub(crate) fn past_revision(&self, request: &RangeRequest) -> Result<Option<Revision>, KvError> {
        match request.revision.filter(|revision| revision.0 > 0) {
            Some(revision) if revision > self.revision => Err(KvError::FutureRevision),
            Some(revision) if revision < self.compact_revision => Err(KvError::Compacted),
            Some(revision) if revision < self.revision => Ok(Some(revision)),
            Some(_) | None => Ok(None),
        }
    }

    /// The keys as they were: the present, with the changes since then taken back, the newest first.
    fn past<'a>(&'a self, keys: &'a KeyRange, revision: Revision) -> BTreeMap<&'a [u8], &'a Arc<KeyValue>> {
        let mut state: BTreeMap<&[u8], &Arc<KeyValue>> =
            self.present_in(keys).map(|kv| (kv.key.as_slice(), kv)).collect();
        let later = self.history.since(Revision(revision.0 + 1)).rev();
        for change in later.filter(|change| keys.contains(&change.kv.key)) {
            match &change.prev {
                Some(prev) => state.insert(&change.kv.key, prev),
                None => state.remove(change.kv.key.as_slice()),
            };
        }
        state
    }
}

fn passes_filters(kv: &KeyValue, request: &RangeRequest) -> bool {
    let within = |revision: Revision, min: Revision, max: Revision| {
        (min.0 == 0 || revision >= min) && (max.0 == 0 || revision <= max)
    };
    within(kv.mod_revision, request.min_mod_revision, request.max_mod_revision)
        && within(kv.create_revision, request.min_create_revision, request.max_create_revision)
}

/// The keys come in key order. etcd sorts ascending when a target other than the key is named without an order.
fn sort(kvs: &mut [&KeyValue], request: &RangeRequest) {
    let by_target = |a: &&KeyValue, b: &&KeyValue| -> Ordering {
        match request.sort_target {
            SortTarget::Key => a.key.cmp(&b.key),
            SortTarget::Version => a.version.cmp(&b.version),
            SortTarget::CreateRevision => a.create_revision.cmp(&b.create_revision),
            SortTarget::ModRevision => a.mod_revision.cmp(&b.mod_revision),
            SortTarget::Value => a.value.cmp(&b.value),
        }
    };
    match request.sort_order {
        SortOrder::None | SortOrder::Ascend => kvs.sort_by(by_target),
        SortOrder::Descend => kvs.sort_by(|a, b| by_target(b, a)),
    }
}

fn answer(kv: &KeyValue, keys_only: bool) -> KeyValue {
    if !keys_only {
        return kv.clone();
    }
    KeyValue {
        key: kv.key.clone(),
        value: Vec::new(),
        create_revision: kv.create_revision,
        mod_revision: kv.mod_revision,
        version: kv.version,
        lease: kv.lease,
    }
}
