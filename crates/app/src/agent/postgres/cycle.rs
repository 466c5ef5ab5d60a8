//! The decision cycle: something happened, so build the view, decide, and set the decision going.
//!
//! Deliberately thin: every rule is in `ha`. The invariant: nothing here waits for anything slow, so a decision is
//! never late because of PostgreSQL, the store or a disk.

use super::configurator::{Finished, Work};
use super::instance::{Instance, Upstream};
use super::jobs::Jobs;
use super::observer::Observation;
use super::publish;
use super::routes::{self, ReadRules};
use crate::agent::End;
use crate::agent::failsafe::Failsafe;
use crate::agent::guard_link::GuardLink;
use crate::agent::keeper::KeeperState;
use crate::agent::vip::Vips;
use crate::agent::writer::{self, BatchOutcome, Write, Writes};
use config::MemberConfig;
use console::{AgentCommand, CommandRequest, Outcome, RestApiSettings, Snapshot};
use dcs::{Dcs, DcsView as StoreView};
use ha::cluster::{Cluster, MemberData, Role, StoreWrite};
use ha::guard::{FromGuard, ServerKind, StopMode, ToGuard};
use ha::hold::HoldView;
use ha::postgres::{
    Action, DataDirectory, DcsView, Decision, GuardView, Job, JobState, JobView, Memory, PostgresView, Request, Server,
    Source, View, decide,
};
use ha::reason::Reason;
use ha::vip::VipRole;
use platform::boot_clock;
use postgres::clone::CloneProgress;
use proxy::Routes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use types::{Millis, Revision};

/// This many questions in a row without an answer make a running PostgreSQL an unresponsive one.
const SILENCES_MAX: u32 = 2;
/// How long a switchover waits for a look at PostgreSQL that shows a replica ready to take over. Just after another change of
/// leader the replicas are still on their way to the new one, which on a busy machine takes seconds.
const LOOK_FIRST_MAX: Millis = Millis(5000);
/// How long a new worker waits for a running PostgreSQL's first answer before it says that it does not know.
const TAKE_UP_MAX: Millis = Millis(1000);
/// Operators' requests that may wait.
const REQUESTS_MAX: usize = 16;
/// The guard is asked at every renewal; one that is silent for longer than this does not answer.
const GUARD_SILENCE_MAX: Millis = ha::lease::GUARD_SILENCE_MAX;

/// What wakes the cycle, besides time.
pub struct Inputs {
    pub store: watch::Receiver<Arc<StoreView>>,
    pub guard: mpsc::Receiver<FromGuard>,
    pub observations: mpsc::Receiver<Observation>,
    pub finished: mpsc::Receiver<Finished>,
    pub batches: mpsc::Receiver<BatchOutcome>,
    pub jobs: mpsc::Receiver<(Job, Result<(), String>)>,
    pub data: mpsc::Receiver<DataDirectory>,
    pub commands: mpsc::Receiver<CommandRequest>,
    pub hold: watch::Receiver<HoldView>,
    pub cloned: watch::Receiver<CloneProgress>,
}

/// Where the cycle's results go.
pub struct Outputs {
    pub batches: mpsc::Sender<BatchOutcome>,
    pub jobs: mpsc::Sender<(Job, Result<(), String>)>,
    pub data: mpsc::Sender<DataDirectory>,
    pub work: mpsc::Sender<Work>,
    pub probe: Arc<Notify>,
    pub snapshots: watch::Sender<Arc<Snapshot>>,
    pub routes: watch::Sender<Routes>,
    pub reload: Arc<Notify>,
}

pub struct Cycle {
    pub member: Arc<MemberConfig>,
    pub identity: MemberData,
    pub instance: Arc<Instance>,
    pub jobs: Arc<Jobs>,
    pub dcs: Dcs,
    pub guard: GuardLink,
    pub keeper: Arc<KeeperState>,
    pub vips: Vips,
    pub failsafe: Failsafe,
    pub settings: Arc<RestApiSettings>,
    pub outputs: Outputs,
    pub state: State,
}

