//! Asks the local Redis how it is, and hears what the guard says of it.

use super::{GROUP, Link, RedisWorkerEvent, Role};
use crate::clock::{MS, Time};
use crate::world::World;
use ha::guard::{FromGuard, ServerState};
use ha::redis::{ReplicaLink, Running, Server, ServerRole};

const INTERVAL: Time = 250 * MS;
const INTERVAL_STARTING: Time = 15 * MS;
const INTERVAL_MIN: Time = 3 * MS;
/// A question without an answer.
const TIMEOUT: Time = 250 * MS;

impl World {
    pub(crate) fn redis_probe_soon(&mut self, host: usize) {
        let Some(worker) = self.redis_worker(host) else { return };
        if !worker.up {
            return;
        }
        if worker.probing {
            worker.probe_wanted = true;
        } else {
            self.redis_probe_after(host, 100);
        }
    }

    fn redis_probe_after(&mut self, host: usize, after: Time) {
        let at = self.now + after;
        let Some(worker) = self.redis_worker(host) else { return };
        if worker.probe_at.is_none_or(|earlier| earlier > at) {
            worker.probe_at = Some(at);
            self.redis_worker_soon(host, after, RedisWorkerEvent::Probe { at });
        }
    }

    pub(crate) fn redis_probe(&mut self, host: usize, at: Time) {
        let Some(worker) = self.redis_worker(host) else { return };
        if worker.probe_at != Some(at) {
            return;
        }
        worker.probe_at = None;
        worker.probing = true;
        let answer_time = self.random.between(MS / 4, 2 * MS);
        let redis = &self.hosts[host].redis;
        let (run, asked_at) = (redis.run, self.now);
        let frozen = redis.frozen > 0;
        let running = if frozen { None } else { self.ask_redis(host) };
        let after = if frozen { TIMEOUT } else { answer_time };
        let running = running.map(Box::new);
        self.redis_worker_soon(host, after, RedisWorkerEvent::Probed { running, run, asked_at });
    }

    fn ask_redis(&self, host: usize) -> Option<Running> {
        let server = self.hosts[host].redis.server.as_ref().filter(|server| !server.loading)?;
        let role = match server.role {
            Role::Master => ServerRole::Master,
            Role::Replica { of, link } => ServerRole::Replica {
                of: of.map(|of| self.hosts[of].name.clone()),
                link_up: matches!(link, Link::Up { .. }),
            },
        };
        let replicas = server.replicas.iter().map(|(at, (_, heard))| ReplicaLink {
            name: self.hosts[*at].name.clone(),
            online: self.is_online(*heard),
            offset: self.hosts[*at].redis.server.as_ref().map_or(0, |replica| replica.stream.end()),
        });
        Some(Running {
            observed_at: self.hosts[host].clock.read(self.now),
            run_id: format!("run{}", self.hosts[host].redis.run),
            role,
            replid: format!("r{}", server.id),
            replid2: server.id2.map(|id| format!("r{id}")),
            offset: server.stream.end(),
            keys: server.stream.end(),
            replicas: replicas.collect(),
        })
    }

    pub(crate) fn redis_probed(&mut self, host: usize, running: Option<Box<Running>>, run: u64, asked_at: Time) {
        let now = self.hosts[host].clock.read(self.now);
        let present = self.hosts[host].redis.run;
        let Some(worker) = self.redis_worker(host) else { return };
        worker.probing = false;
        let wanted = std::mem::take(&mut worker.probe_wanted);
        if !worker.up {
            return;
        }
        let starting = matches!(worker.server, Server::Starting | Server::Unknown | Server::Down);
        let pause = if wanted {
            INTERVAL_MIN
        } else if starting && running.is_none() {
            INTERVAL_STARTING
        } else {
            INTERVAL
        };
        match running {
            // Of a process that is gone, or from before a change of role.
            Some(_) if run != present || asked_at < worker.changed_at => {}
            Some(running) => {
                worker.answered_at = now;
                worker.server = Server::Running(running);
            }
            None => {
                if let Server::Running(last) = &worker.server {
                    worker.server = Server::Silent { since: worker.answered_at, refused: false, last: last.clone() };
                }
            }
        }
        self.redis_probe_after(host, pause);
        self.redis_decide_soon(host);
    }

    /// The guard said something, perhaps about Redis.
    pub(crate) fn guard_said_of_redis(&mut self, host: usize, message: &FromGuard) {
        let Some(worker) = self.redis_worker(host) else { return };
        match message {
            FromGuard::Hello { servers, .. } => {
                let ServerState { pid, fence } = servers.redis;
                worker.up = pid.is_some();
                worker.armed = fence;
                worker.server = if pid.is_some() { Server::Starting } else { Server::Down };
                self.redis_probe_soon(host);
            }
            FromGuard::Started { .. } => {
                worker.up = true;
                worker.server = Server::Starting;
                self.redis_job_hears(host, message);
                self.redis_probe_soon(host);
            }
            FromGuard::StartFailed { .. } => self.redis_job_hears(host, message),
            FromGuard::Exited { .. } => {
                worker.up = false;
                worker.armed = None;
                worker.server = Server::Down;
                self.redis_job_hears(host, message);
            }
            FromGuard::Fenced { .. } => worker.armed = None,
            FromGuard::Armed { until, .. } => worker.armed = *until,
            FromGuard::Alive { .. } => return,
            FromGuard::Address(_) | FromGuard::Terminate | FromGuard::Reload => {}
        }
        self.redis_decide_soon(host);
    }

    /// What this member's store view says of the group.
    pub(crate) fn redis_route(&self, proxy: usize) -> Option<usize> {
        let worker = self.hosts[proxy].worker.as_ref().filter(|worker| worker.frozen == 0)?;
        let group = worker.cluster.as_ref()?.redis.get(GROUP)?;
        let (name, _) = group.writable_master()?;
        self.host_named(name)
    }
}
