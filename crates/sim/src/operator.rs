//! What people do to a cluster, faults or not: switchovers, restarts, changes of configuration, and mistakes.

use crate::note;
use crate::random::Random;
use crate::store::Request;
use crate::store::client::Purpose;
use crate::world::World;
use ha::cluster::{FailoverRequest, StoreWrite};
use ha::postgres::Request as MemberRequest;
use kv::{Command, DeleteRangeRequest, KeyRange};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Switchover {
        named: bool,
    },
    Failover,
    Restart,
    Reinitialize,
    Pause,
    Resume,
    Synchronous {
        on: bool,
        strict: bool,
    },
    /// `standby_cluster` is taken out, or put in.
    PromoteCluster,
    DemoteCluster,
    Failsafe {
        on: bool,
    },
    /// Somebody with etcdctl.
    DeleteLeaderKey,
    StopAgent,
}

impl Order {
    pub fn drawn(random: &mut Random) -> Self {
        match random.below(20) {
            0..=4 => Self::Switchover { named: true },
            5..=7 => Self::Switchover { named: false },
            8 => Self::Failover,
            9..=10 => Self::Restart,
            11 => Self::Reinitialize,
            12 => Self::Pause,
            13..=15 => Self::Synchronous { on: random.percent(70), strict: random.percent(30) },
            16..=17 => Self::DeleteLeaderKey,
            _ => Self::StopAgent,
        }
    }
}

impl World {
    pub(crate) fn give_order(&mut self, order: Order) {
        let at = self.random.below(self.hosts.len());
        let truth = self.oracle.truth.clone();
        let leader = truth.leader_name().cloned();
        let candidate = self.hosts[at].name.clone();
        note!(self, "an operator at m{} orders {order:?}", at + 1);
        let expected = truth.failover.as_ref().map(|failover| failover.revision);
        let failover = |leader, candidate| StoreWrite::PutFailover {
            request: FailoverRequest { leader, candidate, scheduled_at: None },
            expected,
        };
        let write = match order {
            Order::Switchover { named } => failover(leader, named.then_some(candidate)),
            Order::Failover => failover(None, Some(candidate)),
            Order::Restart => return self.ask_member(at, MemberRequest::Restart),
            Order::Reinitialize => return self.ask_member(at, MemberRequest::Reinitialize { from_leader: true }),
            Order::Pause => return self.configure(at, &[("pause", "true")]),
            Order::Resume => return self.configure(at, &[("pause", "false")]),
            Order::PromoteCluster => return self.set(at, "standby_cluster", serde_json::Value::Null),
            Order::DemoteCluster => {
                return self.set(at, "standby_cluster", serde_json::json!({"host": "remote"}));
            }
            Order::Synchronous { on, strict } => {
                let word = |value: bool| if value { "true" } else { "false" };
                return self
                    .configure(at, &[("synchronous_mode", word(on)), ("synchronous_mode_strict", word(on && strict))]);
            }
            Order::Failsafe { on } => {
                return self.configure(at, &[("failsafe_mode", if on { "true" } else { "false" })]);
            }
            Order::DeleteLeaderKey => {
                let delete = DeleteRangeRequest { keys: KeyRange::One(self.keys.leader()), prev_kv: false };
                return self.call(at, Purpose::Operator, Request::Change(Command::DeleteRange(delete)));
            }
            Order::StopAgent => {
                // In the pause PostgreSQL would be left alone without a guard, which this model does not know.
                if !truth.is_paused() && self.hosts[at].guard.is_some() {
                    self.guard_soon(at, 0, crate::guard::GuardInput::Terminate);
                }
                return;
            }
        };
        let txn = write.to_txn(&self.keys);
        self.call(at, Purpose::Operator, Request::Change(Command::Txn(txn)));
    }

    fn ask_member(&mut self, host: usize, request: MemberRequest) {
        if let Some(worker) = &mut self.hosts[host].worker {
            worker.requests.push_back(request);
            self.decide_soon(host);
        }
    }

    fn configure(&mut self, at: usize, changes: &[(&str, &str)]) {
        let changes: Vec<_> =
            changes.iter().map(|(key, value)| (*key, serde_json::Value::Bool(*value == "true"))).collect();
        self.change_config(at, &changes);
    }

    fn set(&mut self, at: usize, key: &str, value: serde_json::Value) {
        self.change_config(at, &[(key, value)]);
    }

    fn change_config(&mut self, at: usize, changes: &[(&str, serde_json::Value)]) {
        let Some(text) = self.oracle.truth.config_text.clone() else { return };
        let Ok(serde_json::Value::Object(mut map)) = serde_json::from_str(&text.value) else { return };
        for (key, value) in changes {
            map.insert((*key).to_owned(), value.clone());
        }
        let write =
            StoreWrite::PutConfig { text: serde_json::Value::Object(map).to_string(), expected: Some(text.revision) };
        let txn = write.to_txn(&self.keys);
        self.call(at, Purpose::Operator, Request::Change(Command::Txn(txn)));
    }
}
