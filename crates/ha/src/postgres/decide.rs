//! From a view to a decision: which situation is this, and what does it ask for?

use super::memory::Memory;
use super::view::{DataDirectory, JobState, Server, View};
use super::{Source, bootstrap, entry, failsafe, following, leaderless, leading, stopping};
use crate::cluster::{Cluster, Fence, StoreWrite};
use crate::config::{DynamicConfig, StandbyCluster};
use crate::failsafe::Asks;
use crate::guard::StopMode;
use crate::reason::Reason;
use crate::vip::Standing;
use types::{Lsn, Millis, Timeline};

/// So many failures in a row, about half a minute with their pauses, and the data directory is made anew.
const REJOIN_FAILURES_MAX: u32 = 6;

/// Long work. One job runs at a time; its progress comes back in the next view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    Initdb,
    /// The first statements in a new cluster: roles, passwords, the operator's script.
    PostBootstrap,
    /// Done as soon as the postmaster runs. `fence` stands where it starts as a primary.
    Start {
        upstream: Option<Source>,
        fence: Option<Millis>,
    },
    /// Done when every process of PostgreSQL is gone.
    Stop {
        mode: StopMode,
    },
    /// Done when PostgreSQL accepts writes, on a timeline with the next number after `beyond` (or after its own, if that is
    /// greater). PostgreSQL finds the numbers up to there taken when each has a history file; one that holds only a comment
    /// does, and is nobody's parent.
    Promote {
        beyond: Timeline,
    },
    Checkpoint,
    /// Makes the data directory anew; what was there is moved aside.
    Clone {
        from: Source,
    },
    /// Compares the stopped data directory's history with the leader's and rewinds it where they differ.
    Rejoin {
        leader: Source,
    },
    /// Asks the remote primary of a standby cluster who it is. Done: it is of the same system as the data directory here.
    Survey {
        remote: Box<StandbyCluster>,
    },
}

impl Job {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Initdb => "initdb",
            Self::PostBootstrap => "post-bootstrap",
            Self::Start { .. } => "start",
            Self::Stop { .. } => "stop",
            Self::Promote { .. } => "promotion",
            Self::Checkpoint => "checkpoint",
            Self::Clone { .. } => "clone",
            Self::Rejoin { .. } => "rejoin",
            Self::Survey { .. } => "survey",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Write(StoreWrite),
    Begin(Job),
    /// Ask PostgreSQL for its state now.
    Probe,
    /// The stop that is under way is not to wait for anybody any more.
    StopImmediately,
    /// Point the running replica at this server.
    Follow {
        source: Source,
    },
    SetSynchronousStandbyNames {
        names: String,
    },
    /// Physical slots to create and to drop.
    Slots {
        create: Vec<String>,
        drop: Vec<String>,
    },
    /// The first request is taken up (or refused).
    AnswerRequest {
        result: Result<(), String>,
    },
}

/// What the guard is told with every renewal of the lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arming {
    /// This member leads: arm the guard up to the fence of the lease.
    Arm,
    /// PostgreSQL is a replica, or the cluster is paused.
    Disarm,
    /// Neither is certain: a fence that stands is left to fall.
    #[default]
    Leave,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    pub next: Memory,
    pub actions: Vec<Action>,
    pub reasons: Vec<Reason>,
    pub arming: Arming,
    /// Whom the keeper of the lease asks when it cannot reach the store (failsafe mode).
    pub asks: Option<Asks>,
    /// PostgreSQL is a primary here or may become one, or the leader key is this member's.
    pub leads: bool,
    /// Whether the primary's virtual addresses belong here.
    pub standing: Standing,
    /// Whether the standby leader's do.
    pub standby_standing: Standing,
    /// Decide again at this time even if nothing happens.
    pub wake_at: Option<Millis>,
    /// The agent may end.
    pub finished: bool,
}

/// A decision in the making.
pub(super) struct Draft<'a> {
    pub view: &'a View,
    pub cluster: &'a Cluster,
    pub config: &'a DynamicConfig,
    pub memory: Memory,
    pub actions: Vec<Action>,
    pub reasons: Vec<Reason>,
    pub arming: Arming,
    pub wake_at: Option<Millis>,
    pub finished: bool,
    /// The leadership is given up, or will be when the addresses are gone.
    pub gives_up: bool,
}

