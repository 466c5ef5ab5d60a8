//! Asks the local Redis how it is: once in a while, when somebody wants to know, and without pause while it starts.
//!
//! Deliberately reports what was answered and nothing more. The invariant: an observation carries the time from before the
//! question, so that an answer from before a change is never taken for one from after it.

use super::instance::Instance;
use crate::agent::guard_link::GuardLink;
use ha::guard::ServerKind;
use platform::boot_clock;
use redis::{Error, Server, Status};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use types::Millis;

/// Between questions when nothing happens.
const INTERVAL_MAX: Duration = Duration::from_secs(1);
/// While Redis starts.
const INTERVAL_STARTING: Duration = Duration::from_millis(5);
/// While it loads its data, or does not answer as it should.
const INTERVAL_UNWELL: Duration = Duration::from_millis(50);
/// Questions do not follow each other faster than this, however often somebody asks for one.
const INTERVAL_MIN: Duration = Duration::from_millis(2);

#[derive(Clone, Debug)]
pub struct Observation {
    /// Of the process that was asked.
    pub pid: u32,
    /// Before the question was sent.
    pub asked_at: Millis,
    pub found: Found,
}

#[derive(Clone, Debug)]
pub enum Found {
    Answered(Box<Status>),
    /// The process lives, but there was no answer. `refused`: it takes no connections.
    Silent {
        refused: bool,
        why: String,
    },
    /// It lives and answers with errors, such as for a wrong password.
    Unusable {
        why: String,
    },
}

pub struct Observer {
    pub instance: Arc<Instance>,
    pub guard: GuardLink,
    pub wanted: Arc<Notify>,
    pub results: mpsc::Sender<Observation>,
}

impl Observer {
    pub async fn run(self, mut server: Server) {
        let down_after = Duration::from(self.instance.config.down_after);
        // Two questions fit into the time after which silence counts.
        let patience = down_after / 2;
        let interval = (down_after / 2).min(INTERVAL_MAX);
        let state = || self.guard.state_of(ServerKind::Redis);
        let mut answered = None;
        loop {
            let Some(pid) = state().pid else {
                server.disconnect();
                let started = self.guard.wait_for_server(ServerKind::Redis, |state| state.pid.is_some());
                if started.await.is_err() {
                    return;
                }
                continue;
            };
            let asked_at = boot_clock();
            let found = ask(&mut server, patience).await;
            let pause = match &found {
                Found::Answered(status) if status.loading => INTERVAL_UNWELL,
                Found::Answered(_) => {
                    answered = Some(pid);
                    interval
                }
                Found::Silent { .. } if answered != Some(pid) => INTERVAL_STARTING,
                Found::Silent { .. } | Found::Unusable { .. } => INTERVAL_UNWELL,
            };
            if self.results.send(Observation { pid, asked_at, found }).await.is_err() {
                return;
            }
            tokio::time::sleep(INTERVAL_MIN).await;
            let another = self.guard.wait_for_server(ServerKind::Redis, |state| state.pid != Some(pid));
            tokio::select! {
                () = tokio::time::sleep(pause.saturating_sub(INTERVAL_MIN)) => {}
                () = self.wanted.notified() => {}
                _ = another => {}
            }
        }
    }
}

async fn ask(server: &mut Server, patience: Duration) -> Found {
    match server.probe(patience).await {
        Ok(status) => Found::Answered(Box::new(status)),
        Err(error) if error.is_an_answer() => Found::Unusable { why: with_hint(&error) },
        Err(error) => Found::Silent { refused: error.is_refused_connection(), why: error.to_string() },
    }
}

pub fn with_hint(error: &Error) -> String {
    format!("{error} ({})", error.hint())
}
