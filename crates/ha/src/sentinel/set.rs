//! SENTINEL SET: one master's settings.
//!
//! Deliberately as Sentinel does it: what stands before a mistake is applied and kept.

use super::admin::control_characters;
use super::core::Core;
use super::dispatcher::Sentinel;
use super::effect::Level;
use super::master::Master;
use super::publish::Subject;
use super::request::{Answer, Token};
use types::Millis;
use types::Secret;

const SCRIPTS_DENIED: &str = "Reconfiguration of scripts path is denied for security reasons. Check the deny-scripts-reconfig configuration directive in your Sentinel configuration";

impl Sentinel {
    pub(super) fn set(&mut self, token: Token, name: &str, arguments: &[String], executable: &[String]) {
        let Some(id) = self.names.get(name).copied() else { return self.answer(token, Answer::no_such_master()) };
        if let Some(index) = control_characters(arguments) {
            let text =
                format!("Invalid argument at index {} for SENTINEL SET: control characters are not allowed", index + 3);
            return self.answer(token, Answer::error(text));
        }
        let Some(master) = self.masters.get_mut(&id) else { return };
        let mut rest = arguments;
        let mut failure = None;
        let mut changes = 0;
        while let Some((option, values)) = rest.split_first() {
            match set_one(&mut self.core, master, option, values, executable) {
                Ok(used) => {
                    changes += 1;
                    announce(&mut self.core, master, option, &values[..used]);
                    rest = &values[used..];
                }
                Err(text) => {
                    failure = Some(text);
                    break;
                }
            }
        }
        self.refresh_peer_periods();
        self.look(id);
        match failure {
            None => self.answer_when_saved(token),
            Some(text) => {
                if changes > 0 {
                    self.core.save();
                }
                self.answer(token, Answer::error(text));
            }
        }
    }

    /// The connection to a peer is pinged as often as the most impatient of its masters wants.
    fn refresh_peer_periods(&mut self) {
        for (id, shared) in &mut self.core.peer_links {
            let users = self.masters.values().filter(|master| master.peers.iter().any(|peer| peer.link == *id));
            if let Some(shortest) = users.map(|master| master.settings.down_after).min() {
                shared.down_after = shortest;
            }
        }
    }
}

/// Applies one option; how many values it took, or what is wrong.
fn set_one(
    core: &mut Core,
    master: &mut Master,
    option: &str,
    values: &[String],
    executable: &[String],
) -> Result<usize, String> {
    let unknown = || format!("Unknown option or number of arguments for SENTINEL SET '{option}'");
    let invalid = |value: &str| format!("Invalid argument '{value}' for SENTINEL SET '{option}'");
    let Some(value) = values.first().map(String::as_str) else { return Err(unknown()) };
    let positive = || value.parse::<i64>().ok().filter(|&number| number > 0).ok_or_else(|| invalid(value));
    let settings = &mut master.settings;
    let given = || (!value.is_empty()).then(|| value.to_owned());
    match option.to_ascii_lowercase().as_str() {
        "down-after-milliseconds" => settings.down_after = Millis(positive()? as u64),
        "failover-timeout" => settings.failover_timeout = Millis(positive()? as u64),
        "parallel-syncs" => settings.parallel_syncs = positive()?,
        "quorum" => settings.quorum = u32::try_from(positive()?).map_err(|_| invalid(value))?,
        "master-reboot-down-after-period" | "primary-reboot-down-after-period" => {
            let period = value.parse::<u64>().ok().filter(|&period| i64::try_from(period).is_ok());
            settings.reboot_down_after = Millis(period.ok_or_else(|| invalid(value))?);
        }
        script @ ("notification-script" | "client-reconfig-script") => {
            if core.settings.deny_scripts_reconfig {
                return Err(SCRIPTS_DENIED.to_owned());
            }
            let notification = script == "notification-script";
            if !value.is_empty() && !executable.iter().any(|path| path == value) {
                let kind = if notification { "Notification" } else { "Client reconfiguration" };
                return Err(format!("{kind} script seems non existing or non executable"));
            }
            if notification {
                settings.notification_script = given();
            } else {
                settings.client_reconfig_script = given();
            }
        }
        "auth-pass" => {
            settings.auth_pass = given().map(Secret::new);
            drop_connections(core, master);
        }
        "auth-user" => {
            settings.auth_user = given();
            drop_connections(core, master);
        }
        "rename-command" => {
            let Some(new_name) = values.get(1) else { return Err(unknown()) };
            if value.is_empty() || new_name.is_empty() {
                return Err(invalid(""));
            }
            settings.renamed.remove(&value.to_ascii_uppercase());
            if !value.eq_ignore_ascii_case(new_name) {
                settings.renamed.insert(value.to_ascii_uppercase(), new_name.clone());
            }
            return Ok(2);
        }
        _ => return Err(unknown()),
    }
    Ok(1)
}

fn announce(core: &mut Core, master: &Master, option: &str, values: &[String]) {
    let secret = option.eq_ignore_ascii_case("auth-pass");
    let values = if secret { "******".to_owned() } else { values.join(" ") };
    core.event(Level::Warning, "+set", master, Subject::Master, &format!(" {option} {values}"));
}

/// New credentials are for new connections.
fn drop_connections(core: &mut Core, master: &mut Master) {
    for at in master.everywhere() {
        core.close_both(&mut master.at_mut(at).link);
    }
}
