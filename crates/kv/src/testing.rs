//! Short words for the tests of this crate.

use crate::{Command, Compare, DeleteRangeRequest, KeyRange, Kv, PutRequest, RangeRequest, Response};
use crate::{CompareResult, CompareTarget, TxnOperation, TxnRequest};
use types::{LeaseId, Millis};

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

pub fn put_leased(key: &str, lease: i64) -> PutRequest {
    PutRequest { lease: Some(LeaseId(lease)), ..put(key, "leased") }
}

pub fn one(key: &str) -> KeyRange {
    KeyRange::One(key.into())
}

pub fn between(start: &str, end: &str) -> KeyRange {
    KeyRange::Between(start.into(), end.into())
}

pub fn everything() -> KeyRange {
    KeyRange::From(vec![0])
}

pub fn delete(keys: KeyRange) -> DeleteRangeRequest {
    DeleteRangeRequest { keys, prev_kv: false }
}

pub fn compare(keys: KeyRange, result: CompareResult, target: CompareTarget) -> Compare {
    Compare { keys, result, target }
}

pub fn txn(compare: Vec<Compare>, success: Vec<TxnOperation>, failure: Vec<TxnOperation>) -> TxnRequest {
    TxnRequest { compare, success, failure }
}

/// Applies what must succeed.
pub fn run(kv: &mut Kv, command: Command) -> Response {
    run_at(kv, 0, command)
}

#[expect(clippy::needless_pass_by_value, reason = "the callers make the command on the spot")]
pub fn run_at(kv: &mut Kv, now: u64, command: Command) -> Response {
    kv.apply(Millis(now), &command).result.unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// A store in which these keys were put one after the other, from revision 2 on.
pub fn store_with(pairs: &[(&str, &str)]) -> Kv {
    let mut kv = Kv::new();
    for (key, value) in pairs {
        run(&mut kv, Command::Put(put(key, value)));
    }
    kv
}

/// `key=value` for all keys now.
pub fn show(kv: &Kv) -> String {
    let answer = kv.range(&RangeRequest::all(everything())).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    answer.kvs.iter().map(|kv| format!("{}={}", text(&kv.key), text(&kv.value))).collect::<Vec<_>>().join(" ")
}
