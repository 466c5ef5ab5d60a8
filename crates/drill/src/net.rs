//! A network of this machine's own: hosts in network namespaces on one switch, cables that can be cut, a capture of all
//! that passes.
//!
//! Deliberately ignorant of what runs on the hosts. Needs root, `ip` and `nft`. The invariant: what it makes (namespaces
//! that begin with its prefix, and everything in them) is removed when it is dropped, and nothing outside is touched.

use crate::eavesdrop::Eavesdropper;
use crate::listening::Listening;
use anyhow::{Context, Result, bail, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Where the kernel and `ip` keep named namespaces.
const NAMESPACES: &str = "/run/netns";
/// The name of every host's network card, and of the switch.
pub const CARD: &str = "eth0";
const SWITCH: &str = "switch";
/// A network has one octet for its hosts.
const PREFIX_LENGTH: u8 = 24;
/// How often a host's addresses are looked at.
const HOLDER_LOOK: Duration = Duration::from_millis(2);
/// What is remembered of one capture; more would be minutes of a busy network.
const FRAMES_MAX: usize = 2_000_000;

/// A host: a namespace with one network card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    pub name: String,
    pub namespace: String,
    pub address: Ipv4Addr,
    pub mac: Mac,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.map(|byte| format!("{byte:02x}")).join(":"))
    }
}

impl std::fmt::Debug for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// What does not get through any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Everything to and from the host.
    Both(String),
    /// Everything the host sends.
    Outward(String),
    /// Everything that is sent to the host.
    Inward(String),
    /// Everything between two hosts.
    Between(String, String),
    /// TCP to and from these ports, between the host and every other.
    Ports(String, Vec<u16>),
}

