//! Transactions: first all conditions, nested ones too, against the state before; then all checks; then the operations
//! in order, each seeing the writes before it. So a transaction that was begun cannot fail half-way (etcd's
//! `compareToPath`, `checkTxn` and `executeTxn`).

use crate::api::{
    DeleteRangeRequest, KvError, PutRequest, RangeRequest, TxnOperation, TxnOperationResponse, TxnRequest, TxnResponse,
};
use crate::limits::{entry_bytes, entry_bytes_of};
use crate::state::Kv;
use crate::validate::validate_txn;
use types::{LeaseId, Revision};

/// What a transaction will do, its conditions decided.
pub(crate) struct Branch<'a> {
    succeeded: bool,
    steps: Vec<Step<'a>>,
}

enum Step<'a> {
    Range(&'a RangeRequest),
    Put(&'a PutRequest),
    DeleteRange(&'a DeleteRangeRequest),
    Txn(Branch<'a>),
}

/// Whether neither branch, at any depth, can change anything: then it needs no place in the log.
pub fn txn_is_read_only(txn: &TxnRequest) -> bool {
    txn.success.iter().chain(&txn.failure).all(|operation| match operation {
        TxnOperation::Range(_) => true,
        TxnOperation::Put(_) | TxnOperation::DeleteRange(_) => false,
        TxnOperation::Txn(nested) => txn_is_read_only(nested),
    })
}

impl Kv {
    /// For transactions of which [`txn_is_read_only`] is true; the caller asked it.
    pub fn read_txn(&self, txn: &TxnRequest) -> Result<TxnResponse, KvError> {
        validate_txn(txn)?;
        self.read_branch(&self.decide(txn))
    }

    pub(crate) fn apply_txn(&mut self, txn: &TxnRequest, at: Revision) -> Result<TxnResponse, KvError> {
        let branch = self.decide(txn);
        let growth = self.check_branch(&branch)?;
        self.check_space(growth)?;
        self.run_branch(&branch, at)
    }

    fn decide<'a>(&self, txn: &'a TxnRequest) -> Branch<'a> {
        let succeeded = txn.compare.iter().all(|compare| self.holds(compare));
        let operations = if succeeded { &txn.success } else { &txn.failure };
        let steps = operations
            .iter()
            .map(|operation| match operation {
                TxnOperation::Range(range) => Step::Range(range),
                TxnOperation::Put(put) => Step::Put(put),
                TxnOperation::DeleteRange(delete) => Step::DeleteRange(delete),
                TxnOperation::Txn(nested) => Step::Txn(self.decide(nested)),
            })
            .collect();
        Branch { succeeded, steps }
    }

    /// Returns by how many bytes the puts would grow the data.
    fn check_branch(&self, branch: &Branch<'_>) -> Result<i64, KvError> {
        let mut growth = 0;
        for step in &branch.steps {
            match step {
                Step::Range(range) => {
                    self.past_revision(range)?;
                }
                Step::Put(put) => growth += self.check_put(put)?,
                Step::DeleteRange(_) => {}
                Step::Txn(nested) => growth += self.check_branch(nested)?,
            }
        }
        Ok(growth)
    }

    /// Returns by how many bytes the put would grow the data.
    pub(crate) fn check_put(&self, put: &PutRequest) -> Result<i64, KvError> {
        let before = self.present.get(&put.key);
        if (put.ignore_value || put.ignore_lease) && before.is_none() {
            return Err(KvError::KeyNotFound);
        }
        self.check_lease(put)?;
        if put.ignore_value {
            return Ok(0);
        }
        let bytes_before = before.map_or(0, |kv| entry_bytes(kv));
        Ok(entry_bytes_of(put.key.len(), put.value.len()) as i64 - bytes_before as i64)
    }

    pub(crate) fn check_lease(&self, put: &PutRequest) -> Result<(), KvError> {
        match lease_of(put) {
            Some(lease) if !self.leases.contains(lease) => Err(KvError::LeaseNotFound),
            Some(_) | None => Ok(()),
        }
    }

    /// Beyond the quota, data may change but not grow. (etcd refuses every put then; here the keys that keep a cluster
    /// alive go on being renewed while somebody else has filled the store.)
    pub(crate) fn check_space(&self, growth: i64) -> Result<(), KvError> {
        let fits = self.data_bytes.saturating_add_signed(growth) <= self.limits.data_bytes_max;
        if growth <= 0 || fits { Ok(()) } else { Err(KvError::NoSpace) }
    }

    fn run_branch(&mut self, branch: &Branch<'_>, at: Revision) -> Result<TxnResponse, KvError> {
        let mut responses = Vec::with_capacity(branch.steps.len());
        for step in &branch.steps {
            responses.push(match step {
                Step::Range(range) => TxnOperationResponse::Range(self.read_range(range)?),
                Step::Put(put) => TxnOperationResponse::Put { prev_kv: self.run_put(put, at) },
                Step::DeleteRange(delete) => {
                    let (deleted, prev_kvs) = self.run_delete_range(delete, at);
                    TxnOperationResponse::DeleteRange { deleted, prev_kvs }
                }
                Step::Txn(nested) => TxnOperationResponse::Txn(self.run_branch(nested, at)?),
            });
        }
        Ok(TxnResponse { succeeded: branch.succeeded, responses })
    }

    fn read_branch(&self, branch: &Branch<'_>) -> Result<TxnResponse, KvError> {
        let mut responses = Vec::with_capacity(branch.steps.len());
        for step in &branch.steps {
            responses.push(match step {
                Step::Range(range) => TxnOperationResponse::Range(self.read_range(range)?),
                Step::Txn(nested) => TxnOperationResponse::Txn(self.read_branch(nested)?),
                Step::Put(_) | Step::DeleteRange(_) => unreachable!("a transaction that writes was sent as a read"),
            });
        }
        Ok(TxnResponse { succeeded: branch.succeeded, responses })
    }
}

/// 0 is how the wire says "none".
pub(crate) fn lease_of(put: &PutRequest) -> Option<LeaseId> {
    put.lease.filter(|lease| lease.0 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Command, CompareResult, CompareTarget, EventKind};
    use crate::testing::{compare, delete, everything, one, put, put_leased, run, show, store_with, txn as request};
    use types::Millis;

    fn exists(key: &str) -> crate::Compare {
        compare(one(key), CompareResult::Greater, CompareTarget::Version(0))
    }

    fn puts(pairs: &[(&str, &str)]) -> Vec<TxnOperation> {
        pairs.iter().map(|(key, value)| TxnOperation::Put(put(key, value))).collect()
    }

    #[test]
    fn nested_conditions_see_the_state_before() {
        let mut kv = store_with(&[]);
        let nested = request(vec![exists("a")], puts(&[("b", "yes")]), puts(&[("b", "no")]));
        let mut operations = puts(&[("a", "1")]);
        operations.push(TxnOperation::Txn(nested));
        let applied = kv.apply(Millis(0), &Command::Txn(request(vec![], operations, vec![])));
        assert_eq!(show(&kv), "a=1 b=no");
        let revisions: Vec<_> = applied.events.iter().map(|event| event.kv.mod_revision.0).collect();
        assert_eq!(revisions, [2, 2], "one revision for all");
    }

    #[test]
    fn reads_see_the_writes_before_them() {
        let mut kv = store_with(&[("a", "1")]);
        let read = |revision| RangeRequest { revision, ..RangeRequest::all(everything()) };
        let operations = vec![
            TxnOperation::Range(read(None)),
            TxnOperation::DeleteRange(delete(one("a"))),
            TxnOperation::Put(put("b", "2")),
            TxnOperation::Range(read(None)),
            TxnOperation::Range(read(Some(Revision(2)))),
        ];
        let response = kv.apply_txn(&request(vec![], operations, vec![]), kv.next_revision()).unwrap();
        let keys: Vec<String> = response
            .responses
            .iter()
            .filter_map(|response| match response {
                TxnOperationResponse::Range(range) => {
                    Some(range.kvs.iter().map(|kv| String::from_utf8_lossy(&kv.key).into_owned()).collect())
                }
                _ => None,
            })
            .collect();
        assert_eq!(keys, ["a", "b", "a"]);
    }

    #[test]
    fn an_error_anywhere_in_the_branch_taken_changes_nothing() {
        let table = [
            (TxnOperation::Put(put_leased("x", 9)), KvError::LeaseNotFound),
            (TxnOperation::Put(PutRequest { ignore_value: true, ..put("x", "") }), KvError::KeyNotFound),
            (
                TxnOperation::Range(RangeRequest { revision: Some(Revision(3)), ..RangeRequest::all(one("a")) }),
                KvError::FutureRevision,
            ),
        ];
        for (bad, error) in table {
            let mut kv = store_with(&[("a", "1")]);
            let before = kv.snapshot();
            let mut operations = puts(&[("a", "2")]);
            operations.push(TxnOperation::Txn(request(vec![], vec![bad.clone()], vec![])));
            let applied = kv.apply(Millis(0), &Command::Txn(request(vec![], operations, vec![])));
            assert_eq!((applied.result, applied.events.len()), (Err(error), 0));
            assert_eq!(kv.snapshot(), before);
            // In the other branch it does no harm.
            run(&mut kv, Command::Txn(request(vec![], puts(&[("a", "2")]), vec![bad])));
        }
    }

    #[test]
    fn a_transaction_without_change_makes_no_revision() {
        let mut kv = store_with(&[("a", "1")]);
        let nothing = vec![TxnOperation::DeleteRange(delete(one("x")))];
        run(&mut kv, Command::Txn(request(vec![exists("a")], nothing, puts(&[("a", "2")]))));
        assert_eq!(kv.revision(), Revision(2));
    }

    #[test]
    fn a_later_nested_transaction_may_delete_what_an_earlier_one_put() {
        let mut kv = store_with(&[]);
        let nested = |operation| TxnOperation::Txn(request(vec![], vec![operation], vec![]));
        let operations =
            vec![nested(TxnOperation::Put(put("a", "1"))), nested(TxnOperation::DeleteRange(delete(one("a"))))];
        let command = Command::Txn(request(vec![], operations, vec![]));
        assert_eq!(crate::validate(&command), Ok(()));
        let kinds: Vec<_> = kv.apply(Millis(0), &command).events.iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [EventKind::Put, EventKind::Delete]);
        assert_eq!((show(&kv).as_str(), kv.revision()), ("", Revision(2)));
    }

    #[test]
    fn beyond_the_quota_data_changes_but_does_not_grow() {
        let mut kv = store_with(&[("a", "1234"), ("b", "1")]);
        kv.limits.data_bytes_max = kv.data_bytes - 1;
        let mut check = |command: Command, expected: Result<(), KvError>| {
            assert_eq!(kv.apply(Millis(0), &command).result.map(|_| ()), expected, "{command:?}");
        };
        check(Command::Put(put("c", "")), Err(KvError::NoSpace));
        check(Command::Put(put("b", "12")), Err(KvError::NoSpace));
        check(Command::Put(put("b", "2")), Ok(()));
        check(Command::Txn(request(vec![], puts(&[("a", "4321"), ("b", "3")]), vec![])), Ok(()));
        check(Command::Txn(request(vec![], puts(&[("a", "123"), ("b", "123")]), vec![])), Err(KvError::NoSpace));
        check(Command::LeaseGrant { id: Some(LeaseId(1)), ttl: Millis(1000) }, Ok(()));
        check(Command::LeaseKeepAlive { id: LeaseId(1) }, Ok(()));
        check(Command::Compact { revision: Revision(3) }, Ok(()));
        check(Command::DeleteRange(delete(one("a"))), Ok(()));
        check(Command::Put(put("c", "")), Ok(()));
    }

    #[test]
    fn reads_need_no_command() {
        let kv = store_with(&[("a", "1")]);
        let read = TxnOperation::Range(RangeRequest::all(one("a")));
        let nested = TxnOperation::Txn(request(vec![exists("x")], vec![], vec![read.clone()]));
        let reading = request(vec![exists("a")], vec![nested], vec![]);
        assert!(txn_is_read_only(&reading));
        assert_eq!(Ok(kv.read_txn(&reading).unwrap()), kv.clone().apply_txn(&reading, kv.next_revision()));
        let write = TxnOperation::Txn(request(vec![], vec![], puts(&[("a", "1")])));
        assert!(!txn_is_read_only(&request(vec![], vec![read.clone(), write], vec![])));
        assert!(!txn_is_read_only(&request(vec![], vec![], vec![TxnOperation::DeleteRange(delete(one("a")))])));
        assert_eq!(kv.read_txn(&request(vec![exists("")], vec![], vec![])), Err(KvError::EmptyKey));
    }
}
