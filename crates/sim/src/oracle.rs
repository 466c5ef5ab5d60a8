//! Sees everything, and says when something happened that must never happen.
//!
//! 1. A write is acknowledged by an old primary after a newer one acknowledged its first. (Exception, as documented: in
//!    asynchronous mode while worker *and* guard of the old one were stopped.)
//! 2. The leader key passes on while another PostgreSQL could still acknowledge. (The same exception.)
//! 3. A primary lacks a write that was acknowledged in synchronous mode. (No exception.)
//! 4. After healing there is no single leader, with everybody else streaming from it, in time: see `convergence`.
//! 5. There is no primary, and a member that lives gives no reason.
//! 6. A member decides and decides, as if time were free.
//! 7. A virtual address is on two hosts: see `cards`.
//! 8. A member begins to make a primary while its view of the store says `standby_cluster`, or there is a primary in a cluster that
//!    never was anything but a standby cluster.
//! 9. The store gives one revision two meanings, goes back, or ends a lease before its time.

use crate::clock::{MS, SECOND, Time};
use crate::note;
use crate::postgres::Phase;
use crate::world::World;
use ha::cluster::{Cluster, Keys, StoreWrite};
use ha::postgres::Job;
use kv::{Event, EventKind};
use std::collections::{BTreeMap, BTreeSet};
use types::{LeaseId, Millis, Revision};

/// Clocks differ by 200 ppm each, and times are rounded to milliseconds.
const LEASE_TOLERANCE: Time = 6 * MS;

/// In half a second. A busy moment has some dozens; a decision that wakes itself at once has hundreds.
const DECISIONS_MAX: u32 = 250;

#[derive(Default)]
pub struct Oracle {
    pub violation: Option<String>,
    /// The newest state of the store's keys that any member has applied.
    pub truth: Cluster,
    /// What each revision was, as a checksum.
    revisions: BTreeMap<Revision, u64>,
    /// The last revision each store has applied in its present run: run, revision.
    applied: Vec<(u64, Revision)>,
    leases: BTreeMap<LeaseId, Renewal>,
    given_up: BTreeSet<LeaseId>,
    /// The newest branch that has acknowledged a write.
    newest_acknowledging: u32,
    /// The newest branch and who made it.
    pub newest_branch: (u32, usize),
    /// Synchronous mode is on: what each branch has acknowledged since.
    protected: BTreeMap<u32, u64>,
    writes: u64,
    proxied: BTreeSet<u64>,
    pub redis: crate::redis::RedisOracle,
    pub acknowledged: u64,
    pub proxied_acknowledged_at: Time,
    /// Renewals by the consent of the others.
    pub consents: u64,
    pub last_acknowledged_at: Time,
    /// When each began.
    pub leaderships: Vec<Time>,
    pub healthy_since: Option<Time>,
    pub healed_at: Option<Time>,
    /// No configuration has been without `standby_cluster`.
    always_standby: bool,
    /// Commits of older branches may have been given up for the remote primary's.
    protected_from: u32,
    reasonless: BTreeMap<usize, Time>,
    /// Since the last sample.
    decisions: BTreeMap<usize, u32>,
}

#[derive(Clone, Copy, Debug)]
struct Renewal {
    ttl: Millis,
    sent_at: Time,
    expired_at: Option<Time>,
}

impl Renewal {
    fn may_end_at(&self) -> Time {
        let ttl = self.ttl.0 * MS;
        (self.sent_at + ttl - ttl / 1_000).saturating_sub(LEASE_TOLERANCE)
    }
}

impl Oracle {
    pub fn new(members: usize, always_standby: bool) -> Self {
        Self { applied: vec![(0, Revision(0)); members], always_standby, ..Self::default() }
    }

    pub fn next_write(&mut self) -> u64 {
        self.writes += 1;
        self.writes
    }

    pub fn through_proxy(&mut self, number: u64) {
        self.proxied.insert(number);
    }

    /// The store has confirmed a renewal that was sent then.
    pub fn renewed(&mut self, id: LeaseId, ttl: Millis, sent_at: Time) {
        let anew = Renewal { ttl, sent_at, expired_at: None };
        let renewal = self.leases.entry(id).or_insert(anew);
        // The request for the lease was sent twice, and a store that was frozen has carried out the second one long after the
        // lease was over: it is another lease of the same name.
        if renewal.expired_at.is_some_and(|expired| expired < sent_at) {
            *renewal = anew;
        }
        renewal.sent_at = renewal.sent_at.max(sent_at);
    }

    /// Its owner ends it before its time.
    pub fn given_up(&mut self, id: LeaseId) {
        self.given_up.insert(id);
    }

    pub fn decided(&mut self, host: usize) {
        *self.decisions.entry(host).or_default() += 1;
    }

    pub fn decided_without_reason(&mut self, host: usize, now: Time) {
        self.reasonless.insert(host, now);
    }

