//! `host:port` as people write it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use thiserror::Error;

/// A host (name or address, without brackets) and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AddressError {
    #[error("'{0}' has no host; expected host:port")]
    NoHost(String),
    #[error("'{0}' has no port; expected host:port")]
    NoPort(String),
    #[error("the port of '{0}' is not a number from 1 to 65535")]
    Port(String),
    #[error("'{0}' is a number and no address; expected host:port, such as 10.0.0.1:{0}")]
    NoAddress(String),
    #[error("'{0}' has an IPv6 address without brackets; write it as [address]:port")]
    Brackets(String),
}

impl Address {
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// Reads `host:port`, `[v6]:port`, and, where there is a default port, a host alone.
    pub fn parse(text: &str, default_port: Option<u16>) -> Result<Self, AddressError> {
        let text = text.trim();
        if let Ok(IpAddr::V6(address)) = text.parse() {
            // `::1` alone is unambiguous only where the port may be left out.
            let port = default_port.ok_or_else(|| AddressError::Brackets(text.to_owned()))?;
            return Ok(Self::new(address.to_string(), port));
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or_else(|| AddressError::Brackets(text.to_owned()))?;
                (host, port.strip_prefix(':'))
            }
            None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        if host.is_empty() {
            return Err(AddressError::NoHost(text.to_owned()));
        }
        // The system would take 6379 for the address 0.0.24.235.
        if host.bytes().all(|letter| letter.is_ascii_digit()) {
            return Err(AddressError::NoAddress(host.to_owned()));
        }
        if host.contains(':') && !text.starts_with('[') {
            return Err(AddressError::Brackets(text.to_owned()));
        }
        let port = match port {
            Some(port) => match port.trim().parse() {
                Ok(0) | Err(_) => return Err(AddressError::Port(text.to_owned())),
                Ok(port) => port,
            },
            None => default_port.ok_or_else(|| AddressError::NoPort(text.to_owned()))?,
        };
        Ok(Self::new(host.trim(), port))
    }

    /// Does it mean "all addresses of this server"? Such an address is no use to others.
    pub fn is_wildcard(&self) -> bool {
        is_wildcard(&self.host)
    }

    /// The address when the host is no name. `*` is every IPv4 address.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        let host = if self.host == "*" { "0.0.0.0" } else { &self.host };
        host.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, self.port))
    }
}

pub(crate) fn is_wildcard(host: &str) -> bool {
    matches!(host, "*" | "0.0.0.0" | "::" | "")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_every_usual_form() {
        for (text, default, expected) in [
            ("10.0.0.1:5432", None, Ok(Address::new("10.0.0.1", 5432))),
            ("db1.example.com", Some(8008), Ok(Address::new("db1.example.com", 8008))),
            ("[::1]:5432", None, Ok(Address::new("::1", 5432))),
            ("::1", Some(1), Ok(Address::new("::1", 1))),
            ("[fe80::1]", Some(2), Ok(Address::new("fe80::1", 2))),
            ("*:8008", None, Ok(Address::new("*", 8008))),
            ("host", None, Err(AddressError::NoPort("host".into()))),
            (":8008", None, Err(AddressError::NoHost(":8008".into()))),
            ("6379", Some(6379), Err(AddressError::NoAddress("6379".into()))),
            ("6379:6380", None, Err(AddressError::NoAddress("6379".into()))),
            ("host:0", None, Err(AddressError::Port("host:0".into()))),
            ("host:http", None, Err(AddressError::Port("host:http".into()))),
            ("host:70000", None, Err(AddressError::Port("host:70000".into()))),
            ("::1:5432", None, Err(AddressError::Brackets("::1:5432".into()))),
        ] {
            assert_eq!(Address::parse(text, default), expected, "{text}");
        }
        assert_eq!(Address::new("::1", 5432).to_string(), "[::1]:5432");
        assert_eq!(Address::new("*", 80).socket_addr(), Some(([0, 0, 0, 0], 80).into()));
    }
}
