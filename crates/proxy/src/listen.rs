//! The listening ports, and who may come in.

use crate::config::{ProxyConfig, Service};
use crate::connection::Door;
use crate::engine::{Engine, Thread, WeakEngine};
use crate::error::ProxyError;
use crate::hold::ATTEMPTS_AT_ONCE;
use crate::refusal::{Refusal, refuse};
use crate::routes::{Port, Routes};
use crate::sockets::{self, Connector, close_with_reset, prepare_accepted};
use crate::statistics::{Counters, ServerStatistics, Statistics};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Clients beyond all places that are told so at the same time; the ones beyond this are reset.
const REFUSALS_AT_ONCE: usize = 64;
/// Pause after the operating system failed to accept (usually: no file descriptor left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running proxy. Dropping it changes nothing while its engine lives; the shutdown token stops it.
#[derive(Clone, Debug)]
pub struct Proxy {
    primary: Arc<Counters>,
    replicas: Arc<Counters>,
    primary_addresses: Vec<SocketAddr>,
    replica_addresses: Vec<SocketAddr>,
    tasks: TaskTracker,
    _engine: Engine,
}

impl Proxy {
    pub fn statistics(&self) -> Statistics {
        Statistics { primary: self.primary.read(), replicas: self.replicas.read() }
    }

    /// The servers that have connections through the primary port now, or just failed.
    pub fn primary_servers(&self) -> Vec<ServerStatistics> {
        self.primary.read_servers()
    }

    /// The same for the replica port.
    pub fn replica_servers(&self) -> Vec<ServerStatistics> {
        self.replicas.read_servers()
    }

    /// Where the primary port listens, with the real numbers where the configuration said 0.
    pub fn primary_addresses(&self) -> &[SocketAddr] {
        &self.primary_addresses
    }

    /// Where the replica port listens.
    pub fn replica_addresses(&self) -> &[SocketAddr] {
        &self.replica_addresses
    }

    /// Returns after the shutdown token was cancelled and the last connection is closed.
    pub async fn stopped(&self) {
        self.tasks.wait().await;
    }
}

/// See [`Engine::serve`].
pub(crate) fn serve(
    engine: &Engine,
    config: &ProxyConfig,
    routes: watch::Receiver<Routes>,
    shutdown: CancellationToken,
) -> Result<Proxy, ProxyError> {
    let primary_listeners = bind(engine, &config.listen_primary)?;
    let replica_listeners = bind(engine, &config.listen_replicas)?;
    let tasks = TaskTracker::new();
    let proxy = Proxy {
        primary: Arc::default(),
        replicas: Arc::default(),
        primary_addresses: primary_listeners.iter().map(|listener| listener.address).collect(),
        replica_addresses: replica_listeners.iter().map(|listener| listener.address).collect(),
        tasks: tasks.clone(),
        _engine: engine.clone(),
    };
    let connector = Connector::new();
    let refusals = Arc::new(Semaphore::new(REFUSALS_AT_ONCE));
    let fall_back_to_primary = config.replicas_fall_back_to_primary;
    for (port, counters, listeners) in [
        (Port::Primary, &proxy.primary, primary_listeners),
        (Port::Replicas { fall_back_to_primary }, &proxy.replicas, replica_listeners),
    ] {
        let door = Arc::new(Door {
            service: config.service,
            port,
            counters: counters.clone(),
            routes: routes.clone(),
            shutdown: shutdown.clone(),
            connector: connector.clone(),
            attempts: Arc::new(Semaphore::new(ATTEMPTS_AT_ONCE)),
            pipes: engine.pipes().clone(),
            connect_timeout: config.connect_timeout,
            hold: config.hold,
            accept_header_from: config.accept_proxy_protocol_from.clone(),
            send_header: config.send_proxy_protocol,
        });
        for listener in listeners {
            for (thread, socket) in engine.threads().iter().zip(listener.sockets) {
                let entrance = Entrance {
                    door: door.clone(),
                    engine: engine.weak(),
                    thread: thread.clone(),
                    tasks: tasks.clone(),
                    refusals: refusals.clone(),
                };
                tasks.spawn_on(entrance.accept(socket), &thread.runtime);
            }
        }
    }
    let changes = log_changes(config.service, routes, proxy.primary.clone(), shutdown);
    tasks.spawn_on(changes, &engine.threads()[0].runtime);
    tasks.close();
    Ok(proxy)
}

