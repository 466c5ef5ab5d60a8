//! What etcd checks before it proposes a request (its `v3rpc/key.go`): everything that needs no state.

use crate::api::{
    Command, DeleteRangeRequest, KeyRange, KvError, PutRequest, REQUEST_BYTES_MAX, RangeRequest, TXN_OPERATIONS_MAX,
    TxnOperation, TxnRequest,
};
use crate::intervals::Intervals;
use crate::lease::LEASE_TTL_MAX;
use postcard::ser_flavors::Size;
use std::collections::BTreeSet;

/// Call it before a command is proposed. It bounds the depth of nested transactions too, which the code that applies
/// them relies on.
pub fn validate(command: &Command) -> Result<(), KvError> {
    match command {
        Command::Put(put) => validate_put(put)?,
        Command::DeleteRange(delete) => validate_delete(delete)?,
        Command::Txn(txn) => validate_txn(txn)?,
        Command::LeaseGrant { ttl, .. } if *ttl > LEASE_TTL_MAX => return Err(KvError::LeaseTtlTooLarge),
        Command::LeaseGrant { .. }
        | Command::Compact { .. }
        | Command::LeaseRevoke { .. }
        | Command::LeaseKeepAlive { .. }
        | Command::LeaseExpire { .. } => {}
    }
    // Like etcd, which looks at the encoded entry. One that cannot be encoded cannot be proposed either.
    match postcard::serialize_with_flavor(command, Size::default()) {
        Ok(size) if size <= REQUEST_BYTES_MAX => Ok(()),
        Ok(_) | Err(_) => Err(KvError::RequestTooLarge),
    }
}

pub(crate) fn validate_range(range: &RangeRequest) -> Result<(), KvError> {
    validate_keys(&range.keys)
}

fn validate_delete(delete: &DeleteRangeRequest) -> Result<(), KvError> {
    validate_keys(&delete.keys)
}

fn validate_put(put: &PutRequest) -> Result<(), KvError> {
    if put.key.is_empty() {
        return Err(KvError::EmptyKey);
    }
    if put.ignore_value && !put.value.is_empty() {
        return Err(KvError::ValueProvided);
    }
    if put.ignore_lease && put.lease.is_some_and(|lease| lease.0 != 0) {
        return Err(KvError::LeaseProvided);
    }
    Ok(())
}

/// "From the very first key" is written with the key `\0`: an empty key is always a mistake.
fn validate_keys(keys: &KeyRange) -> Result<(), KvError> {
    let (KeyRange::One(start) | KeyRange::Between(start, _) | KeyRange::From(start)) = keys;
    if start.is_empty() { Err(KvError::EmptyKey) } else { Ok(()) }
}

pub(crate) fn validate_txn(txn: &TxnRequest) -> Result<(), KvError> {
    validate_operations(txn, TXN_OPERATIONS_MAX)?;
    written(&txn.success)?;
    written(&txn.failure)?;
    Ok(())
}

/// Each level may have as many operations as the levels above it have left over, so depth is bounded as well.
fn validate_operations(txn: &TxnRequest, operations_max: usize) -> Result<(), KvError> {
    let operations = txn.compare.len().max(txn.success.len()).max(txn.failure.len());
    let Some(left) = operations_max.checked_sub(operations) else {
        return Err(KvError::TooManyOperations);
    };
    for compare in &txn.compare {
        validate_keys(&compare.keys)?;
    }
    for operation in txn.success.iter().chain(&txn.failure) {
        match operation {
            TxnOperation::Range(range) => validate_range(range)?,
            TxnOperation::Put(put) => validate_put(put)?,
            TxnOperation::DeleteRange(delete) => validate_delete(delete)?,
            TxnOperation::Txn(nested) => validate_operations(nested, left)?,
        }
    }
    Ok(())
}

#[derive(Default)]
struct Written<'a> {
    puts: BTreeSet<&'a [u8]>,
    deletes: Intervals,
}

impl<'a> Written<'a> {
    fn put(&mut self, key: &'a [u8]) -> Result<(), KvError> {
        if self.deletes.contains(key) || !self.puts.insert(key) { Err(KvError::DuplicateKey) } else { Ok(()) }
    }
}

