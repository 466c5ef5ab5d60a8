//! What the neighbours are told: IPv4 by ARP (RFC 826, 5227), IPv6 by neighbour advertisements (RFC 4861).
//!
//! Deliberately never waits: a frame that does not get out at once is dropped, and another follows.

use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, recv, send, sendto, socket_with,
    sockopt,
};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6};
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, OwnedFd};

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
    other.map(|mac| mac.map(|byte| format!("{byte:02x}")).join(":"))
}

/// The sender's hardware address, if the sender says that it has this IP address.
fn sender_of(frame: &[u8], ip: Ipv4Addr) -> Option<[u8; 6]> {
    (frame.get(28..32)? == ip.octets()).then(|| frame.get(22..28)?.try_into().ok())?
}

/// The kernel adds the checksum.
fn advertisement(ip: Ipv6Addr, mac: [u8; 6]) -> Vec<u8> {
    const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    const OVERRIDE: u8 = 0x20;
    let mut message = vec![NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, OVERRIDE, 0, 0, 0];
    message.extend(ip.octets());
    // Option 2, the target's hardware address, in units of eight bytes.
    message.extend([2, 1]);
    message.extend(mac);
    message
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
}
