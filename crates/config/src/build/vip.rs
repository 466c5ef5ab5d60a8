//! `vip:`: one virtual address, or a list of them.

use super::Builder;
use crate::error::{Code, problem};
use crate::member::{HetznerConfig, VipConfig};
use crate::parts;
use crate::tree::{Map, Node, Value};
use ha::guard::ADDRESSES_MAX;
use ha::vip::VipRole;
use std::net::IpAddr;

impl Builder<'_> {
    /// `own`: addresses that this member has anyhow, with the key that says so.
    /// `postgresql` and `redis`: the hosts that they listen on.
    pub fn vips(
        &mut self,
        postgresql: Option<&[String]>,
        redis: Option<&[String]>,
        own: &[(&str, String)],
    ) -> Vec<VipConfig> {
        let Some(section) = self.tree.at(&["vip"]).cloned() else { return Vec::new() };
        let nodes: Vec<Node> = match section.value {
            Value::List(items) => items,
            Value::Null => Vec::new(),
            Value::Map(_) | Value::Scalar(_) => vec![section],
        };
        if nodes.len() > ADDRESSES_MAX {
            let message = format!("{} addresses are too many; expected at most {ADDRESSES_MAX}", nodes.len());
            let error = self.at(Code::Range, &["vip"], message);
            self.report.error(error);
        }
        let mut vips: Vec<VipConfig> = Vec::new();
        for node in &nodes {
            let Some(map) = node.map() else { continue };
            let Some(vip) = self.vip(node, map) else { continue };
            let twin = vips.iter().any(|other| other.ip == vip.ip).then(|| "another entry of vip".to_owned());
            let host = own.iter().find(|(_, host)| host.parse() == Ok(vip.ip)).map(|(key, _)| (*key).to_owned());
            if let Some(twin) = twin.or(host) {
                self.fail_vip(
                    node,
                    "address",
                    Code::Conflict,
                    &format!("{} is the address of {twin} too", vip.ip),
                    "use an address that nobody has",
                );
            }
            let (section, listen) = match vip.role {
                VipRole::Primary | VipRole::StandbyLeader => ("postgresql", postgresql),
                VipRole::RedisMaster => ("redis", redis),
            };
            match listen {
                None => {
                    let role = vip.role.as_str();
                    let message = format!("'{role}' needs the section {section}: this member never has the role");
                    let hint = "leave vip out on this member, or correct the role";
                    self.fail_vip(node, "role", Code::Conflict, &message, hint);
                }
                Some(hosts) if !answers_at(hosts, vip.ip) => {
                    let message =
                        format!("{section}.listen is {}, so nobody would answer at {}", hosts.join(","), vip.ip);
                    let every = if vip.ip.is_ipv4() { "0.0.0.0" } else { "'*'" };
                    let hint = format!(
                        "listen on every address ({section}.listen: {every}), and say in connect_address where the others reach this member"
                    );
                    self.fail_vip(node, "address", Code::Conflict, &message, &hint);
                }
                Some(_) => {}
            }
            vips.push(vip);
        }
        vips
    }

    fn vip(&mut self, node: &Node, map: &Map) -> Option<VipConfig> {
        let text = |key: &str| map.get(key).map(|entry| parts::text(&entry.node)).filter(|text| !text.is_empty());
        let Some(address) = text("address") else {
            self.fail_vip(
                node,
                "address",
                Code::Missing,
                "is missing",
                "the address with its prefix, such as 10.0.0.42/24",
            );
            return None;
        };
        let (ip, prefix) = match parse(&address) {
            Ok(parsed) => parsed,
            Err(why) => {
                self.fail_vip(
                    node,
                    "address",
                    Code::Range,
                    &why,
                    "an address with the length of its network's prefix, such as 10.0.0.42/24",
                );
                return None;
            }
        };
        let role = match text("role").unwrap_or_default().to_ascii_lowercase().as_str() {
            "redis_master" => VipRole::RedisMaster,
            "standby_leader" => VipRole::StandbyLeader,
            _ => VipRole::Primary,
        };
        let hetzner = text("manager").is_some_and(|manager| manager.eq_ignore_ascii_case("hetzner"));
        let hetzner = if hetzner { Some(self.hetzner(node, map)?) } else { None };
        Some(VipConfig { ip, prefix, interface: text("interface"), role, hetzner })
    }

    fn hetzner(&mut self, node: &Node, map: &Map) -> Option<HetznerConfig> {
        let text = |key: &str| map.get(key).map(|entry| parts::text(&entry.node)).filter(|text| !text.is_empty());
        let defaults = HetznerConfig::default();
        let server_ip = match text("server_ip").map(|text| text.parse().map_err(|_| text)) {
            None => None,
            Some(Ok(ip)) => Some(ip),
            Some(Err(text)) => {
                let message = format!("'{text}' is not an IP address");
                self.fail_vip(
                    node,
                    "server_ip",
                    Code::Range,
                    &message,
                    "this server's main address, such as 192.0.2.11",
                );
                return None;
            }
        };
        Some(HetznerConfig {
            credentials_file: text("credentials_file").map_or(defaults.credentials_file, Into::into),
            api_url: text("api_url").unwrap_or(defaults.api_url),
            server_ip,
        })
    }

    fn fail_vip(&mut self, node: &Node, key: &str, code: Code, message: &str, hint: &str) {
        let place = node.map().and_then(|map| map.get(key)).map_or(&node.place, |entry| &entry.place).clone();
        self.report.error(problem(code, &place, &format!("vip.{key}"), message).hint(hint));
    }
}

/// The address itself counts too, for hosts that may listen on addresses they do not have (`net.ipv4.ip_nonlocal_bind`).
fn answers_at(hosts: &[String], ip: IpAddr) -> bool {
    hosts.iter().any(|host| match host.trim_matches(['[', ']']) {
        "*" => true,
        "0.0.0.0" => ip.is_ipv4(),
        "::" => ip.is_ipv6(),
        host => host.parse() == Ok(ip),
    })
}

fn parse(text: &str) -> Result<(IpAddr, u8), String> {
    let (ip, prefix) = text.split_once('/').ok_or_else(|| format!("'{text}' has no prefix length"))?;
    let ip: IpAddr = ip.trim().parse().map_err(|_| format!("'{ip}' is not an IP address"))?;
    let bits = if ip.is_ipv4() { 32 } else { 128 };
    match prefix.trim().parse::<u8>() {
        Ok(length) if (1..=bits).contains(&length) => {}
        Ok(_) | Err(_) => return Err(format!("'{prefix}' is not a prefix length; expected 1 to {bits}")),
    }
    if ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() {
        return Err(format!("{ip} cannot be the address of a host on a network"));
    }
    Ok((ip, prefix.trim().parse().unwrap_or(bits)))
}
