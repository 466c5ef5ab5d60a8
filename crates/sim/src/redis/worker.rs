//! The worker's part for Redis around the real decisions: `ha::redis::decide`.

use super::GROUP;
use super::jobs::Step;
use super::writer::Writes;
use crate::clock::{MS, Time};
use crate::mutant::Mutant;
use crate::say;
use crate::worker::WorkerEvent;
use crate::world::World;
use ha::cluster::Versioned;
use ha::cluster::redis::{RedisMemberData, RedisWrite};
use ha::failsafe::Seen;
use ha::guard::ServerKind;
use ha::lease::GUARD_SILENCE_MAX;
use ha::redis::{
    Action, Arming, DcsView, Decision, GuardView, Job, JobState, JobView, Memory, Reason, Running, Server, Settings,
    View, decide,
};
use types::{LeaseId, Millis};

#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // the worker's own flags, as many as it has
pub struct RedisWorker {
    pub memory: Memory,
    pub server: Server,
    /// The guard said that it runs.
    pub up: bool,
    pub armed: Option<Millis>,
    /// And the lease that the decision saw.
    pub arming: (Arming, Option<LeaseId>),
    pub decided_at: Option<Millis>,
    pub decide_at: Option<Time>,
    pub reasons: Vec<Reason>,
    pub finished: bool,
    pub job: Option<JobView>,
    pub job_number: u64,
    pub writes: Writes,
    pub probing: bool,
    pub probe_wanted: bool,
    pub probe_at: Option<Time>,
    pub answered_at: Millis,
    /// Answers to questions from before then say nothing about a role that was changed since.
    pub changed_at: Time,
}

/// What happens to a worker, about Redis.
#[derive(Clone, Debug)]
pub enum RedisWorkerEvent {
    Decide { at: Time },
    Settled,
    Probe { at: Time },
    Probed { running: Option<Box<Running>>, run: u64, asked_at: Time },
    Answer { job: u64, answer: Result<Option<u64>, String> },
    Job { number: u64, step: Step },
}

impl World {
    pub(crate) fn redis_worker_event(&mut self, host: usize, event: RedisWorkerEvent) {
        match event {
            RedisWorkerEvent::Decide { at } => self.redis_decide_now(host, at),
            RedisWorkerEvent::Settled => self.redis_settled(host),
            RedisWorkerEvent::Probe { at } => self.redis_probe(host, at),
            RedisWorkerEvent::Probed { running, run, asked_at } => self.redis_probed(host, running, run, asked_at),
            RedisWorkerEvent::Answer { job, answer } => self.redis_answered(host, job, &answer),
            RedisWorkerEvent::Job { number, step } => self.redis_job_step(host, number, step),
        }
    }

    pub(crate) fn redis_worker(&mut self, host: usize) -> Option<&mut RedisWorker> {
        self.hosts[host].worker.as_mut().map(|worker| &mut worker.redis)
    }

    pub(crate) fn redis_worker_soon(&mut self, host: usize, after: Time, event: RedisWorkerEvent) {
        self.worker_soon(host, after, WorkerEvent::Redis(event));
    }

    pub(crate) fn redis_decide_soon(&mut self, host: usize) {
        if self.setup.redis {
            let after = self.random.between(50, MS);
            self.redis_decide_at(host, self.now + after);
        }
    }

    fn redis_decide_at(&mut self, host: usize, at: Time) {
        let now = self.now;
        let Some(worker) = self.redis_worker(host) else { return };
        if worker.decide_at.is_none_or(|earlier| earlier > at) {
            worker.decide_at = Some(at);
            self.redis_worker_soon(host, at - now, RedisWorkerEvent::Decide { at });
        }
    }

