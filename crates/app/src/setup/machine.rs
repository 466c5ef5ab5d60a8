//! What this server has: its name, its addresses, PostgreSQL, Redis.

use platform::{Addresses, PresentAddress};
use postgres::{Binaries, Launcher};
use serde::Serialize;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::PathBuf;

#[derive(Clone, Debug, Default, Serialize)]
pub struct Machine {
    pub host: String,
    /// Those that others may reach it by come first.
    pub addresses: Vec<OwnAddress>,
    pub interfaces: Vec<String>,
    /// The one that is taken when nobody chooses comes first.
    pub postgresql: Vec<Program>,
    pub redis: Vec<Program>,
    pub root: bool,
    pub windows: bool,
    pub processors: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OwnAddress {
    pub ip: IpAddr,
    pub prefix: u8,
    pub interface: String,
    pub loopback: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Program {
    /// `PostgreSQL`, `Redis`, `Valkey`.
    pub product: String,
    pub version: String,
    /// For comparing: `17`, or `7.0`.
    pub line: String,
    pub bin_dir: PathBuf,
}

pub async fn look() -> Machine {
    let mut addresses: Vec<OwnAddress> = present().iter().map(own).collect();
    // Link-local ones need an interface behind them; nobody types that.
    addresses.retain(|it| !is_link_local(it.ip));
    addresses.sort_by_key(|it| (it.loopback, it.ip.is_ipv6()));
    let interfaces = Addresses::open().and_then(|mut cards| cards.interfaces()).unwrap_or_default();
    Machine {
        host: platform::host_name(),
        addresses,
        interfaces,
        postgresql: postgresql().await,
        redis: redis_server().await.into_iter().collect(),
        root: platform::current_user_is_root(),
        windows: cfg!(windows),
        processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    }
}

pub fn present() -> Vec<PresentAddress> {
    Addresses::open().and_then(|mut cards| cards.present()).unwrap_or_default()
}

/// Whether an address, or a name that leads to it, is this server's.
pub fn is_own(address: &str) -> Option<bool> {
    let present = present();
    let mut found = (address, 0).to_socket_addrs().ok()?.peekable();
    found.peek()?;
    Some(found.any(|it| it.ip().is_loopback() || present.iter().any(|card| card.address.ip == it.ip())))
}

fn own(present: &PresentAddress) -> OwnAddress {
    OwnAddress {
        ip: present.address.ip,
        prefix: present.address.prefix,
        interface: present.address.interface.clone(),
        loopback: present.loopback,
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

async fn postgresql() -> Vec<Program> {
    let mut found = Vec::new();
    for binaries in Binaries::find_all() {
        if let Ok(version) = binaries.version(&Launcher::default()).await {
            found.push(Program {
                product: "PostgreSQL".to_owned(),
                version: version.full,
                line: version.major.to_string(),
                bin_dir: binaries.bin_dir,
            });
        }
    }
    found
}

async fn redis_server() -> Option<Program> {
    let found = redis::Binary::find(None, None).await.ok()?;
    Some(Program {
        product: found.product.to_string(),
        version: found.version.to_string(),
        line: format!("{}.{}", found.version.major, found.version.minor),
        bin_dir: found.program.parent()?.to_owned(),
    })
}
