//! The long work that decisions begin: one at a time, each ends with done or with why not.

use crate::clock::{MS, SECOND, Time};
use crate::mutant::Mutant;
use crate::postgres::Phase;
use crate::postgres::directory::Data;
use crate::postgres::tools::Rejoin;
use crate::say;
use crate::worker::WorkerEvent;
use crate::world::World;
use ha::guard::{FromGuard, ServerKind, StartCommand, StopMode, ToGuard};
use ha::postgres::{Job, JobState, JobView, Server, Source, names_at_start};
use types::Millis;

/// `pg_ctl_timeout`: then an orderly stop becomes a kill.
const STOP_LIMIT: Time = 60 * SECOND;
const PROMOTION_POLL: Time = 4 * MS;
const PROMOTION_LIMIT: Time = 300 * SECOND;

/// Where a job has got to.
#[derive(Clone, Debug)]
pub enum JobStep {
    Initdb,
    PostBootstrap,
    Prepared { standby: bool, upstream: Option<usize>, names: String, fence: Option<Millis> },
    NothingToDo,
    StopLimit,
    Promote { names: String, timelines_taken: u32 },
    PromotionPoll { deadline: Time },
    Checkpoint,
    Clone { from: usize, run: u64, rest: u32 },
    CloneRemote,
    RejoinRemote,
    Failed { why: &'static str },
    Compare { leader: usize },
    Rewind { leader: usize, run: u64, rest: u32 },
}

impl World {
    pub(crate) fn begin_job(&mut self, host: usize, job: Job, now: Millis) {
        say!(self, host, "begins {job:?}");
        let Some(worker) = &mut self.hosts[host].worker else { return };
        worker.job_number += 1;
        worker.job = Some(JobView { job: job.clone(), state: JobState::Running { since: now } });
        let cluster = worker.cluster.clone().unwrap_or_default();
        self.look_at_standby_cluster(host, &job);
        let Some(worker) = &self.hosts[host].worker else { return };
        let (after, step) = match job {
            Job::Initdb => (self.random.between(300 * MS, SECOND), JobStep::Initdb),
            Job::PostBootstrap => (self.random.between(20 * MS, 200 * MS), JobStep::PostBootstrap),
            Job::Start { upstream, fence } => {
                let names = names_at_start(&cluster, &cluster.config());
                let upstream = upstream.and_then(|source| self.place_of(&source));
                let step = JobStep::Prepared { standby: fence.is_none(), upstream, names, fence };
                (self.random.between(4 * MS, 25 * MS), step)
            }
            Job::Stop { .. } if !worker.postmaster => (MS, JobStep::NothingToDo),
            Job::Stop { mode } => {
                self.tell_guard(host, ToGuard::Stop { server: ServerKind::Postgres, mode });
                (STOP_LIMIT, JobStep::StopLimit)
            }
            Job::Promote { beyond } => {
                let names = names_at_start(&cluster, &cluster.config());
                let again = self.setup.mutant == Some(Mutant::GiveTimelinesAgain);
                let timelines_taken = if again { 0 } else { beyond.0 };
                (self.random.between(2 * MS, 15 * MS), JobStep::Promote { names, timelines_taken })
            }
            Job::Checkpoint => {
                let slow = self.hosts[host].postgres.slow_disk;
                let long = self.random.percent(10);
                let ordinary =
                    if long { self.random.between(SECOND, 5 * SECOND) } else { self.random.between(5 * MS, 300 * MS) };
                (ordinary * slow.min(10), JobStep::Checkpoint)
            }
            Job::Survey { .. } | Job::Clone { from: Source::Remote(_) } | Job::Rejoin { leader: Source::Remote(_) } => {
                self.remote_job(&job)
            }
            Job::Clone { from } => {
                let from = self.place_of(&from).unwrap_or(host);
                match self.can_copy(host, from, false) {
                    // What was there is moved aside once the source has answered.
                    Ok(run) => (self.random.between(200 * MS, SECOND), JobStep::Clone { from, run, rest: 3 }),
                    Err(why) => (SECOND, JobStep::Failed { why }),
                }
            }
            Job::Rejoin { leader } => {
                let leader = self.place_of(&leader).unwrap_or(host);
                let reachable = self.can_copy(host, leader, true).is_ok();
                let after = if reachable { self.random.between(15 * MS, 80 * MS) } else { 2 * SECOND };
                (after, JobStep::Compare { leader })
            }
        };
        self.job_soon(host, after, step);
    }