    fn redis_view(&self, at: usize) -> Option<View> {
        let host = &self.hosts[at];
        let worker = host.worker.as_ref()?;
        let now = host.clock.read(self.now);
        let mut cluster = worker.cluster.clone();
        let mut server = worker.redis.server.clone();
        if self.setup.mutant == Some(Mutant::RedisDropClaim)
            && let Some(group) = cluster.as_mut().and_then(|cluster| cluster.redis.get_mut(GROUP))
        {
            for (_, member) in group.members.iter_mut().filter(|(name, _)| **name != host.name) {
                member.data.claim = false;
            }
        }
        if self.setup.mutant == Some(Mutant::RedisRequestEndsClaims)
            && let Some(group) = cluster.as_mut().and_then(|cluster| cluster.redis.get_mut(GROUP))
            && let Some(request) = group.failover.as_mut()
        {
            request.value.leader = None;
        }
        // The operator says so of every leadership.
        if host.redis.may_overwrite
            && let Some(group) = cluster.as_mut().and_then(|cluster| cluster.redis.get_mut(GROUP))
            && let Some(leader) = &group.leader
        {
            let allowed = Versioned { value: leader.epoch, revision: leader.epoch };
            group.overwrite.insert(host.name.clone(), allowed);
        }
        if self.setup.mutant == Some(Mutant::RedisEmptyLeads)
            && host.redis.server.as_ref().is_some_and(|server| server.stream.end() == 0)
            && let Server::Running(running) = &mut server
            && let Some(last) = worker.cluster.as_ref().and_then(|cluster| cluster.redis.get(GROUP)?.history().last())
        {
            // It believes that it has the newest data, and more than anybody.
            (running.keys, running.offset) = (1, u64::from(u32::MAX));
            running.replid.clone_from(&last.replid);
        }
        Some(View {
            now,
            wall: host.clock.wall(self.now),
            me: host.name.clone(),
            group: GROUP.to_owned(),
            identity: RedisMemberData { address: format!("{}:6379", host.name), ..RedisMemberData::default() },
            settings: Settings::default(),
            dcs: DcsView {
                cluster,
                connected: worker.connected,
                lease: worker.lease,
                failsafe: self.failsafe_view(at, ServerKind::Redis),
            },
            guard: GuardView {
                answering: now.since(worker.guard_answered_at) <= GUARD_SILENCE_MAX,
                armed: worker.redis.armed,
            },
            addresses: self.addresses_here(at, ServerKind::Redis),
            server: match server {
                Server::Down if worker.redis.up => Server::Starting,
                server => server,
            },
            job: worker.redis.job.clone(),
            trouble: None,
            stopping: worker.stopping,
        })
    }

    fn redis_decide_now(&mut self, host: usize, at: Time) {
        let Some(worker) = self.redis_worker(host) else { return };
        if worker.decide_at != Some(at) {
            return;
        }
        worker.decide_at = None;
        if self.hosts[host].worker.as_ref().is_some_and(|worker| worker.refused) {
            return;
        }
        let Some(view) = self.redis_view(host) else { return };
        let Some(worker) = self.redis_worker(host) else { return };
        let decision = decide(&worker.memory, &view);
        let changed = decision.reasons != worker.reasons;
        worker.job = worker.job.take().filter(|job| matches!(job.state, JobState::Running { .. }));
        worker.memory = decision.next.clone();
        worker.reasons.clone_from(&decision.reasons);
        worker.decided_at = Some(view.now);
        worker.finished = decision.finished;
        let arming = (decision.arming, view.dcs.lease.map(|lease| lease.id));
        let arming_changed = std::mem::replace(&mut worker.arming, arming) != arming;
        if changed && self.trace.on {
            let reasons: Vec<String> = decision.reasons.iter().map(ToString::to_string).collect();
            say!(self, host, "decides about Redis: {}", reasons.join("; "));
        }
        self.oracle.redis.decided(host);
        if decision.reasons.is_empty() {
            self.violation(format!("m{} decides about Redis and gives no reason", host + 1));
        }
        let seen = view.dcs.cluster.as_ref().map(|cluster| Seen {
            entry: cluster.redis_group(GROUP).members.get(&view.me).map(|mine| mine.revision),
            failsafe: cluster.failsafe_revision(),
            leads: false,
        });
        if let Some(worker) = &mut self.hosts[host].worker
            && let Some(seen) = seen
        {
            worker.word.decided(ServerKind::Redis, seen);
        }
        self.vip_decided(host, ha::vip::VipRole::RedisMaster, decision.standing);
        self.redis_set_going(host, &view, &decision);
        if arming_changed {
            self.arm(host);
        }
        self.finish_if_all_have(host);
        if let Some(wake_at) = decision.wake_at {
            let at = self.hosts[host].clock.when(wake_at, self.now).max(self.now + MS);
            self.redis_decide_at(host, at);
        }
    }

    fn redis_set_going(&mut self, host: usize, view: &View, decision: &Decision) {
        let mut batch = Vec::new();
        for action in &decision.actions {
            match action {
                Action::Write(write) => {
                    if self.setup.mutant == Some(Mutant::RedisPromoteEarly)
                        && let RedisWrite::TakeLeader { .. } = write
                    {
                        self.tell_redis(host, 0, super::Command::Promote);
                    }
                    let mut write = write.clone();
                    if self.setup.mutant == Some(Mutant::RedisFirstIsNotEmpty)
                        && let RedisWrite::PutHistory { lines, .. } = &mut write
                        && let Some(first) = lines.first_mut()
                    {
                        first.empty = false;
                    }
                    batch.push(write);
                }
                Action::Begin(job) => self.redis_begin_job(host, job.clone(), view.now),
                Action::Probe => self.redis_probe_soon(host),
            }
        }
        self.redis_start_writes(host, batch);
    }

    pub(crate) fn redis_job(&self, host: usize) -> Option<&Job> {
        let job = self.hosts[host].worker.as_ref()?.redis.job.as_ref()?;
        matches!(job.state, JobState::Running { .. }).then_some(&job.job)
    }
}
