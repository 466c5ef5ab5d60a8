//! Hands what the guard says to the role it concerns.
//!
//! The invariant: each role hears the greeting first, and everything about its own server in the order in which the guard
//! said it.

use ha::guard::{FromGuard, ServerKind};
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};

/// Messages that may wait for a role, which never waits itself.
const MESSAGES_MAX: usize = 64;

pub struct Switchboard {
    roles: Vec<(ServerKind, mpsc::Sender<FromGuard>)>,
    reload: Arc<Notify>,
}

impl Switchboard {
    /// `reload`: told when an operator asks to read files again.
    pub fn new(reload: Arc<Notify>) -> Self {
        Self { roles: Vec::new(), reload }
    }

    pub fn role(&mut self, server: ServerKind) -> mpsc::Receiver<FromGuard> {
        let (sender, receiver) = mpsc::channel(MESSAGES_MAX);
        self.roles.push((server, sender));
        receiver
    }

    /// Puts the greeting back in front of what follows it. Ends with the guard, and so do the roles' receivers.
    pub async fn run(self, hello: FromGuard, mut from: mpsc::Receiver<FromGuard>) {
        let mut next = Some(hello);
        while let Some(message) = next {
            if message == FromGuard::Reload {
                self.reload.notify_one();
            }
            for (server, role) in &self.roles {
                if concerns(&message).is_none_or(|concerned| concerned == *server) {
                    // A role that has ended hears no more.
                    let _ = role.send(message.clone()).await;
                }
            }
            next = from.recv().await;
        }
    }
}

/// `None`: everybody.
fn concerns(message: &FromGuard) -> Option<ServerKind> {
    match message {
        FromGuard::Started { server, .. }
        | FromGuard::StartFailed { server, .. }
        | FromGuard::Exited { server, .. }
        | FromGuard::Fenced { server, .. }
        | FromGuard::Armed { server, .. } => Some(*server),
        FromGuard::Hello { .. }
        | FromGuard::Address(_)
        | FromGuard::Alive { .. }
        | FromGuard::Terminate
        | FromGuard::Reload => None,
    }
}