    fn job_soon(&mut self, host: usize, after: Time, step: JobStep) {
        if let Some(number) = self.hosts[host].worker.as_ref().map(|worker| worker.job_number) {
            self.worker_soon(host, after, WorkerEvent::Job { number, step });
        }
    }

    pub(crate) fn job_step(&mut self, host: usize, number: u64, step: JobStep) {
        let running = self.hosts[host].worker.as_ref().is_some_and(|worker| {
            worker.job_number == number
                && worker.job.as_ref().is_some_and(|job| matches!(job.state, JobState::Running { .. }))
        });
        if !running {
            return;
        }
        match step {
            JobStep::Initdb => {
                self.initdb(host);
                self.job_ends(host, Ok(()));
            }
            JobStep::PostBootstrap => {
                let primary = self.hosts[host].postgres.is_primary();
                self.job_ends(host, if primary { Ok(()) } else { Err("no connection".to_owned()) });
            }
            JobStep::Prepared { standby, upstream, names, fence } => {
                if let Some(cluster) = self.hosts[host].postgres.data.cluster_mut() {
                    cluster.standby = standby;
                    cluster.upstream = upstream;
                    cluster.synchronous_standby_names = names;
                }
                let command = StartCommand {
                    program: "postgres".to_owned(),
                    arguments: Vec::new(),
                    environment: Vec::new(),
                    log_file: String::new(),
                    working_directory: String::new(),
                };
                self.tell_guard(host, ToGuard::Start { server: ServerKind::Postgres, command, fence });
            }
            JobStep::NothingToDo => self.job_ends(host, Ok(())),
            JobStep::StopLimit => {
                self.tell_guard(host, ToGuard::Stop { server: ServerKind::Postgres, mode: StopMode::Kill });
            }
            JobStep::Promote { names, timelines_taken } => self.promote_step(host, &names, timelines_taken),
            JobStep::PromotionPoll { deadline } => match self.hosts[host].postgres.phase() {
                Some(Phase::Primary) => self.job_ends(host, Ok(())),
                Some(_) if self.now < deadline => {
                    self.job_soon(host, PROMOTION_POLL, JobStep::PromotionPoll { deadline });
                }
                Some(_) | None => self.job_ends(host, Err("PostgreSQL ended during its promotion".to_owned())),
            },
            JobStep::Checkpoint => {
                let postgres = &self.hosts[host].postgres;
                let run = postgres.run;
                if postgres.frozen > 0 {
                    return self.job_soon(host, SECOND, JobStep::Checkpoint);
                }
                if matches!(postgres.phase(), Some(Phase::Primary | Phase::Standby)) {
                    self.postgres_soon(host, run, 0, crate::postgres::PostgresEvent::Checkpointed);
                    self.job_ends(host, Ok(()));
                } else {
                    self.job_ends(host, Err("no connection".to_owned()));
                }
            }
            JobStep::CloneRemote => {
                self.clone_of_remote_done(host);
                self.job_ends(host, Ok(()));
            }
            JobStep::RejoinRemote => {
                let result = self.rejoin_remote_done(host);
                self.job_ends(host, result);
            }
            JobStep::Clone { from, run, rest } => self.clone_step(host, from, run, rest),
            JobStep::Failed { why } => self.job_ends(host, Err(why.to_owned())),
            JobStep::Compare { leader } => self.compare_step(host, leader),
            JobStep::Rewind { leader, run, rest } => self.rewind_step(host, leader, run, rest),
        }
    }

    fn promote_step(&mut self, host: usize, names: &str, timelines_taken: u32) {
        self.set_synchronous_standby_names(host, names);
        let now = self.hosts[host].clock.read(self.now);
        let Some(worker) = &self.hosts[host].worker else { return };
        let paused = worker.cluster.as_ref().is_some_and(ha::cluster::Cluster::is_paused);
        // Without a fence that stands nothing would end this primary.
        if !paused && worker.armed.is_none_or(|until| until <= now) {
            return self.job_ends(host, Err("the fence has fallen before the promotion".to_owned()));
        }
        if self.hosts[host].postgres.frozen > 0 || !self.promote(host, timelines_taken) {
            return self.job_ends(host, Err("it is not a standby".to_owned()));
        }
        let deadline = self.now + PROMOTION_LIMIT;
        self.job_soon(host, PROMOTION_POLL, JobStep::PromotionPoll { deadline });
    }

