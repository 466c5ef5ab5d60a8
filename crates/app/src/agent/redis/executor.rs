//! Carries out the jobs that decisions begin, one after the other, over a connection of its own.
//!
//! The invariant: what makes a master is done only while the guard holds a fence that stands (except in the pause) and the
//! newest view of the store names this member's leadership; whoever decided it looked at an older one.

use super::instance::{Instance, address_of};
use super::observer::{Found, Observation, with_hint};
use crate::agent::guard_link::GuardLink;
use dcs::DcsView;
use ha::cluster::RedisGroup;
use ha::cluster::redis::RedisFence;
use ha::guard::{ServerKind, StopMode, ToGuard};
use ha::redis::Job;
use platform::boot_clock;
use redis::Server;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use types::{MemberName, Millis};

/// Jobs that may wait: there is one at a time.
const JOBS_MAX: usize = 4;
/// For the look after a job. A server that has just obeyed answers at once.
const LOOK_PATIENCE: Duration = Duration::from_millis(200);
/// A stop in order writes a snapshot where the configuration asks for one; what takes longer than this is killed.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// A job that ended.
#[derive(Debug)]
pub struct JobEnd {
    pub job: Job,
    /// Where the stream was, of jobs that find it out.
    pub result: Result<Option<u64>, String>,
    /// How Redis is after it, where the job changed what it does.
    pub seen: Option<Observation>,
}

pub struct Executor {
    pub instance: Arc<Instance>,
    pub guard: GuardLink,
    pub view: watch::Receiver<Arc<DcsView>>,
    pub ends: mpsc::Sender<JobEnd>,
}

impl Executor {
    pub fn start(self, server: Server) -> mpsc::Sender<Job> {
        let (sender, mut jobs) = mpsc::channel(JOBS_MAX);
        tokio::spawn(async move {
            let mut server = server;
            while let Some(job) = jobs.recv().await {
                let result = self.run(&job, &mut server).await;
                let seen = if changes_role(&job) { self.look(&mut server).await } else { None };
                if self.ends.send(JobEnd { job, result, seen }).await.is_err() {
                    return;
                }
            }
        });
        sender
    }

    async fn run(&self, job: &Job, server: &mut Server) -> Result<Option<u64>, String> {
        match job {
            Job::Start { upstream } => self.start_server(upstream.as_ref()).await.map(|()| None),
            Job::Stop { mode } => {
                server.disconnect();
                self.stop(*mode).await.map(|()| None)
            }
            Job::Promote { fence } => {
                self.may_be_master(fence)?;
                server.promote().await.map_err(text)?;
                // The fence may have fallen while it was sent: then the guard has ended the server.
                Ok(None)
            }
            Job::Follow { leader } => self.follow(server, leader.as_ref()).await,
            Job::Pause { fence, lasts } => {
                self.leads(fence)?;
                server.pause_writes((*lasts).into()).await.map(|()| None).map_err(text)
            }
            Job::WaitOffset { candidate, until } => self.wait_for(server, candidate, *until).await.map(Some),
            Job::StepDown { fence, until } => {
                self.leads(fence)?;
                if until.is_some_and(|until| boot_clock() >= until) {
                    return Err("writes do not wait any more".to_owned());
                }
                server.demote(None).await.map(Some).map_err(text)
            }
            Job::Unpause => server.unpause().await.map(|()| None).map_err(text),
        }
    }

    async fn start_server(&self, upstream: Option<&MemberName>) -> Result<(), String> {
        let upstream = upstream.map(|name| self.address(name)).transpose()?;
        let command = self.instance.start_command(upstream).map_err(text)?;
        let before = self.guard.state_of(ServerKind::Redis).sequence;
        if !self.guard.send(&ToGuard::Start { server: ServerKind::Redis, command, fence: None }) {
            return Err("the guard takes no messages".to_owned());
        }
        let answer = self.guard.wait_for_server(ServerKind::Redis, |state| {
            state.sequence > before && (state.pid.is_some() || state.start_failed.is_some() || state.exited.is_some())
        });
        // However long it takes: a frozen guard that comes back carries out what it was sent.
        let state = answer.await.map_err(|_| "the guard is gone".to_owned())?;
        match (state.start_failed, state.pid) {
            (Some(why), None) => Err(why),
            (_, Some(_)) => Ok(()),
            (None, None) => Err(format!("Redis ended at once ({}); see its log", state.exited.unwrap_or_default())),
        }
    }