/// No key may be put twice, or put and deleted, by operations that can run together. The order of the looks is etcd's
/// (`checkIntervals`): this level's deletes, then nested transactions in turn, then this level's puts. So it does let a
/// nested transaction delete what an earlier one has put. It overlooks a delete without end, too (it compares with the
/// wire's `\0`), so that "remove everything, then put this" is a valid transaction, and clients may rely on it.
fn written(operations: &[TxnOperation]) -> Result<Written<'_>, KvError> {
    let mut all = Written::default();
    for operation in operations {
        if let TxnOperation::DeleteRange(delete) = operation {
            match &delete.keys {
                KeyRange::One(key) => all.deletes.insert_key(key),
                KeyRange::Between(start, end) => all.deletes.insert(start.clone(), end.clone()),
                KeyRange::From(_) => {}
            }
        }
    }
    for operation in operations {
        if let TxnOperation::Txn(nested) = operation {
            let success = written(&nested.success)?;
            let failure = written(&nested.failure)?;
            // Only one of the two branches runs, so they may put the same key.
            for key in success.puts.union(&failure.puts) {
                all.put(key)?;
            }
            all.deletes.absorb(success.deletes);
            all.deletes.absorb(failure.deletes);
        }
    }
    for operation in operations {
        if let TxnOperation::Put(put) = operation {
            all.put(&put.key)?;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{CompareResult, CompareTarget};
    use crate::testing::{between, compare, delete, one, put, put_leased, txn};
    use types::Millis;

    #[expect(clippy::needless_pass_by_value, reason = "the callers make the result on the spot")]
    fn check(name: &str, command: &Command, expected: Result<(), KvError>) {
        assert_eq!(validate(command), expected, "{name}");
    }

    fn write(key: &str) -> TxnOperation {
        TxnOperation::Put(put(key, "v"))
    }

    fn remove(keys: KeyRange) -> TxnOperation {
        TxnOperation::DeleteRange(delete(keys))
    }

    fn either(success: Vec<TxnOperation>, failure: Vec<TxnOperation>) -> TxnOperation {
        TxnOperation::Txn(txn(vec![], success, failure))
    }

    #[test]
    fn single_requests() {
        let value = |length: usize| Command::Put(put("k", &"x".repeat(length)));
        check("a put", &Command::Put(put("a", "")), Ok(()));
        check("no key", &Command::Put(put("", "v")), Err(KvError::EmptyKey));
        let ignore = PutRequest { ignore_value: true, ..put("a", "v") };
        check("ignored value", &Command::Put(ignore), Err(KvError::ValueProvided));
        let ignore = PutRequest { ignore_lease: true, ..put_leased("a", 1) };
        check("ignored lease", &Command::Put(ignore), Err(KvError::LeaseProvided));
        let ignore = PutRequest { ignore_lease: true, ..put_leased("a", 0) };
        check("no lease ignored", &Command::Put(ignore), Ok(()));
        check("delete of nothing", &Command::DeleteRange(delete(one(""))), Err(KvError::EmptyKey));
        check("delete of all", &Command::DeleteRange(delete(KeyRange::From(vec![0]))), Ok(()));
        check("large", &value(REQUEST_BYTES_MAX - 100), Ok(()));
        check("too large", &value(REQUEST_BYTES_MAX), Err(KvError::RequestTooLarge));
        let grant = |ttl| Command::LeaseGrant { id: None, ttl };
        check("long lease", &grant(LEASE_TTL_MAX), Ok(()));
        check("too long lease", &grant(LEASE_TTL_MAX + Millis(1)), Err(KvError::LeaseTtlTooLarge));
    }

    #[test]
    fn how_many_operations() {
        let numbered = |count: usize| (0..count).map(|number| write(&number.to_string())).collect::<Vec<_>>();
        let check = |name, success, failure, expected| {
            check(name, &Command::Txn(txn(vec![], success, failure)), expected);
        };
        check("the most", numbered(128), numbered(128), Ok(()));
        check("one more", numbered(129), vec![], Err(KvError::TooManyOperations));
        check("one more in the other branch", vec![], numbered(129), Err(KvError::TooManyOperations));
        check("nested", vec![either(numbered(127), vec![])], vec![], Ok(()));
        check("one more nested", vec![either(numbered(128), vec![])], vec![], Err(KvError::TooManyOperations));
        let deep = |depth: usize| (0..depth).fold(vec![], |inner, _| vec![either(inner, vec![])]);
        check("deep", deep(128), vec![], Ok(()));
        check("too deep", deep(129), vec![], Err(KvError::TooManyOperations));
    }

    #[test]
    fn keys_written_twice() {
        let table: Vec<(&str, Vec<TxnOperation>, bool)> = vec![
            ("different keys", vec![write("a"), write("b")], true),
            ("the same key", vec![write("a"), write("a")], false),
            ("put and delete", vec![write("a"), remove(one("a"))], false),
            ("delete and put", vec![remove(between("a", "c")), write("b")], false),
            ("delete up to the key", vec![remove(between("a", "b")), write("b")], true),
            ("delete without end", vec![remove(KeyRange::From("b".into())), write("z")], true),
            ("two deletes", vec![remove(one("a")), remove(between("a", "c"))], true),
            ("either branch", vec![either(vec![write("a")], vec![write("a")])], true),
            ("one branch twice", vec![either(vec![write("a"), write("a")], vec![])], false),
            ("nested and here", vec![either(vec![], vec![write("a")]), write("a")], false),
            ("two nested", vec![either(vec![write("a")], vec![]), either(vec![], vec![write("a")])], false),
            ("delete here, put nested", vec![either(vec![write("a")], vec![]), remove(one("a"))], false),
            ("delete nested, put here", vec![write("a"), either(vec![], vec![remove(one("a"))])], false),
            (
                "delete nested, then put nested",
                vec![either(vec![remove(one("a"))], vec![]), either(vec![write("a")], vec![])],
                false,
            ),
            (
                "put nested, then delete nested",
                vec![either(vec![write("a")], vec![]), either(vec![remove(one("a"))], vec![])],
                true,
            ),
        ];
        for (name, operations, allowed) in table {
            let expected = if allowed { Ok(()) } else { Err(KvError::DuplicateKey) };
            check(name, &Command::Txn(txn(vec![], operations.clone(), vec![])), expected.clone());
            check(name, &Command::Txn(txn(vec![], vec![], operations)), expected);
        }
    }

    #[test]
    fn every_part_of_a_transaction_is_looked_at() {
        let bad_compare = compare(one(""), CompareResult::Equal, CompareTarget::Version(0));
        let bad_range = TxnOperation::Range(RangeRequest::all(one("")));
        check("compare", &Command::Txn(txn(vec![bad_compare.clone()], vec![], vec![])), Err(KvError::EmptyKey));
        let nested = TxnOperation::Txn(txn(vec![bad_compare], vec![], vec![]));
        for bad in [nested, bad_range, write(""), remove(one(""))] {
            let command = Command::Txn(txn(vec![], vec![write("a")], vec![either(vec![], vec![bad])]));
            check("nested", &command, Err(KvError::EmptyKey));
        }
    }
}
