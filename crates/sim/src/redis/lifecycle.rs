//! Start, promotion, demotion, end.

use super::stream::Stream;
use super::{Link, Redis, RedisEvent, Role, Server};
use crate::clock::{MS, SECOND, Time};
use crate::guard::GuardInput;
use crate::say;
use crate::world::{Happening, World};
use ha::guard::{ServerKind, StopMode};
use std::collections::BTreeMap;

/// `appendfsync everysec`.
const FSYNC_EVERY: Time = SECOND;
/// What a member brings along that comes late; any number would do.
const KEYS_BROUGHT: u64 = 50;
/// The word in the start command for a replica of nobody.
pub const NOBODY: &str = "nobody";

impl World {
    pub(crate) fn redis_soon(&mut self, host: usize, after: Time, event: RedisEvent) {
        let run = self.hosts[host].redis.run;
        self.plan(after, Happening::Redis { host, run, event });
    }

    /// A disk with data from before there was this group. Returns how much later than the others the member comes.
    pub(crate) fn brings_data_of_redis(&mut self, host: usize) -> Time {
        let branch = self.next_branch();
        let redis = &mut self.hosts[host].redis;
        redis.disk.fork(branch);
        for _ in 0..KEYS_BROUGHT {
            redis.disk.append();
        }
        redis.synced = redis.disk.end();
        self.random.between(2 * SECOND, 8 * SECOND)
    }

    /// The guard starts it, always as a replica.
    pub(crate) fn spawn_redis(&mut self, host: usize, upstream: &str) -> u32 {
        let of = upstream.parse().ok();
        let id = self.next_branch();
        // A restart may remember whose data it has (a snapshot names it), or not (an append-only file).
        let remembers = self.random.percent(40);
        let redis = &mut self.hosts[host].redis;
        redis.run += 1;
        let stream = redis.disk.clone();
        let id = if remembers && stream.end() > 0 { stream.branch() } else { id };
        let size = stream.end();
        redis.server = Some(Box::new(Server {
            loading: true,
            role: Role::Replica { of, link: Link::Down },
            stream,
            id,
            id2: None,
            paused_until: 0,
            waiting: Vec::new(),
            replicas: BTreeMap::new(),
        }));
        let run = redis.run;
        say!(self, host, "redis: starts with {size} writes, as a replica of {upstream}");
        let load = if self.random.percent(10) { self.random.between(SECOND, 4 * SECOND) } else { 0 };
        let load = load + self.random.between(5 * MS, 60 * MS);
        self.redis_soon(host, load, RedisEvent::Loaded);
        self.redis_soon(host, load + MS, RedisEvent::Tick);
        self.redis_soon(host, FSYNC_EVERY, RedisEvent::Fsync);
        self.redis_soon(host, self.setup.redis_ping, RedisEvent::Ping);
        run as u32
    }

    pub(crate) fn redis_event(&mut self, host: usize, event: RedisEvent) {
        match event {
            RedisEvent::Loaded => {
                if let Some(server) = &mut self.hosts[host].redis.server {
                    server.loading = false;
                }
            }
            RedisEvent::Write { number } => self.redis_write(host, number),
            RedisEvent::PauseEnds => self.redis_pause_ends(host),
            RedisEvent::Fsync => {
                let redis = &mut self.hosts[host].redis;
                redis.synced = redis.disk.end();
                self.redis_soon(host, FSYNC_EVERY, RedisEvent::Fsync);
            }
            RedisEvent::Ping => self.redis_ping(host),
            RedisEvent::Tick => self.redis_tick(host),
            RedisEvent::Synced { from, run, full } => self.redis_synced(host, from, run, full),
            RedisEvent::Stream { from, run, stream } => self.redis_stream(host, from, run, stream),
            RedisEvent::Command { worker_run, job, command } => self.redis_command(host, worker_run, job, command),
            RedisEvent::Ends => self.redis_ends(host, "in order"),
        }
    }

