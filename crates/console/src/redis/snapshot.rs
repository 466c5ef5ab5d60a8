//! What the agent knows of its Redis at one moment.

use super::view::RedisView;
use ha::cluster::RedisGroup;
use ha::cluster::redis::RedisMemberData;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use types::MemberName;

/// The API's ways to the Redis role.
#[derive(Clone)]
pub struct RedisApi {
    pub snapshots: watch::Receiver<Arc<RedisSnapshot>>,
}

#[derive(Clone, Debug)]
pub struct RedisSnapshot {
    pub me: MemberName,
    /// What Sentinel calls the master.
    pub name: String,
    /// The keys of the group, also while the store is out of reach.
    pub group: Arc<RedisGroup>,
    /// The revision of the view that `group` is from.
    pub revision: types::Revision,
    pub store_reachable: bool,
    pub local: RedisLocal,
    /// The part `redis` of `GET /quorate/explain`.
    pub explanation: Arc<Value>,
    pub last_decision_at: Instant,
}

/// This member's own Redis.
#[derive(Clone, Debug, Default)]
pub struct RedisLocal {
    pub is_leader: bool,
    /// Until when that holds without another renewal; `None` where no lease bounds it.
    pub leader_until: Option<Instant>,
    /// `None`: it does not run, or does not answer.
    pub status: Option<RedisServerStatus>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisServerStatus {
    pub is_master: bool,
    pub link_up: bool,
    pub replication_id: String,
    pub offset: u64,
    pub keys: u64,
    pub replicas: u64,
    pub used_memory_bytes: u64,
    pub connected_clients: u64,
}

impl RedisSnapshot {
    pub fn starting(me: MemberName, name: String) -> Self {
        Self {
            me,
            name,
            group: Arc::default(),
            revision: types::Revision(0),
            store_reachable: false,
            local: RedisLocal::default(),
            explanation: Arc::new(Value::Null),
            last_decision_at: Instant::now(),
        }
    }

    /// It may be given writes: the leader key is held under a lease that lives, and Redis says that it is a master.
    pub fn is_master(&self, now: Instant) -> bool {
        let leads = self.local.is_leader && self.local.leader_until.is_none_or(|until| now < until);
        leads
            && self.own_entry().is_some_and(RedisMemberData::is_writable)
            && self.local.status.as_ref().is_some_and(|status| status.is_master)
    }

    /// It may be given reads.
    pub fn is_replica(&self) -> bool {
        self.local.status.as_ref().is_some_and(|status| !status.is_master && status.link_up)
    }

    pub fn own_entry(&self) -> Option<&RedisMemberData> {
        self.group.members.get(&self.me).map(|member| &member.data)
    }

    pub(super) fn to_json(&self, now: Instant) -> Value {
        let role = if self.is_master(now) { "master" } else { "replica" };
        let mut json = serde_json::to_value(RedisView::of(&self.group)).unwrap_or_default();
        json["name"] = json!(self.name);
        json["member"] = json!(self.me);
        json["role"] = json!(self.local.status.as_ref().map(|_| role));
        json["state"] = json!(self.own_entry().map(|entry| entry.state.as_str()));
        if let Some(trouble) = self.own_entry().and_then(|entry| entry.trouble.as_ref()) {
            json["trouble"] = json!(trouble);
        }
        json["dcs_reachable"] = json!(self.store_reachable);
        json
    }
}
