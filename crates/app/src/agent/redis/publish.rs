//! What the rest of the process is shown of Redis: a snapshot for the REST API, routes for the proxy.

use super::state::State;
use console::redis::{RedisLocal, RedisServerStatus, RedisSnapshot};
use dcs::DcsView;
use ha::cluster::RedisGroup;
use ha::lease::Lease;
use ha::redis::Decision;
use platform::boot_clock;
use proxy::{Routes, Target};
use redis::{Link, Role, Status};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use types::{MemberName, Millis};

pub struct Published {
    pub me: MemberName,
    pub snapshots: watch::Sender<Arc<RedisSnapshot>>,
    pub routes: watch::Sender<Routes>,
}

impl Published {
    /// `vouched`: failsafe mode says of PostgreSQL's leader that it lives.
    pub fn update(
        &self,
        state: &State,
        store: &DcsView,
        vouched: bool,
        lease: Option<Lease>,
        decision: Option<&Decision>,
    ) {
        let contact = Millis(store.last_contact.elapsed().as_millis() as u64);
        // Both roles of a member are under one lease.
        let vouched = vouched && store.cluster.leader_name() == state.group.leader_name();
        let trusted = vouched || store.connected || lease.is_some_and(|lease| contact < lease.ttl);
        let routes = routes(&state.group, trusted);
        self.routes.send_if_modified(|old| std::mem::replace(old, routes.clone()) != routes);
        self.snapshots.send_modify(|snapshot| {
            let previous = Arc::make_mut(snapshot);
            previous.group = state.group.clone();
            previous.revision = state.revision;
            previous.store_reachable = store.connected;
            previous.local = local(&self.me, state, lease);
            if let Some(decision) = decision {
                let group = previous.name.clone();
                previous.explanation = Arc::new(explanation(store, &group, decision));
                previous.last_decision_at = Instant::now();
            }
        });
    }
}

/// Where clients belong. `None` as the primary means: hold them.
fn routes(group: &RedisGroup, trusted: bool) -> Routes {
    let master = group.writable_master().filter(|_| trusted);
    let target = master.map(|(name, member)| Target { member: name.to_string(), address: member.data.address.clone() });
    Routes {
        primary: target,
        holds: false,
        replicas: Vec::new(),
        epoch: group.leader.as_ref().map_or(0, |leader| leader.epoch.0.unsigned_abs()),
    }
}

fn local(me: &MemberName, state: &State, lease: Option<Lease>) -> RedisLocal {
    let leader = state.group.leader.as_ref();
    let is_leader =
        leader.is_some_and(|leader| leader.name == *me && lease.is_some_and(|lease| leader.lease == Some(lease.id)));
    let left = lease.map(|lease| Duration::from(lease.valid_until().since(boot_clock())));
    // What it told before it refused its agent says nothing of now.
    let answers = state.server.running().is_some() && state.trouble.is_none();
    RedisLocal {
        is_leader,
        leader_until: left.filter(|_| is_leader).map(|left| Instant::now() + left),
        status: state.status.as_deref().filter(|_| answers).map(server_status),
    }
}

fn server_status(status: &Status) -> RedisServerStatus {
    RedisServerStatus {
        is_master: status.is_master(),
        link_up: matches!(status.role, Role::Replica { link: Link::Up, .. }),
        replication_id: status.replication_id.clone(),
        offset: status.offset,
        keys: status.keys,
        replicas: status.replicas.iter().filter(|replica| replica.online).count() as u64,
        used_memory_bytes: status.used_memory_bytes,
        connected_clients: status.connected_clients,
    }
}

/// The part `redis` of `GET /quorate/explain`.
fn explanation(store: &DcsView, group: &str, decision: &Decision) -> Value {
    let mut explanation = console::redis::explanation(&store.cluster, group);
    explanation["here"] = decision.reasons.iter().map(ToString::to_string).collect();
    explanation
}

#[cfg(test)]
mod tests {
    use super::*;
    use ha::cluster::redis::{RedisLeader, RedisMember, RedisMemberData, RedisRole, RedisRunState};
    use types::Revision;

    #[test]
    fn clients_are_led_only_to_a_master_that_says_it_takes_writes() {
        let data = RedisMemberData {
            address: "10.0.0.1:6379".to_owned(),
            role: RedisRole::Master,
            state: RedisRunState::Running,
            writable: true,
            ..RedisMemberData::default()
        };
        let mut group = RedisGroup {
            leader: Some(RedisLeader { name: "a".into(), epoch: Revision(7), lease: None }),
            members: [("a".into(), RedisMember { data, revision: Revision(1), lease: None })].into(),
            ..RedisGroup::default()
        };
        let led = |group: &RedisGroup, trusted| routes(group, trusted).primary.map(|target| target.address);
        assert_eq!(led(&group, true).as_deref(), Some("10.0.0.1:6379"));
        assert_eq!(led(&group, false), None, "nobody knows whether it still is");
        group.members.get_mut(&"a".into()).unwrap().data.writable = false;
        assert_eq!(led(&group, true), None);
        group.leader = None;
        assert_eq!(routes(&group, true).epoch, 0);
    }
}
