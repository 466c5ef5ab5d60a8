//! The state file laid over the main one: what a Sentinel learned wins over what it was told at first.

use ha::sentinel::{Configuration, GlobalSettings};

/// `state` was read from a file that this program wrote, so what it does not mention has its default value, or was never
/// learned; then the main file's word stands.
pub fn overlay(main: Configuration, state: Configuration) -> Configuration {
    let mut masters = main.masters;
    for newer in state.masters {
        match masters.iter_mut().find(|master| master.name == newer.name) {
            Some(master) => *master = newer,
            None => masters.push(newer),
        }
    }
    Configuration {
        my_id: state.my_id.or(main.my_id),
        current_epoch: main.current_epoch.max(state.current_epoch),
        settings: settings(main.settings, state.settings),
        masters,
    }
}

fn settings(main: GlobalSettings, state: GlobalSettings) -> GlobalSettings {
    let defaults = GlobalSettings::default();
    let newer = |state: bool, default: bool, main: bool| if state == default { main } else { state };
    GlobalSettings {
        announce_ip: state.announce_ip.or(main.announce_ip),
        announce_port: if state.announce_port == 0 { main.announce_port } else { state.announce_port },
        resolve_hostnames: newer(state.resolve_hostnames, defaults.resolve_hostnames, main.resolve_hostnames),
        announce_hostnames: newer(state.announce_hostnames, defaults.announce_hostnames, main.announce_hostnames),
        deny_scripts_reconfig: newer(
            state.deny_scripts_reconfig,
            defaults.deny_scripts_reconfig,
            main.deny_scripts_reconfig,
        ),
        sentinel_user: state.sentinel_user.or(main.sentinel_user),
        sentinel_pass: state.sentinel_pass.or(main.sentinel_pass),
    }
}
