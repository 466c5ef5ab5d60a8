//! The conditions of a transaction.

use crate::api::{Compare, CompareResult, CompareTarget, KeyValue};
use crate::state::Kv;
use std::cmp::Ordering;
use types::LeaseId;

impl Kv {
    /// Holds for every key in the range. Where there is no key, etcd compares numbers with 0 and refuses to compare
    /// values, whatever the comparison: an empty value and no value look the same on the wire.
    pub(crate) fn holds(&self, compare: &Compare) -> bool {
        let mut kvs = self.present_in(&compare.keys).peekable();
        if kvs.peek().is_none() {
            return match compare.target {
                CompareTarget::Value(_) => false,
                CompareTarget::Version(_)
                | CompareTarget::CreateRevision(_)
                | CompareTarget::ModRevision(_)
                | CompareTarget::Lease(_) => satisfies(compare.result, order(None, &compare.target)),
            };
        }
        kvs.all(|kv| satisfies(compare.result, order(Some(kv), &compare.target)))
    }
}

/// How the key stands to the target.
fn order(kv: Option<&KeyValue>, target: &CompareTarget) -> Ordering {
    let lease_number = |lease: Option<LeaseId>| lease.map_or(0, |lease| lease.0);
    match target {
        CompareTarget::Version(version) => kv.map_or(0, |kv| kv.version).cmp(version),
        CompareTarget::CreateRevision(revision) => kv.map_or(0, |kv| kv.create_revision.0).cmp(&revision.0),
        CompareTarget::ModRevision(revision) => kv.map_or(0, |kv| kv.mod_revision.0).cmp(&revision.0),
        CompareTarget::Value(value) => kv.map_or(&[][..], |kv| &kv.value).cmp(value),
        CompareTarget::Lease(lease) => lease_number(kv.and_then(|kv| kv.lease)).cmp(&lease_number(*lease)),
    }
}

fn satisfies(result: CompareResult, order: Ordering) -> bool {
    match result {
        CompareResult::Equal => order == Ordering::Equal,
        CompareResult::NotEqual => order != Ordering::Equal,
        CompareResult::Greater => order == Ordering::Greater,
        CompareResult::Less => order == Ordering::Less,
    }
}