    fn clone_step(&mut self, host: usize, from: usize, run: u64, rest: u32) {
        match self.can_copy(host, from, false) {
            Ok(present) if present == run && rest > 0 => {
                self.hosts[host].postgres.data = Data::Unfinished;
                let after = self.random.between(200 * MS, SECOND);
                self.job_soon(host, after, JobStep::Clone { from, run, rest: rest - 1 });
            }
            Ok(present) if present == run => {
                self.clone_done(host, from);
                self.job_ends(host, Ok(()));
            }
            Ok(_) | Err(_) => self.job_ends(host, Err("the connection was lost".to_owned())),
        }
    }

    fn compare_step(&mut self, host: usize, leader: usize) {
        match self.compare_histories(host, leader) {
            Ok(Rejoin::AsItIs) => self.job_ends(host, Ok(())),
            Err(why) => self.job_ends(host, Err(why)),
            Ok(Rejoin::Rewind) => {
                if let Err(why) = self.rewind_is_possible(host, leader) {
                    return self.job_ends(host, Err(why));
                }
                let run = self.hosts[leader].postgres.run;
                let postgres = &mut self.hosts[host].postgres;
                if let Data::Cluster(cluster) = std::mem::replace(&mut postgres.data, Data::Empty) {
                    postgres.data = Data::HalfRewound(cluster);
                }
                let after = self.random.between(30 * MS, 500 * MS);
                self.job_soon(host, after, JobStep::Rewind { leader, run, rest: 2 });
            }
        }
    }

    fn rewind_step(&mut self, host: usize, leader: usize, run: u64, rest: u32) {
        if self.can_copy(host, leader, true) != Ok(run) {
            return self.job_ends(host, Err("the connection was lost".to_owned()));
        }
        if rest > 0 {
            let after = self.random.between(30 * MS, 500 * MS);
            return self.job_soon(host, after, JobStep::Rewind { leader, run, rest: rest - 1 });
        }
        let postgres = &mut self.hosts[host].postgres;
        match std::mem::replace(&mut postgres.data, Data::Empty) {
            Data::HalfRewound(cluster) => postgres.data = Data::Cluster(cluster),
            other => postgres.data = other,
        }
        match self.rewind_done(host, leader) {
            Ok(()) => self.job_ends(host, Ok(())),
            Err(why) => self.job_is_impossible(host, why),
        }
    }

    /// Start and stop end with what the guard says.
    pub(crate) fn job_hears(&mut self, host: usize, message: &FromGuard) {
        let job = self.hosts[host].worker.as_ref().and_then(|worker| worker.job.as_ref());
        let Some(JobView { job, state: JobState::Running { .. } }) = job else { return };
        match (job, message) {
            (Job::Start { .. }, FromGuard::Started { .. }) | (Job::Stop { .. }, FromGuard::Exited { .. }) => {
                self.job_ends(host, Ok(()));
            }
            (Job::Start { .. }, FromGuard::StartFailed { why, .. }) => self.job_ends(host, Err(why.clone())),
            _ => {}
        }
    }

    fn job_is_impossible(&mut self, host: usize, why: String) {
        self.job_ends(host, Err(why.clone()));
        if let Some(job) = self.hosts[host].worker.as_mut().and_then(|worker| worker.job.as_mut()) {
            job.state = JobState::Impossible { why };
        }
    }

    fn job_ends(&mut self, host: usize, result: Result<(), String>) {
        let postgres = self.hosts[host].postgres.run;
        let Some(worker) = &mut self.hosts[host].worker else { return };
        let Some(JobView { job, .. }) = worker.job.take() else { return };
        say!(self, host, "{}: {result:?}", job.kind());
        if matches!(job, Job::Initdb | Job::Clone { .. } | Job::Rejoin { .. }) {
            self.look_at_data(host);
        }
        let Some(worker) = &mut self.hosts[host].worker else { return };
        if let (Job::Start { upstream, .. }, Ok(())) = (&job, &result) {
            worker.following.clone_from(upstream);
        }
        if let Job::Promote { beyond } = &job
            && result.is_ok()
            && let Server::Running(running) = &mut worker.server
        {
            // Known without asking; the rest comes with the next answer.
            running.in_recovery = false;
            running.streaming = false;
            running.write = running.receive.max(running.replay).unwrap_or_default();
            running.timeline.0 = running.timeline.max(*beyond).0 + 1;
            running.standbys.clear();
            worker.promoted = Some(postgres);
        }
        let state = match result {
            Ok(()) => JobState::Done,
            Err(why) => JobState::Failed { why },
        };
        worker.job = Some(JobView { job, state });
        self.probe_soon(host);
        self.decide_soon(host);
    }
}