    /// Ends when the server is gone. An orderly stop that takes too long becomes a kill.
    async fn stop(&self, mode: StopMode) -> Result<(), String> {
        if self.guard.state_of(ServerKind::Redis).pid.is_none() {
            return Ok(());
        }
        if !self.guard.send(&ToGuard::Stop { server: ServerKind::Redis, mode }) {
            return Err("the guard does not take messages".to_owned());
        }
        let gone = || self.guard.wait_for_server(ServerKind::Redis, |state| state.pid.is_none());
        let ended = if let Ok(ended) = tokio::time::timeout(STOP_LIMIT, gone()).await {
            ended
        } else {
            tracing::warn!("Redis has not stopped in time; it is killed");
            self.guard.send(&ToGuard::Stop { server: ServerKind::Redis, mode: StopMode::Kill });
            gone().await
        };
        ended.map(drop).map_err(|_| "the guard is gone".to_owned())
    }

    /// A master loses its clients in the same step.
    async fn follow(&self, server: &mut Server, leader: Option<&MemberName>) -> Result<Option<u64>, String> {
        let address = leader.map(|leader| self.address(leader)).transpose()?;
        if server.replication().await.map_err(text)?.is_master() {
            return server.demote(address.as_ref()).await.map(Some).map_err(text);
        }
        let followed = match &address {
            Some(address) => server.replica_of(address).await,
            None => server.replica_of_nobody().await,
        };
        followed.map(|()| None).map_err(text)
    }

    async fn wait_for(&self, server: &mut Server, candidate: &MemberName, until: Millis) -> Result<u64, String> {
        let address = self.address(candidate)?;
        let mut candidate = self.instance.peer(address).map_err(text)?;
        let master = server.replication().await.map_err(text)?;
        let patience = Duration::from(until.since(boot_clock()));
        // One question to a host that has just gone must not take the whole pause.
        match tokio::time::timeout(patience, candidate.wait_for_all_of(&master, patience)).await {
            Ok(Ok(true)) => Ok(master.offset),
            Ok(Ok(false)) | Err(_) => Err("the candidate has not caught up in time".to_owned()),
            Ok(Err(error)) => Err(text(error)),
        }
    }

    async fn look(&self, server: &mut Server) -> Option<Observation> {
        let pid = self.guard.state_of(ServerKind::Redis).pid?;
        let asked_at = boot_clock();
        let status = server.probe(LOOK_PATIENCE).await.ok()?;
        Some(Observation { pid, asked_at, found: Found::Answered(Box::new(status)) })
    }

    fn may_be_master(&self, fence: &RedisFence) -> Result<(), String> {
        self.leads(fence)?;
        let armed = self.guard.state_of(ServerKind::Redis).armed;
        // In the pause nobody is fenced; the claim in the store keeps others from the key.
        let paused = self.view.borrow().cluster.is_paused();
        if !paused && armed.is_none_or(|until| until <= boot_clock()) {
            return Err("the fence has fallen before the promotion".to_owned());
        }
        Ok(())
    }

    fn leads(&self, fence: &RedisFence) -> Result<(), String> {
        let leader = self.group().leader;
        if leader.is_some_and(|leader| (&leader.name, leader.epoch) == (&fence.me, fence.epoch)) {
            Ok(())
        } else {
            Err("the leadership under which it was decided is over".to_owned())
        }
    }

    fn address(&self, name: &MemberName) -> Result<redis::Address, String> {
        address_of(&self.group(), name).ok_or_else(|| format!("{name} has not published its address"))
    }

    fn group(&self) -> RedisGroup {
        self.view.borrow().cluster.redis_group(&self.instance.config.name)
    }
}

/// After these the old answer of Redis is worth nothing.
pub fn changes_role(job: &Job) -> bool {
    match job {
        Job::Promote { .. } | Job::Follow { .. } | Job::StepDown { .. } => true,
        Job::Start { .. } | Job::Stop { .. } | Job::Pause { .. } | Job::WaitOffset { .. } | Job::Unpause => false,
    }
}

/// As an argument of `map_err`.
#[allow(clippy::needless_pass_by_value)]
fn text(error: redis::Error) -> String {
    with_hint(&error)
}
