//! Random commands over few keys, few leases and few revisions, so that they meet.

use kv::{
    Command, Compare, CompareResult, CompareTarget, DeleteRangeRequest, Key, KeyRange, PutRequest, RangeRequest,
    SortOrder, SortTarget, TxnOperation, TxnRequest, Value, WatchRequest,
};
use proptest::prelude::*;
use types::{LeaseId, Millis, Revision};

fn key() -> impl Strategy<Value = Key> + Clone {
    prop::sample::select(vec!["a", "b", "c", "d"]).prop_map(Key::from)
}

fn keys() -> impl Strategy<Value = KeyRange> + Clone {
    prop_oneof![
        3 => key().prop_map(KeyRange::One),
        2 => (key(), key()).prop_map(|(start, end)| KeyRange::Between(start, end)),
        1 => key().prop_map(KeyRange::From),
    ]
}

fn value() -> impl Strategy<Value = Value> + Clone {
    prop::sample::select(vec!["", "x", "y", "a value that takes some more space"]).prop_map(Value::from)
}

fn lease() -> impl Strategy<Value = LeaseId> + Clone {
    (1..=3_i64).prop_map(LeaseId)
}

/// A quick run reaches revision 20 or so.
fn revision() -> impl Strategy<Value = Revision> + Clone {
    (1..=20_i64).prop_map(Revision)
}

fn put() -> impl Strategy<Value = PutRequest> + Clone {
    let ignore = prop::bool::weighted(0.1);
    (key(), value(), prop::option::weighted(0.4, lease()), any::<bool>(), ignore, ignore).prop_map(
        |(key, value, lease, prev_kv, ignore_value, ignore_lease)| PutRequest {
            key,
            value: if ignore_value { Value::new() } else { value },
            lease: lease.filter(|_| !ignore_lease),
            prev_kv,
            ignore_value,
            ignore_lease,
        },
    )
}

fn delete() -> impl Strategy<Value = DeleteRangeRequest> + Clone {
    (keys(), any::<bool>()).prop_map(|(keys, prev_kv)| DeleteRangeRequest { keys, prev_kv })
}

/// Mostly no bound.
fn bound() -> impl Strategy<Value = Revision> + Clone {
    prop_oneof![4 => Just(Revision(0)), 1 => revision()]
}

fn range() -> impl Strategy<Value = RangeRequest> + Clone {
    use SortOrder::{Ascend, Descend};
    use SortTarget::{CreateRevision, ModRevision, Value, Version};
    let order = prop::sample::select(vec![SortOrder::None, Ascend, Descend]);
    let target = prop::sample::select(vec![SortTarget::Key, Version, CreateRevision, ModRevision, Value]);
    let flags = (prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    let bounds = (bound(), bound(), bound(), bound());
    (keys(), 0..3_i64, prop::option::weighted(0.3, revision()), order, target, flags, bounds).prop_map(
        |(keys, limit, revision, sort_order, sort_target, (keys_only, count_only), bounds)| RangeRequest {
            limit,
            revision,
            sort_order,
            sort_target,
            keys_only,
            count_only,
            min_mod_revision: bounds.0,
            max_mod_revision: bounds.1,
            min_create_revision: bounds.2,
            max_create_revision: bounds.3,
            ..RangeRequest::all(keys)
        },
    )
}

fn compare() -> impl Strategy<Value = Compare> + Clone {
    use CompareResult::{Equal, Greater, Less, NotEqual};
    let target = prop_oneof![
        (0..4_i64).prop_map(CompareTarget::Version),
        (0..10_i64).prop_map(|revision| CompareTarget::CreateRevision(Revision(revision))),
        (0..10_i64).prop_map(|revision| CompareTarget::ModRevision(Revision(revision))),
        value().prop_map(CompareTarget::Value),
        prop::option::of(lease()).prop_map(CompareTarget::Lease),
    ];
    (keys(), prop::sample::select(vec![Equal, Greater, Less, NotEqual]), target)
        .prop_map(|(keys, result, target)| Compare { keys, result, target })
}

fn operation() -> impl Strategy<Value = TxnOperation> + Clone {
    let simple = prop_oneof![
        range().prop_map(TxnOperation::Range),
        put().prop_map(TxnOperation::Put),
        delete().prop_map(TxnOperation::DeleteRange),
    ];
    simple.prop_recursive(2, 8, 3, |inner| {
        let operations = prop::collection::vec(inner, 0..3);
        (prop::collection::vec(compare(), 0..2), operations.clone(), operations)
            .prop_map(|(compare, success, failure)| TxnOperation::Txn(TxnRequest { compare, success, failure }))
    })
}

/// Also such as `validate` would refuse: applying them must do no harm.
fn txn() -> impl Strategy<Value = TxnRequest> {
    let operations = prop::collection::vec(operation(), 0..4);
    (prop::collection::vec(compare(), 0..3), operations.clone(), operations)
        .prop_map(|(compare, success, failure)| TxnRequest { compare, success, failure })
}

pub fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        6 => put().prop_map(Command::Put),
        2 => delete().prop_map(Command::DeleteRange),
        5 => txn().prop_map(Command::Txn),
        1 => revision().prop_map(|revision| Command::Compact { revision }),
        2 => (prop::option::weighted(0.8, lease()), 0..3000_u64)
            .prop_map(|(id, ttl)| Command::LeaseGrant { id, ttl: Millis(ttl) }),
        1 => lease().prop_map(|id| Command::LeaseRevoke { id }),
        2 => lease().prop_map(|id| Command::LeaseKeepAlive { id }),
        2 => prop::collection::vec(lease(), 0..3).prop_map(|ids| Command::LeaseExpire { ids }),
    ]
}

pub fn watch_request() -> impl Strategy<Value = WatchRequest> {
    let rarely = prop::bool::weighted(0.2);
    (keys(), prop::option::of(revision()), rarely, rarely, any::<bool>()).prop_map(
        |(keys, start_revision, no_put, no_delete, prev_kv)| WatchRequest {
            keys,
            start_revision,
            no_put,
            no_delete,
            prev_kv,
            progress_notify: false,
        },
    )
}
