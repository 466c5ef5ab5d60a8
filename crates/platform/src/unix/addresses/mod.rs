//! Addresses on Linux: `netlink` sets and removes, `neighbours` announces.

mod neighbours;
mod netlink;

use crate::addresses::{CardAddress, Holder, PresentAddress};
use neighbours::Neighbours;
use netlink::{Netlink, ReadAddress};
use std::io;
use std::net::IpAddr;

/// Bits of `CapEff` in `/proc/self/status`.
const CAP_NET_ADMIN: u32 = 12;
const CAP_NET_RAW: u32 = 13;

pub struct Addresses {
    netlink: Netlink,
    neighbours: Neighbours,
}

impl Addresses {
    pub fn open() -> io::Result<Self> {
        Ok(Self { netlink: Netlink::open()?, neighbours: Neighbours::default() })
    }

    pub fn present(&mut self) -> io::Result<Vec<PresentAddress>> {
        let links = self.netlink.links()?;
        let found = self.netlink.addresses()?;
        let present = |found: ReadAddress| {
            let link = links.iter().find(|link| link.index == found.index)?;
            Some(PresentAddress {
                address: CardAddress { ip: found.ip, prefix: found.prefix, interface: link.name.clone() },
                lasting: found.lasting,
                loopback: link.loopback,
            })
        };
        Ok(found.into_iter().filter_map(present).collect())
    }

    pub fn interfaces(&mut self) -> io::Result<Vec<String>> {
        Ok(self.netlink.links()?.into_iter().map(|link| link.name).collect())
    }

    pub fn set(&mut self, address: &CardAddress, seconds: u32) -> io::Result<()> {
        let index = self.netlink.index_of(&address.interface).map_err(|error| no_card(&address.interface, &error))?;
        self.netlink.set(address, index, seconds)
    }

    pub fn remove(&mut self, address: &CardAddress) -> io::Result<()> {
        match self.netlink.index_of(&address.interface) {
            Ok(index) => {
                self.neighbours.stop_listening(index);
                self.netlink.remove(address, index)
            }
            // The address went with its card.
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub fn holder(&mut self, ip: IpAddr, interface: &str) -> io::Result<Holder> {
        let Some((index, mac)) = self.ethernet(interface)? else { return Ok(Holder::NotAsked) };
        let answer = match ip {
            IpAddr::V4(ip) => neighbours::holder_of_v4(ip, index, mac),
            IpAddr::V6(ip) => neighbours::holder_of_v6(ip, index, mac),
        };
        answer.map(|other| other.map_or(Holder::Nobody, Holder::Other))
    }

    /// The card's number and hardware address; `None`: nobody asks for hardware addresses there.
    fn ethernet(&mut self, interface: &str) -> io::Result<Option<(u32, [u8; 6])>> {
        let index = self.netlink.index_of(interface)?;
        let links = self.netlink.links()?;
        let mac = links.iter().find(|link| link.index == index).and_then(|link| link.ethernet);
        Ok(mac.map(|mac| (index, mac)))
    }

    pub fn announce(&mut self, address: &CardAddress) -> io::Result<Option<String>> {
        let Some((index, mac)) = self.ethernet(&address.interface)? else { return Ok(None) };
        match address.ip {
            IpAddr::V4(ip) => self.neighbours.announce_v4(ip, index, mac),
            IpAddr::V6(ip) => self.neighbours.announce_v6(ip, index, mac).map(|()| None),
        }
    }
}

fn no_card(name: &str, error: &io::Error) -> io::Error {
    io::Error::other(format!("there is no network interface {name} ({error})"))
}

/// Root has both, unless a container took them away.
pub fn missing_privilege() -> Option<&'static str> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default();
    let effective = u64::from_str_radix(line.trim(), 16).unwrap_or(0);
    let has = |capability: u32| effective >> capability & 1 == 1;
    match (has(CAP_NET_ADMIN), has(CAP_NET_RAW)) {
        (true, true) => None,
        (true, false) => Some("CAP_NET_RAW"),
        (false, true) => Some("CAP_NET_ADMIN"),
        (false, false) => Some("CAP_NET_ADMIN and CAP_NET_RAW"),
    }
}