/// What changes from one decision to the next.
pub struct State {
    memory: Memory,
    server: Server,
    data: DataDirectory,
    following: Option<Source>,
    job: Option<JobView>,
    writes: Writes,
    status: Option<Box<postgres::sql::SqlStatus>>,
    silences: u32,
    adopted: bool,
    /// This worker started the server that runs.
    started: bool,
    /// The postmaster of this pid has left recovery.
    promoted: Option<u32>,
    dynamic_revision: Option<Revision>,
    work_under_way: Vec<Work>,
    requests: VecDeque<(Request, oneshot::Sender<Outcome>)>,
    restarts: Vec<oneshot::Sender<Outcome>>,
    stopping: bool,
    wake_at: Option<Millis>,
    cluster: Arc<Cluster>,
    reasons: Vec<Reason>,
    lease_id: Option<types::LeaseId>,
    /// Who streams was seen up to a second ago; a switchover that was just asked for is decided on a fresh look.
    look_first_until: Option<Millis>,
    /// What the worker before this one has published of the running server stands until the server was asked.
    say_nothing_until: Option<Millis>,
    hold: HoldView,
    cloned_percent: Option<u8>,
}

impl State {
    pub fn new() -> Self {
        Self {
            memory: Memory::default(),
            server: Server::Unknown,
            data: DataDirectory::Unknown,
            following: None,
            job: None,
            writes: Writes::Idle,
            status: None,
            silences: 0,
            adopted: false,
            started: false,
            promoted: None,
            dynamic_revision: None,
            work_under_way: Vec::new(),
            requests: VecDeque::new(),
            restarts: Vec::new(),
            stopping: false,
            wake_at: None,
            cluster: Arc::default(),
            reasons: Vec::new(),
            lease_id: None,
            look_first_until: None,
            say_nothing_until: None,
            hold: HoldView::default(),
            cloned_percent: None,
        }
    }
}

impl Cycle {
    pub async fn run(mut self, mut inputs: Inputs) -> End {
        let mut lease = self.keeper.lease();
        self.look_at_data();
        loop {
            let wake = self.next_wake().since(boot_clock()).into();
            let mut decide_now = true;
            tokio::select! {
                changed = inputs.store.changed() => if changed.is_err() { return End::GuardGone },
                message = inputs.guard.recv() => match message {
                    Some(message) => self.heard(message),
                    None => return End::GuardGone,
                },
                Some(observation) = inputs.observations.recv() => decide_now = self.observed(observation).await,
                Some(finished) = inputs.finished.recv() => self.configured(&finished),
                Some(outcome) = inputs.batches.recv() => self.written(&outcome),
                Some((job, result)) = inputs.jobs.recv() => self.job_ended(job, result),
                Some(data) = inputs.data.recv() => self.state.data = data,
                Some(request) = inputs.commands.recv() => self.command(request),
                // Without proxy and poolers nobody sends, and nothing is waited for here.
                Ok(()) = inputs.hold.changed() => {}
                // Nobody sends but pg_basebackup.
                Ok(()) = inputs.cloned.changed() => self.state.cloned_percent = inputs.cloned.borrow_and_update().percent(),
                _ = lease.changed() => {
                    let id = lease.borrow_and_update().map(|lease| lease.id);
                    decide_now = std::mem::replace(&mut self.state.lease_id, id) != id;
                }
                () = tokio::time::sleep(wake) => {}
            }
            // News of the store that came together with something of no interest.
            decide_now |= inputs.store.has_changed().unwrap_or(false);
            self.state.hold.clone_from(&inputs.hold.borrow_and_update());
            let view = inputs.store.borrow_and_update().clone();
            self.take_view(&view);
            // Before this member says that it holds its clients.
            self.lead_clients(&view);
            if !decide_now {
                self.publish_snapshot(&view, None);
                continue;
            }
            let view = self.view(&view);
            let decision = decide(&self.state.memory, &view);
            self.state.job = self.state.job.take().filter(|job| matches!(job.state, JobState::Running { .. }));
            // Before PostgreSQL is stopped, when it is to be.
            self.vips.decided(VipRole::Primary, decision.standing);
            self.vips.decided(VipRole::StandbyLeader, decision.standby_standing);
            self.failsafe.decided_postgres(&view.dcs, decision.leads, decision.asks.clone());
            self.set_going(&decision, &view);
            self.keeper.decided(ServerKind::Postgres, decision.arming, view.dcs.lease);
            if decision.finished {
                return End::Finished;
            }
            if let Some(why) = self.refusal() {
                return End::Refused(why);
            }
            let store = inputs.store.borrow().clone();
            self.publish_snapshot(&store, Some(&decision));
        }
    }

