//! Processes come and go: the service manager, kills, freezes, power.

use crate::clock::{Clock, MS, SECOND, Time};
use crate::guard::{GuardInput, GuardProcess};
use crate::mutant::Mutant;
use crate::say;
use crate::store::Request;
use crate::store::client::Purpose;
use crate::worker::WorkerEvent;
use crate::world::{Happening, World};
use ha::guard::{Guard, ToGuard};
use ha::lease::GUARD_SILENCE_MAX;
use kv::Command;

/// Worker and guard count as stopped together when one stopped so shortly after the other that the first could not do
/// its part: the guard's silence is noticed after `GUARD_SILENCE_MAX`, and the lease at that time goes on for a while.
const TOGETHER: Time = (GUARD_SILENCE_MAX.0 + 500) * MS;

impl World {
    /// systemd's `Restart=always`: what is left of the service is killed before it starts anew.
    pub(crate) fn service_starts(&mut self, host: usize) {
        if !self.hosts[host].up || self.hosts[host].guard.is_some() {
            return;
        }
        self.kill_worker(host);
        if self.hosts[host].postgres.server.is_some() {
            self.postgres_ends(host, "killed with its service");
        }
        if self.hosts[host].redis.server.is_some() {
            self.redis_ends(host, "killed with its service");
        }
        self.card_is_cleared(host);
        let now = self.hosts[host].clock.read(self.now);
        let state = &mut self.hosts[host];
        state.guard_run += 1;
        let run = state.guard_run;
        state.guard = Some(GuardProcess {
            run,
            guard: Guard::new(now),
            frozen: 0,
            frozen_at: None,
            backlog: Vec::new(),
            tick_at: None,
        });
        say!(self, host, "guard: runs");
        self.guard_soon(host, 0, GuardInput::Tick);
    }

    pub(crate) fn spawn_worker(&mut self, host: usize) {
        let after = self.random.between(20 * MS, 120 * MS);
        let state = &mut self.hosts[host];
        state.worker_run += 1;
        state.pipe.clear();
        let run = state.worker_run;
        self.plan(after, Happening::WorkerStarts { host, run });
    }

    /// The worker process ends, whatever the reason.
    pub(crate) fn kill_worker(&mut self, host: usize) {
        if self.hosts[host].worker.is_none() {
            return;
        }
        self.tear_disk(host, false);
        let Some(worker) = self.hosts[host].worker.take() else { return };
        say!(self, host, "worker: is gone");
        self.hosts[host].worker_gone_at = worker.frozen_at.unwrap_or(self.now);
        let run = worker.run;
        for session in worker.node.iter().flat_map(|node| &node.sessions) {
            self.send_to_agent(host, session.host, session.run, WorkerEvent::WatchBroken { session: session.id });
        }
        let after = self.random.between(100, 2 * MS);
        self.guard_soon(host, after, GuardInput::WorkerExited { run });
    }

    /// The agent ends in order.
    pub(crate) fn worker_finishes(&mut self, host: usize, leave_running: bool) {
        self.tell_guard(host, ToGuard::Finish { leave_running });
        let run = self.hosts[host].worker_run;
        let at = self.hosts[host].to_guard_at - self.now;
        self.plan(at + MS, Happening::WorkerEnds { host, run });
    }

    /// The agent ends because it cannot look after one of its servers. Its lease carries the claims of the other one, too: it
    /// gives it up only where none runs.
    pub(crate) fn role_refuses(&mut self, host: usize) {
        let none_runs = self.hosts[host].postgres.server.is_none() && self.hosts[host].redis.server.is_none();
        let Some(worker) = self.hosts[host].worker.as_mut().filter(|worker| worker.frozen == 0) else { return };
        worker.refused = true;
        let run = worker.run;
        say!(self, host, "worker: refuses one of its servers");
        if let Some(lease) = self.hosts[host].worker.as_ref().and_then(|worker| worker.lease)
            && (none_runs || self.setup.mutant == Some(Mutant::RedisRefusalEndsLease))
        {
            self.oracle.given_up(lease.id);
            let revoke = Request::Change(Command::LeaseRevoke { id: lease.id });
            self.call(host, Purpose::Operator, revoke);
        }
        let after = self.random.between(20 * MS, 200 * MS);
        self.plan(after, Happening::WorkerEnds { host, run });
    }

    pub(crate) fn kill_guard(&mut self, host: usize) {
        if self.hosts[host].guard.take().is_none() {
            return;
        }
        self.hosts[host].guard_gone_at = self.now;
        say!(self, host, "guard: is gone");
        // The kernel ends the postmaster with its parent; the worker sees its pipe close.
        self.postmaster_dies(host, "its guard died", false);
        self.redis_ends(host, "its guard died");
        let run = self.hosts[host].worker_run;
        let after = self.random.between(100, 5 * MS);
        self.plan(after, Happening::WorkerEnds { host, run });
        let after = self.random.between(200 * MS, 2 * SECOND);
        self.plan(after, Happening::ServiceStarts { host });
    }

