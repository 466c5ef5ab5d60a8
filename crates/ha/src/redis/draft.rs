//! A decision in the making, and the few steps that every situation takes.

use super::decide::{Action, Arming, Job};
use super::memory::Memory;
use super::reason::{Obstacle, Reason};
use super::view::{JobState, Server, ServerRole, View};
use crate::cluster::redis::{RedisFence, RedisWrite};
use crate::cluster::{FailsafeMembers, RedisGroup, Versioned};
use crate::config::DynamicConfig;
use crate::failsafe::{Bar, bar};
use crate::guard::StopMode;
use types::{Millis, Revision};

pub(super) struct Draft<'a> {
    pub view: &'a View,
    pub group: &'a RedisGroup,
    /// The store's, of this view.
    pub revision: Revision,
    pub config: &'a DynamicConfig,
    /// Who may take a leader key while this exists.
    pub failsafe: Option<&'a Versioned<FailsafeMembers>>,
    pub memory: Memory,
    pub actions: Vec<Action>,
    pub reasons: Vec<Reason>,
    pub arming: Arming,
    pub wake_at: Option<Millis>,
    pub finished: bool,
}

impl Draft<'_> {
    pub fn because(&mut self, reason: Reason) {
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    pub fn write(&mut self, write: RedisWrite) {
        self.actions.push(Action::Write(write));
    }

    /// A time that has passed already asks for nothing: what it was waited for is part of this decision.
    pub fn wake(&mut self, at: Millis) {
        if at > self.view.now {
            self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
        }
    }

    /// As far as this view of the store knows, clients are still led here.
    pub fn is_shown_as_writable(&self) -> bool {
        self.group.members.get(&self.view.me).is_some_and(|mine| mine.data.is_writable())
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
        match &job {
            Job::Promote { .. } => {
                self.memory.promoting = true;
                self.memory.demoted = false;
            }
            // Counts as a failure until Redis has been seen running.
            Job::Start { .. } => self.memory.failed(&job, now),
            Job::Stop { .. }
            | Job::Follow { .. }
            | Job::Pause { .. }
            | Job::WaitOffset { .. }
            | Job::StepDown { .. }
            | Job::Unpause => {}
        }
        self.because(Reason::JobRunning { what: job.kind(), since: now });
        self.actions.push(Action::Begin(job));
        true
    }

    pub fn job_runs(&self) -> bool {
        matches!(&self.view.job, Some(job) if matches!(job.state, JobState::Running { .. }))
    }

    pub fn is_paused(&self) -> bool {
        self.config.pause
    }

    /// The fence of this member's leadership, if it leads.
    pub fn fence(&self) -> Option<RedisFence> {
        let leader = self.group.leader.as_ref()?;
        let lease = self.view.dcs.lease.as_ref()?;
        (leader.name == self.view.me && leader.lease == Some(lease.id) && lease.is_valid(self.view.now))
            .then(|| RedisFence { me: self.view.me.clone(), epoch: leader.epoch })
    }

    /// Failsafe mode keeps this member from taking the leader key now. Says why, and wakes when that is over.
    pub fn is_barred(&mut self) -> bool {
        let view = self.view;
        let Some(bar) = bar(self.failsafe, &view.dcs.failsafe, &view.me, view.now) else { return false };
        let obstacle = match bar {
            Bar::Bound { to, until } => {
                self.wake(until);
                to.map_or(Obstacle::JustStarted, |to| Obstacle::Promised { to })
            }
            Bar::NotListed => Obstacle::NotInFailsafe,
        };
        self.because(Reason::Obstacle(obstacle));
        true
    }

    /// The guard has confirmed a fence that stands.
    pub fn is_armed(&self) -> bool {
        self.view.guard.armed.is_some_and(|until| until > self.view.now)
    }

    /// Redis is not a master, and nothing that was begun can make it one: it is gone, or was seen as a replica while no
    /// promotion is on its way. A fence that stands over a replica says that one may be, of the worker before this one;
    /// unless this one has demoted it since.
    pub fn certainly_no_master(&self) -> bool {
        if self.job_runs() || self.memory.promoting {
            return false;
        }
        match &self.view.server {
            Server::Down => true,
            Server::Running(running) => {
                !running.is_master() && (self.view.guard.armed.is_none() || self.memory.demoted)
            }
            Server::Unknown | Server::Starting | Server::Silent { .. } => false,
        }
    }

    /// A replica without a link, whose leader nobody knows to be the leader still, is made a replica of nobody: Redis
    /// connects again by itself, and an old master that comes back without data would delete what is here.
    pub fn park_without_link(&mut self) {
        let Server::Running(running) = &self.view.server else { return };
        if let ServerRole::Replica { of: Some(_), link_up: false } = &running.role
            && !self.is_paused()
        {
            self.begin(Job::Follow { leader: None });
        }
    }

    /// The guard does this by itself; the worker does it too, so that either alone is enough. A guard without a fence never
    /// would. While its fence stands, a worker that was started again has the time to take up the lease of the one before.
    pub fn stop_a_master_without_lease(&mut self) {
        let now = self.view.now;
        let lease_is_over = self.view.dcs.lease.is_some_and(|lease| lease.fence() <= now);
        if self.view.server.is_master() && (lease_is_over || !self.is_armed()) && !self.is_paused() {
            self.begin(Job::Stop { mode: StopMode::Kill });
        } else if let Some(until) = self.view.guard.armed {
            self.wake(until);
        }
    }
}
