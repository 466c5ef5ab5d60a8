//! Where an instance is: a host as somebody wrote it, its IP address once known, a port.
//!
//! Deliberately no resolving: a name becomes an address by an event. The invariant: two addresses are the same only when
//! something that is known of both says so.

use std::borrow::Cow;
use std::net::IpAddr;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// An IP address or a name, as it was written.
    pub host: Box<str>,
    /// `None`: a name that is not resolved (yet).
    pub ip: Option<IpAddr>,
    /// 0: the address is known to be wrong, so nobody connects to it.
    pub port: u16,
}

impl Address {
    pub fn new(host: &str, port: u16) -> Self {
        Self { host: host.into(), ip: host.parse().ok(), port }
    }

    /// The same place: by IP address, or by name where one of them has none.
    pub fn same(&self, other: &Address) -> bool {
        self.port == other.port && self.same_host(other)
    }

    pub fn same_host(&self, other: &Address) -> bool {
        let by_ip = self.ip.is_some() && self.ip == other.ip;
        by_ip || self.host.eq_ignore_ascii_case(&other.host)
    }

    pub fn is_literal(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }

    /// As it is told to others: by name only where `announce-hostnames` asks for that. A name that is not resolved has
    /// nothing else to show.
    pub fn shown(&self, announce_hostnames: bool) -> Cow<'_, str> {
        match self.ip {
            Some(ip) if !announce_hostnames && !self.is_literal() => Cow::Owned(ip.to_string()),
            Some(_) | None => Cow::Borrowed(&self.host),
        }
    }

    /// The name of a replica: `host:port`, an IPv6 address in brackets.
    pub fn host_and_port(&self, announce_hostnames: bool) -> String {
        let host = self.shown(announce_hostnames);
        if host.contains(':') { format!("[{host}]:{}", self.port) } else { format!("{host}:{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_the_same_by_what_is_known_of_both() {
        let named = |name: &str, ip: Option<&str>| Address {
            host: name.into(),
            ip: ip.map(|ip| ip.parse().unwrap()),
            port: 6379,
        };
        for (one, other, same) in [
            (Address::new("10.0.0.1", 6379), Address::new("10.0.0.1", 6379), true),
            (Address::new("10.0.0.1", 6379), Address::new("10.0.0.1", 6380), false),
            (named("a", Some("10.0.0.1")), Address::new("10.0.0.1", 6379), true),
            (named("a", None), named("b", None), false),
            (named("a", None), named("A", Some("10.0.0.1")), true),
        ] {
            assert_eq!(one.same(&other), same, "{one:?} {other:?}");
        }
    }

    #[test]
    fn names_are_told_to_others_only_when_asked_for() {
        let named = Address { host: "db".into(), ip: Some("10.0.0.1".parse().unwrap()), port: 1 };
        assert_eq!(named.shown(false), "10.0.0.1");
        assert_eq!(named.shown(true), "db");
        assert_eq!(Address::new("::1", 7).host_and_port(false), "[::1]:7");
    }
}
