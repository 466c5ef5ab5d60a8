//! Addresses on network cards: read, set for a while, removed, announced to the neighbours.
//!
//! Deliberately without a rule about who may have an address. The invariant: what is set here has a lifetime of whole
//! seconds in the kernel, so it goes by itself when nobody sets it anew; by that it is also told from what others have set.

use crate::child::ChildEvent;
use crate::clock::boot_clock;
use crate::os;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use types::Millis;

/// Requests that may wait for the kernel: a few for each of the addresses that a guard holds.
const REQUESTS_MAX: usize = 64;
const THREAD_STACK_BYTES: usize = 128 * 1024;

/// An address as it is set on a card.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CardAddress {
    pub ip: IpAddr,
    pub prefix: u8,
    /// The card's name: `eth0`, or on Windows its alias, `Ethernet 2`.
    pub interface: String,
}

impl CardAddress {
    /// Is `ip` of the network that this address is in?
    pub fn network_contains(&self, ip: IpAddr) -> bool {
        let same = |own: u128, other: u128, bits: u32| {
            let host_bits = bits.saturating_sub(u32::from(self.prefix));
            own.checked_shr(host_bits) == other.checked_shr(host_bits)
        };
        match (self.ip, ip) {
            (IpAddr::V4(own), IpAddr::V4(other)) => same(own.to_bits().into(), other.to_bits().into(), 32),
            (IpAddr::V6(own), IpAddr::V6(other)) => same(own.to_bits(), other.to_bits(), 128),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl fmt::Display for CardAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} on {}", self.ip, self.prefix, self.interface)
    }
}

/// What is on a card now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentAddress {
    pub address: CardAddress,
    /// It stays until somebody removes it, so nobody here has set it.
    pub lasting: bool,
    pub loopback: bool,
}

/// Who has an address, as far as the neighbours on a card say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    Nobody,
    /// Another host, with this hardware address.
    Other(String),
    /// This system, or this kind of card, has no way to ask.
    NotAsked,
}

/// Sets and removes, one after the other. Not for a thread that must not wait: the kernel has one lock for all of this.
pub struct Addresses {
    inner: os::addresses::Addresses,
}

impl Addresses {
    pub fn open() -> io::Result<Self> {
        Ok(Self { inner: os::addresses::Addresses::open()? })
    }

    /// Everything on every card. Needs no privilege.
    pub fn present(&mut self) -> io::Result<Vec<PresentAddress>> {
        self.inner.present()
    }

    /// The names of all cards.
    pub fn interfaces(&mut self) -> io::Result<Vec<String>> {
        self.inner.interfaces()
    }

    /// Sets the address, or its lifetime anew: without anything more it is gone after so many seconds. From `until` on, a time
    /// of the boot clock, nothing is set.
    pub fn set(&mut self, address: &CardAddress, seconds: u32, until: Millis) -> io::Result<()> {
        if boot_clock() >= until {
            return Err(io::Error::other("the time for which it was asked is over"));
        }
        self.inner.set(address, seconds)
    }

    /// Removes the address; one that is not there is no error.
    pub fn remove(&mut self, address: &CardAddress) -> io::Result<()> {
        self.inner.remove(address)
    }

    /// Asks the neighbours on a card who has an address, for less than a second. Needs the privilege to send raw frames.
    pub fn holder(&mut self, ip: IpAddr, interface: &str) -> io::Result<Holder> {
        self.inner.holder(ip, interface)
    }

    /// Tells the neighbours whose the address is now. Returns the hardware address of another host that was heard
    /// to say the same of itself since the last time.
    pub fn announce(&mut self, address: &CardAddress) -> io::Result<Option<String>> {
        self.inner.announce(address)
    }
}

/// What this process lacks to change addresses; `None`: nothing.
pub fn missing_privilege_for_addresses() -> Option<&'static str> {
    os::addresses::missing_privilege()
}

/// What became of a request.
#[derive(Debug)]
pub enum AddressEvent {
    Set(CardAddress, Result<(), String>),
    Removed(CardAddress, Result<(), String>),
    /// Another host answers for it, with this hardware address.
    Conflict(CardAddress, String),
}

#[derive(Debug)]
enum Request {
    Set(CardAddress, u32, Millis),
    Remove(CardAddress),
    Announce(CardAddress),
}

/// Carries requests out on a thread of its own, in their order, so that who asks never waits for the kernel.
pub struct AddressThread {
    requests: SyncSender<Request>,
}

impl AddressThread {
    pub(crate) fn start(events: SyncSender<ChildEvent>) -> io::Result<Self> {
        let (requests, to_do) = sync_channel(REQUESTS_MAX);
        let mut addresses = Addresses::open()?;
        std::thread::Builder::new()
            .name("addresses".to_owned())
            .stack_size(THREAD_STACK_BYTES)
            .spawn(move || carry_out(&mut addresses, &to_do, &events))?;
        Ok(Self { requests })
    }

    /// `Err`: it was not taken, and no event follows.
    pub fn set(&self, address: CardAddress, seconds: u32, until: Millis) -> Result<(), String> {
        self.ask(Request::Set(address, seconds, until))
    }

    pub fn remove(&self, address: CardAddress) -> Result<(), String> {
        self.ask(Request::Remove(address))
    }

    pub fn announce(&self, address: CardAddress) -> Result<(), String> {
        self.ask(Request::Announce(address))
    }

    fn ask(&self, request: Request) -> Result<(), String> {
        self.requests.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => "the kernel has not answered earlier requests".to_owned(),
            TrySendError::Disconnected(_) => "the thread for addresses has ended".to_owned(),
        })
    }
}

fn carry_out(addresses: &mut Addresses, requests: &Receiver<Request>, events: &SyncSender<ChildEvent>) {
    while let Ok(request) = requests.recv() {
        let event = match request {
            Request::Set(address, seconds, until) => {
                let result = addresses.set(&address, seconds, until).map_err(|error| error.to_string());
                AddressEvent::Set(address, result)
            }
            Request::Remove(address) => {
                let result = addresses.remove(&address).map_err(|error| error.to_string());
                AddressEvent::Removed(address, result)
            }
            // One that does not get out is followed by others.
            Request::Announce(address) => match addresses.announce(&address) {
                Ok(Some(other)) => AddressEvent::Conflict(address, other),
                Ok(None) | Err(_) => continue,
            },
        };
        if events.send(ChildEvent::Address(event)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_the_network_of_another() {
        let of = |ip: &str, prefix| CardAddress { ip: ip.parse().unwrap(), prefix, interface: "eth0".into() };
        for (own, prefix, other, contains) in [
            ("10.0.0.11", 24, "10.0.0.42", true),
            ("10.0.0.11", 24, "10.0.1.42", false),
            ("10.0.0.11", 32, "10.0.0.11", true),
            ("10.0.0.11", 32, "10.0.0.12", false),
            ("10.0.0.11", 0, "192.168.1.1", true),
            ("fd00::11", 64, "fd00::42", true),
            ("fd00::11", 64, "fd00:0:0:1::42", false),
            ("fd00::11", 0, "fe80::1", true),
            ("10.0.0.11", 24, "::ffff:10.0.0.42", false),
        ] {
            assert_eq!(of(own, prefix).network_contains(other.parse().unwrap()), contains, "{own}/{prefix} {other}");
        }
    }
}
