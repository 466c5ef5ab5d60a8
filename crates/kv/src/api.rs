//! Requests and answers of the state machine: etcd's v3 API with the wire format taken off.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use types::{LeaseId, Millis, Revision};

pub type Key = Vec<u8>;
pub type Value = Vec<u8>;

/// etcd's `--max-txn-ops`: more operations in one transaction are refused.
pub const TXN_OPERATIONS_MAX: usize = 128;
/// etcd's `--max-request-bytes`: a larger request is refused before it reaches the log.
pub const REQUEST_BYTES_MAX: usize = 1_572_864;

/// Which keys an operation concerns. etcd writes this as `key` and `range_end`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyRange {
    /// Exactly this key (`range_end` empty).
    One(Key),
    /// From the first (inclusive) to the second (exclusive).
    Between(Key, Key),
    /// This key and all that follow it (`range_end` = `\0`).
    From(Key),
}

impl KeyRange {
    /// Reads etcd's pair of fields.
    pub fn from_wire(key: Key, range_end: Key) -> Self {
        match range_end.as_slice() {
            [] => Self::One(key),
            [0] => Self::From(key),
            _ => Self::Between(key, range_end),
        }
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        match self {
            Self::One(one) => one == key,
            Self::Between(start, end) => start.as_slice() <= key && key < end.as_slice(),
            Self::From(start) => start.as_slice() <= key,
        }
    }
}

/// One key with its value and its history, as etcd's `mvccpb.KeyValue`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyValue {
    pub key: Key,
    pub value: Value,
    pub create_revision: Revision,
    pub mod_revision: Revision,
    /// 1 for a new key, one more with every put.
    pub version: i64,
    pub lease: Option<LeaseId>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SortOrder {
    #[default]
    None,
    Ascend,
    Descend,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SortTarget {
    #[default]
    Key,
    Version,
    CreateRevision,
    ModRevision,
    Value,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeRequest {
    pub keys: KeyRange,
    /// 0: no limit.
    pub limit: i64,
    /// `None`: the newest.
    pub revision: Option<Revision>,
    pub sort_order: SortOrder,
    pub sort_target: SortTarget,
    pub keys_only: bool,
    pub count_only: bool,
    pub min_mod_revision: Revision,
    pub max_mod_revision: Revision,
    pub min_create_revision: Revision,
    pub max_create_revision: Revision,
}

impl RangeRequest {
    /// All of these keys, newest values, in key order.
    pub fn all(keys: KeyRange) -> Self {
        Self {
            keys,
            limit: 0,
            revision: None,
            sort_order: SortOrder::None,
            sort_target: SortTarget::Key,
            keys_only: false,
            count_only: false,
            min_mod_revision: Revision(0),
            max_mod_revision: Revision(0),
            min_create_revision: Revision(0),
            max_create_revision: Revision(0),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeResponse {
    pub kvs: Vec<KeyValue>,
    /// There are more keys than `limit` let through.
    pub more: bool,
    /// All keys in the range, whatever `limit` says.
    pub count: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutRequest {
    pub key: Key,
    pub value: Value,
    pub lease: Option<LeaseId>,
    pub prev_kv: bool,
    /// Keep the present value (an error when there is none).
    pub ignore_value: bool,
    /// Keep the present lease (an error when the key does not exist).
    pub ignore_lease: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteRangeRequest {
    pub keys: KeyRange,
    pub prev_kv: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CompareResult {
    Equal,
    Greater,
    Less,
    NotEqual,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CompareTarget {
    Version(i64),
    CreateRevision(Revision),
    ModRevision(Revision),
    Value(Value),
    /// 0 on the wire: no lease.
    Lease(Option<LeaseId>),
}

/// Holds when every key of `keys` compares so; for one key that does not exist etcd compares against zeros.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compare {
    pub keys: KeyRange,
    pub result: CompareResult,
    pub target: CompareTarget,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TxnOperation {
    Range(RangeRequest),
    Put(PutRequest),
    DeleteRange(DeleteRangeRequest),
    Txn(TxnRequest),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxnRequest {
    pub compare: Vec<Compare>,
    pub success: Vec<TxnOperation>,
    pub failure: Vec<TxnOperation>,
}

/// What changes the state. Goes through the log; applied in the same order everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    Put(PutRequest),
    DeleteRange(DeleteRangeRequest),
    Txn(TxnRequest),
    Compact {
        revision: Revision,
    },
    /// `ttl` may be finer than etcd's whole seconds. `id` `None`: the state machine picks one.
    LeaseGrant {
        id: Option<LeaseId>,
        ttl: Millis,
    },
    LeaseRevoke {
        id: LeaseId,
    },
    LeaseKeepAlive {
        id: LeaseId,
    },
    /// Revokes those of these leases that have run out at the time this command carries; the others live on.
    LeaseExpire {
        ids: Vec<LeaseId>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TxnOperationResponse {
    Range(RangeResponse),
    Put { prev_kv: Option<KeyValue> },
    DeleteRange { deleted: i64, prev_kvs: Vec<KeyValue> },
    Txn(TxnResponse),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxnResponse {
    pub succeeded: bool,
    pub responses: Vec<TxnOperationResponse>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    Put { prev_kv: Option<KeyValue> },
    DeleteRange { deleted: i64, prev_kvs: Vec<KeyValue> },
    Txn(TxnResponse),
    Compact,
    LeaseGrant { id: LeaseId, ttl: Millis },
    LeaseRevoke,
    LeaseKeepAlive { id: LeaseId, ttl: Millis },
    LeaseExpire { revoked: Vec<LeaseId> },
}

/// `remaining` is by the store's clock at the moment of the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseStatus {
    pub id: LeaseId,
    pub granted: Millis,
    pub remaining: Millis,
    pub keys: Vec<Key>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    Put,
    Delete,
}

/// One change of one key. A deletion's `kv` has only `key` and `mod_revision`, as in etcd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub kind: EventKind,
    pub kv: KeyValue,
    /// The key before the change, if it was there.
    pub prev_kv: Option<KeyValue>,
}

/// Refusals, in etcd's words (its clients match on them).
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvError {
    #[error("etcdserver: key is not provided")]
    EmptyKey,
    #[error("etcdserver: key not found")]
    KeyNotFound,
    #[error("etcdserver: value is provided")]
    ValueProvided,
    #[error("etcdserver: lease is provided")]
    LeaseProvided,
    #[error("etcdserver: too many operations in txn request")]
    TooManyOperations,
    #[error("etcdserver: duplicate key given in txn request")]
    DuplicateKey,
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted,
    #[error("etcdserver: mvcc: required revision is a future revision")]
    FutureRevision,
    #[error("etcdserver: requested lease not found")]
    LeaseNotFound,
    #[error("etcdserver: lease already exists")]
    LeaseExists,
    #[error("etcdserver: too large lease TTL")]
    LeaseTtlTooLarge,
    #[error("etcdserver: request is too large")]
    RequestTooLarge,
    #[error("etcdserver: mvcc: database space exceeded")]
    NoSpace,
}
