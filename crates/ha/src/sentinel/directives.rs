//! The `sentinel ...` lines of a configuration file: read into a `Configuration`, written from one.
//!
//! Deliberately not the file: quoting, comments, other lines and their order are the driver's. Whether a script may be
//! executed is looked at by the driver too. The invariant: an error says what is wrong in Sentinel's words where Sentinel
//! has some, and numbers must be numbers (Sentinel takes `2x` for 2).

use super::address::Address;
use super::configuration::{Configuration, MasterConfiguration};
use super::master::Mode;
use super::settings::{GlobalSettings, MasterSettings, PARALLEL_SYNCS_DEFAULT, Periods};
use types::Millis;
use types::Secret;

/// Forty hexadecimal digits.
pub const RUN_ID_LENGTH: usize = 40;

/// A line that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectiveError {
    /// As the caller counts.
    pub line: usize,
    pub text: String,
}

/// These are read before any master, in whatever order the file has them.
const BEFORE_MASTERS: [&str; 9] = [
    "announce-ip",
    "announce-port",
    "deny-scripts-reconfig",
    "sentinel-user",
    "sentinel-pass",
    "current-epoch",
    "myid",
    "resolve-hostnames",
    "announce-hostnames",
];

impl Configuration {
    /// `directives`: number of the line, and its words after `sentinel`.
    pub fn read(directives: &[(usize, Vec<String>)]) -> Result<Self, DirectiveError> {
        let mut configuration = Self::default();
        let phase = |words: &[String]| match words.first().map(|word| word.to_ascii_lowercase()) {
            Some(word) if BEFORE_MASTERS.contains(&word.as_str()) => 0,
            Some(word) if word == "monitor" => 1,
            Some(_) | None => 2,
        };
        for wanted in 0..3 {
            for (line, words) in directives.iter().filter(|(_, words)| phase(words) == wanted) {
                configuration.apply(words).map_err(|text| DirectiveError { line: *line, text })?;
            }
        }
        Ok(configuration)
    }

    fn apply(&mut self, words: &[String]) -> Result<(), String> {
        const UNKNOWN: &str = "Unrecognized sentinel configuration statement.";
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let Some((directive, arguments)) = words.split_first() else { return Err(UNKNOWN.to_owned()) };
        match (directive.to_ascii_lowercase().as_str(), arguments) {
            ("monitor", [name, host, port, quorum]) => self.add_master(name, host, port, quorum),
            ("current-epoch", [epoch]) => {
                self.current_epoch = self.current_epoch.max(number(epoch)?);
                Ok(())
            }
            ("myid", [id]) => {
                let well_formed = id.len() == RUN_ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
                if !well_formed {
                    return Err("Malformed Sentinel id in myid option.".to_owned());
                }
                self.my_id = Some((*id).to_owned());
                Ok(())
            }
            ("announce-ip", [ip]) => {
                self.settings.announce_ip = some(ip);
                Ok(())
            }
            ("announce-port", [port]) => {
                self.settings.announce_port = port_number(port)?;
                Ok(())
            }
            ("sentinel-user", [user]) => {
                self.settings.sentinel_user = some(user);
                Ok(())
            }
            ("sentinel-pass", [password]) => {
                self.settings.sentinel_pass = some(password).map(Secret::new);
                Ok(())
            }
            ("deny-scripts-reconfig", [word]) => {
                const WHAT: &str = "Please specify yes or no for the deny-scripts-reconfig options.";
                self.settings.deny_scripts_reconfig = yes_or_no(word).ok_or(WHAT)?;
                Ok(())
            }
            ("resolve-hostnames", [word]) => {
                const WHAT: &str = "Please specify yes or no for the resolve-hostnames option.";
                self.settings.resolve_hostnames = yes_or_no(word).ok_or(WHAT)?;
                Ok(())
            }
            ("announce-hostnames", [word]) => {
                const WHAT: &str = "Please specify yes or no for the announce-hostnames option.";
                self.settings.announce_hostnames = yes_or_no(word).ok_or(WHAT)?;
                Ok(())
            }
            // The old form without a run id says nothing that can be used.
            ("known-sentinel", [_, _, _]) => Ok(()),
            (directive, [name, values @ ..]) if !values.is_empty() && takes(directive, values.len()) => {
                let resolve = self.settings.resolve_hostnames;
                let master = self.master_mut(name).ok_or("No such master with specified name.")?;
                master.apply(directive, values, resolve)?;
                let epoch = master.config_epoch;
                self.current_epoch = self.current_epoch.max(epoch);
                Ok(())
            }
            _ => Err(UNKNOWN.to_owned()),
        }
    }