    pub fn decided_with_reason(&mut self, host: usize) {
        self.reasonless.remove(&host);
    }

    /// Anything that is worth a line.
    pub fn is_notable(write: &StoreWrite) -> bool {
        !matches!(write, StoreWrite::PutStatus { .. })
    }
}

fn checksum(events: &[Event]) -> u64 {
    let mut sum = 0xCBF2_9CE4_8422_2325_u64;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    };
    for event in events {
        add(&[u8::from(event.kind == EventKind::Put)]);
        add(&event.kv.key);
        add(&event.kv.value);
        add(&event.kv.mod_revision.0.to_le_bytes());
        add(&event.kv.create_revision.0.to_le_bytes());
        add(&event.kv.lease.map_or(0, |lease| lease.0).to_le_bytes());
    }
    sum
}

impl World {
    pub(crate) fn store_applied(&mut self, host: usize, revision: Revision, events: &[Event]) {
        let sum = checksum(events);
        let run = self.hosts[host].worker_run;
        let (last_run, last) = self.oracle.applied[host];
        if last_run == run && revision <= last {
            return self.violation(format!("the store of m{} went back from revision {last} to {revision}", host + 1));
        }
        self.oracle.applied[host] = (run, revision);
        match self.oracle.revisions.get(&revision) {
            Some(known) if *known != sum => {
                self.violation(format!("revision {revision} has two meanings; m{} applied the second", host + 1));
            }
            Some(_) => {}
            None => {
                self.oracle.revisions.insert(revision, sum);
                self.first_applied(events);
            }
        }
    }

    /// The first member has applied this.
    fn first_applied(&mut self, events: &[Event]) {
        let was_synchronous = self.oracle.truth.config().is_synchronous();
        let before = self.oracle.truth.clone();
        let keys = self.keys.clone();
        for event in events {
            self.oracle.truth.apply(&keys, event);
            self.look_at_expiry(&keys, event);
        }
        self.standby_cluster_changed(&before);
        let is_synchronous = self.oracle.truth.config().is_synchronous();
        if was_synchronous != is_synchronous {
            note!(self, "synchronous mode is {}", if is_synchronous { "on" } else { "off" });
            self.oracle.protected.clear();
        }
        if self.setup.redis {
            self.redis_group_changed(&before.redis_group(crate::redis::GROUP));
        }
        let leader = self.oracle.truth.leader.clone();
        if leader != before.leader {
            match &leader {
                Some(leader) => note!(self, "LEADER {} from revision {}", leader.name, leader.epoch),
                None => note!(self, "NO LEADER"),
            }
            if let Some(leader) = leader {
                self.oracle.leaderships.push(self.now);
                if let Some(host) = self.host_named(&leader.name) {
                    self.leadership_passes(host, &before);
                }
            }
        }
    }

    fn standby_cluster_changed(&mut self, before: &Cluster) {
        let stands = |cluster: &Cluster| cluster.config.as_ref().map(|config| config.value.standby_cluster.is_some());
        let now = stands(&self.oracle.truth);
        self.oracle.always_standby &= now != Some(false);
        if now == stands(before) || stands(before).is_none() {
            return;
        }
        note!(self, "the cluster is to be {}", if now == Some(true) { "a standby cluster" } else { "on its own" });
        self.oracle.protected.clear();
        self.oracle.protected_from = self.newest_branch() + 1;
    }

    /// A job begins.
    pub(crate) fn look_at_standby_cluster(&mut self, host: usize, job: &Job) {
        let makes_primary = matches!(job, Job::Promote { .. } | Job::Start { fence: Some(_), .. } | Job::Initdb);
        let config = self.hosts[host].worker.as_ref().and_then(|worker| worker.cluster.as_ref()).map(Cluster::config);
        if makes_primary && config.is_some_and(|config| config.standby_cluster.is_some()) {
            self.violation(format!("m{} begins {} in a standby cluster", host + 1, job.kind()));
        }
    }

    /// A member key goes only with its lease.
    fn look_at_expiry(&mut self, keys: &Keys, event: &Event) {
        let is_member = keys.name_of(&event.kv.key).is_some_and(|name| name.starts_with("members/"));
        if event.kind != EventKind::Delete || !is_member {
            return;
        }
        let now = self.now;
        let Some(lease) = event.prev_kv.as_ref().and_then(|kv| kv.lease) else { return };
        let Some(renewal) = self.oracle.leases.get_mut(&lease) else { return };
        renewal.expired_at.get_or_insert(now);
        note!(self, "lease {lease} is over: {}", String::from_utf8_lossy(&event.kv.key));
        self.check_lease(lease);
    }

