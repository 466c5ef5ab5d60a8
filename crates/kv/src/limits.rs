//! How large the state may grow. Part of the replicated state: every member enforces the same limits at the same
//! command, so the limits travel in the snapshot.

use crate::api::KeyValue;
use serde::{Deserialize, Serialize};

/// Older revisions are compacted by themselves. An HA cluster writes a few keys every ten seconds: this is hours.
pub const HISTORY_REVISIONS_MAX: u64 = 10_000;
/// Superseded values beyond this are compacted too, however few revisions they span: history must not eat the memory
/// that the agent promises to stay below.
pub const HISTORY_BYTES_MAX: u64 = 8 << 20;
/// etcd's `--quota-backend-bytes`, for the present values alone (history has its own bound). The data of an HA cluster
/// is kilobytes; this leaves room for other users of the store and still fits a small server.
pub const DATA_BYTES_MAX: u64 = 64 << 20;
/// A lease without keys takes no quota, so its number is bounded by itself.
pub const LEASES_MAX: usize = 65_536;

/// What a key costs besides its own bytes: numbers, tree node, allocations.
const ENTRY_OVERHEAD_BYTES: u64 = 128;

/// The bounds of one store. The default is the constants of this module; other values are for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub history_revisions_max: u64,
    pub history_bytes_max: u64,
    pub data_bytes_max: u64,
    pub leases_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            history_revisions_max: HISTORY_REVISIONS_MAX,
            history_bytes_max: HISTORY_BYTES_MAX,
            data_bytes_max: DATA_BYTES_MAX,
            leases_max: LEASES_MAX as u64,
        }
    }
}

/// What one version of a key is charged.
pub(crate) fn entry_bytes(kv: &KeyValue) -> u64 {
    entry_bytes_of(kv.key.len(), kv.value.len())
}

pub(crate) fn entry_bytes_of(key_length: usize, value_length: usize) -> u64 {
    key_length as u64 + value_length as u64 + ENTRY_OVERHEAD_BYTES
}
