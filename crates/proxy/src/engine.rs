//! The threads that serve connections, and what all proxies of a process share: the places for connections, the pipes.
//!
//! Deliberately threads of their own, each with a runtime of its own: a flood of connections does not delay the decisions and
//! the consensus in the same process more than the kernel's scheduler lets it, and they do not delay a connection. A connection
//! stays on one thread all its life, so that passing a message on wakes nobody else.

use crate::config::ProxyConfig;
use crate::crowd::Crowd;
use crate::error::ProxyError;
use crate::listen::{self, Proxy};
use crate::pipes::Pipes;
use crate::routes::Routes;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Unless the configuration says otherwise there is a thread for each processor up to this. One passes on more than a network of
/// 10 Gbit/s carries.
const THREADS_DEFAULT_MAX: usize = 4;
/// More than a database has; what an idle one costs is in the README.
const CONNECTIONS_MAX_DEFAULT: usize = 10_000;
/// An eighth more connections than elsewhere, and a few, is balance enough.
const BALANCE_TOLERATED: usize = 8;
const BALANCE_TOLERATED_FEW: usize = 3;
/// File descriptors of a connection: its two sockets.
const FILES_PER_CONNECTION: u64 = 2;
/// File descriptors for the pipes, for clients that are being refused, and for the moment between two clients in one place.
const FILES_BESIDE: u64 = 256;
/// What the rest of the process keeps at least: the store's and the REST API's connections, files, servers.
const FILES_FOR_OTHERS: u64 = 1024;

/// How large an [`Engine`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineConfig {
    /// `None`: one for each processor, at most four.
    pub threads: Option<usize>,
    /// Connections of all ports together, those that wait included. `None`: 10,000, or as many as there is room for.
    pub connections_max: Option<usize>,
}

/// Runs proxies. When the last clone, and the last [`Proxy`] of it, is dropped, its connections are closed.
#[derive(Clone, Debug)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    threads: Vec<Thread>,
    crowd: Arc<Crowd>,
    pipes: Pipes,
    connections_max: usize,
    _end: DropGuard,
}

/// One thread as seen from the others.
#[derive(Clone, Debug)]
pub(crate) struct Thread {
    pub(crate) runtime: Handle,
    pub(crate) connections: Arc<AtomicUsize>,
}

impl Engine {
    /// Starts the threads, and makes room for the connections as far as the system lets it.
    pub fn start(config: EngineConfig) -> io::Result<Self> {
        let connections_max = make_room(config.connections_max);
        let end = CancellationToken::new();
        let count = config.threads.unwrap_or_else(threads_default).max(1);
        let threads = (0..count).map(|number| start_thread(number, end.clone())).collect::<io::Result<_>>()?;
        let inner = Inner {
            threads,
            crowd: Arc::new(Crowd::new(connections_max)),
            pipes: Pipes::new(),
            connections_max,
            _end: end.drop_guard(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Starts to listen. On an error no port is open.
    pub fn serve(
        &self,
        config: &ProxyConfig,
        routes: watch::Receiver<Routes>,
        shutdown: CancellationToken,
    ) -> Result<Proxy, ProxyError> {
        listen::serve(self, config, routes, shutdown)
    }

    /// What was asked for, or less where the system does not allow as many open files.
    pub fn connections_max(&self) -> usize {
        self.inner.connections_max
    }

    /// For the engine's own tasks, which must not keep it alive.
    pub(crate) fn weak(&self) -> WeakEngine {
        WeakEngine(Arc::downgrade(&self.inner))
    }

    pub(crate) fn crowd(&self) -> &Arc<Crowd> {
        &self.inner.crowd
    }

    pub(crate) fn pipes(&self) -> &Pipes {
        &self.inner.pipes
    }

    /// One at least.
    pub(crate) fn threads(&self) -> &[Thread] {
        &self.inner.threads
    }

    /// For a connection: the one with the fewest, `own` among those that have about as few. Changing threads has its price.
    pub(crate) fn quietest_thread<'a>(&'a self, own: &'a Thread) -> &'a Thread {
        let load = |thread: &Thread| thread.connections.load(Ordering::Relaxed);
        let quietest = self.inner.threads.iter().min_by_key(|thread| load(thread)).unwrap_or(own);
        let tolerated = load(own) / BALANCE_TOLERATED + BALANCE_TOLERATED_FEW;
        if load(quietest) + tolerated < load(own) { quietest } else { own }
    }
}

/// An engine that may be gone.
#[derive(Clone, Debug)]
pub(crate) struct WeakEngine(Weak<Inner>);

impl WeakEngine {
    pub(crate) fn upgrade(&self) -> Option<Engine> {
        self.0.upgrade().map(|inner| Engine { inner })
    }
}

fn threads_default() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(THREADS_DEFAULT_MAX)
}

fn start_thread(number: usize, end: CancellationToken) -> io::Result<Thread> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new().name(format!("proxy-{number}")).spawn(move || {
        runtime.block_on(end.cancelled());
        // A lookup that hangs does not keep the process.
        runtime.shutdown_background();
    })?;
    Ok(Thread { runtime: handle, connections: Arc::default() })
}

/// Open files of a process that is to relay so many connections (`None`: the usual number) and has other things to do.
pub fn files_needed(connections: Option<usize>) -> u64 {
    connections.unwrap_or(CONNECTIONS_MAX_DEFAULT) as u64 * FILES_PER_CONNECTION + FILES_BESIDE + FILES_FOR_OTHERS
}

/// How many of the wanted connections the limit of open files has room for, after raising it as far as it goes.
fn make_room(asked: Option<usize>) -> usize {
    let needed = files_needed(asked);
    let limit = platform::allow_open_files(needed);
    let wanted = asked.unwrap_or(CONNECTIONS_MAX_DEFAULT);
    let possible = connections_within(limit).min(wanted);
    if asked.is_none() && possible < wanted {
        tracing::info!("the proxy takes {possible} connections: this process may open {limit} files");
    } else if possible < wanted {
        tracing::warn!(
            "the proxy takes {possible} connections, not proxy.connections_max ({wanted}): this process may open {limit} files; \
             hint: allow {needed}, with LimitNOFILE= in the unit of systemd or with ulimit -n"
        );
    }
    possible
}

/// Half of a limit that is small stays for the others.
fn connections_within(files: u64) -> usize {
    let kept = (FILES_BESIDE + FILES_FOR_OTHERS).min(files / 2);
    usize::try_from((files - kept) / FILES_PER_CONNECTION).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_leaves_something_for_the_rest_of_the_process() {
        for (files, connections) in [(1024, 256), (4096, 1408), (20_000, 9360), (21_280, 10_000), (1_048_576, 523_648)]
        {
            assert_eq!(connections_within(files), connections, "{files}");
        }
    }
}
