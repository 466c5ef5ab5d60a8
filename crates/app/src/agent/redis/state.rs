//! What changes from one decision about Redis to the next, apart from the decisions' own memory.

use super::instance::member_at;
use super::observer::{Found, Observation};
use crate::agent::writer::Writes;
use ha::cluster::RedisGroup;
use ha::guard::FromGuard;
use ha::redis::{JobView, Memory, Reason, ReplicaLink, Running, Server, ServerRole};
use platform::boot_clock;
use redis::{Link, Role, Status};
use std::sync::Arc;
use types::{Millis, Revision};

/// How long a new worker waits for a running Redis's first answer before it says that it does not know.
const TAKE_UP_MAX: Millis = Millis(1000);

pub struct State {
    pub memory: Memory,
    pub server: Server,
    /// The last answer, for people.
    pub status: Option<Box<Status>>,
    pub job: Option<JobView>,
    pub writes: Writes,
    pub may_overwrite: bool,
    pub stopping: bool,
    pub wake_at: Option<Millis>,
    pub revision: Revision,
    pub group: Arc<RedisGroup>,
    /// `None`: the store was not seen yet.
    pub has_configuration: Option<bool>,
    pub reasons: Vec<Reason>,
    /// What was asked before this time is from before the last job that changed the role.
    pub role_changed_at: Millis,
    /// A running server that was found: until then it is not known rather than starting.
    unknown_until: Option<Millis>,
    /// The last complaint, so that it is told once.
    complaint: Option<String>,
}

impl State {
    pub fn new() -> Self {
        Self {
            memory: Memory::default(),
            server: Server::Unknown,
            status: None,
            job: None,
            writes: Writes::Idle,
            may_overwrite: false,
            stopping: false,
            wake_at: None,
            revision: Revision(0),
            group: Arc::default(),
            has_configuration: None,
            reasons: Vec::new(),
            role_changed_at: Millis(0),
            unknown_until: None,
            complaint: None,
        }
    }

    pub fn next_wake(&self) -> Millis {
        let moments = [self.wake_at, self.unknown_until];
        moments.into_iter().flatten().min().unwrap_or(Millis::MAX).min(self.writes.wake_at())
    }

    /// Names in the server's answers may be known only now.
    pub fn set_group(&mut self, group: RedisGroup) {
        if group == *self.group {
            return;
        }
        self.group = Arc::new(group);
        if let (Some(status), Server::Running(running)) = (&self.status, &self.server) {
            let running = running_from(status, &self.group, running.observed_at);
            self.server = Server::Running(Box::new(running));
        }
    }

    /// The guard said something about Redis, or to everybody.
    pub fn heard(&mut self, message: &FromGuard) {
        match message {
            FromGuard::Hello { servers, .. } => {
                self.server = if servers.redis.pid.is_some() { Server::Unknown } else { Server::Down };
                self.unknown_until = servers.redis.pid.map(|_| boot_clock() + TAKE_UP_MAX);
            }
            FromGuard::Started { pid, .. } => {
                tracing::info!(pid, "Redis runs");
                self.server = Server::Starting;
                self.status = None;
            }
            FromGuard::StartFailed { why, .. } => tracing::warn!(why, "Redis was not started"),
            FromGuard::Exited { status, .. } => {
                tracing::warn!(status, "Redis ended");
                self.server = Server::Down;
                self.status = None;
                self.unknown_until = None;
                self.complaint = None;
            }
            FromGuard::Fenced { .. } => tracing::error!("the lease ran out; the guard ended Redis"),
            FromGuard::Terminate => self.stopping = true,
            // The next view has it.
            FromGuard::Address(_) | FromGuard::Reload | FromGuard::Armed { .. } | FromGuard::Alive { .. } => {}
        }
    }

    /// The guard's word may be ahead of its message.
    pub fn server_with(&self, pid: Option<u32>) -> Server {
        match &self.server {
            Server::Down if pid.is_some() => Server::Starting,
            Server::Unknown if self.unknown_until.is_some_and(|until| until <= boot_clock()) => Server::Starting,
            server => server.clone(),
        }
    }

    /// `false`: nothing that a decision could use.
    pub fn observed(&mut self, observation: Observation) -> bool {
        let Observation { asked_at, found, .. } = observation;
        if asked_at < self.role_changed_at {
            return false;
        }
        match found {
            Found::Answered(status) if status.loading => {
                self.complain(None);
                let was = std::mem::replace(&mut self.server, Server::Starting);
                self.unknown_until = None;
                was != Server::Starting
            }
            Found::Answered(status) => {
                self.complain(status.persistence_error.map(str::to_owned));
                self.unknown_until = None;
                self.server = Server::Running(Box::new(running_from(&status, &self.group, asked_at)));
                self.status = Some(status);
                true
            }
            Found::Silent { refused, why } => {
                tracing::debug!(why, "Redis does not answer");
                let (since, last) = match &self.server {
                    Server::Running(last) => (asked_at, last.clone()),
                    Server::Silent { since, last, .. } => (*since, last.clone()),
                    Server::Unknown | Server::Down | Server::Starting => return false,
                };
                self.server = Server::Silent { since, refused, last };
                true
            }
            Found::Unusable { why } => {
                self.complain(Some(why));
                false
            }
        }
    }

    fn complain(&mut self, complaint: Option<String>) {
        if let Some(why) = complaint.as_ref().filter(|_| complaint != self.complaint) {
            tracing::error!("Redis: {why}");
        }
        self.complaint = complaint;
    }
}

fn running_from(status: &Status, group: &RedisGroup, observed_at: Millis) -> Running {
    let role = match &status.role {
        Role::Master => ServerRole::Master,
        Role::Replica { master, link } => {
            ServerRole::Replica { of: member_at(group, master), link_up: *link == Link::Up }
        }
    };
    let replicas = status.replicas.iter().filter_map(|replica| {
        let name = member_at(group, &replica.address)?;
        Some(ReplicaLink { name, online: replica.online, offset: replica.offset })
    });
    Running {
        observed_at,
        run_id: status.run_id.clone(),
        role,
        replid: status.replication_id.clone(),
        replid2: status.second_replication_id.clone(),
        offset: status.offset,
        keys: status.keys,
        replicas: replicas.collect(),
    }
}
