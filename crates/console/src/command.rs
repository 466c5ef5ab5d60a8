//! What the API asks of the agent, as one closed list.
//!
//! The queue is bounded and never waited for: an agent that cannot keep up is busy, and the client hears so.

use ha::cluster::Role;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentCommand {
    /// Restart PostgreSQL now, or note a restart for later.
    Restart(RestartRequest),
    CancelRestart,
    /// Read the configuration file again.
    Reload,
    /// Throw the replica's data away and clone it anew.
    Reinitialize {
        force: bool,
        from_leader: bool,
    },
    /// The store was changed: decide again now. The answer is not read.
    Wake,
}

/// Conditions (all must hold) and terms of a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestartRequest {
    /// ISO 8601 with offset; `None`: now.
    pub schedule: Option<String>,
    /// Only when the member has this role.
    pub role: Option<Role>,
    /// Only when the server's version is lower, as `server_version_num`.
    pub postgres_version: Option<u32>,
    /// Give up, and fail over, when PostgreSQL has not come back within this time.
    pub timeout: Option<Duration>,
    /// Only when a restart is pending.
    pub restart_pending: bool,
}

/// How it went: the HTTP status and the text for the client, which are Patroni's where Patroni has the case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub status: u16,
    pub text: String,
}

impl Outcome {
    pub fn new(status: u16, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }
}

#[derive(Debug)]
pub struct CommandRequest {
    pub command: AgentCommand,
    /// The client may be gone when the answer comes; that is no error.
    pub answer: oneshot::Sender<Outcome>,
}

/// Hands a command to the agent and waits for its answer, at most `limit`.
pub(crate) async fn ask(commands: &mpsc::Sender<CommandRequest>, command: AgentCommand, limit: Duration) -> Outcome {
    let (answer, outcome) = oneshot::channel();
    if let Err(error) = commands.try_send(CommandRequest { command, answer }) {
        let why = match error {
            mpsc::error::TrySendError::Full(_) => "the agent is busy; try again",
            mpsc::error::TrySendError::Closed(_) => "the agent is stopping",
        };
        return Outcome::new(503, why);
    }
    match tokio::time::timeout(limit, outcome).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Outcome::new(503, "the agent stopped before it was done"),
        Err(_) => Outcome::new(503, format!("status unknown after {} seconds", limit.as_secs())),
    }
}

/// Tells the agent to look again. It would by itself (the store's watch tells it), so a full queue does not matter.
pub(crate) fn wake(commands: &mpsc::Sender<CommandRequest>) {
    let (answer, _) = oneshot::channel();
    let _ = commands.try_send(CommandRequest { command: AgentCommand::Wake, answer });
}
