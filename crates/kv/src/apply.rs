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
                // etcd looks for the lease first here, and for the key first in a transaction.
                self.check_lease(put)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::EventKind;
    use crate::limits::Limits;
    use crate::testing::{delete, everything, one, put, put_leased, run, run_at, show, store_with};
    use types::LeaseId;

    fn grant(id: i64, ttl: u64) -> Command {
        Command::LeaseGrant { id: Some(LeaseId(id)), ttl: Millis(ttl) }
    }

    fn fail(kv: &mut Kv, command: &Command) -> KvError {
        let before = kv.snapshot();
        let applied = kv.apply(Millis(0), command);
        assert_eq!((applied.events.len(), kv.snapshot()), (0, before), "an error changes nothing");
        applied.result.expect_err("it should fail")
    }

    #[test]
    fn versions_and_revisions_of_a_key() {
        let mut kv = store_with(&[("a", "1"), ("a", "2")]);
        run(&mut kv, Command::DeleteRange(delete(one("a"))));
        let applied = kv.apply(Millis(0), &Command::Put(put("a", "3")));
        let numbers = |kv: &KeyValue| (kv.create_revision.0, kv.mod_revision.0, kv.version);
        assert_eq!(applied.events.iter().map(|event| numbers(&event.kv)).collect::<Vec<_>>(), [(5, 5, 1)]);
        let events: Vec<Event> = kv.events_since(Revision(2)).unwrap().collect();
        let shown: Vec<_> = events.iter().map(|event| (event.kind, numbers(&event.kv))).collect();
        assert_eq!(shown[..2], [(EventKind::Put, (2, 2, 1)), (EventKind::Put, (2, 3, 2))]);
        assert_eq!(shown[2..], [(EventKind::Delete, (0, 4, 0)), (EventKind::Put, (5, 5, 1))]);
        let before: Vec<_> = events.iter().map(|event| event.prev_kv.as_ref().map(numbers)).collect();
        assert_eq!(before, [None, Some((2, 2, 1)), Some((2, 3, 2)), None]);
    }

    #[test]
    fn the_answers_of_put_and_delete() {
        let mut kv = store_with(&[("a", "1"), ("b", "2")]);
        let stored = kv.present["a".as_bytes()].as_ref().clone();
        let with_prev = Command::Put(PutRequest { prev_kv: true, ..put("a", "3") });
        assert_eq!(run(&mut kv, with_prev), Response::Put { prev_kv: Some(stored) });
        assert_eq!(run(&mut kv, Command::Put(put("a", "4"))), Response::Put { prev_kv: None });
        let none = Response::DeleteRange { deleted: 0, prev_kvs: Vec::new() };
        let revision = kv.revision();
        assert_eq!(run(&mut kv, Command::DeleteRange(delete(one("x")))), none);
        assert_eq!(kv.revision(), revision);
        let all = DeleteRangeRequest { keys: everything(), prev_kv: true };
        let Response::DeleteRange { deleted, prev_kvs } = run(&mut kv, Command::DeleteRange(all)) else { panic!() };
        assert_eq!((deleted, prev_kvs.len()), (2, 2));
    }

    #[test]
    fn keeping_value_or_lease() {
        let mut kv = store_with(&[]);
        run(&mut kv, grant(1, 1000));
        run(&mut kv, Command::Put(put_leased("a", 1)));
        run(&mut kv, Command::Put(PutRequest { ignore_lease: true, ..put("a", "new") }));
        assert_eq!(kv.present["a".as_bytes()].lease, Some(LeaseId(1)));
        run(&mut kv, Command::Put(PutRequest { ignore_value: true, ..put("a", "") }));
        assert_eq!((show(&kv).as_str(), kv.present["a".as_bytes()].lease), ("a=new", None));
        for (ignore_value, ignore_lease) in [(true, false), (false, true)] {
            let put = PutRequest { ignore_value, ignore_lease, ..put("x", "") };
            assert_eq!(fail(&mut kv, &Command::Put(put)), KvError::KeyNotFound);
        }
    }

    #[test]
    fn the_clock_never_goes_back() {
        let mut kv = Kv::new();
        run_at(&mut kv, 500, Command::Put(put("a", "1")));
        run_at(&mut kv, 400, grant(1, 1000));
        assert_eq!((kv.now(), kv.next_expiry()), (Millis(500), Some(Millis(1500))));
    }

    #[test]
    fn a_lease_takes_its_keys_along_in_one_revision() {
        let mut kv = store_with(&[("kept", "1")]);
        run(&mut kv, grant(1, 1000));
        run(&mut kv, grant(2, 1000));
        for (key, lease) in [("b", 1), ("a", 1), ("moved", 1), ("moved", 2), ("freed", 1)] {
            run(&mut kv, Command::Put(put_leased(key, lease)));
        }
        run(&mut kv, Command::Put(put("freed", "1")));
        let keys = |kv: &Kv| kv.lease_status(LeaseId(1), kv.now()).map(|status| status.keys);
        assert_eq!(keys(&kv), Some(vec![b"a".to_vec(), b"b".to_vec()]));
        let applied = kv.apply(Millis(0), &Command::LeaseRevoke { id: LeaseId(1) });
        let events: Vec<_> = applied.events.iter().map(|event| (event.kind, event.kv.key.clone())).collect();
        assert_eq!(events, [(EventKind::Delete, b"a".to_vec()), (EventKind::Delete, b"b".to_vec())]);
        assert!(applied.events.iter().all(|event| event.kv.mod_revision == kv.revision()));
        assert_eq!((show(&kv).as_str(), kv.leases()), ("freed=1 kept=1 moved=leased", vec![LeaseId(2)]));
        assert_eq!(fail(&mut kv, &Command::LeaseRevoke { id: LeaseId(1) }), KvError::LeaseNotFound);
        assert_eq!(fail(&mut kv, &Command::LeaseKeepAlive { id: LeaseId(1) }), KvError::LeaseNotFound);
        assert_eq!(fail(&mut kv, &Command::Put(put_leased("a", 1))), KvError::LeaseNotFound);
    }

    #[test]
    fn only_what_has_run_out_expires() {
        let mut kv = Kv::new();
        for (id, ttl) in [(1, 1000), (2, 1000), (3, 3000)] {
            run(&mut kv, grant(id, ttl));
            run(&mut kv, Command::Put(put_leased(&format!("k{id}"), id)));
        }
        run_at(&mut kv, 900, Command::LeaseKeepAlive { id: LeaseId(2) });
        assert_eq!(kv.expired(Millis(1000)), [LeaseId(1)]);
        assert_eq!(kv.lease_status(LeaseId(2), Millis(1000)).map(|status| status.remaining), Some(Millis(900)));
        let ids = vec![LeaseId(2), LeaseId(1), LeaseId(9), LeaseId(3), LeaseId(1)];
        let expired = run_at(&mut kv, 1000, Command::LeaseExpire { ids: ids.clone() });
        assert_eq!(expired, Response::LeaseExpire { revoked: vec![LeaseId(1)] });
        assert_eq!((show(&kv).as_str(), kv.revision()), ("k2=leased k3=leased", Revision(5)));
        run_at(&mut kv, 3000, Command::LeaseExpire { ids });
        assert_eq!((kv.leases(), kv.revision(), kv.next_expiry()), (vec![], Revision(6), None));
    }

    #[test]
    fn leases_are_limited_in_number() {
        let mut kv = Kv::with_limits(Limits { leases_max: 1, ..Limits::default() });
        run(&mut kv, grant(1, 1000));
        assert_eq!(fail(&mut kv, &grant(2, 1000)), KvError::NoSpace);
        run(&mut kv, Command::LeaseRevoke { id: LeaseId(1) });
        run(&mut kv, grant(2, 1000));
    }

    #[test]
    fn compaction_by_hand() {
        let mut kv = store_with(&[("a", "1"), ("a", "2"), ("a", "3")]);
        assert_eq!(fail(&mut kv, &Command::Compact { revision: Revision(5) }), KvError::FutureRevision);
        run(&mut kv, Command::Compact { revision: Revision(3) });
        assert_eq!(fail(&mut kv, &Command::Compact { revision: Revision(3) }), KvError::Compacted);
        assert_eq!((kv.compact_revision(), kv.revision()), (Revision(3), Revision(4)));
        assert_eq!(kv.events_since(Revision(2)).map(Iterator::count), Err(KvError::Compacted));
        let before: Vec<bool> = kv.events_since(Revision(3)).unwrap().map(|event| event.prev_kv.is_some()).collect();
        assert_eq!(before, [false, true]);
    }

    #[test]
    fn compaction_by_itself() {
        let mut kv = Kv::with_limits(Limits { history_revisions_max: 3, ..Limits::default() });
        for value in 0..10 {
            run(&mut kv, Command::Put(put("a", &value.to_string())));
        }
        assert_eq!((kv.revision(), kv.compact_revision()), (Revision(11), Revision(8)));
        let mut kv = Kv::with_limits(Limits { history_bytes_max: 10_000, ..Limits::default() });
        let value = "x".repeat(3000);
        for _ in 0..10 {
            run(&mut kv, Command::Put(put("a", &value)));
            assert!(kv.size_bytes() - kv.data_bytes() <= 10_000);
        }
        assert_eq!(kv.events_since(kv.compact_revision()).unwrap().count(), 4, "three with what they replaced");
    }

    #[test]
    fn everything_deleted_leaves_nothing_after_compaction() {
        let mut kv = store_with(&[("a", "1"), ("b", "2")]);
        run(&mut kv, Command::DeleteRange(delete(everything())));
        run(&mut kv, Command::Put(put("c", "")));
        run(&mut kv, Command::DeleteRange(delete(everything())));
        let revision = kv.revision();
        run(&mut kv, Command::Compact { revision });
        assert_eq!(kv.data_bytes(), 0);
        assert_eq!(kv.events_since(revision).unwrap().count(), 1, "a watch may still start here");
    }
}
