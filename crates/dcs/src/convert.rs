//! The state machine's words to etcd's wire format and back. Field by field; no decisions.

use etcd_api::{etcdserverpb as pb, mvccpb};
use kv::{
    Compare, CompareResult, CompareTarget, DeleteRangeRequest, Event, EventKind, Key, KeyRange, KeyValue, PutRequest,
    RangeRequest, SortOrder, SortTarget, TxnOperation, TxnRequest,
};
use types::{LeaseId, Millis, Revision};

/// `key` and `range_end`.
pub(crate) fn range_to_wire(range: KeyRange) -> (Key, Key) {
    match range {
        KeyRange::One(key) => (key, Vec::new()),
        KeyRange::Between(start, end) => (start, end),
        KeyRange::From(start) => (start, vec![0]),
    }
}

pub(crate) fn range_request(request: RangeRequest) -> pb::RangeRequest {
    let (key, range_end) = range_to_wire(request.keys);
    pb::RangeRequest {
        key,
        range_end,
        limit: request.limit,
        revision: request.revision.map_or(0, |revision| revision.0),
        sort_order: match request.sort_order {
            SortOrder::None => pb::range_request::SortOrder::None,
            SortOrder::Ascend => pb::range_request::SortOrder::Ascend,
            SortOrder::Descend => pb::range_request::SortOrder::Descend,
        }
        .into(),
        sort_target: match request.sort_target {
            SortTarget::Key => pb::range_request::SortTarget::Key,
            SortTarget::Version => pb::range_request::SortTarget::Version,
            SortTarget::CreateRevision => pb::range_request::SortTarget::Create,
            SortTarget::ModRevision => pb::range_request::SortTarget::Mod,
            SortTarget::Value => pb::range_request::SortTarget::Value,
        }
        .into(),
        // Reads go through the quorum: a stale leader key is worse than a slow one.
        serializable: false,
        keys_only: request.keys_only,
        count_only: request.count_only,
        min_mod_revision: request.min_mod_revision.0,
        max_mod_revision: request.max_mod_revision.0,
        min_create_revision: request.min_create_revision.0,
        max_create_revision: request.max_create_revision.0,
    }
}

pub(crate) fn txn_request(txn: TxnRequest) -> pb::TxnRequest {
    pb::TxnRequest {
        compare: txn.compare.into_iter().map(compare).collect(),
        success: txn.success.into_iter().map(operation).collect(),
        failure: txn.failure.into_iter().map(operation).collect(),
    }
}

fn operation(operation: TxnOperation) -> pb::RequestOp {
    use pb::request_op::Request;
    pb::RequestOp {
        request: Some(match operation {
            TxnOperation::Range(request) => Request::RequestRange(range_request(request)),
            TxnOperation::Put(request) => Request::RequestPut(put_request(request)),
            TxnOperation::DeleteRange(request) => Request::RequestDeleteRange(delete_request(request)),
            TxnOperation::Txn(request) => Request::RequestTxn(txn_request(request)),
        }),
    }
}

fn put_request(request: PutRequest) -> pb::PutRequest {
    pb::PutRequest {
        key: request.key,
        value: request.value,
        lease: lease_to_wire(request.lease),
        prev_kv: request.prev_kv,
        ignore_value: request.ignore_value,
        ignore_lease: request.ignore_lease,
    }
}

fn delete_request(request: DeleteRangeRequest) -> pb::DeleteRangeRequest {
    let (key, range_end) = range_to_wire(request.keys);
    pb::DeleteRangeRequest { key, range_end, prev_kv: request.prev_kv }
}

fn compare(compare: Compare) -> pb::Compare {
    use pb::compare::{CompareResult as Result, CompareTarget as Target, TargetUnion as Union};
    let (key, range_end) = range_to_wire(compare.keys);
    let (target, union) = match compare.target {
        CompareTarget::Version(version) => (Target::Version, Union::Version(version)),
        CompareTarget::CreateRevision(revision) => (Target::Create, Union::CreateRevision(revision.0)),
        CompareTarget::ModRevision(revision) => (Target::Mod, Union::ModRevision(revision.0)),
        CompareTarget::Value(value) => (Target::Value, Union::Value(value)),
        CompareTarget::Lease(lease) => (Target::Lease, Union::Lease(lease_to_wire(lease))),
    };
    let result = match compare.result {
        CompareResult::Equal => Result::Equal,
        CompareResult::Greater => Result::Greater,
        CompareResult::Less => Result::Less,
        CompareResult::NotEqual => Result::NotEqual,
    };
    pb::Compare { result: result.into(), target: target.into(), key, range_end, target_union: Some(union) }
}

