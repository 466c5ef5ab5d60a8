//! Writes, and how they reach the replicas.

use super::stream::Stream;
use super::{Link, RedisEvent, Role};
use crate::clock::{MS, SECOND, Time};
use crate::network::Plane;
use crate::say;
use crate::world::World;

/// How often a replica looks after its link. Redis does once a second; a new master is told at once.
const TICK: Time = 250 * MS;
/// `repl-timeout`, as the agent sets it.
const LINK_TIMEOUT: Time = 4 * SECOND;

impl World {
    pub(crate) fn redis_write(&mut self, host: usize, number: u64) {
        let now = self.now;
        let Some(server) = &mut self.hosts[host].redis.server else { return };
        if server.loading || server.role != Role::Master {
            return;
        }
        if now < server.paused_until {
            return server.waiting.push(number);
        }
        let end = server.stream.append();
        let (branch, stream) = (server.stream.branch(), server.stream.clone());
        self.hosts[host].redis.disk = stream;
        self.redis_acknowledged(host, branch, end, number);
        self.redis_to_replicas(host);
    }

    pub(crate) fn redis_pause_ends(&mut self, host: usize) {
        let now = self.now;
        let Some(server) = &mut self.hosts[host].redis.server else { return };
        if now < server.paused_until {
            return;
        }
        for number in std::mem::take(&mut server.waiting) {
            self.redis_write(host, number);
        }
    }

    /// A PING is a part of the stream like a write, and nobody hears of it. Of an empty one it is left out, because here one
    /// byte is one key.
    pub(crate) fn redis_ping(&mut self, host: usize) {
        self.redis_soon(host, self.setup.redis_ping, RedisEvent::Ping);
        let Some(server) = &mut self.hosts[host].redis.server else { return };
        if server.role != Role::Master || server.replicas.is_empty() || server.stream.end() == 0 {
            return;
        }
        server.stream.append();
        self.hosts[host].redis.disk = server.stream.clone();
        self.redis_to_replicas(host);
    }

    fn redis_to_replicas(&mut self, host: usize) {
        let replicas: Vec<usize> = match &self.hosts[host].redis.server {
            Some(server) => server.replicas.keys().copied().collect(),
            None => return,
        };
        for to in replicas {
            self.redis_send(host, to);
        }
    }

    /// What a lost message would have carried comes with the next.
    fn redis_send(&mut self, from: usize, to: usize) {
        if !self.network.connects(Plane::Replication, from, to) || !self.hosts[to].up {
            return;
        }
        let run = self.hosts[from].redis.run;
        let Some(server) = &self.hosts[from].redis.server else { return };
        let stream = server.stream.clone();
        let after = self.network.delay(&mut self.random, from, to);
        self.redis_soon(to, after, RedisEvent::Stream { from, run, stream });
    }

    pub(crate) fn redis_stream(&mut self, host: usize, from: usize, run: u64, stream: Stream) {
        let now = self.now;
        let redis = &mut self.hosts[host].redis;
        let Some(server) = &mut redis.server else { return };
        let Role::Replica { of: Some(of), link: Link::Up { run: linked, heard } } = &mut server.role else { return };
        if *of != from || *linked != run {
            return;
        }
        *heard = now;
        if stream.end() > server.stream.end() {
            server.stream = stream;
            redis.disk = server.stream.clone();
        }
        if let Some(master) = &mut self.hosts[from].redis.server
            && self.network.connects(Plane::Replication, from, host)
            && let Some((_, heard)) = master.replicas.get_mut(&host)
        {
            *heard = now;
        }
    }

    /// A replica looks after its link: it connects, notices that the master is gone, and gets what it lacks.
    pub(crate) fn redis_tick(&mut self, host: usize) {
        let Some((of, link)) = self.hosts[host].redis.link() else { return };
        self.redis_soon(host, TICK, RedisEvent::Tick);
        let now = self.now;
        let reachable = self.hosts[of].up && self.network.connects(Plane::Replication, host, of);
        let master = &self.hosts[of].redis;
        let alive = master.server.is_some();
        match link {
            Link::Up { run, heard } => {
                let connected = master.run == run
                    && master.server.as_ref().is_some_and(|server| server.replicas.contains_key(&host));
                // A connection that was closed says so, if anything gets through.
                if reachable && !connected || now - heard > LINK_TIMEOUT {
                    say!(self, host, "redis: its link is down");
                    self.set_link(host, Link::Down);
                } else if reachable && master.frozen == 0 {
                    self.redis_send(of, host);
                }
            }
            Link::Syncing { run, since } => {
                if master.run != run || now - since > LINK_TIMEOUT {
                    self.set_link(host, Link::Down);
                }
            }
            Link::Down if reachable && alive && master.frozen == 0 => self.redis_connects(host, of),
            Link::Down => {}
        }
    }

    /// `PSYNC`: in part where the master knows the place, else in full.
    fn redis_connects(&mut self, host: usize, of: usize) {
        let run = self.hosts[of].redis.run;
        let Some(master) = &self.hosts[of].redis.server else { return };
        let is_serving = match master.role {
            Role::Master => true,
            Role::Replica { link, .. } => matches!(link, Link::Up { .. }),
        };
        let Some(server) = &self.hosts[host].redis.server else { return };
        if !is_serving || master.loading || server.loading {
            return;
        }
        let end = server.stream.end();
        let knows = server.id == server.stream.branch() && master.stream.contains(server.id, end)
            || server.id == master.id && end <= master.stream.end();
        let after = if knows { self.random.between(MS, 8 * MS) } else { self.random.between(20 * MS, 900 * MS) };
        let since = self.now;
        self.set_link(host, Link::Syncing { run, since });
        self.redis_soon(host, after, RedisEvent::Synced { from: of, run, full: !knows });
    }

    pub(crate) fn redis_synced(&mut self, host: usize, from: usize, run: u64, full: bool) {
        let now = self.now;
        let fits = matches!(self.hosts[host].redis.link(), Some((of, Link::Syncing { run: begun, .. })) if of == from && begun == run);
        let master = &self.hosts[from].redis;
        let reachable = self.hosts[from].up && self.network.connects(Plane::Replication, host, from);
        if !fits || master.run != run || master.frozen > 0 || !reachable {
            return;
        }
        let Some(source) = &master.server else { return };
        let (stream, id, id2) = (source.stream.clone(), source.id, source.id2);
        if full {
            say!(self, host, "redis: everything anew from m{} ({} writes)", from + 1, stream.end());
            self.redis_replaced(host, from, &stream);
        }
        if let Some(master) = &mut self.hosts[from].redis.server {
            master.replicas.insert(host, (run, now));
        }
        let redis = &mut self.hosts[host].redis;
        let Some(server) = &mut redis.server else { return };
        (server.stream, server.id, server.id2) = (stream, id, id2);
        redis.disk = server.stream.clone();
        if full {
            redis.may_overwrite = false;
            redis.synced = 0;
        }
        self.set_link(host, Link::Up { run, heard: now });
    }

    fn set_link(&mut self, host: usize, new: Link) {
        if let Some(server) = &mut self.hosts[host].redis.server
            && let Role::Replica { link, .. } = &mut server.role
        {
            *link = new;
        }
    }

    /// A change of role closes the connections of the replicas.
    pub(crate) fn drop_replicas(&mut self, host: usize) {
        if let Some(server) = &mut self.hosts[host].redis.server {
            server.replicas.clear();
        }
    }

    /// For `INFO replication` of a master.
    pub(crate) fn is_online(&self, heard: Time) -> bool {
        self.now - heard <= LINK_TIMEOUT
    }
}
