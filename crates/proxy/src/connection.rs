//! The life of one connection: the client's first words, a server for it, and what they have to say to each other.

use crate::config::Service;
use crate::crowd::SilentPlace;
use crate::hold::{Found, Search};
use crate::opening::{Opened, Unopened, open};
use crate::pipes::Pipes;
use crate::proxy_protocol::{self, Origin, ProxyProtocol};
use crate::refusal::{Refusal, refuse};
use crate::relay::{End, Surroundings, relay};
use crate::routes::{Port, Routes};
use crate::sockets::Connector;
use crate::statistics::{Counters, InUse};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use types::Network;

/// Everything the connections of one port share.
pub(crate) struct Door {
    pub(crate) service: Service,
    pub(crate) port: Port,
    pub(crate) counters: Arc<Counters>,
    pub(crate) routes: watch::Receiver<Routes>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) connector: Connector,
    pub(crate) attempts: Arc<Semaphore>,
    pub(crate) pipes: Pipes,
    pub(crate) connect_timeout: Duration,
    pub(crate) hold: Duration,
    pub(crate) accept_header_from: Vec<Network>,
    pub(crate) send_header: Option<ProxyProtocol>,
}

/// A client and its server.
struct Pair {
    client: TcpStream,
    server: TcpStream,
    /// What goes to the server first.
    early: Vec<u8>,
    in_use: InUse,
    _place: OwnedSemaphorePermit,
}

impl Door {
    pub(crate) async fn serve(self: Arc<Self>, client: TcpStream, peer: SocketAddr, place: SilentPlace) {
        let _counted = self.counters.count(|counters| &counters.connections_now);
        // In a box of its own, which is gone when the two talk: idle connections are to be small.
        let pair = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return,
            pair = Box::pin(self.bring_together(client, peer, place)) => pair,
        };
        let Some(Pair { client, server, early, in_use, _place }) = pair else { return };
        let around = Surroundings {
            port: self.port,
            target: &in_use.target,
            routes: self.routes.clone(),
            counters: &self.counters,
            pipes: &self.pipes,
            shutdown: &self.shutdown,
        };
        if relay(client, server, early, around).await == End::Cut {
            Counters::add(&self.counters.cut_total);
        }
    }

    /// `None`: the client has had its answer, or does not want one.
    async fn bring_together(&self, mut client: TcpStream, peer: SocketAddr, place: SilentPlace) -> Option<Pair> {
        let header = self.accept_header_from.iter().any(|network| network.contains(peer.ip()));
        let Opened { place, mut early, origin } = match open(self.service, &mut client, place, header).await {
            Ok(opened) => opened,
            Err(why) => {
                Counters::add(&self.counters.unopened_total);
                log_unopened(self.port, peer, &why);
                return None;
            }
        };
        let (server, in_use) = match self.search().run(&mut client, &mut early).await {
            Found::Server(server, in_use) => (server, in_use),
            Found::TimeOver => {
                Counters::add(&self.counters.refused_total);
                let refusal = match self.port {
                    Port::Primary => Refusal::NoPrimary,
                    Port::Replicas { .. } => Refusal::NoReplica,
                };
                refuse(self.service, client, early, refusal).await;
                return None;
            }
            Found::HungUp => return None,
        };
        tracing::debug!(port = self.port.name(), client = %peer, server = %in_use.target, "relaying");
        if let Some(version) = self.send_header {
            let origin = origin.unwrap_or_else(|| match client.local_addr() {
                Ok(to) => Origin::Client { from: peer, to },
                Err(_) => Origin::Unknown,
            });
            early.splice(..0, proxy_protocol::write(version, origin));
        }
        Some(Pair { client, server, early, in_use, _place: place })
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

/// A scanner is no news; a load balancer that is set up differently than we are keeps its clients out.
fn log_unopened(port: Port, peer: SocketAddr, why: &Unopened) {
    let port = port.name();
    match why {
        Unopened::Header(_) | Unopened::HeaderOfStranger => {
            tracing::warn!(port, client = %peer, "a connection was closed: {why}");
        }
        Unopened::Left | Unopened::Silent | Unopened::Displaced | Unopened::NotPostgres => {
            tracing::debug!(port, client = %peer, "a connection came to nothing: {why}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crowd::Crowd;
    use crate::hold::ATTEMPTS_AT_ONCE;

    /// What stays in memory for each idle connection, beside the runtime's record of its two sockets.
    const CONNECTION_BYTES_MAX: usize = 1280;

    #[tokio::test]
    async fn a_connection_is_small() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).await.unwrap();
        let door = Arc::new(Door {
            service: Service::Postgres,
            port: Port::Primary,
            counters: Arc::default(),
            routes: watch::channel(Routes::default()).1,
            shutdown: CancellationToken::new(),
            connector: Connector::new(),
            attempts: Arc::new(Semaphore::new(ATTEMPTS_AT_ONCE)),
            pipes: Pipes::new(),
            connect_timeout: Duration::from_secs(1),
            hold: Duration::from_secs(1),
            accept_header_from: Vec::new(),
            send_header: None,
        });
        let place = Arc::new(Crowd::new(1)).admit().unwrap();
        let size = size_of_val(&door.serve(client, address, place));
        assert!(size <= CONNECTION_BYTES_MAX, "{size} bytes");
    }
}
