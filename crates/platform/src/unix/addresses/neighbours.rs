//! What the neighbours are told: IPv4 by ARP (RFC 826, 5227), IPv6 by neighbour advertisements (RFC 4861).
//!
//! Deliberately never waits where a guard could wait for it: a frame that does not get out at once is dropped, and another
//! follows. Only `holder_of` waits, for an answer.

use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, recv, send, sendto, socket_with,
    sockopt,
};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6};
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

const ETHERTYPE_ARP: u16 = 0x0806;
const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const EVERYBODY: [u8; 6] = [0xFF; 6];
const NOBODY: [u8; 6] = [0; 6];
const FRAME_BYTES: usize = 42;
/// Frames that are looked at in one go: ARP of a busy network between two announcements.
const FRAMES_MAX: usize = 4096;
/// Neighbour discovery is accepted only with this hop limit, which no router leaves alone.
const HOP_LIMIT: u32 = 255;
/// RFC 5227 asks three times too, and takes several seconds for it, because every host of a network may be switched on at once.
/// Here one host asks, and a neighbour answers within a millisecond.
const PROBES: u32 = 3;
const PROBE_PATIENCE: Duration = Duration::from_millis(200);
/// What answers a solicitation, with room for options behind the hardware address.
const MESSAGE_BYTES: usize = 128;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

#[derive(Default)]
pub struct Neighbours {
    /// One socket for each card.
    arp: BTreeMap<u32, OwnedFd>,
    icmp: Option<OwnedFd>,
}

impl Neighbours {
    /// An address of this card is held by somebody else from now on: what he says then is no news when it comes back.
    pub fn stop_listening(&mut self, index: u32) {
        self.arp.remove(&index);
    }

    /// Both forms of a gratuitous ARP, because each is ignored by somebody; and a question that only another holder
    /// would answer. Returns who has answered, or announced himself, since the last time.
    pub fn announce_v4(&mut self, ip: Ipv4Addr, index: u32, mac: [u8; 6]) -> io::Result<Option<String>> {
        let socket = if let Some(socket) = self.arp.get(&index) {
            socket
        } else {
            let opened = arp_socket(index)?;
            self.arp.entry(index).or_insert(opened)
        };
        let other = other_holder(socket, ip, mac);
        let frames = [
            frame(mac, REQUEST, ip, NOBODY, ip),
            frame(mac, REPLY, ip, EVERYBODY, ip),
            frame(mac, REQUEST, Ipv4Addr::UNSPECIFIED, NOBODY, ip),
        ];
        for frame in frames {
            send(socket, &frame, SendFlags::DONTWAIT)?;
        }
        Ok(other)
    }

    /// Unsolicited, to all nodes, with the override flag: who has another hardware address for it takes this one.
    pub fn announce_v6(&mut self, ip: Ipv6Addr, index: u32, mac: [u8; 6]) -> io::Result<()> {
        const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 0, 0, 1);
        let socket = match &self.icmp {
            Some(socket) => socket,
            None => self.icmp.insert(icmp_socket()?),
        };
        sockopt::set_ipv6_multicast_if(socket, index)?;
        let to = SocketAddrV6::new(ALL_NODES, 0, 0, index);
        sendto(socket, &advertisement(ip, mac), SendFlags::DONTWAIT, &to)?;
        Ok(())
    }
}

/// Asks the neighbours whose the address is, as a host does that is about to take it (RFC 5227, 2.1.1): nobody learns anything
/// from the question. Returns the hardware address of whoever answers.
pub fn holder_of_v4(ip: Ipv4Addr, index: u32, mac: [u8; 6]) -> io::Result<Option<String>> {
    let socket = arp_socket(index)?;
    let question = frame(mac, REQUEST, Ipv4Addr::UNSPECIFIED, NOBODY, ip);
    ask(
        &socket,
        || send(&socket, &question, SendFlags::DONTWAIT).map(drop),
        |said| sender_of(said, ip).filter(|sender| *sender != mac),
    )
}

/// The same by a neighbour solicitation (RFC 4861, 7.2.2) to the group of those whose addresses end alike.
pub fn holder_of_v6(ip: Ipv6Addr, index: u32, mac: [u8; 6]) -> io::Result<Option<String>> {
    let socket = icmp_socket()?;
    sockopt::set_ipv6_multicast_if(&socket, index)?;
    let [.., high, low] = ip.segments();
    let group = Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 1, 0xFF00 | high & 0xFF, low);
    let to = SocketAddrV6::new(group, 0, 0, index);
    let question = solicitation(ip, mac);
    ask(&socket, || sendto(&socket, &question, SendFlags::DONTWAIT, &to).map(drop), |said| advertised(said, ip))
}

fn ask(
    socket: &OwnedFd,
    question: impl Fn() -> Result<(), rustix::io::Errno>,
    answer: impl Fn(&[u8]) -> Option<[u8; 6]>,
) -> io::Result<Option<String>> {
    let mut buffer = [0; MESSAGE_BYTES];
    for _ in 0..PROBES {
        question()?;
        let begun = Instant::now();
        while let Some(left) = PROBE_PATIENCE.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
            sockopt::set_socket_timeout(socket, sockopt::Timeout::Recv, Some(left))?;
            let Ok((length, _)) = recv(socket, &mut buffer, RecvFlags::empty()) else { continue };
            if let Some(mac) = answer(&buffer[..length.min(MESSAGE_BYTES)]) {
                return Ok(Some(shown(mac)));
            }
        }
    }
    Ok(None)
}