    /// `REPLICAOF NO ONE`.
    pub(crate) fn redis_promoted(&mut self, host: usize) {
        let branch = self.next_branch();
        let Some(server) = &mut self.hosts[host].redis.server else { return };
        if server.role == Role::Master {
            return;
        }
        server.id2 = Some(server.id);
        server.id = branch;
        server.role = Role::Master;
        server.stream.fork(branch);
        let (end, stream) = (server.stream.end(), server.stream.clone());
        self.hosts[host].redis.disk = stream;
        say!(self, host, "redis: promoted with {end} writes (branch {branch})");
        self.drop_replicas(host);
        self.redis_master_begins(host);
    }

    /// `REPLICAOF`; of `None`: of nobody. Clients are cut.
    pub(crate) fn redis_replicates(&mut self, host: usize, of: Option<usize>) {
        let Some(server) = &mut self.hosts[host].redis.server else { return };
        if let Role::Replica { of: present, .. } = server.role
            && present == of
        {
            return;
        }
        server.role = Role::Replica { of, link: Link::Down };
        server.waiting.clear();
        server.paused_until = 0;
        say!(self, host, "redis: a replica of {:?}", of.map(|of| of + 1));
        self.drop_replicas(host);
        self.redis_soon(host, MS / 2, RedisEvent::Tick);
    }

    /// SIGTERM, or worse.
    pub(crate) fn signal_redis(&mut self, host: usize, mode: StopMode) {
        match mode {
            StopMode::Smart | StopMode::Fast => {
                if self.hosts[host].redis.server.is_some() {
                    let after = self.random.between(2 * MS, 80 * MS);
                    self.redis_soon(host, after, RedisEvent::Ends);
                }
            }
            StopMode::Immediate | StopMode::Kill => self.redis_ends(host, "killed"),
        }
    }

    /// The process is gone.
    pub(crate) fn redis_ends(&mut self, host: usize, status: &str) {
        self.drop_replicas(host);
        let redis = &mut self.hosts[host].redis;
        let Some(server) = redis.server.take() else { return };
        redis.end(&server.stream);
        say!(self, host, "redis: is gone ({status})");
        let seen = self.random.between(100, 2 * MS);
        let exited = GuardInput::ServerExited { server: ServerKind::Redis, status: status.to_owned() };
        self.guard_soon(host, seen, exited);
        // Its replicas see the connection close, where the network lets them.
        for other in 0..self.hosts.len() {
            if self.hosts[other].redis.link().is_some_and(|(of, _)| of == host) {
                self.redis_soon(other, 2 * MS, RedisEvent::Tick);
            }
        }
    }

    /// Power is gone: so is what had not reached the disk.
    pub(crate) fn redis_loses_power(&mut self, host: usize) {
        let redis = &mut self.hosts[host].redis;
        if let Some(server) = redis.server.take() {
            redis.end(&server.stream);
        }
        let kept = self.random.between(redis.synced, redis.disk.end() + 1);
        redis.disk = redis.disk.up_to(kept);
        redis.frozen = 0;
    }

    /// The disk is exchanged: it comes back with nothing.
    pub(crate) fn redis_loses_data(&mut self, host: usize) {
        say!(self, host, "redis: its data are lost");
        self.redis_ends(host, "killed");
        let redis = &mut self.hosts[host].redis;
        redis.disk = Stream::default();
        redis.synced = 0;
    }

    pub(crate) fn freeze_redis(&mut self, host: usize) {
        self.hosts[host].redis.frozen += 1;
    }

    pub(crate) fn thaw_redis(&mut self, host: usize) {
        let redis = &mut self.hosts[host].redis;
        redis.frozen = redis.frozen.saturating_sub(1);
        if redis.frozen == 0 {
            let backlog = std::mem::take(&mut redis.backlog);
            self.replay(backlog);
        }
    }
}

impl Redis {
    fn end(&mut self, stream: &Stream) {
        self.disk = stream.clone();
        self.synced = self.synced.min(self.disk.end());
        self.backlog.clear();
        self.run += 1;
    }
}
