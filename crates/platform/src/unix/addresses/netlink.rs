//! The kernel's routing socket (rtnetlink(7)), as far as addresses go: one request, one answer, nothing kept open but the
//! socket.
//!
//! By hand, because it must work on a plain thread without a runtime, and it is four messages.

use crate::addresses::CardAddress;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with, sockopt};
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

// linux/netlink.h, linux/rtnetlink.h, linux/if_addr.h, linux/if_link.h.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_DUMP: u16 = 0x300;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
const IFA_F_NODAD: u32 = 0x02;
const IFA_F_PERMANENT: u32 = 0x80;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const ARPHRD_ETHER: u16 = 1;
const ARPHRD_LOOPBACK: u16 = 772;

const HEADER_BYTES: usize = 16;
const LINK_BYTES: usize = 16;
const ADDRESS_BYTES: usize = 8;
/// The kernel sends a list in parts of at most this.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The kernel answers before it returns from the request; longer than this is no answer at all.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

/// A network card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    pub loopback: bool,
    /// The hardware address of one that speaks Ethernet.
    pub ethernet: Option<[u8; 6]>,
}

/// An address, with its card's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadAddress {
    pub index: u32,
    pub ip: IpAddr,
    pub prefix: u8,
    pub lasting: bool,
}

impl Netlink {
    pub fn open() -> io::Result<Self> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(ANSWER_TIME_MAX))?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; ANSWER_BYTES_MAX] })
    }

    pub fn index_of(&self, interface: &str) -> io::Result<u32> {
        Ok(rustix::net::netdevice::name_to_index(&self.socket, interface)?)
    }

    pub fn set(&mut self, address: &CardAddress, index: u32, seconds: u32) -> io::Result<()> {
        let mut body = address_message(address, index);
        // A preferred lifetime of nothing: an IPv6 address that the host's own connections do not go out from. (Of IPv4
        // addresses in one network the first is taken anyhow.)
        let preferred = if address.ip.is_ipv6() { 0 } else { seconds };
        let lifetime: Vec<u8> = [preferred, seconds, 0, 0].into_iter().flat_map(u32::to_ne_bytes).collect();
        attribute(&mut body, IFA_CACHEINFO, &lifetime);
        if address.ip.is_ipv6() {
            // Duplicate address detection would take a second, and find the old holder's last words.
            attribute(&mut body, IFA_FLAGS, &IFA_F_NODAD.to_ne_bytes());
        }
        self.change(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &body)
    }

    pub fn remove(&mut self, address: &CardAddress, index: u32) -> io::Result<()> {
        match self.change(RTM_DELADDR, 0, &address_message(address, index)) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::ENODEV)) => Ok(()),
            other => other,
        }
    }

    pub fn links(&mut self) -> io::Result<Vec<Link>> {
        let mut links = Vec::new();
        self.list(RTM_GETLINK, &[0; LINK_BYTES], |message| links.extend(read_link(message)))?;
        Ok(links)
    }

    pub fn addresses(&mut self) -> io::Result<Vec<ReadAddress>> {
        let mut addresses = Vec::new();
        self.list(RTM_GETADDR, &[0; ADDRESS_BYTES], |message| addresses.extend(read_address(message)))?;
        Ok(addresses)
    }

    fn change(&mut self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        self.request(kind, flags | NLM_F_ACK, body)?;
        self.answers(|_| {})
    }

    fn list(&mut self, kind: u16, body: &[u8], found: impl FnMut(&[u8])) -> io::Result<()> {
        self.request(kind, NLM_F_DUMP, body)?;
        self.answers(found)
    }

    fn request(&mut self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let length = u32::try_from(HEADER_BYTES + body.len()).map_err(io::Error::other)?;
        let mut message = length.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend((flags | NLM_F_REQUEST).to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend([0; 4]);
        message.extend(body);
        send(&self.socket, &message, SendFlags::empty())?;
        Ok(())
    }

    /// Everything up to the end of the answer to the last request; what is left of an earlier one is passed over.
    fn answers(&mut self, mut found: impl FnMut(&[u8])) -> io::Result<()> {
        loop {
            let (length, _) = recv(&self.socket, &mut self.buffer[..], RecvFlags::empty())?;
            let mut rest = &self.buffer[..length.min(ANSWER_BYTES_MAX)];
            while let Some((message, after)) = next_message(rest) {
                rest = after;
                if message.sequence != self.sequence {
                    continue;
                }
                match message.kind {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => {
                        let code = message.body.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
                        return if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-code)) };
                    }
                    _ => found(message.body),
                }
            }
        }
    }
}