    pub(crate) fn check_lease(&mut self, id: LeaseId) {
        let Some(renewal) = self.oracle.leases.get(&id) else { return };
        if let Some(expired) = renewal.expired_at
            && !self.oracle.given_up.contains(&id)
            && expired < renewal.may_end_at()
        {
            let sent = renewal.sent_at;
            let after = (expired.saturating_sub(sent)) / MS;
            self.violation(format!(
                "lease {id} of {} ended {after} ms after a renewal was sent that the store confirmed",
                renewal.ttl
            ));
        }
    }

    fn leadership_passes(&mut self, to: usize, before: &Cluster) {
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
            if self.hosts[host].postgres.can_acknowledge() && !self.is_excused(host) {
                let (old, new) = (host + 1, to + 1);
                self.violation(format!("the leader key passes to m{new} while m{old} could still acknowledge writes"));
            }
        }
    }

    pub(crate) fn acknowledged(&mut self, host: usize, branch: u32, end: u64, number: u64, waited: bool) {
        let synchronous = self.oracle.truth.config().is_synchronous();
        let oracle = &mut self.oracle;
        oracle.acknowledged += 1;
        oracle.last_acknowledged_at = self.now;
        if oracle.proxied.remove(&number) {
            oracle.proxied_acknowledged_at = self.now;
        }
        let newest = oracle.newest_acknowledging;
        let mine =
            oracle.truth.sync.as_ref().is_some_and(|sync| sync.value.leader.as_ref() == Some(&self.hosts[host].name));
        let kept = branch >= oracle.protected_from && oracle.truth.config().standby_cluster.is_none();
        let promised = synchronous && kept && (mine || waited);
        // What standbys had confirmed before the stop may be answered after it; whether it is lost is looked at below.
        if branch < newest && !self.is_excused(host) {
            return self.violation(format!(
                "m{} acknowledged write {number} as an old primary (branch {branch}, the newest is {newest})",
                host + 1
            ));
        }
        let oracle = &mut self.oracle;
        oracle.newest_acknowledging = newest.max(branch);
        if !promised {
            return;
        }
        let protected = oracle.protected.entry(branch).or_default();
        *protected = end.max(*protected);
        let (newest_branch, owner) = oracle.newest_branch;
        let has_it = |wal: &crate::postgres::wal::Wal| wal.branch() != newest_branch || wal.contains(branch, end);
        if newest_branch > branch
            && let Some(cluster) = self.hosts[owner].postgres.data.cluster()
            && !has_it(&cluster.wal)
        {
            self.violation(format!(
                "m{} acknowledged write {number} in synchronous mode, which the newer primary m{} does not have",
                host + 1,
                owner + 1
            ));
        }
    }

    /// A PostgreSQL accepts writes from now on.
    pub(crate) fn primary_begins(&mut self, host: usize) {
        if self.oracle.always_standby {
            return self.violation(format!("m{} is a primary in a standby cluster", host + 1));
        }
        let Some(cluster) = self.hosts[host].postgres.data.cluster() else { return };
        let branch = cluster.wal.branch();
        let lost = self.oracle.protected.iter().find(|(branch, end)| !cluster.wal.contains(**branch, **end));
        let lost = lost.map(|(branch, end)| (*branch, *end));
        if branch > self.oracle.newest_branch.0 {
            self.oracle.newest_branch = (branch, host);
        }
        // An old primary that starts again is another matter: whatever it acknowledges is looked at then.
        if let Some((from, end)) = lost
            && branch >= self.oracle.newest_branch.0
        {
            let what = format!("branch {from} up to {end:#x}");
            self.violation(format!(
                "m{} is a primary without everything that was acknowledged in synchronous mode: {what}",
                host + 1
            ));
        }
    }

    /// Twice a second: reasons, and convergence after healing.
    pub(crate) fn sample(&mut self) {
        self.plan(SECOND / 2, crate::world::Happening::Sample);
        for (host, count) in std::mem::take(&mut self.oracle.decisions) {
            if count > DECISIONS_MAX {
                self.violation(format!("m{} decides without a pause: {count} times in half a second", host + 1));
            }
        }
        if let Some((host, count)) = self.oracle.redis.restless() {
            self.violation(format!(
                "m{} decides about Redis without a pause: {count} times in half a second",
                host + 1
            ));
        }
        let primary = self.hosts.iter().any(|host| host.postgres.phase() == Some(Phase::Primary));
        if !primary && let Some((host, _)) = self.oracle.reasonless.first_key_value() {
            let host = *host;
            if self.hosts[host].worker.as_ref().is_some_and(|worker| worker.frozen == 0) {
                self.violation(format!("there is no primary, and m{} gives no reason", host + 1));
            }
        }
        // The order may be lost with the member it was given to; people repeat it.
        if self.oracle.healed_at.is_some() && self.oracle.truth.is_paused() {
            self.give_order(crate::operator::Order::Resume);
        }
        self.look_at_convergence();
    }
}
