//! What must never happen to Redis.
//!
//! 1. A write is acknowledged by an old master after a newer one acknowledged its first. (Exception, as with PostgreSQL:
//!    worker *and* guard of the old one were stopped.)
//! 2. The leader key passes on while another Redis could still acknowledge. (The same exception.)
//! 3. A planned switchover loses an acknowledged write.
//! 4. A member with data is overwritten by later ones that began with nothing. (Exceptions: an operator allowed it, or its
//!    worker does not run, and Redis connects again by itself.)
//! 5. After healing there is no single master with everybody else in sync, in time: see `convergence`.

use super::GROUP;
use super::stream::Stream;
use crate::clock::Time;
use crate::note;
use crate::world::World;
use ha::cluster::RedisGroup;
use std::collections::{BTreeMap, BTreeSet};

/// In half a second. A busy moment has some dozens; a decision that wakes itself at once has hundreds.
const DECISIONS_MAX: u32 = 250;

#[derive(Debug, Default)]
pub struct RedisOracle {
    /// The newest branch that has acknowledged a write.
    newest_acknowledging: u32,
    /// What each branch has acknowledged.
    acknowledged: BTreeMap<u32, u64>,
    pub writes: u64,
    proxied: BTreeSet<u64>,
    pub proxied_acknowledged_at: Time,
    pub leaderships: u64,
    pub switchovers: u64,
    /// The key was handed over: to whom, and what the old master had acknowledged on its branch.
    handed_over: Option<(usize, u32, u64)>,
    decisions: BTreeMap<usize, u32>,
}

impl RedisOracle {
    pub fn decided(&mut self, host: usize) {
        *self.decisions.entry(host).or_default() += 1;
    }

    pub fn through_proxy(&mut self, number: u64) {
        self.proxied.insert(number);
    }

    /// Twice a second: who decides without a pause.
    pub fn restless(&mut self) -> Option<(usize, u32)> {
        std::mem::take(&mut self.decisions).into_iter().find(|(_, count)| *count > DECISIONS_MAX)
    }
}

impl World {
    pub(crate) fn redis_acknowledged(&mut self, host: usize, branch: u32, end: u64, number: u64) {
        let now = self.now;
        let oracle = &mut self.oracle.redis;
        oracle.writes += 1;
        if oracle.proxied.remove(&number) {
            oracle.proxied_acknowledged_at = now;
        }
        let newest = oracle.newest_acknowledging;
        oracle.newest_acknowledging = newest.max(branch);
        let kept = oracle.acknowledged.entry(branch).or_default();
        *kept = end.max(*kept);
        if branch < newest && !self.is_excused(host) {
            self.violation(format!(
                "Redis of m{} acknowledged write {number} as an old master (branch {branch}, the newest is {newest})",
                host + 1
            ));
        }
    }

    /// The first member has applied a change of the group's keys.
    pub(crate) fn redis_group_changed(&mut self, before: &RedisGroup) {
        let group = self.oracle.truth.redis_group(GROUP);
        if group.leader == before.leader {
            return;
        }
        self.oracle.redis.handed_over = None;
        let Some(leader) = &group.leader else {
            note!(self, "NO REDIS LEADER");
            return;
        };
        note!(self, "REDIS LEADER {} from revision {}", leader.name, leader.epoch);
        self.oracle.redis.leaderships += 1;
        let Some(to) = self.host_named(&leader.name) else { return };
        self.redis_leadership_passes(to, before);
        let Some(from) = before.leader.as_ref().and_then(|old| self.host_named(&old.name)) else { return };
        let forced = before.failover.as_ref().is_some_and(|request| request.value.force);
        if from != to && !forced {
            self.oracle.redis.switchovers += 1;
            let old = &self.hosts[from].redis;
            let branch = old.server.as_ref().map_or(&old.disk, |server| &server.stream).branch();
            let acknowledged = self.oracle.redis.acknowledged.get(&branch).copied();
            self.oracle.redis.handed_over = acknowledged.map(|end| (to, branch, end));
        }
    }

    fn redis_leadership_passes(&mut self, to: usize, before: &RedisGroup) {
        let candidate = before.failover.as_ref().filter(|request| request.value.leader.is_none());
        let candidate = candidate.and_then(|request| request.value.candidate.as_ref());
        let asked = candidate == Some(&self.hosts[to].name);
        for host in (0..self.hosts.len()).filter(|host| *host != to) {
            // Left to itself in the pause, and an operator has said that it is gone: then it had better be. (A switchover,
            // which names the leader, says no such thing.)
            let left_alone = before.members.get(&self.hosts[host].name).is_some_and(|member| member.lease.is_none());
            if asked && left_alone {
                self.hosts[host].excused_until = Time::MAX;
            }
            if self.hosts[host].redis.can_acknowledge() && !self.is_excused(host) {
                let (old, new) = (host + 1, to + 1);
                self.violation(format!(
                    "the leader key of Redis passes to m{new} while m{old} could still acknowledge writes"
                ));
            }
        }
    }

    /// A Redis is promoted. If the key was handed to it, it has everything that was acknowledged before.
    pub(crate) fn redis_master_begins(&mut self, host: usize) {
        let Some((_, branch, end)) = self.oracle.redis.handed_over.take_if(|(to, _, _)| *to == host) else { return };
        let Some(server) = &self.hosts[host].redis.server else { return };
        if !server.stream.contains(branch, end) {
            let has = server.stream.end();
            self.violation(format!(
                "the switchover of Redis to m{} loses writes: acknowledged up to {end} on branch {branch}, there are {has}",
                host + 1
            ));
        }
    }

    /// A full synchronization deletes what this member had.
    pub(crate) fn redis_replaced(&mut self, host: usize, from: usize, by: &Stream) {
        let redis = &self.hosts[host].redis;
        let Some(server) = &redis.server else { return };
        let mine = &server.stream;
        // Data that a leadership went on with after that beginning are the group's own: then this is an ordinary failover.
        let watched = self.hosts[host].worker.as_ref().is_some_and(|worker| worker.frozen == 0);
        if watched && mine.end() > 0 && mine.branch() < by.root() && !redis.may_overwrite {
            let (had, gets) = (mine.end(), by.end());
            self.violation(format!(
                "Redis of m{} had {had} writes and is overwritten with the {gets} of m{}, which began without data",
                host + 1,
                from + 1
            ));
        }
    }
}