impl Cut {
    fn rules(&self) -> Vec<String> {
        let one_way = |from: &str, to: &str| format!("iifname \"{from}\" oifname \"{to}\" drop");
        match self {
            Self::Both(host) => vec![format!("iifname \"{host}\" drop"), format!("oifname \"{host}\" drop")],
            Self::Outward(host) => vec![format!("iifname \"{host}\" drop")],
            Self::Inward(host) => vec![format!("oifname \"{host}\" drop")],
            Self::Between(one, other) => vec![one_way(one, other), one_way(other, one)],
            Self::Ports(host, ports) => {
                let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
                let ports = ports.join(", ");
                ["iifname", "oifname"]
                    .into_iter()
                    .flat_map(|way| ["dport", "sport"].map(|end| (way, end)))
                    .map(|(way, end)| format!("{way} \"{host}\" tcp {end} {{ {ports} }} drop"))
                    .collect()
            }
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Network {
    prefix: String,
    /// The first three octets of every address.
    net: [u8; 3],
    hosts: Vec<Host>,
}

impl Network {
    /// A switch without hosts. `prefix` begins the names of the namespaces; `net` should be one of 198.18.0.0/15, which
    /// are for tests.
    pub fn new(prefix: &str, net: [u8; 3]) -> Result<Self> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "network namespaces need root\nhint: run the tests as root, or in a container that has CAP_SYS_ADMIN"
        );
        let network = Self { prefix: prefix.to_owned(), net, hosts: Vec::new() };
        ip(&["netns", "add", &network.switch()])?;
        ip(&["-n", &network.switch(), "link", "add", "name", SWITCH, "type", "bridge", "forward_delay", "0"])?;
        ip(&["-n", &network.switch(), "link", "set", "dev", SWITCH, "up"])?;
        Ok(network)
    }

    /// Plugs a new host in. `last`: the last octet of its address.
    pub fn add_host(&mut self, name: &str, last: u8) -> Result<Host> {
        let [a, b, c] = self.net;
        let host = Host {
            name: name.to_owned(),
            namespace: format!("{}-{name}", self.prefix),
            address: Ipv4Addr::new(a, b, c, last),
            mac: Mac([2, 0, a, b, c, last]),
        };
        ip(&["netns", "add", &host.namespace])?;
        self.hosts.push(host.clone());
        let (inside, switch) = (host.namespace.as_str(), self.switch());
        let mac = host.mac.to_string();
        let card =
            ["link", "add", "name", CARD, "address", &mac, "type", "veth", "peer", "name", name, "netns", &switch];
        ip(&[["-n", inside].as_slice(), &card].concat())?;
        ip(&["-n", &switch, "link", "set", "dev", name, "master", SWITCH, "up"])?;
        let address = format!("{}/{PREFIX_LENGTH}", host.address);
        ip(&["-n", inside, "addr", "add", &address, "dev", CARD])?;
        ip(&["-n", inside, "link", "set", "dev", CARD, "up"])?;
        ip(&["-n", inside, "link", "set", "dev", "lo", "up"])?;
        Ok(host)
    }

    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    pub fn host(&self, name: &str) -> Result<&Host> {
        self.hosts.iter().find(|host| host.name == name).with_context(|| format!("there is no host {name}"))
    }

    /// An address of this network that no host has.
    pub fn spare_address(&self, last: u8) -> Ipv4Addr {
        let [a, b, c] = self.net;
        Ipv4Addr::new(a, b, c, last)
    }

    /// Cuts exactly this; what was cut before and is not named is mended.
    pub fn cut(&self, cuts: &[Cut]) -> Result<()> {
        let rules: Vec<String> = cuts.iter().flat_map(Cut::rules).collect();
        let rules = rules.join("\n");
        // One transaction: nothing passes in between.
        let script = format!(
            "table bridge cuts\ndelete table bridge cuts\ntable bridge cuts {{\nchain forward {{ type filter hook forward priority 0;\n{rules}\n}}\n}}\n"
        );
        let mut command = program_in(&self.switch(), "nft");
        let mut nft = command
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start nsenter and nft; the packages util-linux and nftables have them")?;
        if let Some(mut stdin) = nft.stdin.take() {
            stdin.write_all(script.as_bytes())?;
        }
        let done = nft.wait_with_output()?;
        ensure!(done.status.success(), "nft refuses the cuts {cuts:?}: {}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }

    pub fn mend(&self) -> Result<()> {
        self.cut(&[])
    }

    /// The hosts that have this address on their card now.
    pub fn holders_of(&self, address: IpAddr) -> Result<Vec<String>> {
        let mut holders = Vec::new();
        for host in &self.hosts {
            if addresses_in(&host.namespace)?.contains(&address) {
                holders.push(host.name.clone());
            }
        }
        Ok(holders)
    }

    /// Looks at every host's addresses all the time from now on.
    pub fn watch(&self, address: Ipv4Addr) -> Result<HolderWatch> {
        HolderWatch::start(&self.hosts, address)
    }

    /// Every frame that comes to the switch from now on.
    pub fn capture(&self) -> Result<Capture> {
        Capture::start(&self.switch())
    }

    /// How every TCP connection begins that is opened from now on and passes the switch.
    pub fn eavesdrop(&self) -> Result<Eavesdropper> {
        Eavesdropper::start(&self.switch())
    }

    fn switch(&self) -> String {
        format!("{}-{SWITCH}", self.prefix)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The cards go with their namespaces, and a namespace with the last process in it.
        for namespace in self.hosts.iter().map(|host| host.namespace.clone()).chain([self.switch()]) {
            if let Err(error) = ip(&["netns", "del", &namespace]) {
                eprintln!("{error:#}");
            }
        }
    }
}

/// A command that runs a program on a host. It becomes that program, so its process is the program's.
pub fn program_in(namespace: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={NAMESPACES}/{namespace}")).arg(program);
    command
}

/// Moves this thread, and what it starts, to a host.
pub fn enter(namespace: &str) -> Result<()> {
    let place = File::open(format!("{NAMESPACES}/{namespace}"))
        .with_context(|| format!("there is no namespace {namespace}"))?;
    move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network))
        .with_context(|| format!("cannot enter the namespace {namespace}"))
}

fn addresses_in(namespace: &str) -> Result<Vec<IpAddr>> {
    let text = ip(&["-n", namespace, "-o", "addr", "show"])?;
    let address = |line: &str| {
        let mut words = line.split_whitespace().skip_while(|word| !matches!(*word, "inet" | "inet6"));
        words.nth(1)?.split('/').next()?.parse().ok()
    };
    Ok(text.lines().filter_map(address).collect())
}

fn ip(arguments: &[&str]) -> Result<String> {
    let done = Command::new("ip").args(arguments).stdin(Stdio::null()).output();
    let done = done.context("cannot start ip; the package iproute2 has it")?;
    if !done.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// One frame that says whose address it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub at: Instant,
    pub mac: Mac,
    /// The sender's: of an IP packet its source, of ARP the sender's protocol address, of a neighbour advertisement the
    /// target.
    pub address: IpAddr,
    pub kind: ClaimKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimKind {
    /// ARP from and about the same address, to everybody.
    Announcement,
    ArpRequest,
    ArpReply,
    NeighbourAdvertisement,
    /// An IP packet.
    Packet,
}

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Capture(Listening<Vec<Claim>>);

impl Capture {
    fn start(namespace: &str) -> Result<Self> {
        let hear = |claims: &mut Vec<Claim>, frame: &[u8]| {
            if claims.len() < FRAMES_MAX {
                claims.extend(claim_in(frame));
            }
        };
        Listening::start(namespace, "capture", hear).map(Self)
    }

    pub fn claims(&self) -> Vec<Claim> {
        self.0.heard().clone()
    }

    /// What was sent in the name of this address.
    pub fn claims_of(&self, address: IpAddr) -> Vec<Claim> {
        let mut claims = self.claims();
        claims.retain(|claim| claim.address == address);
        claims
    }
}

/// A time in which a host was seen to have an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    pub host: String,
    pub first: Instant,
    pub last: Instant,
}

/// Looks at every host's addresses until it is stopped or dropped.
#[derive(Debug)]
pub struct HolderWatch {
    holdings: Arc<Mutex<Vec<Holding>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl HolderWatch {
    fn start(hosts: &[Host], address: Ipv4Addr) -> Result<Self> {
        let mut watch = Self { holdings: Arc::default(), stop: Arc::default(), threads: Vec::new() };
        for host in hosts {
            let (holdings, stop, host) = (watch.holdings.clone(), watch.stop.clone(), host.clone());
            let (ready, is_ready) = std::sync::mpsc::channel();
            let look = move || {
                let entered = enter(&host.namespace);
                let failed = entered.is_err();
                let _ = ready.send(entered);
                if !failed {
                    look_for(&host.name, address, &holdings, &stop);
                }
            };
            watch.threads.push(std::thread::Builder::new().name("holder".to_owned()).spawn(look)?);
            is_ready.recv().context("a watch ended at once")??;
        }
        Ok(watch)
    }

    /// In the order in which they began.
    pub fn holdings(&self) -> Vec<Holding> {
        self.holdings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Pairs of hosts that had the address at the same time.
    pub fn overlaps(&self) -> Vec<(Holding, Holding)> {
        let holdings = self.holdings();
        let mut overlaps = Vec::new();
        for (at, one) in holdings.iter().enumerate() {
            for other in &holdings[at + 1..] {
                if one.host != other.host && one.first <= other.last && other.first <= one.last {
                    overlaps.push((one.clone(), other.clone()));
                }
            }
        }
        overlaps
    }
}

impl Drop for HolderWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn look_for(host: &str, address: Ipv4Addr, holdings: &Mutex<Vec<Holding>>, stop: &AtomicBool) {
    // Of the namespace that this thread is in.
    const LOCAL_ADDRESSES: &str = "/proc/thread-self/net/fib_trie";
    let wanted = format!("|-- {address}");
    let mut present: Option<usize> = None;
    while !stop.load(Ordering::Acquire) {
        let text = std::fs::read_to_string(LOCAL_ADDRESSES).unwrap_or_default();
        let seen_at = Instant::now();
        let mut lines = text.lines().skip_while(|line| line.trim() != wanted);
        let is_here = lines.nth(1).is_some_and(|line| line.contains("/32 host LOCAL"));
        {
            let mut holdings = holdings.lock().unwrap_or_else(PoisonError::into_inner);
            match (is_here, present) {
                (true, Some(at)) => holdings[at].last = seen_at,
                (true, None) => {
                    present = Some(holdings.len());
                    holdings.push(Holding { host: host.to_owned(), first: seen_at, last: seen_at });
                }
                (false, _) => present = None,
            }
        }
        std::thread::sleep(HOLDER_LOOK);
    }
}

/// Ethernet, then ARP, IPv4 or IPv6, as the RFCs 826, 791, 8200 and 4861 lay them out.
fn claim_in(frame: &[u8]) -> Option<Claim> {
    let mac = Mac(frame.get(6..12)?.try_into().ok()?);
    let at = Instant::now();
    let v4 = |from: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(frame.get(from..from + 4)?).ok()?));
    let v6 = |from: usize| Some(Ipv6Addr::from(<[u8; 16]>::try_from(frame.get(from..from + 16)?).ok()?));
    let (address, kind) = match frame.get(12..14)? {
        [0x08, 0x06] => {
            let (operation, sender, target) = (frame.get(20..22)?, v4(28)?, v4(38)?);
            let kind = match operation {
                _ if sender == target => ClaimKind::Announcement,
                [0, 1] => ClaimKind::ArpRequest,
                _ => ClaimKind::ArpReply,
            };
            (IpAddr::from(sender), kind)
        }
        [0x08, 0x00] => (IpAddr::from(v4(26)?), ClaimKind::Packet),
        [0x86, 0xDD] => match (frame.get(20)?, frame.get(54)) {
            (58, Some(136)) => (IpAddr::from(v6(62)?), ClaimKind::NeighbourAdvertisement),
            _ => (IpAddr::from(v6(22)?), ClaimKind::Packet),
        },
        _ => return None,
    };
    Some(Claim { at, mac, address, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_say_who_claims_which_address() {
        let claim = |text: &str| {
            let bytes: Vec<u8> = text.split_whitespace().map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
            claim_in(&bytes).map(|claim| (claim.mac.to_string(), claim.address.to_string(), claim.kind))
        };
        let ethernet = "ff ff ff ff ff ff 02 00 00 00 00 07";
        let arp = |operation: &str, target: &str| {
            claim(&format!(
                "{ethernet} 08 06 00 01 08 00 06 04 {operation} 02 00 00 00 00 07 0a 00 00 2a 00 00 00 00 00 00 {target}"
            ))
        };
        let from = |kind| Some(("02:00:00:00:00:07".to_owned(), "10.0.0.42".to_owned(), kind));
        assert_eq!(arp("00 01", "0a 00 00 2a"), from(ClaimKind::Announcement));
        assert_eq!(arp("00 02", "0a 00 00 2a"), from(ClaimKind::Announcement));
        assert_eq!(arp("00 01", "0a 00 00 01"), from(ClaimKind::ArpRequest));
        assert_eq!(arp("00 02", "0a 00 00 01"), from(ClaimKind::ArpReply));
        assert_eq!(claim(ethernet), None, "cut short");
        assert_eq!(claim(&format!("{ethernet} 88 cc 00")), None);
    }

    #[test]
    fn a_cut_names_the_ports_of_the_switch() {
        assert_eq!(Cut::Outward("a".into()).rules(), ["iifname \"a\" drop"]);
        assert_eq!(
            Cut::Ports("a".into(), vec![2379, 2380]).rules(),
            [
                "iifname \"a\" tcp dport { 2379, 2380 } drop",
                "iifname \"a\" tcp sport { 2379, 2380 } drop",
                "oifname \"a\" tcp dport { 2379, 2380 } drop",
                "oifname \"a\" tcp sport { 2379, 2380 } drop",
            ]
        );
    }
}
