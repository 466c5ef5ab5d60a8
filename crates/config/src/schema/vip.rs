//! `vip:`.

use super::{Field, choice, path, text};

pub const ROLES: &[&str] = &["primary", "redis_master", "standby_leader"];

pub const MANAGERS: &[&str] = &["basic", "hetzner"];

pub const HETZNER_CREDENTIALS: &str = "/etc/hetzner";
pub const HETZNER_API: &str = "https://robot-ws.your-server.de";

pub const VIP: &[Field] = &[
    text("address", "", "The address with the length of its network's prefix, such as 10.0.0.42/24 or fd00::42/64."),
    text(
        "interface",
        "the one whose network contains the address",
        "The network interface: eth0, or on Windows its name, such as Ethernet 2.",
    ),
    choice(
        "role",
        ROLES,
        "primary",
        "Whom the address leads to; standby_leader: the leader of a standby cluster, which has no primary.",
    ),
    choice(
        "manager",
        MANAGERS,
        "basic",
        "How it gets to its holder: set on the interface, or led there by Hetzner (a failover address, which every server has for good).",
    ),
    path(
        "credentials_file",
        HETZNER_CREDENTIALS,
        "Hetzner: the web service user, in two lines: user=\"...\" and pass=\"...\".",
    ),
    text(
        "server_ip",
        "the address with which this server goes to the internet",
        "Hetzner: this server's main address.",
    ),
    text("api_url", HETZNER_API, "Hetzner: where the web service is."),
];
