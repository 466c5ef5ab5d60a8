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
    /// What is wrong with Redis, for people; see `ha::redis::View`.
    pub trouble: Option<String>,
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
            stopping: false,
            wake_at: None,
            revision: Revision(0),
            group: Arc::default(),
            has_configuration: None,
            reasons: Vec::new(),
            role_changed_at: Millis(0),
            unknown_until: None,
            trouble: None,
            complaint: None,
        }
    }

    pub fn next_wake(&self) -> Millis {
        // Once it is over it says something else, and nothing more is to be waited for.
        let unknown_until = self.unknown_until.filter(|until| *until > boot_clock());
        let moments = [self.wake_at, unknown_until];
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
                // One that fails at every start is in the same trouble between two of them.
                if !self.ends_before_it_answers(status) {
                    self.trouble = None;
                    self.complaint = None;
                }
                self.server = Server::Down;
                self.status = None;
                self.unknown_until = None;
            }
            FromGuard::Fenced { .. } => tracing::error!("the lease ran out; the guard ended Redis"),
            FromGuard::Terminate => self.stopping = true,
            // The next view has it.
            FromGuard::Address(_) | FromGuard::Reload | FromGuard::Armed { .. } | FromGuard::Alive { .. } => {}
        }
    }

    /// It ended by itself, with an error, and has told nothing but what it wrote into its log. Asked before that end is `heard`.
    pub fn ends_before_it_answers(&self, status: &str) -> bool {
        let code = status.strip_prefix("exit code ");
        self.status.is_none() && code.is_some_and(|code| code != "0")
    }

    /// `false`: that is known.
    pub fn is_in_trouble(&mut self, why: String) -> bool {
        self.complain(Some(why.clone()));
        let before = self.trouble.replace(why);
        before != self.trouble
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
                self.unknown_until = None;
                let was = std::mem::replace(&mut self.server, Server::Starting);
                self.trouble.take().is_some() || was != Server::Starting
            }
            Found::Answered(status) => {
                self.complain(status.persistence_error.map(str::to_owned));
                self.trouble = None;
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
            Found::Unusable { why } => self.is_in_trouble(format!("Redis refuses its own agent: {why}")),
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

#[cfg(test)]
mod tests {
    use super::*;
    use ha::guard::ServerKind;

    fn observed(state: &mut State, found: Found) -> bool {
        state.observed(Observation { pid: 7, asked_at: Millis(1), found })
    }

    fn exited(status: &str) -> FromGuard {
        FromGuard::Exited { server: ServerKind::Redis, status: status.to_owned() }
    }

    fn refused() -> Found {
        Found::Unusable { why: "WRONGPASS".to_owned() }
    }

    #[test]
    fn a_refusal_is_news_once_and_over_with_the_first_answer() {
        let mut state = State::new();
        assert!(observed(&mut state, refused()));
        assert!(state.trouble.as_ref().is_some_and(|why| why.ends_with("its own agent: WRONGPASS")));
        assert!(!observed(&mut state, refused()), "nothing new");
        assert!(observed(&mut state, Found::Answered(Box::default())));
        assert_eq!(state.trouble, None);
        assert!(observed(&mut state, refused()));
        state.heard(&exited("signal 9"));
        assert_eq!(state.trouble, None, "the next one may let it in");
    }

    #[test]
    fn what_ends_at_every_start_stays_in_trouble_until_it_answers() {
        let mut state = State::new();
        assert!(state.ends_before_it_answers("exit code 1"));
        assert!(!state.ends_before_it_answers("exit code 0") && !state.ends_before_it_answers("signal 9"));
        state.heard(&exited("exit code 1"));
        assert!(state.is_in_trouble("its log says".to_owned()));
        state.heard(&FromGuard::Started { server: ServerKind::Redis, pid: 8 });
        state.heard(&exited("exit code 1"));
        assert!(!state.is_in_trouble("its log says".to_owned()), "known");
        assert!(observed(&mut state, Found::Answered(Box::default())));
        assert!(state.trouble.is_none() && !state.ends_before_it_answers("exit code 1"), "it has answered");
    }
}
