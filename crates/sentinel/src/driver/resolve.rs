//! Names to addresses, by the operating system's resolver.

use crate::world::World;
use ha::sentinel::Event;
use std::net::IpAddr;
use std::time::Duration;

/// The resolver's own patience may be half a minute.
const PATIENCE: Duration = Duration::from_secs(5);

/// `Event::Resolved` follows.
pub fn begin(world: &World, name: String) {
    let shared = world.shared();
    tokio::task::spawn_local(async move {
        let ip = lookup(&name).await;
        if let Some(world) = shared.upgrade() {
            world.borrow_mut().event(Event::Resolved { name, ip });
        }
    });
}

pub async fn lookup(name: &str) -> Option<IpAddr> {
    if let Ok(ip) = name.parse() {
        return Some(ip);
    }
    let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((name, 0))).await.ok()?.ok()?;
    let addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    // Redis servers listen on IPv4 first, so it is tried first, as Redis's own resolver does with a name that has both.
    addresses.iter().find(|ip| ip.is_ipv4()).or(addresses.first()).copied()
}
