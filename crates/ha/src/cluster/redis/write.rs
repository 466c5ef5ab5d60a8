//! Every change an agent makes to a Redis group's keys, as one closed list. Each is a compare-and-swap.

use super::{RedisDataNote, RedisFailoverRequest, RedisHistoryLine, RedisKeys, RedisMemberData, RedisStatus};
use crate::cluster::Keys;
use crate::cluster::write::{absent, delete, equal, put, unchanged};
use kv::{Compare, CompareTarget, TxnOperation, TxnRequest};
use serde::Serialize;
use std::collections::BTreeMap;
use types::{LeaseId, MemberName, Revision};

/// The leadership under which a leader writes. The store refuses the write once that leadership is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisFence {
    pub me: MemberName,
    pub epoch: Revision,
}

impl RedisFence {
    /// The leader key is ours and is still the same one. Its lease is part of that: an expired lease deletes it.
    pub fn compare(&self, keys: &RedisKeys) -> Vec<Compare> {
        let leader = keys.leader();
        vec![
            equal(&leader, CompareTarget::Value(self.me.as_str().into())),
            equal(&leader, CompareTarget::ModRevision(self.epoch)),
        ]
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisWrite {
    /// Takes the free leader key together with the claim in the own entry. Refused when any entry changed since the view,
    /// because any of them may now carry a claim.
    TakeLeader {
        me: MemberName,
        lease: LeaseId,
        /// Of the claim. `None`: in the pause nothing fences this member, so its claim must not end with a lease.
        claim_lease: Option<LeaseId>,
        member: Box<RedisMemberData>,
        members: BTreeMap<MemberName, Revision>,
        /// The request that this leadership fulfils, removed with it.
        failover: Option<Revision>,
        /// As in PostgreSQL's, whose key it is.
        failsafe: Option<Revision>,
    },
    /// Hands the leader key to a member, which has the claim from then on. Sent only when the own Redis is a replica for
    /// certain, or gone.
    HandOver(Box<HandOver>),
    /// Gives the leadership up. Sent only when the own Redis is gone, or a replica for certain.
    ReleaseLeader {
        fence: RedisFence,
        lease: LeaseId,
        member: Box<RedisMemberData>,
        status: Option<RedisStatus>,
    },
    /// The own entry; `expected` `None`: there is none yet. `lease` `None`: it outlives the member's lease (pause).
    PutMember {
        me: MemberName,
        lease: Option<LeaseId>,
        member: Box<RedisMemberData>,
        expected: Option<Revision>,
    },
    /// From which leadership the own data come.
    PutData {
        me: MemberName,
        epoch: Revision,
        expected: Option<Revision>,
    },
    /// An operator lets the data of this member be replaced by those of the leadership he has seen, which must still stand.
    AllowOverwrite {
        member: MemberName,
        epoch: Revision,
        expected: Option<Revision>,
    },
    PutStatus {
        fence: RedisFence,
        status: RedisStatus,
    },
    PutHistory {
        fence: RedisFence,
        lines: Vec<RedisHistoryLine>,
    },
    PutFailover {
        request: RedisFailoverRequest,
        expected: Option<Revision>,
    },
    DeleteFailover {
        expected: Revision,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOver {
    pub fence: RedisFence,
    pub lease: LeaseId,
    /// The own entry, without the claim.
    pub member: RedisMemberData,
    pub candidate: MemberName,
    /// The candidate's own lease: its entry is bound to it.
    pub candidate_lease: LeaseId,
    /// The candidate's entry as it was at `candidate_at`, with the claim.
    pub candidate_member: RedisMemberData,
    pub candidate_at: Revision,
    pub status: Option<RedisStatus>,
    /// The request that this fulfils, removed with it.
    pub failover: Option<Revision>,
}

impl RedisWrite {
    /// Of one that takes the leader key: the revisions of the own entry and of `/failsafe` that it compares.
    pub fn takes_leader(&self) -> Option<(Option<Revision>, Option<Revision>)> {
        match self {
            Self::TakeLeader { me, members, failsafe, .. } => Some((members.get(me).copied(), *failsafe)),
            _ => None,
        }
    }

    /// The transaction that does it. It has no failure branch: a refused write changes nothing.
    pub fn to_txn(&self, keys: &Keys, group: &str) -> TxnRequest {
        let failsafe_key = keys.key("failsafe");
        let keys = &keys.redis(group);
        let (compare, success) = match self {
            Self::TakeLeader { me, lease, claim_lease, member, members, failover, failsafe } => {
                let mut compare = vec![absent(&keys.leader()), unchanged(&failsafe_key, *failsafe)];
                if !members.contains_key(me) {
                    compare.push(absent(&keys.member(me)));
                }
                compare.extend(members.iter().map(|(name, at)| unchanged(&keys.member(name), Some(*at))));
                let mut success = vec![
                    put(keys.leader(), me.as_str().into(), Some(*lease)),
                    put(keys.member(me), json(member), *claim_lease),
                ];
                fulfil(keys, *failover, &mut compare, &mut success);
                (compare, success)
            }
            Self::HandOver(hand_over) => hand_over.parts(keys),
            Self::ReleaseLeader { fence, lease, member, status } => {
                let mut success = vec![delete(keys.leader()), put(keys.member(&fence.me), json(member), Some(*lease))];
                success.extend(status.iter().map(|status| put(keys.key("status"), json(status), None)));
                (fence.compare(keys), success)
            }
            Self::PutMember { me, lease, member, expected } => {
                let key = keys.member(me);
                (vec![unchanged(&key, *expected)], vec![put(key, json(member), *lease)])
            }
            Self::PutData { me, epoch, expected } => {
                let key = keys.data(me);
                let note = RedisDataNote { epoch: *epoch };
                (vec![unchanged(&key, *expected)], vec![put(key, json(&note), None)])
            }
            Self::AllowOverwrite { member, epoch, expected } => {
                let key = keys.overwrite(member);
                let stands = equal(&keys.leader(), CompareTarget::ModRevision(*epoch));
                let note = RedisDataNote { epoch: *epoch };
                (vec![stands, unchanged(&key, *expected)], vec![put(key, json(&note), None)])
            }
            Self::PutStatus { fence, status } => {
                (fence.compare(keys), vec![put(keys.key("status"), json(status), None)])
            }
            Self::PutHistory { fence, lines } => {
                (fence.compare(keys), vec![put(keys.key("history"), json(lines), None)])
            }
            Self::PutFailover { request, expected } => {
                let key = keys.key("failover");
                (vec![unchanged(&key, *expected)], vec![put(key, json(request), None)])
            }
            Self::DeleteFailover { expected } => {
                let key = keys.key("failover");
                (vec![unchanged(&key, Some(*expected))], vec![delete(key)])
            }
        };
        TxnRequest { compare, success, failure: Vec::new() }
    }
}

impl HandOver {
    fn parts(&self, keys: &RedisKeys) -> (Vec<Compare>, Vec<TxnOperation>) {
        let mut compare = self.fence.compare(keys);
        // That the entry is still there says that the lease it is bound to lives.
        compare.push(unchanged(&keys.member(&self.candidate), Some(self.candidate_at)));
        let mut success = vec![
            put(keys.leader(), self.candidate.as_str().into(), Some(self.candidate_lease)),
            put(keys.member(&self.candidate), json(&self.candidate_member), Some(self.candidate_lease)),
            put(keys.member(&self.fence.me), json(&self.member), Some(self.lease)),
        ];
        success.extend(self.status.iter().map(|status| put(keys.key("status"), json(status), None)));
        fulfil(keys, self.failover, &mut compare, &mut success);
        (compare, success)
    }
}

fn fulfil(keys: &RedisKeys, request: Option<Revision>, compare: &mut Vec<Compare>, success: &mut Vec<TxnOperation>) {
    if let Some(expected) = request {
        compare.push(unchanged(&keys.key("failover"), Some(expected)));
        success.push(delete(keys.key("failover")));
    }
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_string(value).unwrap_or_default().into_bytes()
}
