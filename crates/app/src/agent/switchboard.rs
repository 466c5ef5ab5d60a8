//! Hands what the guard says to the role it concerns.
//!
//! The invariant: each role hears the greeting first, and everything about its own server in the order in which the guard
//! said it.

use ha::guard::{FromGuard, ServerKind};
use tokio::sync::mpsc;

/// Messages that may wait for a role, which never waits itself.
const MESSAGES_MAX: usize = 64;

#[derive(Default)]
pub struct Switchboard {
    roles: Vec<(ServerKind, mpsc::Sender<FromGuard>)>,
}

impl Switchboard {
    pub fn role(&mut self, server: ServerKind) -> mpsc::Receiver<FromGuard> {
        let (sender, receiver) = mpsc::channel(MESSAGES_MAX);
        self.roles.push((server, sender));
        receiver
    }

    /// Puts the greeting back in front of what follows it. Ends with the guard, and so do the roles' receivers.
    pub async fn run(self, hello: FromGuard, mut from: mpsc::Receiver<FromGuard>) {
        let mut next = Some(hello);
        while let Some(message) = next {
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
