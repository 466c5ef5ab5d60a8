//! Keeps the member's lease apart from decisions, and the guard's fence with it.

use crate::clock::{MS, Time};
use crate::mutant::Mutant;
use crate::say;
use crate::store::client::Purpose;
use crate::store::{Answer, Request};
use crate::worker::WorkerEvent;
use crate::worker::failsafe::renewal_within;
use crate::world::World;
use ha::guard::{ServerKind, ToGuard};
use ha::lease::{Lease, Withhold, may_renew, renew_interval, until_renewal};
use ha::postgres::Arming;
use kv::{Command, Response};
use types::{LeaseId, Millis};

const GRANT_RETRY_PAUSE: Time = 100 * MS;

impl World {
    /// The guard has said hello: the lease of the worker before, or a new one.
    pub(crate) fn keeper_starts(&mut self, host: usize, memo: &str) {
        let sent_at = self.now;
        let sent = self.hosts[host].clock.read(sent_at);
        self.worker_soon(host, MS, WorkerEvent::Heartbeat);
        match memo.split_once(' ').and_then(|(id, ttl)| Some((id.parse().ok()?, ttl.parse().ok()?))) {
            Some((id, ttl)) => {
                let purpose = Purpose::Renew { id: LeaseId(id), ttl: Millis(ttl), sent, sent_at };
                self.ask_lease(host, purpose, Command::LeaseKeepAlive { id: LeaseId(id) });
            }
            None => self.keep(host),
        }
    }

    fn ask_lease(&mut self, host: usize, purpose: Purpose, command: Command) {
        self.ask_lease_within(host, purpose, command, None);
    }

    fn ask_lease_within(&mut self, host: usize, purpose: Purpose, command: Command, within: Option<Time>) {
        if let Some(worker) = &mut self.hosts[host].worker {
            worker.asking = true;
        }
        self.call_within(host, purpose, Request::Change(command), within);
    }

    pub(crate) fn heartbeat(&mut self, host: usize) {
        let now = self.now;
        let Some(worker) = &self.hosts[host].worker else { return };
        let interval = renew_interval(worker.lease.map_or(worker.ttl, |lease| lease.ttl));
        self.tell_guard(host, ToGuard::Heartbeat { sequence: now });
        self.worker_soon(host, interval.0 * MS, WorkerEvent::Heartbeat);
    }

    /// One step: ask for a lease, or renew the one there is.
    pub(crate) fn keep(&mut self, host: usize) {
        let sent_at = self.now;
        let sent = self.hosts[host].clock.read(sent_at);
        let blindly = self.setup.mutant == Some(Mutant::RenewBlindly);
        let Some(worker) = &self.hosts[host].worker else { return };
        if worker.asking || worker.refused {
            return;
        }
        let Some(lease) = worker.lease else {
            let ttl = worker.ttl;
            return self.ask_lease(host, Purpose::Grant { sent, sent_at }, Command::LeaseGrant { id: None, ttl });
        };
        let decided_at = worker.redis.decided_at.map_or(worker.decided_at, |at| at.min(worker.decided_at));
        let led_under = worker.led_under.of(&lease);
        match may_renew(sent, led_under, worker.guard_answered_at, decided_at) {
            Err(Withhold::Fenced) if !blindly && !lease.is_valid(sent) => {
                say!(self, host, "keeper: lease {} is left to its end", lease.id);
                self.lose_lease(host);
            }
            Err(why) if !blindly => {
                say!(self, host, "keeper: the lease is not renewed: {why:?}");
                self.keep_later(host, lease.ttl);
            }
            Ok(()) | Err(_) => {
                let purpose = Purpose::Renew { id: lease.id, ttl: lease.ttl, sent, sent_at };
                let others = worker.failsafe.whom(&lease).map(|_| renewal_within(&lease, sent));
                let within = led_under.filter(|_| !blindly).map(|lease| lease.fence().since(sent).0 * MS);
                let within = others.into_iter().chain(within).min();
                self.ask_lease_within(host, purpose, Command::LeaseKeepAlive { id: lease.id }, within);
            }
        }
    }

    pub(crate) fn granted(&mut self, host: usize, sent: Millis, sent_at: Time, answer: &Answer) {
        let Some(worker) = &mut self.hosts[host].worker else { return };
        worker.asking = false;
        let granted = match answer {
            Answer::Changed { response: Response::LeaseGrant { id, ttl }, .. } => Some((*id, *ttl)),
            Answer::Changed { .. }
            | Answer::Refused(_)
            | Answer::Loaded { .. }
            | Answer::NotTaken
            | Answer::Unknown => None,
        };
        let Some((id, ttl)) = granted else {
            return self.worker_soon(host, GRANT_RETRY_PAUSE, WorkerEvent::Keep);
        };
        worker.lease = Some(Lease { id, ttl, renewed_at: sent });
        say!(self, host, "keeper: lease {id} for {ttl}");
        self.oracle.renewed(id, ttl, sent_at);
        self.tell_guard(host, ToGuard::Memo { text: format!("{} {}", id.0, ttl.0) });
        self.after_renewal(host);
        self.decide_soon(host);
        self.redis_decide_soon(host);
    }

