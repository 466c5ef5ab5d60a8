//! The jobs that decisions about Redis begin: one at a time, each ends with done or with why not. What they must look at
//! before they act is the contract of `ha::redis::Job`.

use super::lifecycle::NOBODY;
use super::{Command, Link, RedisWorkerEvent, Role};
use crate::clock::{MS, SECOND, Time};
use crate::mutant::Mutant;
use crate::network::Plane;
use crate::say;
use crate::world::World;
use ha::cluster::redis::RedisFence;
use ha::guard::{FromGuard, ServerKind, StartCommand, StopMode, ToGuard};
use ha::redis::{Job, JobState, JobView, Server, ServerRole};
use types::{MemberName, Millis};

/// An answer that takes longer is not waited for; the command may still be carried out.
const COMMAND_TIMEOUT: Time = SECOND;
/// An orderly stop that takes longer becomes a kill.
const STOP_LIMIT: Time = 10 * SECOND;
const OFFSET_POLL: Time = 2 * MS;

/// Where a job has got to.
#[derive(Clone, Debug)]
pub enum Step {
    Prepared {
        upstream: String,
    },
    NothingToStop,
    StopLimit,
    Promote {
        fence: RedisFence,
    },
    StepDown {
        until: Option<Millis>,
    },
    Send {
        command: Command,
    },
    /// `mark`: where the own stream was at the first look.
    LookAtOffset {
        candidate: usize,
        mark: Option<u64>,
        until: Millis,
    },
    TooLate,
}

impl World {
    pub(crate) fn redis_begin_job(&mut self, host: usize, job: Job, now: Millis) {
        say!(self, host, "begins {job:?}");
        let Some(worker) = self.redis_worker(host) else { return };
        worker.job_number += 1;
        worker.job = Some(JobView { job: job.clone(), state: JobState::Running { since: now } });
        let up = worker.up;
        let at = |world: &Self, name: &MemberName| world.host_named(name).unwrap_or(host);
        let (after, step) = match job {
            Job::Start { upstream } => {
                let upstream = upstream.map_or(NOBODY.to_owned(), |name| at(self, &name).to_string());
                (self.random.between(2 * MS, 10 * MS), Step::Prepared { upstream })
            }
            Job::Stop { .. } if !up => (MS, Step::NothingToStop),
            Job::Stop { mode } => {
                self.tell_guard(host, ToGuard::Stop { server: ServerKind::Redis, mode });
                (STOP_LIMIT, Step::StopLimit)
            }
            Job::Promote { fence } => (self.random.between(100, 2 * MS), Step::Promote { fence }),
            Job::Follow { leader } => {
                let of = leader.map(|name| at(self, &name));
                (100, Step::Send { command: Command::ReplicaOf { of } })
            }
            Job::Pause { lasts, .. } => (100, Step::Send { command: Command::Pause { lasts: lasts.0 * MS } }),
            Job::WaitOffset { candidate, until } => {
                (100, Step::LookAtOffset { candidate: at(self, &candidate), mark: None, until })
            }
            Job::StepDown { until, .. } => (100, Step::StepDown { until }),
            Job::Unpause => (100, Step::Send { command: Command::Unpause }),
        };
        self.redis_job_soon(host, after, step);
    }

    fn redis_job_soon(&mut self, host: usize, after: Time, step: Step) {
        if let Some(number) = self.redis_worker(host).map(|worker| worker.job_number) {
            self.redis_worker_soon(host, after, RedisWorkerEvent::Job { number, step });
        }
    }

    pub(crate) fn redis_job_step(&mut self, host: usize, number: u64, step: Step) {
        let present = self.redis_worker(host).map(|worker| worker.job_number);
        if self.redis_job(host).is_none() || present != Some(number) {
            return;
        }
        match step {
            Step::Prepared { upstream } => {
                let command = StartCommand {
                    program: "redis-server".to_owned(),
                    arguments: vec![upstream],
                    environment: Vec::new(),
                    log_file: String::new(),
                    working_directory: String::new(),
                };
                self.tell_guard(host, ToGuard::Start { server: ServerKind::Redis, command, fence: None });
            }
            Step::NothingToStop => self.redis_job_ends(host, &Ok(None)),
            Step::StopLimit => {
                self.tell_guard(host, ToGuard::Stop { server: ServerKind::Redis, mode: StopMode::Kill });
            }
            Step::Promote { fence } => match self.may_promote(host, &fence) {
                Ok(()) => self.redis_send_command(host, number, Command::Promote),
                Err(why) => self.redis_job_ends(host, &Err(why.to_owned())),
            },
            Step::StepDown { until } => {
                let now = self.hosts[host].clock.read(self.now);
                if until.is_some_and(|until| until <= now) {
                    return self.redis_job_ends(host, &Err("the pause may be over".to_owned()));
                }
                self.redis_send_command(host, number, Command::StepDown);
            }
            Step::Send { command } => self.redis_send_command(host, number, command),
            Step::LookAtOffset { candidate, mark, until } => self.redis_look_at_offset(host, candidate, mark, until),
            Step::TooLate => self.redis_job_ends(host, &Err("there was no answer in time".to_owned())),
        }
    }