fn shown(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

fn arp_socket(index: u32) -> io::Result<OwnedFd> {
    let protocol = NonZeroU32::new(ETHERTYPE_ARP.to_be().into()).map(Protocol::from_raw);
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
    // SAFETY: the structure is plain data for which all zeros are valid.
    let mut card: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    card.sll_family = u16::try_from(libc::AF_PACKET).map_err(io::Error::other)?;
    card.sll_protocol = ETHERTYPE_ARP.to_be();
    card.sll_ifindex = i32::try_from(index).map_err(io::Error::other)?;
    let size = u32::try_from(size_of::<libc::sockaddr_ll>()).map_err(io::Error::other)?;
    // SAFETY: pointer and size describe `card`, which lives through the call, and the descriptor is open.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const card).cast(), size) };
    if bound == 0 { Ok(socket) } else { Err(io::Error::last_os_error()) }
}

fn icmp_socket() -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::INET6, SocketType::RAW, SocketFlags::CLOEXEC, Some(ipproto::ICMPV6))?;
    sockopt::set_ipv6_multicast_hops(&socket, HOP_LIMIT)?;
    Ok(socket)
}

/// Ethernet header and ARP packet.
fn frame(mac: [u8; 6], operation: u8, sender: Ipv4Addr, target_mac: [u8; 6], target: Ipv4Addr) -> Vec<u8> {
    let mut frame = Vec::with_capacity(FRAME_BYTES);
    frame.extend(EVERYBODY);
    frame.extend(mac);
    frame.extend(ETHERTYPE_ARP.to_be_bytes());
    // Ethernet, IPv4, lengths of their addresses.
    frame.extend([0, 1, 8, 0, 6, 4, 0, operation]);
    frame.extend(mac);
    frame.extend(sender.octets());
    frame.extend(target_mac);
    frame.extend(target.octets());
    frame
}

/// Somebody else who says that the address is his.
fn other_holder(socket: &OwnedFd, ip: Ipv4Addr, mac: [u8; 6]) -> Option<String> {
    let mut buffer = [0; FRAME_BYTES];
    let mut other = None;
    for _ in 0..FRAMES_MAX {
        let Ok((length, _)) = recv(socket, &mut buffer, RecvFlags::DONTWAIT) else { break };
        other = sender_of(&buffer[..length.min(FRAME_BYTES)], ip).filter(|sender| *sender != mac).or(other);
    }
    other.map(shown)
}

/// The sender's hardware address, if the sender says that it has this IP address.
fn sender_of(frame: &[u8], ip: Ipv4Addr) -> Option<[u8; 6]> {
    (frame.get(28..32)? == ip.octets()).then(|| frame.get(22..28)?.try_into().ok())?
}

/// The kernel adds the checksum.
fn advertisement(ip: Ipv6Addr, mac: [u8; 6]) -> Vec<u8> {
    const OVERRIDE: u8 = 0x20;
    let mut message = vec![NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, OVERRIDE, 0, 0, 0];
    message.extend(ip.octets());
    // Option 2, the target's hardware address, in units of eight bytes.
    message.extend([2, 1]);
    message.extend(mac);
    message
}

/// With the asker's hardware address as option 1, so that the answer comes straight back. The kernel adds the checksum.
fn solicitation(ip: Ipv6Addr, mac: [u8; 6]) -> Vec<u8> {
    let mut message = vec![NEIGHBOUR_SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    message.extend(ip.octets());
    message.extend([1, 1]);
    message.extend(mac);
    message
}

/// Whose the address is, as an advertisement says; all zeros where it does not name its hardware address (option 2).
fn advertised(message: &[u8], ip: Ipv6Addr) -> Option<[u8; 6]> {
    if *message.first()? != NEIGHBOUR_ADVERTISEMENT || message.get(8..24)? != ip.octets() {
        return None;
    }
    let named = message.get(24..26) == Some(&[2, 1]);
    Some(message.get(26..32).filter(|_| named).and_then(|mac| mac.try_into().ok()).unwrap_or(NOBODY))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];

    #[test]
    fn a_gratuitous_arp_is_laid_out_as_the_rfc_has_it() {
        let ip = Ipv4Addr::new(10, 0, 0, 42);
        let frame = frame(MAC, REPLY, ip, EVERYBODY, ip);
        assert_eq!(frame.len(), FRAME_BYTES);
        assert_eq!(frame[..14], [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2, 0, 0, 0, 0, 7, 8, 6]);
        assert_eq!(frame[14..22], [0, 1, 8, 0, 6, 4, 0, 2]);
        assert_eq!(frame[28..32], [10, 0, 0, 42]);
        assert_eq!(frame[38..], [10, 0, 0, 42]);
        assert_eq!(sender_of(&frame, ip), Some(MAC));
        assert_eq!(sender_of(&frame, Ipv4Addr::new(10, 0, 0, 43)), None);
        assert_eq!(sender_of(&frame[..30], ip), None, "cut short");
    }

    #[test]
    fn a_neighbour_advertisement_overrides_and_carries_the_hardware_address() {
        let message = advertisement("fd00::42".parse().unwrap(), MAC);
        assert_eq!((message.len(), message[0], message[4]), (32, 136, 0x20));
        assert_eq!(message[24..], [2, 1, 2, 0, 0, 0, 0, 7]);
    }

    #[test]
    fn an_answer_names_the_hardware_address_of_who_has_the_address() {
        let ip = "fd00::42".parse().unwrap();
        assert_eq!(solicitation(ip, MAC)[..4], [135, 0, 0, 0]);
        let answer = advertisement(ip, MAC);
        assert_eq!(advertised(&answer, ip), Some(MAC));
        assert_eq!(advertised(&answer[..24], ip), Some(NOBODY), "without the option");
        assert_eq!(advertised(&answer, "fd00::43".parse().unwrap()), None);
        assert_eq!(advertised(&solicitation(ip, MAC), ip), None, "a question is no answer");
        assert_eq!(advertised(&answer[..20], ip), None, "cut short");
    }
}