    fn add_master(&mut self, name: &str, host: &str, port: &str, quorum: &str) -> Result<(), String> {
        let quorum = match quorum.parse::<u32>() {
            Ok(quorum) if quorum > 0 => quorum,
            Ok(_) | Err(_) => return Err("Quorum must be 1 or greater.".to_owned()),
        };
        let address = address(host, port, self.settings.resolve_hostnames)?;
        if self.master(name).is_some() {
            return Err("Duplicate master name.".to_owned());
        }
        self.masters.push(MasterConfiguration {
            name: name.to_owned(),
            mode: Mode::Mixed,
            address,
            settings: MasterSettings::new(quorum, &Periods::default()),
            config_epoch: 0,
            leader_epoch: 0,
            replicas: Vec::new(),
            sentinels: Vec::new(),
        });
        Ok(())
    }
}

/// Directives of one master: how many words follow its name.
fn takes(directive: &str, count: usize) -> bool {
    match directive {
        "down-after-milliseconds"
        | "failover-timeout"
        | "parallel-syncs"
        | "notification-script"
        | "client-reconfig-script"
        | "auth-pass"
        | "auth-user"
        | "config-epoch"
        | "leader-epoch"
        | "master-reboot-down-after-period"
        | "primary-reboot-down-after-period" => count == 1,
        "known-slave" | "known-replica" | "rename-command" => count == 2,
        "known-sentinel" => count == 3,
        _ => false,
    }
}

impl MasterConfiguration {
    fn apply(&mut self, directive: &str, values: &[&str], resolve: bool) -> Result<(), String> {
        match (directive, values) {
            ("down-after-milliseconds", [text]) => self.settings.down_after = period(text)?,
            ("failover-timeout", [text]) => self.settings.failover_timeout = period(text)?,
            ("parallel-syncs", [text]) => {
                self.settings.parallel_syncs = text.parse().map_err(|_| not_a_number(text))?;
            }
            ("notification-script", [path]) => self.settings.notification_script = some(path),
            ("client-reconfig-script", [path]) => self.settings.client_reconfig_script = some(path),
            ("auth-pass", [password]) => self.settings.auth_pass = some(password).map(Secret::new),
            ("auth-user", [user]) => self.settings.auth_user = some(user),
            ("config-epoch", [epoch]) => self.config_epoch = number(epoch)?,
            ("leader-epoch", [epoch]) => self.leader_epoch = number(epoch)?,
            ("master-reboot-down-after-period" | "primary-reboot-down-after-period", [text]) => {
                let period: i64 = text.parse().map_err(|_| not_a_number(text))?;
                self.settings.reboot_down_after =
                    Millis(u64::try_from(period).map_err(|_| "negative time parameter.".to_owned())?);
            }
            ("known-slave" | "known-replica", [host, port]) => {
                let address = address(host, port, resolve)?;
                if self.replicas.iter().any(|known| known.same(&address)) {
                    return Err("Duplicate hostname and port for replica.".to_owned());
                }
                self.replicas.push(address);
            }
            ("known-sentinel", [host, port, run_id]) => {
                let address = address(host, port, resolve)?;
                if self.sentinels.iter().any(|(known, _)| known == run_id) {
                    return Err("Duplicate runid for sentinel.".to_owned());
                }
                self.sentinels.push(((*run_id).to_owned(), address));
            }
            ("rename-command", [command, new_name]) => {
                let before = self.settings.renamed.insert(command.to_ascii_uppercase(), (*new_name).to_owned());
                if before.is_some() {
                    return Err("Same command renamed multiple times with rename-command.".to_owned());
                }
            }
            _ => unreachable!("`takes` let only known directives through"),
        }
        Ok(())
    }
}

fn not_a_number(text: &str) -> String {
    format!("'{text}' is not a number.")
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| not_a_number(text))
}

fn period(text: &str) -> Result<Millis, String> {
    match text.parse::<i64>() {
        Ok(period) if period > 0 => Ok(Millis(period as u64)),
        Ok(_) => Err("negative or zero time parameter.".to_owned()),
        Err(_) => Err(not_a_number(text)),
    }
}

fn port_number(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "Invalid port number.".to_owned())
}

