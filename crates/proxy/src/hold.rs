//! Finding a server for a new client, and holding the client while there is none.

use crate::routes::{Port, Routes, Target};
use crate::sockets::{Connector, read_some};
use crate::statistics::{Counters, InUse};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout_at};

/// Attempts to reach servers that run at the same time, per port. A thousand held clients thus knock on a recovering
/// server no more often than sixteen would, and are let in by sixteens when it opens.
pub(crate) const ATTEMPTS_AT_ONCE: usize = 16;
/// Pause between two attempts while the routes do not change, in milliseconds; by chance within, against lockstep.
const RETRY_MS: std::ops::RangeInclusive<u64> = 5..=20;
/// Read at most from a held client, apart from the last read. What it has beyond that to say stays in its socket: thousands of
/// held clients must not fill our memory, and a startup packet or a TLS greeting is shorter.
const EARLY_BYTES_MAX: usize = 2048;

/// How the search ended.
pub(crate) enum Found {
    Server(TcpStream, InUse),
    TimeOver,
    /// The client went away while it was held.
    HungUp,
}

/// The search for one client. Lives only until a server is found.
pub(crate) struct Search {
    pub(crate) port: Port,
    pub(crate) routes: watch::Receiver<Routes>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) connector: Connector,
    pub(crate) attempts: Arc<Semaphore>,
    pub(crate) connect_timeout: Duration,
    pub(crate) hold: Duration,
}

impl Search {
    /// What the client sends while it is held is collected in `early`, because reading is the only way to learn that it
    /// has gone: libpq sends its startup packet and waits, and a program that gave up leaves only the end of the stream.
    pub(crate) async fn run(mut self, client: &mut TcpStream, early: &mut Vec<u8>) -> Found {
        let deadline = Instant::now() + self.hold;
        let at_once = match self.attempts.clone().try_acquire_owned() {
            Ok(_permit) => self.attempt(deadline).await,
            Err(_) => None, // others are held already; queue behind them
        };
        if let Some((server, in_use)) = at_once {
            return Found::Server(server, in_use);
        }
        let _held = self.counters.count(|counters| &counters.held_now);
        tokio::select! {
            biased;
            (server, in_use) = self.keep_trying(deadline) => Found::Server(server, in_use),
            () = client_is_gone(client, early) => Found::HungUp,
            () = tokio::time::sleep_until(deadline) => Found::TimeOver,
        }
    }

    async fn keep_trying(&mut self, deadline: Instant) -> (TcpStream, InUse) {
        let attempts = self.attempts.clone();
        loop {
            let permit = attempts.acquire().await;
            if let Some(found) = self.attempt(deadline).await {
                return found;
            }
            let somebody = {
                let routes = self.routes.borrow();
                let (first, second) = self.port.candidates(&routes);
                !first.is_empty() || second.is_some()
            };
            if somebody {
                // The permit is kept meanwhile: it bounds the rate, too.
                tokio::select! {
                    () = change(&mut self.routes) => {}
                    () = sleep(Duration::from_millis(fastrand::u64(RETRY_MS))) => {}
                }
            } else {
                drop(permit);
                change(&mut self.routes).await;
            }
        }
    }

    /// Tries every candidate once. An attempt ends at once when its target loses the role. It has the deadline in its own timeout
    /// because a second timer for each connection would be a second call to the system.
    async fn attempt(&mut self, deadline: Instant) -> Option<(TcpStream, InUse)> {
        let order: Vec<Target> = {
            let routes = self.routes.borrow_and_update();
            let (first, second) = self.port.candidates(&routes);
            self.counters.least_connections(&first).into_iter().chain(second.cloned()).collect()
        };
        for target in order {
            let in_use = self.counters.use_server(&target);
            let mut routes = self.routes.clone();
            let until = deadline.min(Instant::now() + self.connect_timeout);
            let answer = tokio::select! {
                biased;
                () = no_longer_allowed(&mut routes, self.port, &target) => continue,
                answer = timeout_at(until, self.connector.connect(&target)) => answer,
            };
            match answer {
                Ok(Ok(server)) => return Some((server, in_use)),
                Ok(Err(error)) => tracing::debug!(%target, %error, "a server refused a connection"),
                Err(_) if until == deadline => return None,
                Err(_) => tracing::debug!(%target, "a server did not answer in time"),
            }
            self.counters.failed(&target);
        }
        None
    }
}

/// Resolves when `target` has no right any more to connections through `port`. A sender that is gone means that nobody
/// watches the roles, so nobody has a right to anything.
pub(crate) async fn no_longer_allowed(routes: &mut watch::Receiver<Routes>, port: Port, target: &Target) {
    let _ = routes.wait_for(|now| !port.allows(now, target)).await;
}

/// The same, as it is now.
pub(crate) fn is_allowed(routes: &watch::Receiver<Routes>, port: Port, target: &Target) -> bool {
    routes.has_changed().is_ok() && port.allows(&routes.borrow(), target)
}

async fn change(routes: &mut watch::Receiver<Routes>) {
    if routes.changed().await.is_err() {
        pending::<()>().await;
    }
}

/// Resolves when the client ended its stream or broke. A client that says much is not read further; it stays until the
/// hold time is over.
async fn client_is_gone(client: &mut TcpStream, early: &mut Vec<u8>) {
    while early.len() < EARLY_BYTES_MAX {
        match read_some(client, early).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    pending::<()>().await;
}
