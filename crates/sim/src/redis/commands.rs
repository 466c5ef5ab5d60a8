//! What an agent may tell its Redis. A process that is frozen carries out later what reached it before.

use super::{RedisEvent, RedisWorkerEvent, Role};
use crate::clock::{MS, Time};
use crate::say;
use crate::worker::WorkerEvent;
use crate::world::{Happening, World};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Promote,
    ReplicaOf {
        of: Option<usize>,
    },
    Pause {
        lasts: Time,
    },
    Unpause,
    /// In one transaction: where the stream ends, and from there on a replica of nobody.
    StepDown,
}

impl World {
    pub(crate) fn tell_redis(&mut self, host: usize, job: u64, command: Command) {
        let Some(worker) = &self.hosts[host].worker else { return };
        let worker_run = worker.run;
        let after = self.random.between(50, 2 * MS);
        self.redis_soon(host, after, RedisEvent::Command { worker_run, job, command });
    }

    pub(crate) fn redis_command(&mut self, host: usize, worker_run: u64, job: u64, command: Command) {
        let now = self.now;
        say!(self, host, "redis: carries out {command:?}");
        let Some(server) = self.hosts[host].redis.server.as_mut().filter(|server| !server.loading) else {
            return self.redis_answers(host, worker_run, job, Err("LOADING".to_owned()));
        };
        let mut offset = None;
        match command {
            Command::Promote => self.redis_promoted(host),
            Command::ReplicaOf { of } => self.redis_replicates(host, of.filter(|of| *of != host)),
            Command::Pause { lasts } => {
                server.paused_until = now + lasts;
                self.redis_soon(host, lasts, RedisEvent::PauseEnds);
            }
            Command::Unpause => {
                server.paused_until = 0;
                self.redis_pause_ends(host);
            }
            Command::StepDown => {
                if server.role != Role::Master {
                    return self.redis_answers(host, worker_run, job, Err("it is a replica".to_owned()));
                }
                offset = Some(server.stream.end());
                self.redis_replicates(host, None);
            }
        }
        self.redis_answers(host, worker_run, job, Ok(offset));
    }

    fn redis_answers(&mut self, host: usize, worker_run: u64, job: u64, answer: Result<Option<u64>, String>) {
        let after = self.random.between(50, 2 * MS);
        let event = WorkerEvent::Redis(RedisWorkerEvent::Answer { job, answer });
        self.plan(after, Happening::Worker { host, run: worker_run, event });
    }
}
