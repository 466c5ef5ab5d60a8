//! Whom to connect to, and as whom.

use super::tls::TlsClient;
use std::fmt;
use std::time::Duration;
use types::Secret;

/// A host name or IP address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

impl Address {
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What [`super::Connection::open`] needs to know.
#[derive(Clone, Debug)]
pub struct Target {
    pub address: Address,
    /// Without one, AUTH is sent with the password alone, as before ACLs.
    pub username: Option<String>,
    /// Without one, no AUTH is sent.
    pub password: Option<Secret>,
    pub tls: Option<TlsClient>,
    /// For CLIENT SETNAME, so that an administrator sees who is connected.
    pub name: Option<String>,
    /// For everything that opening takes: TCP, TLS, AUTH.
    pub connect_timeout: Duration,
}

impl Target {
    /// Long enough for a lost packet to be sent again, short enough for a decision that waits.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);

    /// Without password, TLS and name.
    pub fn plain(host: impl Into<String>, port: u16) -> Self {
        Self {
            address: Address::new(host, port),
            username: None,
            password: None,
            tls: None,
            name: None,
            connect_timeout: Self::CONNECT_TIMEOUT,
        }
    }
}
