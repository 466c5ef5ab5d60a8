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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;
    use crate::api::KeyRange;
    use crate::testing::{between, compare, one, put_leased, run, store_with};
    use types::{Millis, Revision};

    #[test]
    fn conditions() {
        use CompareResult::{Equal, Greater, Less, NotEqual};
        use CompareTarget::{CreateRevision, Lease, ModRevision, Value, Version};
        // a: created 2, modified 4, version 2; b: created 3; l: with a lease.
        let mut kv = store_with(&[("a", "1"), ("b", "2"), ("a", "3")]);
        run(&mut kv, Command::LeaseGrant { id: Some(LeaseId(7)), ttl: Millis(1000) });
        run(&mut kv, Command::Put(put_leased("l", 7)));
        let table: Vec<(KeyRange, CompareResult, CompareTarget, bool)> = vec![
            (one("a"), Equal, Version(2), true),
            (one("a"), Greater, Version(2), false),
            (one("a"), Equal, CreateRevision(Revision(2)), true),
            (one("a"), Equal, ModRevision(Revision(4)), true),
            (one("a"), NotEqual, ModRevision(Revision(4)), false),
            (one("a"), Less, Value("4".into()), true),
            (one("a"), Equal, Lease(None), true),
            (one("l"), Equal, Lease(Some(LeaseId(7))), true),
            (one("l"), Greater, Lease(None), true),
            // No key: numbers are 0, values never compare.
            (one("x"), Equal, CreateRevision(Revision(0)), true),
            (one("x"), Less, Version(1), true),
            (one("x"), Greater, ModRevision(Revision(0)), false),
            (one("x"), Equal, Lease(None), true),
            (one("x"), Equal, Value(Vec::new()), false),
            (one("x"), NotEqual, Value("1".into()), false),
            (between("x", "z"), Equal, Version(0), true),
            (between("b", "a"), Equal, Version(0), true),
            // All keys of the range must match.
            (between("a", "c"), Greater, Value("1".into()), true),
            (between("a", "c"), Greater, Value("2".into()), false),
            (between("a", "c"), Less, CreateRevision(Revision(4)), true),
        ];
        for (keys, result, target, expected) in table {
            let compare = compare(keys, result, target);
            assert_eq!(kv.holds(&compare), expected, "{compare:?}");
        }
    }
}
