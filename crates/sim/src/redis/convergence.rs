//! After everything was healed: one master, everybody else in sync with it, and a store that says so.

use super::{GROUP, Link};
use crate::clock::SECOND;
use crate::world::World;
use ha::cluster::redis::RedisRole;

impl World {
    pub(crate) fn redis_is_missing(&self) -> Option<String> {
        if !self.setup.redis {
            return None;
        }
        let group = self.oracle.truth.redis_group(GROUP);
        let Some((name, member)) = group.leader_member() else {
            return Some("Redis has no leader".to_owned());
        };
        let leader = self.host_named(name)?;
        if !self.hosts[leader].redis.can_acknowledge() {
            return Some(format!("{name} leads and its Redis is no master"));
        }
        if !member.data.is_writable() {
            return Some(format!("{name} does not say that its Redis accepts writes"));
        }
        let branch = self.hosts[leader].redis.server.as_ref().map(|server| server.stream.branch());
        for (at, host) in self.hosts.iter().enumerate().filter(|(at, _)| *at != leader) {
            if !matches!(host.redis.link(), Some((of, Link::Up { .. })) if of == leader) {
                return Some(format!("Redis of m{} is not in sync with {name}", at + 1));
            }
            if host.redis.server.as_ref().map(|server| server.stream.branch()) != branch {
                return Some(format!("Redis of m{} has not what {name} has", at + 1));
            }
            let entry = group.members.get(&host.name).map(|member| &member.data);
            if !entry.is_some_and(|data| data.role == RedisRole::Replica && data.is_running() && data.link_up) {
                return Some(format!("the entry of m{} does not say that its Redis is in sync", at + 1));
            }
        }
        if let Some(request) = &group.failover {
            return Some(format!("the request {:?} is still there", request.value));
        }
        if self.now - self.oracle.redis.proxied_acknowledged_at > 2 * SECOND {
            return Some("no write went to Redis through a proxy lately".to_owned());
        }
        None
    }
}
