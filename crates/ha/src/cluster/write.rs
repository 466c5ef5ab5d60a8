//! Every change an agent makes to the store, as one closed list. Each is a compare-and-swap: it says what it expects,
//! and changes nothing when the store has moved on.

use super::{FailoverRequest, FailsafeMembers, HistoryLine, Keys, MemberData, Status, SyncState, history_to_json};
use kv::{
    Compare, CompareResult, CompareTarget, DeleteRangeRequest, Key, KeyRange, PutRequest, TxnOperation, TxnRequest,
};
use std::collections::BTreeMap;
use types::{LeaseId, MemberName, Revision, SystemId};

/// The leadership under which a leader writes. The store refuses the write once that leadership is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    pub me: MemberName,
    pub epoch: Revision,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreWrite {
    /// Wins the race to create the cluster: `/initialize` from absent to empty. Bound to the lease, so that a member
    /// that dies while it bootstraps makes room for the next.
    ClaimInitialize {
        lease: LeaseId,
    },
    /// The bootstrap is over: `/initialize` becomes the system identifier, for good.
    PublishSystemId {
        system_id: SystemId,
        expected: Revision,
    },
    /// The bootstrap failed: somebody else may try.
    AbandonInitialize {
        expected: Revision,
    },
    /// Takes the free leader key together with the claim in the own member key, and with `/sync` where it matters.
    /// Refused when any member key changed since the view, because any of them may now carry a claim.
    TakeLeader {
        me: MemberName,
        lease: LeaseId,
        /// Of the claim. `None`: in the pause nothing fences this member, so its claim must not end with a lease.
        claim_lease: Option<LeaseId>,
        member: Box<MemberData>,
        members: BTreeMap<MemberName, Revision>,
        sync: Option<(SyncState, Option<Revision>)>,
        /// `/history` with a line for the timeline that the promotion is to begin.
        history: Option<(Vec<HistoryLine>, Option<Revision>)>,
        /// The request that this leadership fulfils, removed with it.
        failover: Option<Revision>,
        /// `/failsafe` as in the view, which must be unchanged: who is listed there may have been asked not to take the key.
        failsafe: Option<Revision>,
    },
    /// Gives the leadership up. Sent only after PostgreSQL has stopped (or, in the pause, never was touched).
    ReleaseLeader {
        fence: Fence,
        lease: LeaseId,
        member: Box<MemberData>,
        status: Option<Status>,
    },
    /// The own entry; `expected` `None`: there is none yet. `lease` `None`: it outlives the member's lease.
    PutMember {
        me: MemberName,
        lease: Option<LeaseId>,
        member: Box<MemberData>,
        expected: Option<Revision>,
    },
    PutStatus {
        fence: Fence,
        status: Status,
    },
    PutSync {
        fence: Fence,
        state: SyncState,
        expected: Option<Revision>,
    },
    PutHistory {
        fence: Fence,
        lines: Vec<HistoryLine>,
    },
    PutConfig {
        text: String,
        expected: Option<Revision>,
    },
    PutFailover {
        request: FailoverRequest,
        expected: Option<Revision>,
    },
    DeleteFailover {
        expected: Revision,
    },
    PutFailsafe {
        fence: Fence,
        listed: FailsafeMembers,
        expected: Option<Revision>,
    },
    DeleteFailsafe {
        fence: Fence,
        expected: Revision,
    },
}

impl StoreWrite {
    /// Of one that takes the leader key: the revisions of the own entry and of `/failsafe` that it compares.
    pub fn takes_leader(&self) -> Option<(Option<Revision>, Option<Revision>)> {
        match self {
            Self::TakeLeader { me, members, failsafe, .. } => Some((members.get(me).copied(), *failsafe)),
            _ => None,
        }
    }

    /// It changes who may take a leader key.
    pub fn changes_failsafe(&self) -> bool {
        matches!(self, Self::PutFailsafe { .. } | Self::DeleteFailsafe { .. })
    }