    /// A data directory of another cluster does not become ours by waiting.
    fn refusal(&self) -> Option<String> {
        let foreign = self.state.reasons.iter().find(|reason| matches!(reason, Reason::ForeignDataDirectory { .. }))?;
        self.state.server.is_down().then(|| {
            format!(
                "postgresql.data_dir {}: {foreign}\nhint: name an empty directory, or the right cluster in scope",
                self.instance.settings.data_dir.display()
            )
        })
    }

    fn next_wake(&self) -> Millis {
        let moments = [self.state.wake_at, self.state.look_first_until, self.state.say_nothing_until];
        let decision = moments.into_iter().flatten().min().unwrap_or(Millis::MAX);
        decision.min(self.state.writes.wake_at())
    }

    fn take_view(&mut self, view: &StoreView) {
        if view.generation > 0 && view.cluster.revision != self.state.cluster.revision {
            let asked_before = self.state.cluster.failover.is_some();
            self.state.cluster = Arc::new(view.cluster.clone());
            let is_new = !asked_before && self.state.cluster.failover.is_some();
            if is_new && self.state.cluster.is_leader(&self.member.name) {
                self.state.look_first_until = Some(boot_clock() + LOOK_FIRST_MAX);
                self.outputs.probe.notify_one();
            }
        }
        let not_over = |until: &Millis| boot_clock() < *until;
        self.state.look_first_until = self.state.look_first_until.filter(not_over);
        self.state.say_nothing_until = self.state.say_nothing_until.filter(not_over);
        self.state.writes = self.state.writes.seen(self.state.cluster.revision);
        if let Some(config) = &self.state.cluster.config {
            let ttl = Some(config.value.ttl).filter(|_| !self.state.cluster.is_leader(&self.member.name));
            self.keeper.set_ttl(ServerKind::Postgres, ttl);
        }
        let revision = self.state.cluster.config.as_ref().map(|config| config.revision);
        if revision.is_some()
            && revision != self.state.dynamic_revision
            && (self.state.adopted || self.state.server.is_down())
        {
            self.state.dynamic_revision = revision;
            let dynamic = self.state.cluster.config();
            if !self.state.server.is_down() {
                self.work(Work::Reload(Box::new(dynamic)));
            }
        }
    }

