//! The listening ports, the limits on who may come in, and the life of one connection.

use crate::config::{ProxyConfig, Service};
use crate::error::ProxyError;
use crate::hold::{ATTEMPTS_AT_ONCE, Found, Search};
use crate::refusal::{Refusal, refuse};
use crate::relay::{End, relay};
use crate::routes::{Port, Routes};
use crate::sockets::{Connector, close_with_reset, prepare};
use crate::statistics::{Counters, Statistics};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Clients beyond `connections_max` that are told so at the same time; the ones beyond this are reset.
const REFUSALS_AT_ONCE: usize = 64;
/// Pause after the operating system failed to accept (usually: no file descriptor left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running proxy. Dropping it changes nothing; the shutdown token stops it.
#[derive(Clone, Debug)]
pub struct Proxy {
    primary: Arc<Counters>,
    replicas: Arc<Counters>,
    primary_addresses: Vec<SocketAddr>,
    replica_addresses: Vec<SocketAddr>,
    tasks: TaskTracker,
}

impl Proxy {
    pub fn statistics(&self) -> Statistics {
        Statistics { primary: self.primary.read(), replicas: self.replicas.read() }
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

/// Starts to listen. On an error no port is open.
pub async fn serve(
    config: ProxyConfig,
    routes: watch::Receiver<Routes>,
    shutdown: CancellationToken,
) -> Result<Proxy, ProxyError> {
    let primary_listeners = bind(&config.listen_primary).await?;
    let replica_listeners = bind(&config.listen_replicas).await?;
    let tasks = TaskTracker::new();
    let proxy = Proxy {
        primary: Arc::default(),
        replicas: Arc::default(),
        primary_addresses: addresses(&primary_listeners, &config.listen_primary),
        replica_addresses: addresses(&replica_listeners, &config.listen_replicas),
        tasks: tasks.clone(),
    };
    let connector = Connector::new();
    let connections = Arc::new(Semaphore::new(config.connections_max.min(Semaphore::MAX_PERMITS)));
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
            tasks: tasks.clone(),
            connector: connector.clone(),
            connections: connections.clone(),
            refusals: refusals.clone(),
            attempts: Arc::new(Semaphore::new(ATTEMPTS_AT_ONCE)),
            connect_timeout: config.connect_timeout,
            hold: config.hold,
        });
        for listener in listeners {
            tasks.spawn(door.clone().accept(listener));
        }
    }
    tasks.spawn(log_changes(config.service, routes, proxy.primary.clone(), shutdown));
    tasks.close();
    Ok(proxy)
}

async fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, ProxyError> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for &address in addresses {
        listeners.push(TcpListener::bind(address).await.map_err(|source| ProxyError::listen(address, source))?);
    }
    Ok(listeners)
}

fn addresses(listeners: &[TcpListener], configured: &[SocketAddr]) -> Vec<SocketAddr> {
    listeners.iter().zip(configured).map(|(listener, address)| listener.local_addr().unwrap_or(*address)).collect()
}

/// Everything the listeners of one port share.
struct Door {
    service: Service,
    port: Port,
    counters: Arc<Counters>,
    routes: watch::Receiver<Routes>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    connector: Connector,
    connections: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    attempts: Arc<Semaphore>,
    connect_timeout: Duration,
    hold: Duration,
}

impl Door {
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        let mut failing = false;
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((client, _)) => {
                    failing = false;
                    self.admit(client);
                }
                Err(error) => {
                    if !failing {
                        tracing::warn!(port = self.port.name(), %error, "the proxy cannot accept connections");
                    }
                    failing = true;
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(self: &Arc<Self>, client: TcpStream) {
        Counters::add(&self.counters.connections_total);
        prepare(&client);
        if let Ok(permit) = self.connections.clone().try_acquire_owned() {
            self.tasks.spawn(self.clone().serve_client(client, permit));
        } else {
            Counters::add(&self.counters.refused_total);
            if let Ok(permit) = self.refusals.clone().try_acquire_owned() {
                let service = self.service;
                self.tasks.spawn(async move {
                    refuse(service, client, Vec::new(), Refusal::TooManyConnections).await;
                    drop(permit);
                });
            } else {
                close_with_reset(&client);
            }
        }
    }

    async fn serve_client(self: Arc<Self>, client: TcpStream, _permit: OwnedSemaphorePermit) {
        let _counted = self.counters.count(|counters| &counters.connections_now);
        let mut early = Vec::new();
        let found = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return,
            found = self.search().run(&client, &mut early) => found,
        };
        match found {
            Found::Server(server, in_use) => {
                let role = (self.port, &in_use.target);
                let end = relay(client, server, early, self.routes.clone(), role, &self.shutdown).await;
                if end == End::Cut {
                    Counters::add(&self.counters.cut_total);
                }
            }
            Found::TimeOver => {
                Counters::add(&self.counters.refused_total);
                let refusal = match self.port {
                    Port::Primary => Refusal::NoPrimary,
                    Port::Replicas { .. } => Refusal::NoReplica,
                };
                refuse(self.service, client, early, refusal).await;
            }
            Found::HungUp => {}
        }
    }

    fn search(&self) -> Search {
        Search {
            port: self.port,
            routes: self.routes.clone(),
            counters: self.counters.clone(),
            connector: self.connector.clone(),
            attempts: self.attempts.clone(),
            connect_timeout: self.connect_timeout,
            hold: self.hold,
        }
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