    /// Under a fence that stands, and while the key is seen to be this one.
    fn may_promote(&self, host: usize, fence: &RedisFence) -> Result<(), &'static str> {
        let now = self.hosts[host].clock.read(self.now);
        let Some(worker) = &self.hosts[host].worker else { return Err("the worker is gone") };
        let Some(cluster) = &worker.cluster else { return Err("the store was not seen") };
        if !cluster.is_paused() && worker.redis.armed.is_none_or(|until| until <= now) {
            return Err("the fence has fallen before the promotion");
        }
        let group = cluster.redis_group(super::GROUP);
        let leads = group.leader.is_some_and(|leader| leader.name == fence.me && leader.epoch == fence.epoch);
        if leads { Ok(()) } else { Err("the leader key has passed on") }
    }

    fn redis_send_command(&mut self, host: usize, number: u64, command: Command) {
        self.tell_redis(host, number, command);
        self.redis_job_soon(host, COMMAND_TIMEOUT, Step::TooLate);
    }

    fn redis_look_at_offset(&mut self, host: usize, candidate: usize, mark: Option<u64>, until: Millis) {
        let now = self.hosts[host].clock.read(self.now);
        if self.setup.mutant == Some(Mutant::RedisHandOverEarly) {
            return self.redis_job_ends(host, &Ok(Some(u64::MAX)));
        }
        if now >= until {
            return self.redis_job_ends(host, &Err("the candidate did not catch up in time".to_owned()));
        }
        let reachable = self.hosts[candidate].up && self.network.connects(Plane::Replication, host, candidate);
        let server = |at: usize| self.hosts[at].redis.server.as_ref().filter(|_| self.hosts[at].redis.frozen == 0);
        let (mine, theirs) = (server(host), server(candidate).filter(|_| reachable));
        let mark = mark.or(mine.map(|mine| mine.stream.end()));
        let caught_up = mine.zip(theirs).zip(mark).and_then(|((mine, theirs), mark)| {
            let receives = matches!(theirs.role, Role::Replica { link: Link::Up { .. }, .. });
            // Offsets of different histories say nothing of each other.
            let caught_up = receives && theirs.id == mine.id && theirs.stream.end() >= mark;
            caught_up.then(|| theirs.stream.end())
        });
        match caught_up {
            Some(end) => self.redis_job_ends(host, &Ok(Some(end))),
            None => self.redis_job_soon(host, OFFSET_POLL, Step::LookAtOffset { candidate, mark, until }),
        }
    }

    /// Redis has carried out (or refused) the command of a job.
    pub(crate) fn redis_answered(&mut self, host: usize, job: u64, answer: &Result<Option<u64>, String>) {
        if self.redis_worker(host).is_some_and(|worker| worker.job_number == job) && self.redis_job(host).is_some() {
            self.redis_job_ends(host, answer);
        }
    }

    /// Start and stop end with what the guard says.
    pub(crate) fn redis_job_hears(&mut self, host: usize, message: &FromGuard) {
        match (self.redis_job(host), message) {
            (Some(Job::Start { .. }), FromGuard::Started { .. })
            | (Some(Job::Stop { .. }), FromGuard::Exited { .. }) => self.redis_job_ends(host, &Ok(None)),
            (Some(Job::Start { .. }), FromGuard::StartFailed { why, .. }) => {
                self.redis_job_ends(host, &Err(why.clone()));
            }
            (Some(_), FromGuard::Exited { .. }) => self.redis_job_ends(host, &Err("Redis ended".to_owned())),
            _ => {}
        }
    }

    fn redis_job_ends(&mut self, host: usize, result: &Result<Option<u64>, String>) {
        let (now, clock) = (self.now, self.hosts[host].clock.read(self.now));
        let Some(worker) = self.redis_worker(host) else { return };
        let Some(JobView { job, .. }) = worker.job.take() else { return };
        if let (Ok(_), Server::Running(running)) = (result, &mut worker.server) {
            let role = match &job {
                Job::Promote { .. } => Some(ServerRole::Master),
                Job::Follow { leader } => Some(ServerRole::Replica { of: leader.clone(), link_up: false }),
                Job::StepDown { .. } => Some(ServerRole::Replica { of: None, link_up: false }),
                Job::Start { .. } | Job::Stop { .. } | Job::Pause { .. } | Job::WaitOffset { .. } | Job::Unpause => {
                    None
                }
            };
            if let Some(role) = role {
                running.role = role;
                running.observed_at = clock;
                running.replicas.clear();
                worker.changed_at = now;
            }
        }
        let state = match result {
            Ok(offset) => JobState::Done { offset: *offset },
            Err(why) => JobState::Failed { why: why.clone() },
        };
        say!(self, host, "{}: {result:?}", job.kind());
        if let Some(worker) = self.redis_worker(host) {
            worker.job = Some(JobView { job, state });
        }
        self.redis_probe_soon(host);
        self.redis_decide_soon(host);
    }
}
