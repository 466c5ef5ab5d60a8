//! What can be set, with the defaults and their reasons.

use crate::proxy_protocol::ProxyProtocol;
use std::net::SocketAddr;
use std::time::Duration;
use types::Network;

/// What is spoken behind the ports. It matters only for the last words to a client that cannot be served, and for the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Service {
    #[default]
    Postgres,
    Redis,
}

impl Service {
    /// What the service calls the server that takes writes.
    pub(crate) fn primary(self) -> &'static str {
        match self {
            Self::Postgres => "primary",
            Self::Redis => "Redis master",
        }
    }
}

/// Where to listen and what the limits are. No address on a list: that port does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyConfig {
    pub service: Service,
    /// Addresses that lead to the primary.
    pub listen_primary: Vec<SocketAddr>,
    /// Addresses that lead to the replicas, the one with the fewest connections first.
    pub listen_replicas: Vec<SocketAddr>,
    /// How long a new connection waits for a server that accepts it. Longer than any expected failover, shorter than the
    /// patience of a person in front of a web page.
    pub hold: Duration,
    /// How long one attempt to reach a server may take. On a local network an answer takes a millisecond; a server that
    /// is silent for half a second is treated as one that refuses.
    pub connect_timeout: Duration,
    /// The replica port leads to the primary while no replica accepts connections.
    pub replicas_fall_back_to_primary: bool,
    /// Who speaks for others: connections from these have to begin with a PROXY header, and nobody else's header is believed.
    pub accept_proxy_protocol_from: Vec<Network>,
    /// Servers are told for whom a connection is. They have to expect it: PostgreSQL and Redis themselves do not.
    pub send_proxy_protocol: Option<ProxyProtocol>,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        Self {
            service: Service::default(),
            listen_primary: Vec::new(),
            listen_replicas: Vec::new(),
            hold: Duration::from_secs(10),
            connect_timeout: Duration::from_millis(500),
            replicas_fall_back_to_primary: true,
            accept_proxy_protocol_from: Vec::new(),
            send_proxy_protocol: None,
        }
    }
}
