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
/// nested transaction delete what an earlier one has put.
fn written(operations: &[TxnOperation]) -> Result<Written<'_>, KvError> {
    let mut all = Written::default();
    for operation in operations {
        if let TxnOperation::DeleteRange(delete) = operation {
            all.deletes.insert(&delete.keys);
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
