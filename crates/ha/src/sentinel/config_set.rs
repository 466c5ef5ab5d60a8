//! SENTINEL CONFIG SET and SENTINEL DEBUG: settings of the whole Sentinel.
//!
//! Deliberately all or nothing for CONFIG SET: every pair is checked before the first is applied. DEBUG applies what stands
//! before a mistake, as in Sentinel.

use super::admin::control_characters;
use super::dispatcher::Sentinel;
use super::request::{Answer, Token};
use types::Millis;
use types::Secret;

const OPTIONS: [&str; 7] = [
    "announce-ip",
    "sentinel-user",
    "sentinel-pass",
    "resolve-hostnames",
    "announce-port",
    "announce-hostnames",
    "loglevel",
];
const LOG_LEVELS: [&str; 5] = ["debug", "verbose", "notice", "warning", "nothing"];

impl Sentinel {
    pub(super) fn config_set(&mut self, token: Token, arguments: &[String]) {
        let pairs = match check(arguments) {
            Ok(pairs) => pairs,
            Err(text) => return self.answer(token, Answer::error(text)),
        };
        let settings = &mut self.core.settings;
        let mut new_credentials = false;
        for (option, value) in pairs {
            let given = || (!value.is_empty()).then(|| value.to_owned());
            match option.as_str() {
                "announce-ip" => settings.announce_ip = given(),
                "announce-port" => settings.announce_port = value.parse().unwrap_or(0),
                "resolve-hostnames" => settings.resolve_hostnames = value.eq_ignore_ascii_case("yes"),
                "announce-hostnames" => settings.announce_hostnames = value.eq_ignore_ascii_case("yes"),
                "sentinel-user" => {
                    settings.sentinel_user = given();
                    new_credentials = true;
                }
                "sentinel-pass" => {
                    settings.sentinel_pass = given().map(Secret::new);
                    new_credentials = true;
                }
                // The log is the driver's.
                _ => {}
            }
        }
        if new_credentials {
            let core = &mut self.core;
            let links: Vec<_> = core.peer_links.values_mut().filter_map(|shared| shared.link.command.take()).collect();
            for link in links {
                core.close(Some(link));
            }
        }
        self.answer_when_saved(token);
    }

    pub(super) fn debug(&mut self, token: Token, arguments: &[String]) {
        let mut rest = arguments;
        while let Some((option, values)) = rest.split_first() {
            let mut named = self.core.periods.named();
            let known = named.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case(option));
            let (Some((_, period)), Some(value)) = (known, values.first()) else {
                let text = format!("Unknown option or number of arguments for SENTINEL DEBUG '{option}'");
                return self.answer(token, Answer::error(text));
            };
            let Some(number) = value.parse::<i64>().ok().filter(|&number| number > 0) else {
                let text = format!("Invalid argument '{value}' for SENTINEL DEBUG '{option}'");
                return self.answer(token, Answer::error(text));
            };
            **period = Millis(number as u64);
            rest = &values[1..];
        }
        let ids: Vec<_> = self.masters.keys().copied().collect();
        for id in ids {
            self.look(id);
        }
        self.answer(token, Answer::Ok);
    }
}

fn check(arguments: &[String]) -> Result<Vec<(String, &str)>, String> {
    if let Some(index) = control_characters(arguments) {
        return Err(format!(
            "Invalid argument at index {} for SENTINEL CONFIG SET: control characters are not allowed",
            index + 3
        ));
    }
    let mut pairs: Vec<(String, &str)> = Vec::new();
    let mut rest = arguments.iter();
    while let Some(written) = rest.next() {
        let option = written.to_ascii_lowercase();
        if !OPTIONS.contains(&option.as_str()) {
            return Err(format!("Invalid argument '{written}' to SENTINEL CONFIG SET"));
        }
        if pairs.iter().any(|(known, _)| *known == option) {
            return Err(format!("Duplicate argument '{written}' to SENTINEL CONFIG SET"));
        }
        let Some(value) = rest.next() else { return Err(format!("Missing argument '{written}' value")) };
        let valid = match option.as_str() {
            "resolve-hostnames" | "announce-hostnames" => ["yes", "no"].contains(&value.to_ascii_lowercase().as_str()),
            "announce-port" => value.parse::<u16>().is_ok(),
            "loglevel" => LOG_LEVELS.contains(&value.to_ascii_lowercase().as_str()),
            _ => true,
        };
        if !valid {
            return Err(format!("Invalid value '{value}' to SENTINEL CONFIG SET '{written}'"));
        }
        pairs.push((option, value));
    }
    Ok(pairs)
}
