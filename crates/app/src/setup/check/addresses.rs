//! The member's own address, and virtual addresses that somebody has.

use super::Server;
use crate::setup::machine;
use plan::{Severity, Vip};
use platform::{Addresses, Holder};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

/// A host on the same network answers within a millisecond; nobody answers never.
const STRANGER_PATIENCE: Duration = Duration::from_millis(400);
const OTHER_ADDRESS: &str = "use an address that nobody has";
/// Whoever has an address usually has one of these ports, open or closed: both are an answer.
const STRANGER_PORTS: [u16; 2] = [22, 445];

impl Server<'_> {
    pub(super) fn addresses(&mut self) {
        let (field, address) = (format!("members[{}].address", self.at), self.own.address.clone());
        match machine::is_own(&address) {
            Some(true) => {}
            Some(false) => {
                let own = own_addresses().join(", ");
                let message = format!("{address} is not an address of this server");
                self.say(Severity::Error, "setup-address", &field, message, format!("this server has {own}"));
            }
            None => {
                let message = format!("'{address}' leads to no address");
                let hint = "write an IP address, or put the name into DNS or the hosts file of every server";
                self.say(Severity::Error, "setup-address", &field, message, hint);
            }
        }
        let plan = self.plan;
        let held: Vec<usize> =
            plan.vips_of(self.own).filter_map(|vip| plan.vips.iter().position(|it| std::ptr::eq(it, vip))).collect();
        for at in held {
            self.vip(at, &plan.vips[at]);
        }
    }

    fn vip(&mut self, at: usize, vip: &Vip) {
        let Some(ip) = vip.address.split('/').next().and_then(|ip| ip.parse::<IpAddr>().ok()) else { return };
        let field = format!("vips[{at}].address");
        let present = machine::present();
        if let Some(card) = present.iter().find(|card| card.address.ip == ip && card.lasting) {
            let message = format!("{ip} is on {} already, set for good by something else", card.address.interface);
            let hint = format!("ip address del {} dev {}", vip.address, card.address.interface);
            self.say(Severity::Error, "setup-vip", &field, message, hint);
        } else if !self.runs {
            let card = vip.interface.clone().or_else(|| {
                present.iter().find(|card| card.address.network_contains(ip)).map(|card| card.address.interface.clone())
            });
            self.unused(&field, ip, card);
        }
        match &vip.interface {
            Some(name) if !present.iter().any(|card| card.address.interface == *name) => {
                let message = format!("this server has no interface '{name}' with an address");
                let hint = "leave it empty, and the one is taken whose network contains the address";
                self.say(Severity::Error, "setup-vip", &format!("vips[{at}].interface"), message, hint);
            }
            None if !present.iter().any(|card| card.address.network_contains(ip)) => {
                let message = format!("no interface of this server is in the network of {ip}");
                let hint = "use an address of the members' network, or name the interface";
                self.say(Severity::Error, "setup-vip", &field, message, hint);
            }
            Some(_) | None => {}
        }
        if let Some(missing) = platform::missing_privilege_for_addresses() {
            let message = format!("virtual addresses cannot be set by this user, who lacks {missing}");
            self.say(Severity::Warning, "setup-vip", &field, message, "run the agent as a service, or as root");
        }
    }
}

impl Server<'_> {
    /// ARP, or a neighbour solicitation, is answered by every host that has the address; a connection only by those without a
    /// firewall. So the second is for where the first is not possible, and then it is said.
    fn unused(&mut self, field: &str, ip: IpAddr, interface: Option<String>) {
        let asked = interface.map(|card| Addresses::open().and_then(|mut cards| cards.holder(ip, &card)));
        match asked {
            Some(Ok(Holder::Nobody)) => {}
            Some(Ok(Holder::Other(mac))) => {
                let message = format!("another host has {ip}: {mac} answers for it on the network");
                self.say(Severity::Warning, "setup-vip", field, message, OTHER_ADDRESS);
            }
            Some(Ok(Holder::NotAsked) | Err(_)) | None => self.unused_as_far_as_connections_tell(field, ip),
        }
    }

    fn unused_as_far_as_connections_tell(&mut self, field: &str, ip: IpAddr) {
        if let Some(port) = somebody_answers(ip) {
            let message = format!("another host answers at {ip}, port {port}");
            return self.say(Severity::Warning, "setup-vip", field, message, OTHER_ADDRESS);
        }
        let [one, two] = STRANGER_PORTS;
        let message = format!(
            "nobody answers at {ip} on the ports {one} and {two}, which a host behind a firewall would not do either"
        );
        let hint = "as root on Linux, the whole network is asked by ARP";
        self.say(Severity::Note, "setup-vip", field, message, hint);
    }
}

fn own_addresses() -> Vec<String> {
    machine::present().iter().filter(|card| !card.loopback).map(|card| card.address.ip.to_string()).collect()
}

/// An open port and a refused connection are both somebody's.
fn somebody_answers(ip: IpAddr) -> Option<u16> {
    STRANGER_PORTS.into_iter().find(|port| {
        match TcpStream::connect_timeout(&SocketAddr::new(ip, *port), STRANGER_PATIENCE) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        }
    })
}