fn address(host: &str, port: &str, resolve: bool) -> Result<Address, String> {
    let address = Address::new(host, port_number(port)?);
    if address.ip.is_none() && !resolve {
        return Err("Can't resolve instance hostname.".to_owned());
    }
    Ok(address)
}

fn yes_or_no(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// One line to be written: `sentinel <option> <arguments...>`. Arguments are not quoted; the driver does that where needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// Lines with the same option replace each other in the file.
    pub option: &'static str,
    pub arguments: Vec<String>,
}

fn directive(option: &'static str, arguments: &[&str]) -> Directive {
    Directive { option, arguments: arguments.iter().map(|&argument| argument.to_owned()).collect() }
}

impl Configuration {
    /// What Sentinel writes: its order, and nothing that has its default value.
    pub fn directives(&self) -> Vec<Directive> {
        let yes_no = |value| if value { "yes" } else { "no" };
        let defaults = GlobalSettings::default();
        let settings = &self.settings;
        let mut lines = Vec::new();
        if let Some(id) = &self.my_id {
            lines.push(directive("myid", &[id]));
        }
        for (option, value, default) in [
            ("deny-scripts-reconfig", settings.deny_scripts_reconfig, defaults.deny_scripts_reconfig),
            ("resolve-hostnames", settings.resolve_hostnames, defaults.resolve_hostnames),
            ("announce-hostnames", settings.announce_hostnames, defaults.announce_hostnames),
        ] {
            if value != default {
                lines.push(directive(option, &[yes_no(value)]));
            }
        }
        for master in &self.masters {
            master.directives(settings.announce_hostnames, &mut lines);
        }
        lines.push(directive("current-epoch", &[&self.current_epoch.to_string()]));
        if let Some(ip) = &settings.announce_ip {
            lines.push(directive("announce-ip", &[ip]));
        }
        if settings.announce_port != 0 {
            lines.push(directive("announce-port", &[&settings.announce_port.to_string()]));
        }
        if let Some(user) = &settings.sentinel_user {
            lines.push(directive("sentinel-user", &[user]));
        }
        if let Some(password) = &settings.sentinel_pass {
            lines.push(directive("sentinel-pass", &[password.expose()]));
        }
        lines
    }
}

impl MasterConfiguration {
    fn directives(&self, announce_hostnames: bool, lines: &mut Vec<Directive>) {
        let name = self.name.as_str();
        let defaults = MasterSettings::new(self.settings.quorum, &Periods::default());
        let settings = &self.settings;
        let shown = |address: &Address| (address.shown(announce_hostnames).into_owned(), address.port.to_string());
        let mut line = |option, values: &[&str]| {
            let mut arguments = vec![name];
            arguments.extend(values);
            lines.push(directive(option, &arguments));
        };
        let (host, port) = shown(&self.address);
        line("monitor", &[&host, &port, &settings.quorum.to_string()]);
        if settings.down_after != defaults.down_after {
            line("down-after-milliseconds", &[&settings.down_after.0.to_string()]);
        }
        if settings.failover_timeout != defaults.failover_timeout {
            line("failover-timeout", &[&settings.failover_timeout.0.to_string()]);
        }
        if settings.parallel_syncs != PARALLEL_SYNCS_DEFAULT {
            line("parallel-syncs", &[&settings.parallel_syncs.to_string()]);
        }
        if let Some(script) = &settings.notification_script {
            line("notification-script", &[script]);
        }
        if let Some(script) = &settings.client_reconfig_script {
            line("client-reconfig-script", &[script]);
        }
        if let Some(password) = &settings.auth_pass {
            line("auth-pass", &[password.expose()]);
        }
        if let Some(user) = &settings.auth_user {
            line("auth-user", &[user]);
        }
        if settings.reboot_down_after != Millis::ZERO {
            // Redis 7.2 and Valkey both read this spelling.
            line("master-reboot-down-after-period", &[&settings.reboot_down_after.0.to_string()]);
        }
        line("config-epoch", &[&self.config_epoch.to_string()]);
        line("leader-epoch", &[&self.leader_epoch.to_string()]);
        for replica in &self.replicas {
            let (host, port) = shown(replica);
            line("known-replica", &[&host, &port]);
        }
        for (run_id, sentinel) in &self.sentinels {
            let (host, port) = shown(sentinel);
            line("known-sentinel", &[&host, &port, run_id]);
        }
        for (command, new_name) in &settings.renamed {
            line("rename-command", &[command, new_name]);
        }
    }
}
