//! Committed commands, one after the other. The only way the state changes.
//!
//! Every command has a meaning here, also one that [`crate::validate`] would have refused: what reaches the log must
//! never stop a member. The invariant: a command that answers an error has changed nothing but the clock.

use crate::api::{Command, DeleteRangeRequest, Event, KeyValue, KvError, PutRequest, Response};
use crate::history::Change;
use crate::state::Kv;
use crate::txn::lease_of;
use types::{LeaseId, Millis, Revision};

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub result: Result<Response, KvError>,
    /// All of the same revision, which is then the store's newest. Empty when nothing changed.
    pub events: Vec<Event>,
}

impl Kv {
    /// `now`: the store's replicated clock as the command carries it. The store's time never goes backwards.
    pub fn apply(&mut self, now: Millis, command: &Command) -> Applied {
        self.now = self.now.max(now);
        let at = self.next_revision();
        let result = self.run(command, at);
        let events = self.history.since(at).map(Change::event).collect();
        self.trim_history();
        Applied { result, events }
    }

    fn run(&mut self, command: &Command, at: Revision) -> Result<Response, KvError> {
        match command {
            Command::Put(put) => {
                let growth = self.check_put(put)?;
                self.check_space(growth)?;
                Ok(Response::Put { prev_kv: self.run_put(put, at) })
            }
            Command::DeleteRange(delete) => {
                let (deleted, prev_kvs) = self.run_delete_range(delete, at);
                Ok(Response::DeleteRange { deleted, prev_kvs })
            }
            Command::Txn(txn) => self.apply_txn(txn, at).map(Response::Txn),
            Command::Compact { revision } => self.compact(*revision),
            Command::LeaseGrant { id, ttl } => self.grant(*id, *ttl),
            Command::LeaseRevoke { id } => self.revoke(*id, at).map(|()| Response::LeaseRevoke),
            Command::LeaseKeepAlive { id } => {
                let ttl = self.leases.renew(*id, self.now)?;
                Ok(Response::LeaseKeepAlive { id: *id, ttl })
            }
            Command::LeaseExpire { ids } => Ok(Response::LeaseExpire { revoked: self.expire(ids, at) }),
        }
    }

    /// The caller has checked it against the state before the command.
    pub(crate) fn run_put(&mut self, put: &PutRequest, at: Revision) -> Option<KeyValue> {
        let before = self.present.get(&put.key);
        let value = match before {
            Some(before) if put.ignore_value => before.value.clone(),
            Some(_) | None => put.value.clone(),
        };
        let lease = match before {
            Some(before) if put.ignore_lease => before.lease,
            Some(_) | None => lease_of(put),
        };
        let prev_kv = before.filter(|_| put.prev_kv).map(|kv| KeyValue::clone(kv));
        self.put_key(&put.key, value, lease, at);
        prev_kv
    }

    pub(crate) fn run_delete_range(&mut self, delete: &DeleteRangeRequest, at: Revision) -> (i64, Vec<KeyValue>) {
        let doomed: Vec<_> = self.present_in(&delete.keys).cloned().collect();
        for kv in &doomed {
            self.delete_key(&kv.key, at);
        }
        let prev_kvs = if delete.prev_kv { doomed.iter().map(|kv| KeyValue::clone(kv)).collect() } else { Vec::new() };
        (doomed.len() as i64, prev_kvs)
    }

    fn compact(&mut self, revision: Revision) -> Result<Response, KvError> {
        if revision <= self.compact_revision {
            return Err(KvError::Compacted);
        }
        if revision > self.revision {
            return Err(KvError::FutureRevision);
        }
        self.compact_to(revision);
        Ok(Response::Compact)
    }

    fn grant(&mut self, id: Option<LeaseId>, ttl: Millis) -> Result<Response, KvError> {
        if self.leases.len() as u64 >= self.limits.leases_max {
            return Err(KvError::NoSpace);
        }
        let (id, ttl) = self.leases.grant(id, ttl, self.now)?;
        Ok(Response::LeaseGrant { id, ttl })
    }

    /// The keys go in key order, all in one revision.
    fn revoke(&mut self, id: LeaseId, at: Revision) -> Result<(), KvError> {
        for key in self.leases.remove(id)? {
            self.delete_key(&key, at);
        }
        Ok(())
    }

    /// A lease that was renewed or revoked since the command was proposed is passed over.
    fn expire(&mut self, ids: &[LeaseId], at: Revision) -> Vec<LeaseId> {
        let now = self.now;
        ids.iter().copied().filter(|id| self.leases.has_run_out(*id, now) && self.revoke(*id, at).is_ok()).collect()
    }
}