    pub(crate) fn renewed(
        &mut self,
        host: usize,
        id: LeaseId,
        ttl: Millis,
        sent: Millis,
        sent_at: Time,
        answer: &Answer,
    ) {
        let Some(worker) = &mut self.hosts[host].worker else { return };
        worker.asking = false;
        let first = worker.lease.is_none();
        match answer {
            Answer::Changed { response: Response::LeaseKeepAlive { .. }, .. } => {
                let lease = Lease { id, ttl, renewed_at: sent };
                worker.lease = Some(lease);
                worker.failsafe.confirmed(&lease);
                self.oracle.renewed(id, ttl, sent_at);
                self.check_lease(id);
                self.after_renewal(host);
                if first {
                    say!(self, host, "keeper: takes up lease {id}");
                    self.decide_soon(host);
                    self.redis_decide_soon(host);
                }
            }
            Answer::Refused(_) => {
                say!(self, host, "keeper: lease {id} is gone");
                self.lose_lease(host);
            }
            Answer::Changed { .. } | Answer::Loaded { .. } | Answer::NotTaken | Answer::Unknown => {
                say!(self, host, "keeper: the lease was not renewed");
                if self.ask_for_consent(host) {
                    return;
                }
                self.keep_later(host, ttl);
            }
        }
    }

    fn lose_lease(&mut self, host: usize) {
        let Some(worker) = &mut self.hosts[host].worker else { return };
        worker.lease = None;
        self.vip_lease(host);
        self.decide_soon(host);
        self.redis_decide_soon(host);
        self.keep(host);
    }

    pub(crate) fn after_renewal(&mut self, host: usize) {
        let Some(worker) = &self.hosts[host].worker else { return };
        self.keep_later(host, worker.lease.map_or(worker.ttl, |lease| lease.ttl));
        self.arm(host);
    }

    pub(crate) fn keep_later(&mut self, host: usize, ttl: Millis) {
        let wait = until_renewal(ttl, self.hosts[host].clock.wall_millis(self.now));
        self.worker_soon(host, wait.0 * MS, WorkerEvent::Keep);
    }

    /// Tells the guard what the last decision wants; after every renewal, and when that changes.
    pub(crate) fn arm(&mut self, host: usize) {
        self.vip_lease(host);
        let now = self.hosts[host].clock.read(self.now);
        let Some(worker) = &self.hosts[host].worker else { return };
        let Some(lease) = worker.lease else { return };
        let servers = [
            (ServerKind::Postgres, worker.arming, worker.armed),
            (ServerKind::Redis, worker.redis.arming, worker.redis.armed),
        ];
        for (server, (arming, decided_under), armed) in servers {
            // Whoever led under another lease may lead no more, and a decision about that is still to come.
            let for_this_lease = decided_under == Some(lease.id);
            match arming {
                Arming::Arm if for_this_lease && armed.is_none_or(|until| until < lease.fence()) => {
                    if let Some(worker) = &mut self.hosts[host].worker {
                        worker.led_under.armed(&lease);
                    }
                    self.tell_guard(host, ToGuard::Arm { server, until: lease.fence() });
                }
                Arming::Disarm if armed.is_some() => {
                    let others_are_armed = servers.iter().any(|(other, _, armed)| *other != server && armed.is_some());
                    if let Some(worker) = &mut self.hosts[host].worker {
                        worker.led_under.disarmed(&lease, now, others_are_armed);
                    }
                    self.tell_guard(host, ToGuard::Disarm { server });
                }
                Arming::Arm | Arming::Disarm | Arming::Leave => {}
            }
        }
    }

    /// The worker's own fence, for a guard that is frozen: the real `ha::backstop`.
    pub(crate) fn look_at_fence(&mut self, host: usize) {
        let now = self.hosts[host].clock.read(self.now);
        let ignored = matches!(self.setup.mutant, Some(Mutant::SkipFence | Mutant::RenewBlindly));
        let Some(worker) = &mut self.hosts[host].worker else { return };
        worker.look_at = None;
        let due = worker.backstop.look(now);
        if due.contains(&ServerKind::Postgres) && !ignored && self.hosts[host].postgres.server.is_some() {
            say!(self, host, "worker: the fence has passed and the guard did nothing; PostgreSQL is killed");
            self.kill_postgres(host);
        }
        if due.contains(&ServerKind::Redis) {
            self.redis_ends(host, "killed by the worker, whose guard did nothing");
        }
        self.plan_backstop(host);
    }

    /// After everything that goes over the line to the guard, or comes from it.
    pub(crate) fn plan_backstop(&mut self, host: usize) {
        let (now, clock) = (self.now, self.hosts[host].clock.clone());
        let Some(worker) = &mut self.hosts[host].worker else { return };
        let Some(at) = worker.backstop.next_look().map(|at| clock.when(at, now)) else { return };
        if worker.look_at.is_none_or(|earlier| earlier > at) {
            worker.look_at = Some(at);
            self.worker_soon(host, at - now, WorkerEvent::LookAtFence);
        }
    }
}
