//! The decision cycle: something happened, so build the view, decide, and set the decision going.

use crate::clock::{MS, Time};
use crate::mutant::Mutant;
use crate::say;
use crate::worker::{Work, WorkerEvent};
use crate::world::World;
use ha::cluster::{Fence, MemberData, StoreWrite, SyncState, Tags};
use ha::failsafe::Seen;
use ha::guard::{ServerKind, StopMode, ToGuard};
use ha::lease::GUARD_SILENCE_MAX;
use ha::postgres::{Action, DcsView, Decision, GuardView, JobState, PostgresView, Server, View, decide};
use ha::vip::VipRole;

impl World {
    /// Something happened that a decision may depend on.
    pub(crate) fn decide_soon(&mut self, host: usize) {
        let after = self.random.between(50, MS);
        self.decide_at(host, self.now + after);
    }

    fn decide_at(&mut self, host: usize, at: Time) {
        let now = self.now;
        let Some(worker) = &mut self.hosts[host].worker else { return };
        if worker.decide_at.is_none_or(|earlier| earlier > at) {
            worker.decide_at = Some(at);
            self.worker_soon(host, at - now, WorkerEvent::Decide { at });
        }
    }

    pub(crate) fn view_changed(&mut self, host: usize) {
        let Some(worker) = &mut self.hosts[host].worker else { return };
        if let Some(config) = worker.cluster.as_ref().and_then(|cluster| cluster.config.as_ref()) {
            worker.ttl = config.value.ttl;
        }
        self.settled(host);
        self.decide_soon(host);
        if self.setup.redis {
            self.redis_settled(host);
            self.redis_decide_soon(host);
        }
    }

    fn view(&self, at: usize) -> Option<View> {
        let host = &self.hosts[at];
        let worker = host.worker.as_ref()?;
        let now = host.clock.read(self.now);
        let mut cluster = worker.cluster.clone();
        if self.setup.mutant == Some(Mutant::DropClaim)
            && let Some(cluster) = &mut cluster
        {
            for (_, member) in cluster.members.iter_mut().filter(|(name, _)| **name != host.name) {
                if let Some(quorate) = &mut member.data.quorate {
                    quorate.claim = false;
                }
            }
        }
        if self.setup.mutant == Some(Mutant::RequestEndsClaims)
            && let Some(request) = cluster.as_mut().and_then(|cluster| cluster.failover.as_mut())
        {
            request.value.leader = None;
        }
        if self.setup.mutant == Some(Mutant::ForgetStandbyCluster)
            && let Some(config) = cluster.as_mut().and_then(|cluster| cluster.config.as_mut())
        {
            config.value.standby_cluster = None;
        }
        if self.setup.mutant == Some(Mutant::FailsafeUnlistedTakes)
            && let Some(listed) = cluster.as_mut().and_then(|cluster| cluster.failsafe.as_mut())
        {
            listed.value.members.entry(host.name.clone()).or_default();
        }
        Some(View {
            now,
            wall: host.clock.wall(self.now),
            me: host.name.clone(),
            tags: Tags::default(),
            identity: MemberData {
                conn_url: format!("postgres://{}:5432/postgres", host.name),
                api_url: format!("http://{}:8008/patroni", host.name),
                ..MemberData::default()
            },
            bootstrap_config: self.setup.bootstrap_config.clone(),
            dcs: DcsView {
                cluster,
                connected: worker.connected,
                lease: worker.lease,
                failsafe: self.failsafe_view(at, ServerKind::Postgres),
            },
            guard: GuardView {
                answering: now.since(worker.guard_answered_at) <= GUARD_SILENCE_MAX,
                armed: worker.armed,
            },
            addresses: self.addresses_here(at, ServerKind::Postgres),
            postgres: PostgresView {
                data: worker.data.clone(),
                server: match &worker.server {
                    Server::Down if worker.postmaster => Server::Starting,
                    server => server.clone(),
                },
                following: worker.following.clone(),
            },
            job: worker.job.clone(),
            requests: worker.requests.iter().cloned().collect(),
            schedule_is_due: true,
            stopping: worker.stopping,
            hold: worker.hold.view.clone(),
        })
    }