struct Message<'a> {
    kind: u16,
    sequence: u32,
    body: &'a [u8],
}

fn next_message(bytes: &[u8]) -> Option<(Message<'_>, &[u8])> {
    let length = u32_at(bytes, 0)? as usize;
    let body = bytes.get(HEADER_BYTES..length)?;
    let message = Message { kind: u16_at(bytes, 4)?, sequence: u32_at(bytes, 8)?, body };
    Some((message, bytes.get(aligned(length)..).unwrap_or_default()))
}

fn address_message(address: &CardAddress, index: u32) -> Vec<u8> {
    let (family, octets) = match address.ip {
        IpAddr::V4(ip) => (AddressFamily::INET, ip.octets().to_vec()),
        IpAddr::V6(ip) => (AddressFamily::INET6, ip.octets().to_vec()),
    };
    let [family, _] = family.as_raw().to_le_bytes();
    // Family, prefix, flags, scope (global), card.
    let mut body = vec![family, address.prefix, 0, 0];
    body.extend(index.to_ne_bytes());
    attribute(&mut body, IFA_LOCAL, &octets);
    attribute(&mut body, IFA_ADDRESS, &octets);
    body
}

fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    // Every value here is a few bytes.
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(aligned(body.len()), 0);
}

fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let found = (u16_at(bytes, 2)?, bytes.get(4..length)?);
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        Some(found)
    })
}

fn read_link(body: &[u8]) -> Option<Link> {
    let (kind, index) = (u16_at(body, 2)?, u32_at(body, 4)?);
    let mut link = Link { index, name: String::new(), loopback: kind == ARPHRD_LOOPBACK, ethernet: None };
    for (attribute, value) in attributes(body.get(LINK_BYTES..)?) {
        match attribute {
            IFLA_IFNAME => String::from_utf8_lossy(value).trim_end_matches('\0').clone_into(&mut link.name),
            IFLA_ADDRESS if kind == ARPHRD_ETHER => link.ethernet = value.try_into().ok(),
            _ => {}
        }
    }
    Some(link)
}

fn read_address(body: &[u8]) -> Option<ReadAddress> {
    let (prefix, index) = (*body.get(1)?, u32_at(body, 4)?);
    let mut flags = u32::from(*body.get(2)?);
    let (mut local, mut address) = (None, None);
    for (attribute, value) in attributes(body.get(ADDRESS_BYTES..)?) {
        match attribute {
            IFA_LOCAL => local = ip(value),
            IFA_ADDRESS => address = ip(value),
            IFA_FLAGS => flags = u32_at(value, 0).unwrap_or(flags),
            _ => {}
        }
    }
    Some(ReadAddress { index, ip: local.or(address)?, prefix, lasting: flags & IFA_F_PERMANENT != 0 })
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(value).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from)).ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Everything begins at a multiple of four.
fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["10.0.0.42", "fd00::42"] {
            let address = CardAddress { ip: text.parse().unwrap(), prefix: 24, interface: "eth0".into() };
            let mut body = address_message(&address, 7);
            attribute(&mut body, IFA_FLAGS, &IFA_F_PERMANENT.to_ne_bytes());
            let read = ReadAddress { index: 7, ip: address.ip, prefix: 24, lasting: true };
            assert_eq!(read_address(&body), Some(read));
        }
    }

    #[test]
    fn the_machines_own_cards_are_listed_without_a_privilege() {
        let mut netlink = Netlink::open().unwrap();
        let links = netlink.links().unwrap();
        let loopback = links.iter().find(|link| link.loopback).unwrap();
        assert_eq!(netlink.index_of(&loopback.name).unwrap(), loopback.index);
        let addresses = netlink.addresses().unwrap();
        let own = addresses.iter().find(|address| address.ip.is_loopback()).unwrap();
        assert!(own.lasting && own.index == loopback.index);
    }

    #[test]
    fn what_is_cut_short_is_not_read() {
        let address = CardAddress { ip: "10.0.0.42".parse().unwrap(), prefix: 24, interface: "eth0".into() };
        let body = address_message(&address, 7);
        for length in 0..ADDRESS_BYTES {
            assert_eq!(read_address(&body[..length]), None);
            assert_eq!(read_link(&body[..length]), None);
        }
        assert!(next_message(&[1, 0, 0, 0]).is_none());
        assert_eq!(attributes(&[0, 0, 1, 0]).count(), 0, "a length of nothing does not loop");
    }
}
