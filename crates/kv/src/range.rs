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

/// The keys come in key order. etcd sorts ascending when a target other than the key is named without an order; with a
/// limit it then sorts only the first keys it finds, here all of them take part.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;
    use crate::testing::{between, delete, everything, one, put, run, store_with};

    /// Revisions: a 2, b 3, c 4, a again 5, c deleted 6, d 7.
    fn store() -> Kv {
        let mut kv = store_with(&[("a", "3"), ("b", "1"), ("c", "2"), ("a", "2")]);
        run(&mut kv, Command::DeleteRange(delete(one("c"))));
        run(&mut kv, Command::Put(put("d", "0")));
        kv
    }

    fn all() -> RangeRequest {
        RangeRequest::all(everything())
    }

    /// The keys in the order of the answer, `+` for more, and the count.
    fn check(request: &RangeRequest, expected: Result<(&str, i64), KvError>) {
        let answer = store().range(request).map(|answer| {
            let keys: String = answer.kvs.iter().map(|kv| String::from_utf8_lossy(&kv.key).into_owned()).collect();
            (keys + if answer.more { "+" } else { "" }, answer.count)
        });
        assert_eq!(answer, expected.map(|(keys, count)| (keys.to_owned(), count)), "{request:?}");
    }

    #[test]
    fn which_keys() {
        check(&all(), Ok(("abd", 3)));
        check(&RangeRequest::all(one("b")), Ok(("b", 1)));
        check(&RangeRequest::all(one("c")), Ok(("", 0)));
        check(&RangeRequest::all(between("b", "d")), Ok(("b", 1)));
        check(&RangeRequest::all(between("d", "b")), Ok(("", 0)));
        check(&RangeRequest::all(between("b", "b")), Ok(("", 0)));
        check(&RangeRequest::all(one("")), Err(KvError::EmptyKey));
        check(&RangeRequest::all(KeyRange::From(Vec::new())), Err(KvError::EmptyKey));
    }

    #[test]
    fn limits_and_counts() {
        check(&RangeRequest { limit: 2, ..all() }, Ok(("ab+", 3)));
        check(&RangeRequest { limit: 3, ..all() }, Ok(("abd", 3)));
        check(&RangeRequest { limit: -1, ..all() }, Ok(("abd", 3)));
        check(&RangeRequest { count_only: true, limit: 1, ..all() }, Ok(("", 3)));
        // The count is of the range, not of what the filters leave.
        check(&RangeRequest { min_mod_revision: Revision(5), ..all() }, Ok(("ad", 3)));
        check(&RangeRequest { max_mod_revision: Revision(5), limit: 1, ..all() }, Ok(("a+", 3)));
        check(&RangeRequest { min_create_revision: Revision(3), ..all() }, Ok(("bd", 3)));
        check(&RangeRequest { max_create_revision: Revision(2), ..all() }, Ok(("a", 3)));
    }

    #[test]
    fn orders() {
        let sorted = |sort_target, sort_order| RangeRequest { sort_order, sort_target, ..all() };
        check(&sorted(SortTarget::Key, SortOrder::Descend), Ok(("dba", 3)));
        check(&sorted(SortTarget::Value, SortOrder::None), Ok(("dba", 3)));
        check(&sorted(SortTarget::Value, SortOrder::Descend), Ok(("abd", 3)));
        check(&sorted(SortTarget::Version, SortOrder::Descend), Ok(("abd", 3)));
        check(&sorted(SortTarget::ModRevision, SortOrder::Ascend), Ok(("bad", 3)));
        check(&sorted(SortTarget::CreateRevision, SortOrder::Descend), Ok(("dba", 3)));
        check(&RangeRequest { limit: 1, ..sorted(SortTarget::Key, SortOrder::Descend) }, Ok(("d+", 3)));
    }

    #[test]
    fn the_past() {
        let at = |revision| RangeRequest { revision: Some(Revision(revision)), ..all() };
        check(&at(1), Ok(("", 0)));
        check(&at(4), Ok(("abc", 3)));
        check(&at(5), Ok(("abc", 3)));
        check(&at(6), Ok(("ab", 2)));
        check(&at(7), Ok(("abd", 3)));
        check(&at(0), Ok(("abd", 3)));
        check(&at(8), Err(KvError::FutureRevision));
        let mut kv = store();
        run(&mut kv, Command::Compact { revision: Revision(4) });
        assert_eq!(kv.range(&at(3)), Err(KvError::Compacted));
        let past = kv.range(&at(4)).unwrap().kvs;
        assert_eq!((past[0].value.as_slice(), past[0].version), (&b"3"[..], 1));
    }

    #[test]
    fn keys_only_leaves_the_rest() {
        let kv = store();
        let full = kv.range(&all()).unwrap().kvs;
        let keys = kv.range(&RangeRequest { keys_only: true, ..all() }).unwrap().kvs;
        for (full, key) in full.into_iter().zip(keys) {
            assert_eq!(KeyValue { value: Vec::new(), ..full }, key);
        }
    }
}
