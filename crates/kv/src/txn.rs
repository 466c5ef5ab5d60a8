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
        if lease_of(put).is_some_and(|lease| !self.leases.contains(lease)) {
            return Err(KvError::LeaseNotFound);
        }
        if put.ignore_value {
            return Ok(0);
        }
        let bytes_before = before.map_or(0, |kv| entry_bytes(kv));
        Ok(entry_bytes_of(put.key.len(), put.value.len()) as i64 - bytes_before as i64)
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
