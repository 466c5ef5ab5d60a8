//! `vip:`.

use super::{Field, Kind, choice, text};

pub const ROLES: &[&str] = &["primary", "redis_master", "standby_leader"];

pub const VIP: &[Field] = &[
    text("address", "", "The address with the length of its network's prefix, such as 10.0.0.42/24 or fd00::42/64."),
    text(
        "interface",
        "the one whose network contains the address",
        "The network interface: eth0, or on Windows its name, such as Ethernet 2.",
    ),
    choice("role", ROLES, "primary", "Whom the address leads to."),
    Field::new("manager", Kind::Choice(&["basic", "hetzner"]), "basic", "How the address is set: on the interface."),
];
