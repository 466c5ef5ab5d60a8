//! The decision cycle for Redis: something happened, so build the view, decide, and set the decision going.
//!
//! Deliberately thin: every rule is in `ha::redis`. The invariant: nothing here waits for anything slow, so a decision is
//! never late because of Redis, the store or a disk.

use super::executor::JobEnd;
use super::instance::Instance;
use super::last_words::last_words;
use super::observer::Observation;
use super::publish::Published;
use super::state::State;
use crate::agent::End;
use crate::agent::failsafe::Failsafe;
use crate::agent::guard_link::GuardLink;
use crate::agent::keeper::KeeperState;
use crate::agent::vip::Vips;
use crate::agent::writer::{self, BatchOutcome, Write, Writes};
use dcs::{Dcs, DcsView as StoreView};
use ha::cluster::StoreWrite;
use ha::cluster::redis::RedisMemberData;
use ha::guard::{FromGuard, ServerKind};
use ha::lease::GUARD_SILENCE_MAX;
use ha::redis::{Action, DcsView, Decision, GuardView, Job, JobState, JobView, Reason, Settings, View, decide};
use platform::boot_clock;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, watch};
use types::Millis;

/// What wakes the cycle, besides time.
pub struct Inputs {
    pub store: watch::Receiver<Arc<StoreView>>,
    pub guard: mpsc::Receiver<FromGuard>,
    pub observations: mpsc::Receiver<Observation>,
    pub batches: mpsc::Receiver<BatchOutcome>,
    pub jobs: mpsc::Receiver<JobEnd>,
    /// Why a server that ended before it answered did so.
    pub last_words: mpsc::Receiver<String>,
}

/// Where the cycle's results go.
pub struct Outputs {
    pub batches: mpsc::Sender<BatchOutcome>,
    pub jobs: mpsc::Sender<Job>,
    pub probe: Arc<Notify>,
    pub last_words: mpsc::Sender<String>,
    pub published: Published,
}

pub struct Cycle {
    pub instance: Arc<Instance>,
    pub identity: RedisMemberData,
    pub dcs: Dcs,
    pub guard: GuardLink,
    pub keeper: Arc<KeeperState>,
    pub vips: Vips,
    pub failsafe: Failsafe,
    /// Until the cluster has a configuration.
    pub ttl: Millis,
    pub outputs: Outputs,
    pub state: State,
}

impl Cycle {
    pub async fn run(mut self, mut inputs: Inputs) -> End {
        let mut leases = self.keeper.lease();
        let mut lease_id = None;
        loop {
            let wake = self.state.next_wake().since(boot_clock()).into();
            let mut decide_now = true;
            tokio::select! {
                changed = inputs.store.changed() => if changed.is_err() { return End::GuardGone },
                message = inputs.guard.recv() => match message {
                    Some(message) => {
                        self.look_for_last_words(&message);
                        self.state.heard(&message);
                    }
                    None => return End::GuardGone,
                },
                Some(observation) = inputs.observations.recv() => {
                    decide_now = self.observed(observation);
                }
                Some(outcome) = inputs.batches.recv() => {
                    self.failsafe.written(ServerKind::Redis, &outcome);
                    self.state.writes = self.state.writes.after(&outcome, self.state.revision);
                }
                Some(end) = inputs.jobs.recv() => self.job_ended(end),
                Some(why) = inputs.last_words.recv() => decide_now = self.state.is_in_trouble(why),
                _ = leases.changed() => {
                    let id = leases.borrow_and_update().map(|lease| lease.id);
                    decide_now = std::mem::replace(&mut lease_id, id) != id;
                }
                () = tokio::time::sleep(wake) => {}
            }
            // News of the store that came together with something of no interest.
            decide_now |= inputs.store.has_changed().unwrap_or(false);
            let store = inputs.store.borrow_and_update().clone();
            self.take_view(&store);
            let decision = decide_now.then(|| {
                let view = self.view(&store);
                let decision = decide(&self.state.memory, &view);
                self.state.job = self.state.job.take().filter(|job| matches!(job.state, JobState::Running { .. }));
                // Before Redis is told to follow or to end.
                self.vips.decided(ha::vip::VipRole::RedisMaster, decision.standing);
                self.failsafe.decided_redis(&view.dcs, &self.instance.config.name);
                self.set_going(&decision);
                self.keeper.decided(ServerKind::Redis, decision.arming, view.dcs.lease);
                decision
            });
            let vouched = self.failsafe.vouches_for(store.cluster.leader_name());
            let lease = *self.keeper.lease().borrow();
            self.outputs.published.update(&self.state, &store, vouched, lease, decision.as_ref());
            if decision.is_some_and(|decision| decision.finished) {
                return End::Finished;
            }
        }
    }

    /// The disk may be slow, so they come later.
    fn look_for_last_words(&self, message: &FromGuard) {
        let FromGuard::Exited { status, .. } = message else { return };
        if self.state.ends_before_it_answers(status) {
            let (log, status, sender) = (self.instance.log_file(), status.clone(), self.outputs.last_words.clone());
            // When nobody takes them, the agent is ending.
            tokio::task::spawn_blocking(move || drop(sender.blocking_send(last_words(&log, &status))));
        }
    }