    /// The transaction that does it. It has no failure branch: a refused write changes nothing.
    pub fn to_txn(&self, keys: &Keys) -> TxnRequest {
        let json = |value: Result<String, serde_json::Error>| value.unwrap_or_default().into_bytes();
        let (compare, success) = match self {
            Self::ClaimInitialize { lease } => {
                let key = keys.key("initialize");
                (vec![absent(&key)], vec![put(key, Vec::new(), Some(*lease))])
            }
            Self::PublishSystemId { system_id, expected } => {
                let key = keys.key("initialize");
                (vec![unchanged(&key, Some(*expected))], vec![put(key, system_id.as_str().into(), None)])
            }
            Self::AbandonInitialize { expected } => {
                let key = keys.key("initialize");
                (vec![unchanged(&key, Some(*expected))], vec![delete(key)])
            }
            Self::TakeLeader { me, lease, claim_lease, member, members, sync, history, failover, failsafe } => {
                let mut compare = vec![absent(&keys.leader()), unchanged(&keys.key("failsafe"), *failsafe)];
                if !members.contains_key(me) {
                    compare.push(absent(&keys.member(me)));
                }
                compare.extend(members.iter().map(|(name, at)| unchanged(&keys.member(name), Some(*at))));
                let mut success = vec![
                    put(keys.leader(), me.as_str().into(), Some(*lease)),
                    put(keys.member(me), json(serde_json::to_string(member)), *claim_lease),
                ];
                if let Some((state, expected)) = sync {
                    compare.push(unchanged(&keys.key("sync"), *expected));
                    success.push(put(keys.key("sync"), json(serde_json::to_string(state)), None));
                }
                if let Some((lines, expected)) = history {
                    compare.push(unchanged(&keys.key("history"), *expected));
                    success.push(put(keys.key("history"), history_to_json(lines).into_bytes(), None));
                }
                if let Some(expected) = failover {
                    compare.push(unchanged(&keys.key("failover"), Some(*expected)));
                    success.push(delete(keys.key("failover")));
                }
                (compare, success)
            }
            Self::ReleaseLeader { fence, lease, member, status } => {
                let mut success = vec![
                    delete(keys.leader()),
                    put(keys.member(&fence.me), json(serde_json::to_string(member)), Some(*lease)),
                ];
                if let Some(status) = status {
                    success.push(put(keys.key("status"), json(serde_json::to_string(status)), None));
                }
                (fence.compare(keys), success)
            }
            Self::PutMember { me, lease, member, expected } => {
                let key = keys.member(me);
                (vec![unchanged(&key, *expected)], vec![put(key, json(serde_json::to_string(member)), *lease)])
            }
            Self::PutStatus { fence, status } => {
                (fence.compare(keys), vec![put(keys.key("status"), json(serde_json::to_string(status)), None)])
            }
            Self::PutSync { fence, state, expected } => {
                let key = keys.key("sync");
                let mut compare = fence.compare(keys);
                compare.push(unchanged(&key, *expected));
                (compare, vec![put(key, json(serde_json::to_string(state)), None)])
            }
            Self::PutHistory { fence, lines } => {
                (fence.compare(keys), vec![put(keys.key("history"), history_to_json(lines).into_bytes(), None)])
            }
            Self::PutConfig { text, expected } => {
                let key = keys.key("config");
                (vec![unchanged(&key, *expected)], vec![put(key, text.clone().into_bytes(), None)])
            }
            Self::PutFailover { request, expected } => {
                let key = keys.key("failover");
                (vec![unchanged(&key, *expected)], vec![put(key, json(serde_json::to_string(request)), None)])
            }
            Self::DeleteFailover { expected } => {
                let key = keys.key("failover");
                (vec![unchanged(&key, Some(*expected))], vec![delete(key)])
            }
            Self::PutFailsafe { fence, listed, expected } => {
                let key = keys.key("failsafe");
                let mut compare = fence.compare(keys);
                compare.push(unchanged(&key, *expected));
                (compare, vec![put(key, listed.to_text().into_bytes(), None)])
            }
            Self::DeleteFailsafe { fence, expected } => {
                let key = keys.key("failsafe");
                let mut compare = fence.compare(keys);
                compare.push(unchanged(&key, Some(*expected)));
                (compare, vec![delete(key)])
            }
        };
        TxnRequest { compare, success, failure: Vec::new() }
    }
}

impl Fence {
    /// The leader key is ours and is still the same key. Its lease is part of that: an expired lease deletes it.
    pub fn compare(&self, keys: &Keys) -> Vec<Compare> {
        let leader = keys.leader();
        vec![
            equal(&leader, CompareTarget::Value(self.me.as_str().into())),
            equal(&leader, CompareTarget::CreateRevision(self.epoch)),
        ]
    }
}

pub(super) fn equal(key: &Key, target: CompareTarget) -> Compare {
    Compare { keys: KeyRange::One(key.clone()), result: CompareResult::Equal, target }
}

pub(super) fn absent(key: &Key) -> Compare {
    equal(key, CompareTarget::CreateRevision(Revision(0)))
}

/// `None`: the key must not exist.
pub(super) fn unchanged(key: &Key, at: Option<Revision>) -> Compare {
    match at {
        Some(revision) => equal(key, CompareTarget::ModRevision(revision)),
        None => absent(key),
    }
}

pub(super) fn put(key: Key, value: Vec<u8>, lease: Option<LeaseId>) -> TxnOperation {
    TxnOperation::Put(PutRequest { key, value, lease, prev_kv: false, ignore_value: false, ignore_lease: false })
}

pub(super) fn delete(key: Key) -> TxnOperation {
    TxnOperation::DeleteRange(DeleteRangeRequest { keys: KeyRange::One(key), prev_kv: false })
}