/// One listening port.
struct Listener {
    address: SocketAddr,
    /// The same socket, once for each thread: a connection is served where it is accepted, by whoever is free.
    sockets: Vec<std::net::TcpListener>,
}

fn bind(engine: &Engine, addresses: &[SocketAddr]) -> Result<Vec<Listener>, ProxyError> {
    let copies = if platform::LISTENERS_CAN_BE_SHARED { engine.threads().len() } else { 1 };
    let listen = |address: SocketAddr| -> io::Result<Listener> {
        let first = sockets::listen(address)?;
        let address = first.local_addr()?;
        let others = (1..copies).map(|_| first.try_clone()).collect::<io::Result<Vec<_>>>()?;
        Ok(Listener { address, sockets: others.into_iter().chain([first]).collect() })
    };
    addresses.iter().map(|address| listen(*address).map_err(|source| ProxyError::listen(*address, source))).collect()
}

/// One listening socket.
struct Entrance {
    door: Arc<Door>,
    engine: WeakEngine,
    /// Where this runs.
    thread: Thread,
    tasks: TaskTracker,
    refusals: Arc<Semaphore>,
}

impl Entrance {
    async fn accept(self, listener: std::net::TcpListener) {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(port = self.door.port.name(), %error, "the proxy cannot accept connections");
                return;
            }
        };
        let mut failing = false;
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.door.shutdown.cancelled() => return,
                accepted = listener.accept() => accepted.and_then(|(client, peer)| self.admit(client, peer)),
            };
            match accepted {
                Ok(()) => failing = false,
                Err(error) => {
                    if !failing {
                        tracing::warn!(port = self.door.port.name(), %error, "the proxy cannot accept connections");
                    }
                    failing = true;
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(&self, client: TcpStream, peer: SocketAddr) -> io::Result<()> {
        let counters = &self.door.counters;
        Counters::add(&counters.connections_total);
        prepare_accepted(&client);
        let Some(engine) = self.engine.upgrade() else { return Ok(()) };
        let Some(place) = engine.crowd().admit() else {
            Counters::add(&counters.refused_total);
            self.turn_away(client);
            return Ok(());
        };
        let thread = engine.quietest_thread(&self.thread);
        let on_thread = OnThread::new(&thread.connections);
        let door = self.door.clone();
        if Arc::ptr_eq(&thread.connections, &self.thread.connections) {
            self.tasks.spawn(async move {
                door.serve(client, peer, place).await;
                drop(on_thread);
            });
        } else {
            let client = client.into_std()?;
            let serve = async move {
                match TcpStream::from_std(client) {
                    Ok(client) => door.serve(client, peer, place).await,
                    Err(error) => tracing::debug!(%error, "a connection cannot change its thread"),
                }
                drop(on_thread);
            };
            self.tasks.spawn_on(serve, &thread.runtime);
        }
        Ok(())
    }

    fn turn_away(&self, client: TcpStream) {
        match self.refusals.clone().try_acquire_owned() {
            Ok(permit) => {
                let service = self.door.service;
                self.tasks.spawn(async move {
                    refuse(service, client, Vec::new(), Refusal::TooManyConnections).await;
                    drop(permit);
                });
            }
            Err(_) => close_with_reset(&client),
        }
    }
}

/// Counts a connection of a thread for as long as it lives.
struct OnThread(Arc<AtomicUsize>);

impl OnThread {
    fn new(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self(connections.clone())
    }
}

impl Drop for OnThread {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One line for each change of the primary, with the number of connections it costs.
async fn log_changes(
    service: Service,
    mut routes: watch::Receiver<Routes>,
    counters: Arc<Counters>,
    shutdown: CancellationToken,
) {
    let what = service.primary();
    let mut before = routes.borrow_and_update().primary.clone();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = routes.changed() => if changed.is_err() { return },
        }
        let (now, epoch) = {
            let routes = routes.borrow_and_update();
            (routes.primary.clone(), routes.epoch)
        };
        if now != before {
            let cut = before.as_ref().map_or(0, |old| counters.connections_to(old));
            if let Some(target) = &now {
                tracing::info!(primary = %target, epoch, cut, "the proxy leads to another {what}");
            } else {
                tracing::info!(epoch, cut, "the proxy holds new connections: there is no {what}");
            }
            before = now;
        }
    }
}
