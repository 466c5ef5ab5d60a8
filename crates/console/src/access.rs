//! Who may change something: the allowlist first (403), then a certificate (403), or name and password (401).
//!
//! Reading is open, as with Patroni: load balancers have no passwords.

use crate::reply::Reply;
use crate::settings::{BasicAuth, RestApiSettings};
use crate::snapshot::Snapshot;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use ha::cluster::Cluster;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// In a request's extensions: the certificate (DER) of the authorities that its connection has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified(pub Arc<[u8]>);

/// All host names of the allowlist together must resolve within this time; those that do not are not allowed.
const RESOLVE_WAIT_MAX: Duration = Duration::from_secs(3);

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asking {
    pub peer: IpAddr,
    /// Has shown a certificate of the authorities.
    pub certified: bool,
}

/// `with_members`: members may come from their own addresses, where the settings say so.
pub async fn check(snapshot: &Snapshot, headers: &HeaderMap, asking: Asking, with_members: bool) -> Result<(), Reply> {
    let Asking { peer, certified } = asking;
    let settings = &snapshot.settings;
    let with_members = with_members && settings.allowlist_include_members;
    if (with_members || !settings.allowlist.is_empty())
        && !is_listed(settings, &snapshot.cluster, peer.to_canonical(), with_members).await
    {
        return Err(Reply::text(403, "Access is denied"));
    }
    if certified {
        // As in Patroni: who has a certificate needs no password.
        return Ok(());
    }
    if settings.changes_need_certificate {
        return Err(Reply::text(403, "client certificate required"));
    }
    let Some(expected) = settings.authentication.as_ref().map(BasicAuth::header) else { return Ok(()) };
    let reason = match headers.get(AUTHORIZATION) {
        None => "no auth header received",
        Some(given) if is_same(given.as_bytes(), expected.as_bytes()) => return Ok(()),
        Some(_) => "not authenticated",
    };
    Err(Reply::text(401, reason).with_header(WWW_AUTHENTICATE, "Basic realm=\"Patroni\""))
}

async fn is_listed(settings: &RestApiSettings, cluster: &Cluster, peer: IpAddr, with_members: bool) -> bool {
    let members = cluster.members.values().filter(|_| with_members).filter_map(|member| host_of(&member.data.api_url));
    let mut names = Vec::new();
    for entry in settings.allowlist.iter().map(String::as_str).chain(members) {
        match Network::parse(entry) {
            Some(network) if network.contains(peer) => return true,
            Some(_) => {}
            None => names.push(entry),
        }
    }
    let resolve = async {
        for name in names {
            let Ok(mut addresses) = tokio::net::lookup_host((name, 0)).await else { continue };
            if addresses.any(|address| address.ip().to_canonical() == peer) {
                return true;
            }
        }
        false
    };
    tokio::time::timeout(RESOLVE_WAIT_MAX, resolve).await.unwrap_or(false)
}

/// The host in `http://host:8008/patroni`, IPv6 without its brackets.
fn host_of(url: &str) -> Option<&str> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?']).next()?;
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => authority.split(':').next()?,
    };
    Some(host).filter(|host| !host.is_empty())
}

/// An address or `address/prefix length`.
struct Network {
    address: IpAddr,
    prefix_bits: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = prefix.unwrap_or(bits);
        (prefix_bits <= bits).then_some(Self { address, prefix_bits })
    }

    fn contains(&self, peer: IpAddr) -> bool {
        let same = |a: u128, b: u128, bits: u32| {
            let ignored = bits - self.prefix_bits;
            a.checked_shr(ignored).unwrap_or(0) == b.checked_shr(ignored).unwrap_or(0)
        };
        match (self.address, peer) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// Compares without telling by its duration where the first difference is. The length may be told.
pub(crate) fn is_same(given: &[u8], expected: &[u8]) -> bool {
    let difference =
        given.iter().zip(expected).fold(0, |difference, (a, b)| std::hint::black_box(difference | (a ^ b)));
    given.len() == expected.len() && difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses_and_no_others() {
        for (network, peer, expected) in [
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("10.0.0.7/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/32", "2001:db8:1::", true),
            ("2001:db8::/32", "2001:db9::", false),
            ("0.0.0.0/0", "::1", false),
        ] {
            let network = Network::parse(network).unwrap();
            assert_eq!(network.contains(peer.parse().unwrap()), expected, "{peer}");
        }
        for text in ["10.0.0.0/33", "10.0.0.0/-1", "db1", "", "/8"] {
            assert!(Network::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn the_host_of_a_url_is_found() {
        for (url, host) in [
            ("http://10.0.0.1:8008/patroni", Some("10.0.0.1")),
            ("https://[::1]:8008/patroni", Some("::1")),
            ("http://db1", Some("db1")),
            ("db1", None),
            ("http://", None),
            ("http://[::1", None),
        ] {
            assert_eq!(host_of(url), host, "{url}");
        }
    }

    #[test]
    fn only_the_same_bytes_are_the_same() {
        for (a, b, same) in [
            ("Basic x", "Basic x", true),
            ("Basic x", "Basic y", false),
            ("Basic ", "Basic x", false),
            ("", "x", false),
        ] {
            assert_eq!(is_same(a.as_bytes(), b.as_bytes()), same);
        }
    }
}