    fn take_view(&mut self, store: &StoreView) {
        if store.generation > 0 && store.cluster.revision != self.state.revision {
            self.state.revision = store.cluster.revision;
            let group = store.cluster.redis_group(&self.instance.config.name);
            self.state.set_group(group);
            // A cluster with PostgreSQL gets it from there.
            let with_postgresql = store.cluster.initialize.is_some() || !store.cluster.members.is_empty();
            self.state.has_configuration = Some(with_postgresql || store.cluster.config_text.is_some());
        }
        self.state.writes = self.state.writes.seen(self.state.revision);
        let ttl = store.cluster.config.as_ref().map_or(self.ttl, |config| config.value.ttl);
        let leads = self.state.group.is_leader(&self.instance.member.name);
        self.keeper.set_ttl(ServerKind::Redis, Some(ttl).filter(|_| !leads));
    }

    fn view(&self, store: &StoreView) -> View {
        let now = boot_clock();
        let guard = self.guard.state_of(ServerKind::Redis);
        View {
            now,
            wall: jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string(),
            me: self.instance.member.name.clone(),
            group: self.instance.config.name.clone(),
            identity: self.identity.clone(),
            settings: Settings { down_after: self.instance.config.down_after, ..Settings::default() },
            dcs: DcsView {
                cluster: (store.generation > 0).then(|| store.cluster.clone()),
                connected: store.connected,
                lease: *self.keeper.lease().borrow(),
                failsafe: self.failsafe.view(ServerKind::Redis, Some(&store.cluster)),
            },
            guard: GuardView {
                answering: now.since(self.guard.answered_at()) <= GUARD_SILENCE_MAX,
                armed: guard.armed,
            },
            addresses: self.vips.here(ServerKind::Redis),
            server: self.state.server_with(guard.pid),
            job: self.state.job.clone(),
            trouble: self.state.trouble.clone(),
            stopping: self.state.stopping,
        }
    }

    fn set_going(&mut self, decision: &Decision) {
        self.state.memory = decision.next.clone();
        self.state.wake_at = decision.wake_at;
        // A trouble was told when it began, as an error.
        let told = |reason: &&Reason| matches!(reason, Reason::Trouble { .. }) || self.state.reasons.contains(reason);
        for reason in decision.reasons.iter().filter(|reason| !told(reason)) {
            tracing::info!(code = reason.code(), "Redis: {reason}");
        }
        self.state.reasons.clone_from(&decision.reasons);
        let mut batch: Vec<Write> = Vec::new();
        for action in &decision.actions {
            match action {
                Action::Write(write) => {
                    let group = self.instance.config.name.clone();
                    batch.push(Write::Redis { group, write: write.clone() });
                }
                Action::Begin(job) => self.begin(job.clone()),
                Action::Probe => self.outputs.probe.notify_one(),
            }
        }
        batch.extend(self.first_configuration());
        if batch.is_empty() || self.state.writes != Writes::Idle {
            return;
        }
        let batch = self.failsafe.allowed(ServerKind::Redis, batch);
        if !batch.is_empty() {
            self.state.writes = Writes::UnderWay { decided_on: self.state.revision };
            writer::start(self.dcs.clone(), batch, self.outputs.batches.clone());
        }
    }

    /// Where PostgreSQL does not make the cluster, the master puts the dynamic configuration into the store: pause and ttl
    /// are in it.
    fn first_configuration(&self) -> Option<Write> {
        let member = &self.instance.member;
        let missing = self.state.has_configuration == Some(false) && member.postgresql.is_none();
        (missing && self.state.group.is_leader(&member.name))
            .then(|| Write::Postgres(StoreWrite::PutConfig { text: member.bootstrap.dcs.to_string(), expected: None }))
    }

    fn begin(&mut self, job: Job) {
        tracing::info!(job = job.kind(), "Redis: begins");
        let state = match self.outputs.jobs.try_send(job.clone()) {
            Ok(()) => JobState::Running { since: boot_clock() },
            Err(_) => JobState::Failed { why: "an earlier job is not over".to_owned() },
        };
        self.state.job = Some(JobView { job, state });
    }

    /// `false`: nothing new.
    fn observed(&mut self, observation: Observation) -> bool {
        if self.guard.state_of(ServerKind::Redis).pid != Some(observation.pid) {
            return false;
        }
        self.state.observed(observation)
    }

    fn job_ended(&mut self, end: JobEnd) {
        match &end.result {
            Ok(_) => tracing::info!(job = end.job.kind(), "Redis: done"),
            Err(why) => tracing::warn!(job = end.job.kind(), why, "Redis: failed"),
        }
        if let Some(seen) = end.seen {
            self.state.role_changed_at = seen.asked_at;
            self.observed(seen);
        } else if super::executor::changes_role(&end.job) {
            // What was asked before this moment may not know of the change.
            self.state.role_changed_at = boot_clock();
            self.outputs.probe.notify_one();
        }
        let state = match end.result {
            Ok(offset) => JobState::Done { offset },
            Err(why) => JobState::Failed { why },
        };
        self.state.job = Some(JobView { job: end.job, state });
    }
}