    fn view(&self, store: &StoreView) -> View {
        let now = boot_clock();
        let known = store.generation > 0;
        let guard = self.guard.state();
        let wall = jiff::Zoned::now();
        let schedule = self.state.cluster.failover.as_ref().and_then(|request| request.value.scheduled_at.clone());
        let mut cluster = known.then(|| (*self.state.cluster).clone());
        if let Some(cluster) = &mut cluster
            && self.state.look_first_until.is_some()
        {
            cluster.failover = None;
        }
        View {
            now,
            wall: wall.strftime("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string(),
            me: self.member.name.clone(),
            tags: self.member.tags.clone(),
            identity: self.stated(),
            bootstrap_config: self.member.bootstrap.dcs.to_string(),
            dcs: DcsView {
                failsafe: self.failsafe.view(ServerKind::Postgres, cluster.as_ref()),
                cluster,
                connected: store.connected,
                lease: *self.keeper.lease().borrow(),
            },
            guard: GuardView {
                answering: now.since(self.guard.answered_at()) <= GUARD_SILENCE_MAX,
                armed: guard.armed,
            },
            addresses: self.vips.here(ServerKind::Postgres),
            postgres: PostgresView {
                data: self.state.data.clone(),
                // The guard's word may be ahead of its message.
                server: match &self.state.server {
                    Server::Down if guard.pid.is_some() => Server::Starting,
                    server => server.clone(),
                },
                following: self.state.following.clone(),
            },
            job: self.state.job.clone(),
            requests: self.state.requests.iter().map(|(request, _)| request.clone()).collect(),
            schedule_is_due: schedule
                .is_none_or(|at| at.parse::<jiff::Timestamp>().is_ok_and(|at| at <= wall.timestamp())),
            stopping: self.state.stopping,
            hold: self.state.hold.clone(),
        }
    }

    /// What this member says of itself whatever its PostgreSQL does, and how far a clone is.
    fn stated(&self) -> MemberData {
        let mut identity = self.identity.clone();
        if let Some(quorate) = &mut identity.quorate {
            quorate.cloned_percent = self.state.cloned_percent;
        }
        identity
    }

    fn set_going(&mut self, decision: &Decision, view: &View) {
        self.state.memory = decision.next.clone();
        self.state.wake_at = decision.wake_at;
        if decision.reasons != self.state.reasons {
            for reason in decision.reasons.iter().filter(|reason| !self.state.reasons.contains(reason)) {
                tracing::info!(code = reason.code(), "{reason}");
            }
            self.state.reasons.clone_from(&decision.reasons);
        }
        let mut batch: Vec<Write> = Vec::new();
        for action in &decision.actions {
            match action {
                Action::Write(StoreWrite::PutMember { .. }) if self.state.say_nothing_until.is_some() => {}
                Action::Write(write) => batch.push(Write::Postgres(write.clone())),
                Action::Begin(job) => self.begin(job.clone(), view.now),
                Action::Probe => self.outputs.probe.notify_one(),
                Action::Follow { source } => {
                    if let Some(upstream) = Upstream::to(&self.state.cluster, source) {
                        self.work(Work::Follow { source: source.clone(), upstream });
                    }
                }
                Action::SetSynchronousStandbyNames { names } => self.work(Work::SynchronousStandbyNames(names.clone())),
                Action::Slots { create, drop } => self.work(Work::Slots { create: create.clone(), drop: drop.clone() }),
                Action::StopImmediately => {
                    self.guard.send(&ToGuard::Stop { server: ServerKind::Postgres, mode: StopMode::Immediate });
                }
                Action::AnswerRequest { result } => self.answer_request(result),
            }
        }
        if batch.is_empty() || !matches!(self.state.writes, Writes::Idle) {
            return;
        }
        let batch = self.failsafe.allowed(ServerKind::Postgres, batch);
        if !batch.is_empty() {
            self.state.writes = Writes::UnderWay { decided_on: self.state.cluster.revision };
            writer::start(self.dcs.clone(), batch, self.outputs.batches.clone());
        }
    }

    fn begin(&mut self, job: Job, now: Millis) {
        tracing::info!(job = ?job, "begins");
        if matches!(job, Job::Stop { .. }) {
            // From here on an answer of the old server must not be taken for the state of things.
            self.state.status = None;
        }
        self.state.job = Some(JobView { job: job.clone(), state: JobState::Running { since: now } });
        let (jobs, cluster, results) = (self.jobs.clone(), self.state.cluster.clone(), self.outputs.jobs.clone());
        tokio::spawn(async move {
            let result = jobs.run(&job, &cluster).await;
            let _ = results.send((job, result)).await;
        });
    }

    fn work(&mut self, work: Work) {
        if !self.state.work_under_way.contains(&work) && self.outputs.work.try_send(work.clone()).is_ok() {
            self.state.work_under_way.push(work);
        }
    }

    fn look_at_data(&mut self) {
        self.state.data = DataDirectory::Unknown;
        let (instance, results) = (self.instance.clone(), self.outputs.data.clone());
        tokio::spawn(async move {
            let data = instance.data_directory().await;
            let _ = results.send(data).await;
        });
    }

    /// The guard said something.
    fn heard(&mut self, message: FromGuard) {
        match message {
            FromGuard::Hello { servers, .. } => {
                let postmaster = servers.postgres.pid;
                self.state.server = if postmaster.is_some() { Server::Starting } else { Server::Down };
                self.state.say_nothing_until = postmaster.map(|_| boot_clock() + TAKE_UP_MAX);
            }
            FromGuard::Started { server: ServerKind::Postgres, pid } => {
                tracing::info!(pid, "the postmaster runs");
                self.state.server = Server::Starting;
                self.state.silences = 0;
                // One that the worker before this one sent for is looked at first.
                let ours = self.state.job.as_ref().is_some_and(|job| matches!(job.job, Job::Start { .. }));
                self.state.adopted = ours || self.state.started;
            }
            FromGuard::StartFailed { server: ServerKind::Postgres, why } => {
                tracing::warn!(why, "PostgreSQL was not started");
            }
            FromGuard::Exited { server: ServerKind::Postgres, status } => {
                tracing::warn!(status, "PostgreSQL ended");
                self.state.server = Server::Down;
                self.state.say_nothing_until = None;
                self.state.started = false;
                self.state.status = None;
                self.state.following = None;
                self.look_at_data();
            }
            FromGuard::Fenced { server: ServerKind::Postgres, .. } => {
                tracing::error!("the lease ran out; the guard stopped PostgreSQL");
            }
            FromGuard::Terminate => {
                tracing::info!("asked to stop");
                self.state.stopping = true;
            }
            FromGuard::Reload => self.outputs.reload.notify_one(),
            FromGuard::Started { server: ServerKind::Redis, .. }
            | FromGuard::StartFailed { server: ServerKind::Redis, .. }
            | FromGuard::Exited { server: ServerKind::Redis, .. }
            | FromGuard::Fenced { server: ServerKind::Redis, .. }
            | FromGuard::Armed { .. }
            | FromGuard::Address(_)
            | FromGuard::Alive { .. } => {}
        }
    }

    /// `false`: nothing new.
    async fn observed(&mut self, observation: Observation) -> bool {
        if self.guard.state().pid.is_none() {
            return false;
        }
        match observation {
            Observation::Answered(pid, answer) => {
                let (status, running) = *answer;
                // Of a postmaster that is gone; or from before its promotion, which no server takes back.
                let promoted = self.state.promoted == Some(pid);
                if self.guard.state().pid != Some(pid) || running.in_recovery && promoted {
                    self.outputs.probe.notify_one();
                    return false;
                }
                self.state.promoted = (!running.in_recovery).then_some(pid);
                self.state.silences = 0;
                self.looked_first(&running);
                self.state.say_nothing_until = None;
                if !self.state.adopted {
                    self.instance.adopt(running.in_recovery, &status.synchronous_standby_names).await;
                    self.state.adopted = true;
                }
                if !matches!(self.state.server, Server::Running(_)) {
                    for waiting in self.state.restarts.drain(..) {
                        let _ = waiting.send(Outcome::new(200, "restarted successfully"));
                    }
                }
                self.state.status = Some(Box::new(status));
                self.state.server = Server::Running(Box::new(running));
                true
            }
            Observation::Silent { why } => {
                tracing::debug!(why, "PostgreSQL does not answer");
                self.state.silences += 1;
                if let Server::Running(last) = &self.state.server
                    && self.state.silences >= SILENCES_MAX
                {
                    self.state.server = Server::Unresponsive { since: boot_clock(), last: last.clone() };
                    return true;
                }
                false
            }
        }
    }

    /// Ends the wait for a fresh look once it shows somebody who could take over.
    fn looked_first(&mut self, running: &ha::postgres::Running) {
        if self.state.look_first_until.is_none() {
            return;
        }
        let wanted = self.state.cluster.failover.as_ref().and_then(|request| request.value.candidate.clone());
        // A replica that has just connected streams, and has not said yet how far it is.
        let ready = running.standbys.iter().any(|standby| {
            let asked_for = wanted.as_ref().is_none_or(|wanted| wanted.as_str() == standby.name);
            asked_for && standby.streaming && standby.flush > types::Lsn::default()
        });
        if ready {
            self.state.look_first_until = None;
        } else {
            self.outputs.probe.notify_one();
        }
    }

    fn configured(&mut self, finished: &Finished) {
        self.state.work_under_way.retain(|work| *work != finished.work);
        if finished.result.is_ok()
            && let Work::Follow { source, .. } = &finished.work
        {
            self.state.following = Some(source.clone());
        }
        self.outputs.probe.notify_one();
    }

    fn written(&mut self, outcome: &BatchOutcome) {
        self.failsafe.written(ServerKind::Postgres, outcome);
        self.state.writes = self.state.writes.after(outcome, self.state.cluster.revision);
    }

    fn job_ended(&mut self, job: Job, result: Result<(), String>) {
        match &result {
            Ok(()) => tracing::info!(job = job.kind(), "done"),
            Err(why) => tracing::warn!(job = job.kind(), why, "failed"),
        }
        if matches!(job, Job::Initdb | Job::Clone { .. } | Job::Rejoin { .. }) {
            self.look_at_data();
        }
        if let (Job::Start { upstream, .. }, Ok(())) = (&job, &result) {
            self.state.following.clone_from(upstream);
        }
        if matches!(job, Job::Start { .. }) && result.is_ok() {
            (self.state.started, self.state.adopted) = (true, true);
        }
        if let Job::Promote { beyond } = &job {
            // It names nobody since it began, whatever came of it.
            self.state.following = None;
            self.outputs.probe.notify_one();
            if result.is_ok()
                && let Server::Running(running) = &mut self.state.server
            {
                // Known without asking; the rest of what is known of it comes with the next answer.
                running.in_recovery = false;
                running.streaming = false;
                running.write = running.receive.max(running.replay).unwrap_or_default();
                running.timeline.0 = running.timeline.max(*beyond).0 + 1;
                running.standbys.clear();
                self.state.promoted = self.guard.state().pid;
            }
        }
        let state = match result {
            Ok(()) => JobState::Done,
            Err(why) => JobState::Failed { why },
        };
        self.state.job = Some(JobView { job, state });
    }

    fn command(&mut self, request: CommandRequest) {
        let CommandRequest { command, answer } = request;
        let outcome = match command {
            AgentCommand::Wake => Outcome::new(200, ""),
            AgentCommand::Reload => {
                self.outputs.reload.notify_one();
                Outcome::new(202, "reload scheduled")
            }
            AgentCommand::Restart(restart) => {
                if let Some(refused) = self.refuse_restart(&restart) {
                    refused
                } else if self.state.requests.len() >= REQUESTS_MAX {
                    Outcome::new(503, "too many requests are waiting")
                } else {
                    self.state.requests.push_back((Request::Restart, answer));
                    return;
                }
            }
            AgentCommand::CancelRestart => Outcome::new(404, "no restarts are scheduled"),
            AgentCommand::Reinitialize { from_leader, .. } => {
                if self.state.requests.len() >= REQUESTS_MAX {
                    Outcome::new(503, "too many requests are waiting")
                } else {
                    self.state.requests.push_back((Request::Reinitialize { from_leader }, answer));
                    return;
                }
            }
        };
        let _ = answer.send(outcome);
    }

    fn refuse_restart(&self, restart: &console::RestartRequest) -> Option<Outcome> {
        if restart.schedule.is_some() {
            return Some(Outcome::new(501, "scheduled restarts are not supported yet"));
        }
        let role = self.own_entry().map(|entry| entry.role);
        if restart.role.is_some_and(|wanted| role != Some(wanted)) {
            let wanted = restart.role.map_or("", Role::as_str);
            return Some(Outcome::new(503, format!("restart conditions are not satisfied: the role is not {wanted}")));
        }
        let version = self.state.status.as_ref().map(|status| status.server_version);
        if let (Some(wanted), Some(version)) = (restart.postgres_version, version)
            && version >= wanted
        {
            return Some(Outcome::new(503, "restart conditions are not satisfied: the version is not lower"));
        }
        if restart.restart_pending && self.own_entry().is_none_or(|entry| entry.pending_restart != Some(true)) {
            return Some(Outcome::new(503, "restart conditions are not satisfied: no restart is pending"));
        }
        None
    }

    fn answer_request(&mut self, result: &Result<(), String>) {
        let Some((request, answer)) = self.state.requests.pop_front() else { return };
        match (result, request) {
            (Ok(()), Request::Restart) => self.state.restarts.push(answer),
            (Ok(()), Request::Reinitialize { .. }) => {
                let _ = answer.send(Outcome::new(200, "reinitialize started"));
            }
            (Err(why), _) => {
                let _ = answer.send(Outcome::new(503, why.clone()));
            }
        }
    }

    fn own_entry(&self) -> Option<&MemberData> {
        self.state.cluster.members.get(&self.member.name).map(|member| &member.data)
    }

    fn lead_clients(&self, store: &StoreView) {
        let lease = *self.keeper.lease().borrow();
        let contact = Millis(store.last_contact.elapsed().as_millis() as u64);
        let trusted = store.connected
            || lease.is_some_and(|lease| contact < lease.ttl)
            || self.failsafe.vouches_for(self.state.cluster.leader_name());
        let routes = routes::routes(&self.state.cluster, trusted, self.state.hold.holds, ReadRules::of(&self.member));
        self.outputs.routes.send_if_modified(|old| std::mem::replace(old, routes.clone()) != routes);
    }

    fn publish_snapshot(&mut self, store: &StoreView, decision: Option<&Decision>) {
        let now = boot_clock();
        let lease = *self.keeper.lease().borrow();
        let contact = store.last_contact.elapsed();
        let previous = self.outputs.snapshots.borrow().clone();
        let entry = self.own_entry().cloned().unwrap_or_else(|| self.identity.clone());
        let explanation = match decision {
            Some(decision) => Arc::new(publish::explanation(&self.state.cluster, decision)),
            None => previous.explanation.clone(),
        };
        let seen = SystemTime::now().checked_sub(contact).and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let mut local = publish::local_status(
            &self.member.name,
            &self.state.cluster,
            &entry,
            self.state.status.as_deref(),
            lease,
            now,
        );
        if local.pause {
            local.leader_until = None;
        }
        local.failsafe_is_active =
            self.failsafe.goes_on_by_consent() || self.failsafe.vouches_for(self.state.cluster.leader_name());
        self.outputs.snapshots.send_replace(Arc::new(Snapshot {
            me: self.member.name.clone(),
            scope: self.member.scope.clone(),
            cluster: self.state.cluster.clone(),
            store_reachable: store.connected,
            dcs_last_seen: seen.map_or(0, |since| since.as_secs()),
            local,
            settings: self.settings.clone(),
            explanation,
            last_decision_at: if decision.is_some() { Instant::now() } else { previous.last_decision_at },
        }));
    }
}
