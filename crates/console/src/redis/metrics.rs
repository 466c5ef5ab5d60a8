//! The gauges of Redis for `/metrics`.

use super::snapshot::RedisSnapshot;
use crate::metrics::{MetricFamily, MetricKind, Sample};
use std::time::Instant;

/// Everything that one Redis tells; the label `redis` is the group's name.
pub fn families(snapshot: &RedisSnapshot, now: Instant) -> Vec<MetricFamily> {
    let status = snapshot.local.status.clone().unwrap_or_default();
    let is = |flag: bool| f64::from(u8::from(flag));
    let up = snapshot.local.status.is_some();
    let end = snapshot.group.leader_member().map_or(0, |(_, leader)| leader.data.offset);
    let lag = if up && !status.is_master { end.saturating_sub(status.offset) } else { 0 };
    let age = now.saturating_duration_since(snapshot.last_decision_at).as_secs_f64();
    let epoch = snapshot.group.leader.as_ref().map_or(0, |leader| leader.epoch.0);
    [
        ("quorate_redis_up", "1 while Redis runs and answers", is(up)),
        ("quorate_redis_master", "1 on the master that may take writes", is(snapshot.is_master(now))),
        ("quorate_redis_replica", "1 on a replica with a link to its master", is(snapshot.is_replica())),
        ("quorate_redis_leader_lock", "1 while this member holds Redis's leader key", is(snapshot.local.is_leader)),
        ("quorate_redis_has_master", "1 while the store names a master", is(snapshot.group.leader.is_some())),
        ("quorate_redis_epoch", "The store's revision of the present leadership; 0 if there is none", epoch as f64),
        ("quorate_redis_offset_bytes", "How much of the replication stream Redis has", status.offset as f64),
        ("quorate_redis_lag_bytes", "Bytes behind what the master last told; 0 on the master", lag as f64),
        ("quorate_redis_keys", "Keys in all databases", status.keys as f64),
        ("quorate_redis_connected_replicas", "Replicas connected to this Redis", status.replicas as f64),
        ("quorate_redis_connected_clients", "Clients connected to this Redis", status.connected_clients as f64),
        ("quorate_redis_used_memory_bytes", "Memory that Redis uses for its data", status.used_memory_bytes as f64),
        ("quorate_redis_last_decision_age_seconds", "Time since the last decision about Redis", age),
    ]
    .into_iter()
    .map(|(name, help, value)| {
        let labels = vec![("redis", snapshot.name.clone())];
        MetricFamily { name, help, kind: MetricKind::Gauge, samples: vec![Sample { labels, value }] }
    })
    .collect()
}
