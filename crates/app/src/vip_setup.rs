//! Virtual addresses before anything runs: on which interface, with what right, and what an earlier run has left.

use config::VipConfig;
use ha::vip::VirtualAddress;
use platform::{Addresses, CardAddress, PresentAddress, missing_privilege_for_addresses};

/// Where every address goes that is set on an interface. Needs no privilege.
pub fn resolve(vips: &[VipConfig]) -> Result<Vec<(VipConfig, VirtualAddress)>, String> {
    let vips: Vec<&VipConfig> = vips.iter().filter(|vip| vip.hetzner.is_none()).collect();
    if vips.is_empty() {
        return Ok(Vec::new());
    }
    let read = || -> std::io::Result<_> {
        let mut addresses = Addresses::open()?;
        Ok((addresses.present()?, addresses.interfaces()?))
    };
    let (present, interfaces) =
        read().map_err(|error| format!("vip: the network interfaces cannot be read: {error}"))?;
    vips.into_iter().map(|vip| Ok((vip.clone(), place(vip, &present, &interfaces)?))).collect()
}

fn place(vip: &VipConfig, present: &[PresentAddress], interfaces: &[String]) -> Result<VirtualAddress, String> {
    let interface = match &vip.interface {
        Some(name) if interfaces.contains(name) => name.clone(),
        Some(name) => {
            return Err(format!(
                "vip.interface: there is no network interface '{name}'\nhint: this machine has: {}",
                interfaces.join(", ")
            ));
        }
        None => {
            let mut own = present.iter().filter(|own| !own.loopback && own.lasting && own.address.ip != vip.ip);
            let found = own.find(|own| own.address.network_contains(vip.ip));
            found.map(|own| own.address.interface.clone()).ok_or_else(|| {
                format!(
                    "vip.address: no network of this machine contains {}, so there is no telling which interface it belongs to\n\
                     hint: name it in vip.interface: {}",
                    vip.ip,
                    interfaces.join(", ")
                )
            })?
        }
    };
    if present.iter().any(|own| own.loopback && own.address.interface == interface) {
        return Err(format!(
            "vip.interface: '{interface}' is the loopback interface, where no other host would find {}\n\
             hint: name the interface that the clients' network is on",
            vip.ip
        ));
    }
    Ok(VirtualAddress { ip: vip.ip, prefix: vip.prefix, interface })
}

/// With the guard's rights: may it change addresses, and is none of them here already?
pub fn prepare(vips: &[(VipConfig, VirtualAddress)]) -> Result<(), String> {
    if vips.is_empty() {
        return Ok(());
    }
    if let Some(missing) = missing_privilege_for_addresses() {
        return Err(format!(
            "vip: a virtual address is set by the agent, which lacks {missing}\n\
             hint: run the agent as root (PostgreSQL and Redis still run as an ordinary user), or grant it: \
             AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW in its systemd unit"
        ));
    }
    let mut addresses = Addresses::open().map_err(|error| format!("vip: {error}"))?;
    for (_, address) in vips {
        let here = addresses.present().map_err(|error| format!("vip: {error}"))?;
        for found in here.into_iter().filter(|found| found.address.ip == address.ip) {
            take_away(&mut addresses, &found)?;
        }
    }
    Ok(())
}

/// What an agent has left that was killed. Its own have an end of their own, so whatever lasts is somebody else's.
fn take_away(addresses: &mut Addresses, found: &PresentAddress) -> Result<(), String> {
    let CardAddress { ip, prefix, interface } = &found.address;
    if found.lasting {
        return Err(format!(
            "vip.address: {ip} is on {interface} already, for good, and not by Quorate\n\
             hint: if no other program (vip-manager, keepalived, the network configuration) keeps it there: ip addr del {ip}/{prefix} dev {interface}"
        ));
    }
    eprintln!("the virtual IP {} was left by an earlier run; it is removed", found.address);
    addresses.remove(&found.address).map_err(|error| format!("vip: {} cannot be removed: {error}", found.address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ha::vip::VipRole;

    fn vip(ip: &str, interface: Option<&str>) -> VipConfig {
        VipConfig {
            ip: ip.parse().unwrap(),
            prefix: 24,
            interface: interface.map(str::to_owned),
            role: VipRole::Primary,
            hetzner: None,
        }
    }

    fn card(ip: &str, interface: &str, loopback: bool) -> PresentAddress {
        let address = CardAddress { ip: ip.parse().unwrap(), prefix: 24, interface: interface.into() };
        PresentAddress { address, lasting: true, loopback }
    }

    #[test]
    fn the_interface_is_the_one_whose_network_has_the_address() {
        let present =
            [card("127.0.0.1", "lo", true), card("10.0.0.11", "eth0", false), card("10.0.1.11", "eth1", false)];
        let names = ["lo".to_owned(), "eth0".to_owned(), "eth1".to_owned()];
        let place = |ip, interface| place(&vip(ip, interface), &present, &names).map(|found| found.interface);
        assert_eq!(place("10.0.1.42", None).unwrap(), "eth1");
        assert_eq!(place("192.168.0.1", Some("eth0")).unwrap(), "eth0", "as it was said");
        assert!(place("192.168.0.1", None).unwrap_err().contains("hint: name it in vip.interface"));
        assert!(place("127.0.0.42", None).unwrap_err().contains("no network of this machine"));
        assert!(place("10.0.0.42", Some("lo")).unwrap_err().contains("loopback"));
        assert!(place("10.0.0.42", Some("eth7")).unwrap_err().contains("this machine has: lo, eth0, eth1"));
    }
}