    pub(crate) fn decide_now(&mut self, host: usize, at: Time) {
        let Some(worker) = &mut self.hosts[host].worker else { return };
        if worker.decide_at != Some(at) {
            return;
        }
        worker.decide_at = None;
        if worker.refused {
            return;
        }
        let hold_wake_at = self.hold_now(host);
        let Some(view) = self.view(host) else { return };
        let Some(worker) = &mut self.hosts[host].worker else { return };
        let decision = decide(&worker.memory, &view);
        let changed = decision.reasons != worker.reasons;
        worker.job = worker.job.take().filter(|job| matches!(job.state, JobState::Running { .. }));
        worker.memory = decision.next.clone();
        worker.reasons.clone_from(&decision.reasons);
        worker.decided = true;
        worker.decided_at = view.now;
        let arming = (decision.arming, view.dcs.lease.map(|lease| lease.id));
        let arming_changed = std::mem::replace(&mut worker.arming, arming) != arming;
        if changed && self.trace.on {
            let reasons: Vec<String> = decision.reasons.iter().map(ToString::to_string).collect();
            say!(self, host, "decides: {}", reasons.join("; "));
        }
        self.oracle.decided(host);
        if decision.reasons.is_empty() {
            self.oracle.decided_without_reason(host, self.now);
        } else {
            self.oracle.decided_with_reason(host);
        }
        let seen = view.dcs.cluster.as_ref().map(|cluster| Seen {
            entry: cluster.members.get(&view.me).map(|mine| mine.revision),
            failsafe: cluster.failsafe_revision(),
            leads: decision.leads,
        });
        if let Some(worker) = &mut self.hosts[host].worker {
            worker.failsafe.decided(decision.asks.clone());
            if let Some(seen) = seen {
                worker.word.decided(ServerKind::Postgres, seen);
            }
        }
        self.vip_decided(host, VipRole::Primary, decision.standing);
        self.vip_decided(host, VipRole::StandbyLeader, decision.standby_standing);
        self.set_going(host, &view, &decision);
        if arming_changed {
            self.arm(host);
        }
        if let Some(worker) = &mut self.hosts[host].worker {
            worker.finished = decision.finished;
        }
        self.finish_if_all_have(host);
        if let Some(wake_at) = decision.wake_at.into_iter().chain(hold_wake_at).min() {
            let at = self.hosts[host].clock.when(wake_at, self.now).max(self.now + MS);
            self.decide_at(host, at);
        }
    }

    /// The agent ends when no server is left that it looks after.
    pub(crate) fn finish_if_all_have(&mut self, host: usize) {
        let Some(worker) = &self.hosts[host].worker else { return };
        if worker.finished && (worker.redis.finished || !self.setup.redis) {
            let paused = worker.cluster.as_ref().is_some_and(ha::cluster::Cluster::is_paused);
            self.worker_finishes(host, paused);
        }
    }

    fn set_going(&mut self, host: usize, view: &View, decision: &Decision) {
        let mut batch = Vec::new();
        for action in &decision.actions {
            match action {
                Action::Write(write) => batch.push(write.clone()),
                Action::Begin(job) => self.begin_job(host, job.clone(), view.now),
                Action::Probe => self.probe_soon(host),
                Action::Follow { source } => self.begin_work(host, Work::Follow(source.clone())),
                Action::SetSynchronousStandbyNames { names } => {
                    if self.setup.mutant == Some(Mutant::SyncTooEarly) {
                        batch.extend(sync_too_early(view, names));
                    }
                    self.begin_work(host, Work::SynchronousStandbyNames(names.clone()));
                }
                Action::Slots { create, drop } => {
                    self.begin_work(host, Work::Slots(create.clone(), drop.clone()));
                }
                Action::StopImmediately => {
                    let mode = StopMode::Immediate;
                    self.tell_guard(host, ToGuard::Stop { server: ServerKind::Postgres, mode });
                }
                Action::AnswerRequest { result } => {
                    if let Some(worker) = &mut self.hosts[host].worker
                        && let Some(request) = worker.requests.pop_front()
                    {
                        say!(self, host, "answers {request:?}: {result:?}");
                    }
                }
            }
        }
        self.start_writes(host, batch);
    }
}

/// The mutant that lists a standby when it should only begin to wait for it.
fn sync_too_early(view: &View, names: &str) -> Option<StoreWrite> {
    let cluster = view.dcs.cluster.as_ref()?;
    let standbys = crate::postgres::settings::parse(names).1.into_iter().filter(|name| !name.starts_with('_'));
    Some(StoreWrite::PutSync {
        fence: Fence { me: view.me.clone(), epoch: cluster.leader.as_ref()?.epoch },
        state: SyncState::new(&view.me, standbys.map(types::MemberName::new).collect()),
        expected: cluster.sync.as_ref().map(|sync| sync.revision),
    })
}