    pub(crate) fn power_off(&mut self, host: usize) {
        if !self.hosts[host].up {
            return;
        }
        say!(self, host, "the power is gone");
        self.hosts[host].up = false;
        self.tear_disk(host, true);
        let run = self.hosts[host].postgres.run;
        self.close_connections(host, run);
        if self.setup.redis {
            self.redis_loses_power(host);
        }
        self.card_is_cleared(host);
        let state = &mut self.hosts[host];
        state.worker = None;
        state.worker_gone_at = self.now;
        state.guard = None;
        state.postgres.server = None;
        state.postgres.backlog.clear();
        state.postgres.frozen = 0;
        state.postgres.run += 1;
    }

    pub(crate) fn power_on(&mut self, host: usize) {
        if self.hosts[host].up {
            return;
        }
        say!(self, host, "the power is back");
        let ppm = self.random.between(0, 400) as i64 - 200;
        let offset = self.random.between(SECOND, 20 * SECOND);
        // The boot clock begins anew; processes of before are gone, so nobody sees it go back.
        self.hosts[host].clock = Clock::starting(offset, ppm, self.now);
        self.hosts[host].up = true;
        let after = self.random.between(300 * MS, 3 * SECOND);
        self.plan(after, Happening::ServiceStarts { host });
    }

    pub(crate) fn freeze_worker(&mut self, host: usize) {
        let now = self.now;
        if let Some(worker) = &mut self.hosts[host].worker {
            worker.frozen += 1;
            worker.frozen_at.get_or_insert(now);
            say!(self, host, "worker: frozen");
        }
    }

    pub(crate) fn thaw_worker(&mut self, host: usize, run: u64) {
        self.excuse(host);
        let Some(worker) = self.hosts[host].worker.as_mut().filter(|worker| worker.run == run) else { return };
        worker.frozen = worker.frozen.saturating_sub(1);
        if worker.frozen > 0 {
            return;
        }
        worker.frozen_at = None;
        let backlog = std::mem::take(&mut worker.backlog);
        say!(self, host, "worker: goes on");
        self.replay(backlog);
        let refused = self.hosts[host].worker.as_ref().is_some_and(|worker| worker.refused);
        if refused || self.hosts[host].guard.is_none() {
            self.plan(MS, Happening::WorkerEnds { host, run });
        }
    }

    pub(crate) fn freeze_guard(&mut self, host: usize) {
        let now = self.now;
        if let Some(guard) = &mut self.hosts[host].guard {
            guard.frozen += 1;
            guard.frozen_at.get_or_insert(now);
            say!(self, host, "guard: frozen");
        }
    }

    pub(crate) fn thaw_guard(&mut self, host: usize, run: u64) {
        self.excuse(host);
        let Some(guard) = self.hosts[host].guard.as_mut().filter(|guard| guard.run == run) else { return };
        guard.frozen = guard.frozen.saturating_sub(1);
        if guard.frozen > 0 {
            return;
        }
        guard.frozen_at = None;
        let backlog = std::mem::take(&mut guard.backlog);
        say!(self, host, "guard: goes on");
        self.replay(backlog);
    }

    pub(crate) fn freeze_postgres(&mut self, host: usize) {
        self.hosts[host].postgres.frozen += 1;
    }

    pub(crate) fn thaw_postgres(&mut self, host: usize) {
        let postgres = &mut self.hosts[host].postgres;
        postgres.frozen = postgres.frozen.saturating_sub(1);
        if postgres.frozen == 0 {
            let backlog = std::mem::take(&mut postgres.backlog);
            self.replay(backlog);
        }
    }

    pub(crate) fn replay(&mut self, backlog: Vec<Happening>) {
        // All of it before anything that arrives from now on: a connection keeps its order.
        for happening in backlog {
            self.plan(0, happening);
        }
    }

    /// Neither worker nor guard can act, and neither could have acted on the other's silence.
    pub(crate) fn both_stopped(&self, host: usize) -> bool {
        let state = &self.hosts[host];
        let worker = match &state.worker {
            Some(worker) => worker.frozen_at,
            None => Some(state.worker_gone_at),
        };
        // A guard that is gone takes the postmaster along; backends that are stopped themselves are still there.
        let guard = match &state.guard {
            Some(guard) => guard.frozen_at,
            None => (state.postgres.frozen > 0).then_some(state.guard_gone_at),
        };
        let ttl = self.oracle.truth.config().ttl.0.max(1_500) * MS;
        matches!((worker, guard), (Some(worker), Some(guard)) if worker.abs_diff(guard) < TOGETHER + ttl)
    }

    fn excuse(&mut self, host: usize) {
        if self.both_stopped(host) {
            let ttl = self.oracle.truth.config().ttl.0.max(1_500) * MS;
            // After a stop of the machine's own clock the lease seems valid for as long as it was then.
            let until = self.now + ttl;
            let state = &mut self.hosts[host];
            state.excused_until = state.excused_until.max(until);
        }
    }

    pub(crate) fn is_excused(&self, host: usize) -> bool {
        self.both_stopped(host) || self.now < self.hosts[host].excused_until
    }
}