pub(crate) fn key_value(kv: mvccpb::KeyValue) -> KeyValue {
    KeyValue {
        key: kv.key,
        value: kv.value,
        create_revision: Revision(kv.create_revision),
        mod_revision: Revision(kv.mod_revision),
        version: kv.version,
        lease: lease_from_wire(kv.lease),
    }
}

/// `None`: an event without a key, which etcd never sends.
pub(crate) fn event(event: mvccpb::Event) -> Option<Event> {
    let kind = match event.r#type() {
        mvccpb::event::EventType::Put => EventKind::Put,
        mvccpb::event::EventType::Delete => EventKind::Delete,
    };
    Some(Event { kind, kv: key_value(event.kv?), prev_kv: event.prev_kv.map(key_value) })
}

fn lease_to_wire(lease: Option<LeaseId>) -> i64 {
    lease.map_or(0, |lease| lease.0)
}

fn lease_from_wire(lease: i64) -> Option<LeaseId> {
    (lease != 0).then_some(LeaseId(lease))
}

/// etcd counts in whole seconds, from one.
pub(crate) fn whole_seconds(ttl: Millis) -> i64 {
    ttl.0.div_ceil(1000).max(1) as i64
}

/// The finer of the two answers; `None`: there is no lease.
pub(crate) fn ttl(seconds: i64, millis: i64) -> Option<Millis> {
    match (u64::try_from(seconds), u64::try_from(millis)) {
        (_, Ok(millis)) if millis > 0 => Some(Millis(millis)),
        (Ok(seconds), _) if seconds > 0 => Some(Millis::from_secs(seconds)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_live_are_asked_for_in_seconds_and_milliseconds() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (1500, 2), (30_000, 30)] {
            assert_eq!(whole_seconds(Millis(millis)), seconds, "{millis}");
        }
        assert_eq!(ttl(2, 1500), Some(Millis(1500)));
        assert_eq!(ttl(2, 0), Some(Millis(2000)));
        assert_eq!(ttl(0, 0), None);
        assert_eq!(ttl(-1, 0), None);
    }

    #[test]
    fn a_transaction_keeps_its_meaning_on_the_wire() {
        let one = || KeyRange::One(b"k".to_vec());
        let txn = TxnRequest {
            compare: vec![
                Compare { keys: one(), result: CompareResult::Equal, target: CompareTarget::Lease(None) },
                Compare {
                    keys: KeyRange::From(b"k".to_vec()),
                    result: CompareResult::NotEqual,
                    target: CompareTarget::CreateRevision(Revision(7)),
                },
            ],
            success: vec![TxnOperation::DeleteRange(DeleteRangeRequest {
                keys: KeyRange::Between(b"a".to_vec(), b"b".to_vec()),
                prev_kv: true,
            })],
            failure: vec![TxnOperation::Txn(TxnRequest {
                compare: Vec::new(),
                success: vec![TxnOperation::Range(RangeRequest::all(one()))],
                failure: Vec::new(),
            })],
        };
        let wire = txn_request(txn);
        let [lease, create] = wire.compare.as_slice() else { panic!("two comparisons") };
        assert_eq!(
            (lease.target(), lease.result()),
            (pb::compare::CompareTarget::Lease, pb::compare::CompareResult::Equal)
        );
        assert_eq!(lease.target_union, Some(pb::compare::TargetUnion::Lease(0)));
        assert_eq!((create.key.as_slice(), create.range_end.as_slice()), (&b"k"[..], &b"\0"[..]));
        assert_eq!(create.target_union, Some(pb::compare::TargetUnion::CreateRevision(7)));
        let Some(pb::request_op::Request::RequestDeleteRange(delete)) = &wire.success[0].request else {
            panic!("a deletion")
        };
        assert_eq!((delete.key.as_slice(), delete.range_end.as_slice(), delete.prev_kv), (&b"a"[..], &b"b"[..], true));
        let Some(pb::request_op::Request::RequestTxn(nested)) = &wire.failure[0].request else { panic!("nested") };
        assert_eq!(nested.success.len(), 1);
    }
}