impl Draft<'_> {
    pub fn because(&mut self, reason: Reason) {
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    pub fn write(&mut self, write: StoreWrite) {
        self.actions.push(Action::Write(write));
    }

    /// A time that has passed already asks for nothing: what it was waited for is part of this decision.
    pub fn wake(&mut self, at: Millis) {
        if at <= self.view.now {
            return;
        }
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Begins a job unless one runs or it failed lately.
    pub fn begin(&mut self, job: Job) -> bool {
        if self.job_runs() || self.actions.iter().any(|action| matches!(action, Action::Begin(_))) {
            return false;
        }
        let now = self.view.now;
        if !self.memory.may_try(&job, now) {
            if let Some(retry) = self.memory.retries.get(job.kind()) {
                let at = retry.not_before;
                self.because(Reason::RetryLater { what: job.kind(), at });
                self.wake(at);
            }
            return false;
        }
        self.memory.promoting |= matches!(job, Job::Promote { .. });
        if matches!(job, Job::Start { .. }) {
            // Counts as a failure until PostgreSQL has been seen running.
            self.memory.failed(&job, now);
        }
        self.because(Reason::JobRunning { what: job.kind(), since: now });
        self.actions.push(Action::Begin(job));
        true
    }

    pub fn job_runs(&self) -> bool {
        matches!(&self.view.job, Some(job) if matches!(job.state, JobState::Running { .. }))
    }

    /// The fence of this member's leadership, if it leads.
    pub fn fence(&self) -> Option<Fence> {
        let leader = self.cluster.leader.as_ref()?;
        let lease = self.view.dcs.lease.as_ref()?;
        (leader.name == self.view.me && leader.lease == Some(lease.id) && lease.is_valid(self.view.now))
            .then(|| Fence { me: self.view.me.clone(), epoch: leader.epoch })
    }
}

/// What is to be done now, and why. Pure: the same memory and view give the same decision.
pub fn decide(memory: &Memory, view: &View) -> Decision {
    let nothing = Cluster::default();
    let cluster = match &view.dcs.cluster {
        Some(cluster) => cluster,
        // Who is asked to end before it has ever seen the store ends all the same.
        None if view.stopping => &nothing,
        None => return waiting(memory, Reason::StoreUnreachable { leading: false }),
    };
    let config = cluster.config();
    let mut draft = Draft {
        view,
        cluster,
        config: &config,
        memory: memory.clone(),
        actions: Vec::new(),
        reasons: Vec::new(),
        arming: Arming::Leave,
        wake_at: Some(view.now + config.loop_wait),
        finished: false,
        gives_up: false,
    };
    take_up_job(&mut draft);
    remember(&mut draft);
    if matches!(view.postgres.server, Server::Unknown) || matches!(view.postgres.data, DataDirectory::Unknown) {
        draft.because(Reason::NotReadyYet);
    } else if view.dcs.cluster.is_none() {
        stopping::decide(&mut draft);
    } else {
        arm(&mut draft);
        situation(&mut draft);
        entry::publish(&mut draft);
    }
    view.hold.reasons.iter().for_each(|reason| draft.because(reason.clone()));
    failsafe::explain(&mut draft);
    let (standing, standby_standing) = standings(&draft);
    let (asks, leads) = (failsafe::asks(&draft), failsafe::leads(&draft));
    let Draft { memory, actions, reasons, arming, wake_at, finished, .. } = draft;
    Decision { next: memory, actions, reasons, arming, asks, leads, standing, standby_standing, wake_at, finished }
}

/// As the primary, and as the standby leader: nobody is both.
fn standings(draft: &Draft<'_>) -> (Standing, Standing) {
    let standing = standing(draft);
    let elsewhere = if standing == Standing::Unknown { Standing::Unknown } else { Standing::Lost };
    // A primary that is to be demoted has clients until it is.
    let as_standby = draft.config.standby_cluster.is_some() && !primary(draft);
    if as_standby { (elsewhere, standing) } else { (standing, elsewhere) }
}

/// Addresses come with the key and go with it, not with PostgreSQL: who connects before it takes writes, or while it stops, is
/// answered at once. Where nobody has the address, a client's first packet is lost, and TCP sends the next a second later.
fn standing(draft: &Draft<'_>) -> Standing {
    let released = |fence: &Fence| draft.memory.released == Some(fence.epoch);
    let server = &draft.view.postgres.server;
    if draft.gives_up {
        return Standing::Lost;
    }
    if draft.fence().is_some_and(|fence| !released(&fence)) {
        return Standing::Holds;
    }
    match server {
        Server::Unknown | Server::Starting => Standing::Unknown,
        // The store is back, and the key is about to be taken again.
        Server::Running(_) | Server::Unresponsive { .. }
            if primary(draft)
                && draft.memory.unbroken
                && draft.cluster.leader_name().is_none_or(|leader| *leader == draft.view.me)
                && failsafe::consent_in_force(draft)
                && !entry::stops(draft) =>
        {
            Standing::Unknown
        }
        // A worker that was started again takes up the lease of the one before.
        Server::Running(_) | Server::Unresponsive { .. }
            if (primary(draft) || draft.config.standby_cluster.is_some())
                && draft.view.dcs.lease.is_none()
                && !entry::stops(draft) =>
        {
            Standing::Unknown
        }
        Server::Running(_) | Server::Unresponsive { .. } | Server::Down | Server::Stopping => Standing::Lost,
    }
}

fn waiting(memory: &Memory, reason: Reason) -> Decision {
    Decision { next: memory.clone(), reasons: vec![reason], ..Decision::default() }
}

fn situation(draft: &mut Draft<'_>) {
    let view = draft.view;
    if view.stopping {
        return stopping::decide(draft);
    }
    if let Some(foreign) = bootstrap::foreign_data_directory(view, draft.cluster) {
        return draft.because(foreign);
    }
    if let (None, Some(why)) = (&draft.cluster.config, draft.cluster.unreadable.get("config")) {
        // It may ask for synchronous mode: whoever leads by the defaults would lose what was acknowledged.
        draft.because(Reason::ConfigUnreadable { why: why.clone() });
        if draft.fence().is_none() {
            stop_a_primary_without_lease(draft);
        }
        return;
    }
    if !view.dcs.connected {
        draft.because(Reason::StoreUnreachable { leading: draft.fence().is_some() });
    }
    match (draft.fence(), draft.cluster.leader_name()) {
        // The release may have reached the store already; to lead again takes the key anew.
        (Some(fence), _) if draft.memory.released == Some(fence.epoch) => leading::release_again(draft, &fence),
        (Some(fence), _) => leading::decide(draft, &fence),
        // The leader key is ours under a lease that is not: it runs out by itself.
        (None, Some(leader)) if *leader == view.me => {
            draft.because(Reason::NoLease);
            stop_a_primary_without_lease(draft);
        }
        (None, Some(leader)) => following::decide(draft, &leader.clone()),
        (None, None) => leaderless::decide(draft),
    }
}

/// The guard does this by itself; the worker does it too, so that either alone is enough. A guard without a fence never
/// would. While its fence stands, a worker that was started again has the time to take up the lease of the one before.
pub(super) fn stop_a_primary_without_lease(draft: &mut Draft<'_>) {
    let now = draft.view.now;
    let lease_is_over = draft.view.dcs.lease.is_some_and(|lease| lease.fence() <= now);
    let fenced = draft.view.guard.armed.is_some_and(|until| until > now);
    if primary(draft) && (lease_is_over || !fenced) && !draft.cluster.is_paused() {
        draft.begin(Job::Stop { mode: StopMode::Immediate });
    } else if let Some(until) = draft.view.guard.armed {
        draft.wake(until);
    }
}

/// The key is gone and the claim stands: the guard first, then the key. Where the claim is gone too and others have only
/// promised not to take the key, the guard stays armed up to the end of that, and no longer, until the key is taken.
fn may_take_the_key_again(draft: &Draft<'_>) -> bool {
    let lease = draft.view.dcs.lease.is_some_and(|lease| lease.is_valid(draft.view.now));
    draft.memory.unbroken && claim_stands(draft) && draft.cluster.leader.is_none() && primary(draft) && lease
}

pub(super) fn claim_stands(draft: &Draft<'_>) -> bool {
    draft.cluster.members.get(&draft.view.me).is_some_and(|mine| mine.data.claims_primary())
}

fn primary(draft: &Draft<'_>) -> bool {
    draft.view.postgres.server.running().is_some_and(|running| !running.in_recovery)
}

fn take_up_job(draft: &mut Draft<'_>) {
    let Some(job) = &draft.view.job else { return };
    let now = draft.view.now;
    let leader_timeline = draft.cluster.leader_member().and_then(|(_, member)| member.data.timeline);
    match &job.state {
        JobState::Running { since } => draft.because(Reason::JobRunning { what: job.job.kind(), since: *since }),
        JobState::Done => {
            if let Job::Clone { from: source @ Source::Remote(_) }
            | Job::Rejoin { leader: source @ Source::Remote(_) } = &job.job
            {
                draft.memory.completed_by = Some(source.clone());
            }
            match &job.job {
                Job::Clone { .. } => {
                    draft.memory.needs_clone = false;
                    draft.memory.futile_starts = 0;
                    draft.memory.rejoined = leader_timeline;
                    draft.memory.restarting = false;
                }
                Job::Rejoin { leader: Source::Member(_) } => draft.memory.rejoined = leader_timeline,
                // The leader is this member, which may not have said yet on which timeline it is.
                Job::Rejoin { leader: Source::Remote(_) } => {
                    draft.memory.rejoined = leader_timeline.or(Some(Timeline::default()));
                }
                Job::Stop { .. }
                | Job::Initdb
                | Job::PostBootstrap
                | Job::Promote { .. }
                | Job::Checkpoint
                | Job::Survey { .. }
                | Job::Start { .. } => {}
            }
            if !matches!(job.job, Job::Start { .. }) {
                draft.memory.succeeded(&job.job);
            }
        }
        JobState::Failed { why } | JobState::Impossible { why } => {
            draft.because(Reason::JobFailed { what: job.job.kind(), why: why.clone() });
            if !matches!(job.job, Job::Start { .. }) {
                draft.memory.failed(&job.job, now);
            }
            // A leader that cannot be reached for a moment is no reason to copy everything.
            // And a remote primary that does not want us is none to throw the cluster's data away.
            let of_member = matches!(job.job, Job::Rejoin { leader: Source::Member(_) });
            let hopeless = matches!(job.state, JobState::Impossible { .. })
                || of_member && draft.memory.failures("rejoin") >= REJOIN_FAILURES_MAX;
            if matches!(job.job, Job::Rejoin { .. }) && hopeless {
                draft.memory.needs_clone = true;
            }
        }
    }
}

fn remember(draft: &mut Draft<'_>) {
    let now = draft.view.now;
    match &draft.cluster.leader {
        Some(leader) => {
            draft.memory.last_epoch = draft.memory.last_epoch.max(leader.epoch);
            draft.memory.leader_missing_since = None;
        }
        None => draft.memory.leader_missing_since = draft.memory.leader_missing_since.or(Some(now)),
    }
    match &draft.view.postgres.server {
        Server::Running(running) => {
            draft.memory.retries.remove("start");
            draft.memory.completed_by = None;
            draft.memory.down_since = None;
            // The stop for it may be under way.
            draft.memory.restarting &= draft.job_runs();
            draft.memory.realigning &= draft.job_runs();
            if !running.in_recovery {
                draft.memory.rejoined = None;
            }
            if running.streaming || !running.in_recovery {
                draft.memory.futile_starts = 0;
                draft.memory.not_streaming_since = None;
            } else {
                draft.memory.not_streaming_since = draft.memory.not_streaming_since.or(Some(now));
            }
        }
        Server::Unknown | Server::Down | Server::Starting | Server::Stopping | Server::Unresponsive { .. } => {
            draft.memory.not_streaming_since = None;
        }
    }
    if primary(draft) {
        draft.memory.sync_settling = None;
    } else {
        draft.memory.names_asked = None;
    }
    let starting = matches!(draft.view.postgres.server, Server::Starting);
    draft.memory.starting_since = starting.then(|| draft.memory.starting_since.unwrap_or(now));
    if primary(draft) || draft.view.postgres.server.is_down() {
        draft.memory.promoting = false;
    }
    failsafe::remember(draft);
    let nobody_else_can = claim_stands(draft) || failsafe::consent_in_force(draft);
    let led = draft.memory.unbroken && draft.cluster.leader_name().is_none_or(|leader| *leader == draft.view.me);
    draft.memory.unbroken = nobody_else_can && (led || draft.fence().is_some());
    if draft.fence().is_none() {
        draft.memory.switchover = None;
        draft.memory.enforced = None;
        draft.memory.sync_sent = None;
        draft.memory.down_since = None;
        draft.memory.status_written = None;
    }
}

fn arm(draft: &mut Draft<'_>) {
    let replica = draft.view.postgres.server.running().is_some_and(|running| running.in_recovery);
    // A replica under a fence was to be promoted, perhaps by the worker before this one, and may be on its way: the fence
    // is left to fall. One that was started as a replica has none. And while a start is under way, down is not down.
    let sure = !draft.job_runs() && !draft.memory.promoting;
    let unfenced = draft.view.guard.armed.is_none();
    let free = sure && (replica && unfenced || draft.view.postgres.server.is_down());
    draft.arming = if draft.cluster.is_paused() && (free || entry::claim_is_durable(draft)) {
        Arming::Disarm
    } else if draft.fence().is_some() && may_be_writable(draft) || may_take_the_key_again(draft) {
        Arming::Arm
    } else if free {
        Arming::Disarm
    } else {
        Arming::Leave
    };
}

/// The leader of a standby cluster has nothing to be fenced for, and PostgreSQL goes on when the lease is lost. Unless it still is a
/// primary, or something was begun to make it one before the cluster became a standby cluster.
fn may_be_writable(draft: &Draft<'_>) -> bool {
    let starting = matches!(draft.view.postgres.server, Server::Starting | Server::Unknown);
    draft.config.standby_cluster.is_none()
        || primary(draft)
        || draft.memory.promoting
        || starting && draft.view.guard.armed.is_some()
}

/// How far the cluster's WAL is known to go: what the last leader noted.
pub(super) fn known_end(cluster: &Cluster) -> Lsn {
    cluster.status.as_ref().map(|status| status.value.optime).unwrap_or_default()
}
