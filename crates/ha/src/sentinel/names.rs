//! Names of hosts and what they resolve to, where `resolve-hostnames` is on.
//!
//! Deliberately asked for and answered by events; nothing waits here for a name server. Until an answer comes, names are
//! compared as names.

use super::address::Address;
use super::effect::Effect;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// More names than this are not remembered: they come from hello messages, and those are not authenticated.
pub const NAMES_MAX: usize = 4_096;
/// No name of a host is longer; what is longer comes from somebody who wants our memory.
pub const HOST_BYTES_MAX: usize = 255;

#[derive(Clone, Debug, Default)]
pub(super) struct Names(BTreeMap<Box<str>, Option<IpAddr>>);

impl Names {
    /// An address with what is known about its name; asks for a name that was never seen.
    pub fn address(&mut self, host: &str, port: u16, resolve: bool, effects: &mut Vec<Effect>) -> Address {
        let mut address = Address::new(host, port);
        if address.ip.is_none() && resolve {
            match self.0.get(host) {
                Some(known) => address.ip = *known,
                None if self.0.len() < NAMES_MAX && host.len() <= HOST_BYTES_MAX => {
                    self.0.insert(host.into(), None);
                    effects.push(Effect::Resolve { name: host.to_owned() });
                }
                None => {}
            }
        }
        address
    }

    pub fn learn(&mut self, name: &str, ip: Option<IpAddr>) {
        if let Some(known) = self.0.get_mut(name) {
            *known = ip.or(*known);
        } else if self.0.len() < NAMES_MAX {
            self.0.insert(name.into(), ip);
        }
    }
}
