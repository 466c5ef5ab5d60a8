//! Virtual addresses.

use super::Report;
use super::fields::name_problem;
use crate::model::{Member, Vip, VipLeadsTo};
use ha::guard::ADDRESSES_MAX;
use std::net::IpAddr;
use types::Network;

/// Names of interfaces are short, on Windows too.
const INTERFACE_CHARS_MAX: usize = 255;

impl Report<'_> {
    pub(super) fn vips(&mut self) {
        let plan = self.plan;
        if plan.vips.len() > ADDRESSES_MAX {
            let message = format!("{} virtual addresses are too many", plan.vips.len());
            self.error("plan-vip", "vips", message, format!("at most {ADDRESSES_MAX}"));
        }
        for (at, vip) in plan.vips.iter().enumerate() {
            let field = |key: &str| format!("vips[{at}].{key}");
            let holders: Vec<&Member> = plan
                .members
                .iter()
                .filter(|member| match vip.role {
                    VipLeadsTo::Primary => member.has_database(),
                    VipLeadsTo::RedisMaster => member.has_cache(),
                })
                .collect();
            if holders.is_empty() {
                let (what, role) = match vip.role {
                    VipLeadsTo::Primary => ("primary", "database"),
                    VipLeadsTo::RedisMaster => ("Redis master", "cache"),
                };
                let message = format!("no member can be the {what} that the address leads to");
                self.error("plan-vip", field("role"), message, format!("give the role {role} to members"));
            }
            match parse(&vip.address) {
                Err(why) => {
                    let hint = "an unused address with the length of its network's prefix, such as 10.0.0.42/24";
                    self.error("plan-vip", field("address"), why, hint);
                }
                Ok((ip, network)) => self.one_vip(&field("address"), at, ip, network, &holders),
            }
            let wrong = |name: &str| name.chars().any(char::is_control) || name.len() > INTERFACE_CHARS_MAX;
            if vip.interface.as_deref().is_some_and(wrong) {
                self.error(
                    "plan-vip",
                    field("interface"),
                    "this is not the name of an interface",
                    "such as eth0, or nothing",
                );
            }
        }
    }

    fn one_vip(&mut self, field: &str, at: usize, ip: IpAddr, network: Network, holders: &[&Member]) {
        let plan = self.plan;
        let same = |other: &Vip| parse(&other.address).is_ok_and(|(other, _)| other == ip);
        if plan.vips[..at].iter().any(same) {
            let hint = "each role needs an address of its own";
            self.error("plan-duplicate", field, format!("{ip} is there twice"), hint);
        }
        if let Some(member) = plan.members.iter().find(|member| member.address.parse() == Ok(ip)) {
            let message = format!("{ip} is the address of '{}'", member.name);
            self.error("plan-vip", field, message, "use an address that nobody has");
        }
        let away = holders.iter().find(|member| member.address.parse().is_ok_and(|it: IpAddr| !network.contains(it)));
        if let Some(member) = away.filter(|member| name_problem(member.name.as_str()).is_none()) {
            let message = format!(
                "'{}' ({}) is not in the network of {}",
                member.name, member.address, self.plan.vips[at].address
            );
            let hint = "a virtual address works where all who may hold it are in one network; elsewhere use the proxy";
            self.warn("plan-vip", field, message, hint);
        }
    }
}

fn parse(text: &str) -> Result<(IpAddr, Network), String> {
    if text.trim().is_empty() {
        return Err("the address is missing".to_owned());
    }
    let (ip, bits) = text.split_once('/').ok_or_else(|| format!("'{text}' has no prefix length"))?;
    let address: IpAddr = ip.parse().map_err(|_| format!("'{ip}' is not an IP address"))?;
    let all: u8 = if address.is_ipv4() { 32 } else { 128 };
    let length: u8 = bits
        .parse()
        .ok()
        .filter(|bits| (1..=all).contains(bits))
        .ok_or_else(|| format!("'{bits}' is not a prefix length; expected 1 to {all}"))?;
    if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
        return Err(format!("{address} cannot be the address of a host on a network"));
    }
    if let IpAddr::V4(four) = address
        && length < 31
    {
        let host = u32::from(four) & (u32::MAX >> length);
        if host == 0 || host == u32::MAX >> length {
            let what = if host == 0 { "names the network itself" } else { "is the network's broadcast address" };
            return Err(format!("{address} {what}"));
        }
    }
    let network = text.parse().map_err(|error: types::NotANetwork| error.to_string())?;
    Ok((address, network))
}
