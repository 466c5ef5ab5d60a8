//! The server parameters that a cluster depends on: their defaults, their least values, and what needs a restart.
//!
//! Deliberately not a catalogue of PostgreSQL's other parameters; those pass through unseen. The invariant: whatever
//! the configuration says, the resulting server can be a primary with replicas and a replica that takes over.

use crate::{
    configuration::Settings,
    controldata::ControlData,
    error::{Error, Result},
};
use std::collections::BTreeMap;

enum Rule {
    /// A whole number, at least this much.
    Least(u64),
    /// An amount of memory, at least this many MB.
    LeastMegabytes(u64),
    OneOf(&'static [&'static str]),
    Boolean,
    Always,
}

/// Name, default and rule, as Patroni has them (postgresql/config.py, CMDLINE_OPTIONS).
const ENFORCED: [(&str, &str, Rule); 11] = [
    ("hot_standby", "on", Rule::Always),
    ("max_connections", "100", Rule::Least(25)),
    ("max_locks_per_transaction", "64", Rule::Least(32)),
    ("max_prepared_transactions", "0", Rule::Least(0)),
    ("max_replication_slots", "10", Rule::Least(4)),
    ("max_wal_senders", "10", Rule::Least(3)),
    ("max_worker_processes", "8", Rule::Least(2)),
    ("track_commit_timestamp", "off", Rule::Boolean),
    ("wal_keep_size", "128MB", Rule::LeastMegabytes(16)),
    ("wal_level", "replica", Rule::OneOf(&["replica", "logical"])),
    ("wal_log_hints", "on", Rule::Boolean),
];

/// Used unless the configuration says otherwise. With PostgreSQL's own 5 s a replica that once found its new primary not
/// ready yet would stay away so long, and in synchronous mode nobody could commit meanwhile.
const DEFAULTS: [(&str, &str); 1] = [("wal_retrieve_retry_interval", "200ms")];

/// Given on the postmaster's command line, so that ALTER SYSTEM cannot override them. All need a restart to change.
pub const COMMAND_LINE: [&str; 13] = [
    "listen_addresses",
    "port",
    "cluster_name",
    "wal_level",
    "hot_standby",
    "max_connections",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
    "track_commit_timestamp",
    "max_replication_slots",
    "max_worker_processes",
    "wal_log_hints",
];

/// Belong to the agent: where a replica follows, and who is synchronous. Elsewhere they are left out.
pub(crate) const OWNED: [&str; 14] = [
    "primary_conninfo",
    "primary_slot_name",
    "promote_trigger_file",
    "recovery_target",
    "recovery_target_action",
    "recovery_target_inclusive",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_timeline",
    "recovery_target_xid",
    "standby_mode",
    "synchronous_standby_names",
    "trigger_file",
];

/// A value of the configuration that was not used as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    pub name: String,
    pub given: String,
    pub used: String,
    pub why: String,
}

/// What the server runs with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effective {
    pub parameters: BTreeMap<String, String>,
    pub adjustments: Vec<Adjustment>,
}

/// A parameter whose new value waits for a restart; the form of Patroni's `pending_restart_reason`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PendingRestart {
    pub name: String,
    pub old_value: String,
    pub new_value: String,
}

/// `standby` is the control data of a server that will start as a standby: with fewer connections, workers and so on
/// than its primary had, it would refuse to start.
pub fn effective(settings: &Settings, standby: Option<&ControlData>) -> Result<Effective> {
    let mut effective = Effective::default();
    for (name, value) in &settings.parameters {
        let name = name.to_ascii_lowercase();
        check(&name, value)?;
        if OWNED.contains(&name.as_str()) {
            effective.adjust(&name, value, "", "the agent sets this parameter itself");
        } else {
            effective.parameters.insert(name, value.clone());
        }
    }
    for (name, default) in DEFAULTS {
        effective.parameters.entry(name.to_owned()).or_insert_with(|| default.to_owned());
    }
    for (name, default, rule) in &ENFORCED {
        let Some(given) = effective.parameters.get(*name).cloned() else {
            effective.parameters.insert((*name).to_owned(), (*default).to_owned());
            continue;
        };
        if let Err((used, why)) = obey(rule, given.trim(), default) {
            effective.adjust(name, &given, &used, &why);
        }
    }
    for (name, least) in standby.iter().flat_map(|control| &control.standby_minimum) {
        let given = effective.parameters.get(*name).cloned().unwrap_or_default();
        if given.trim().parse::<u64>().is_ok_and(|value| value < *least) {
            let why = "a standby needs at least as much as its primary had";
            effective.adjust(name, &given, &least.to_string(), why);
        }
    }
    let ours = [
        ("listen_addresses", settings.listen_addresses.clone()),
        ("port", settings.port.to_string()),
        ("cluster_name", settings.cluster_name.clone()),
    ];
    for (name, value) in ours {
        check(name, &value)?;
        effective.parameters.insert(name.to_owned(), value);
    }
    if let Some(names) = settings.synchronous_standby_names.as_ref().filter(|names| !names.is_empty()) {
        check("synchronous_standby_names", names)?;
        effective.parameters.insert("synchronous_standby_names".to_owned(), names.clone());
    }
    Ok(effective)
}

impl Effective {
    fn adjust(&mut self, name: &str, given: &str, used: &str, why: &str) {
        if !used.is_empty() {
            self.parameters.insert(name.to_owned(), used.to_owned());
        }
        self.adjustments.push(Adjustment {
            name: name.to_owned(),
            given: given.to_owned(),
            used: used.to_owned(),
            why: why.to_owned(),
        });
    }

    /// Compares with what runs, without asking the server to walk through all its settings. `running` has what
    /// `current_setting` says; names it lacks are not compared.
    pub fn pending_restart(&self, running: &BTreeMap<String, String>) -> Vec<PendingRestart> {
        let pending = COMMAND_LINE.iter().filter_map(|name| {
            let (old, new) = (running.get(*name)?, self.parameters.get(*name)?);
            let differs = canonical(name, old) != canonical(name, new);
            let pending =
                || PendingRestart { name: (*name).to_owned(), old_value: old.clone(), new_value: new.clone() };
            differs.then(pending)
        });
        pending.collect()
    }
}

/// One spelling for each value.
fn canonical(name: &str, value: &str) -> String {
    let value = value.trim();
    match ENFORCED.iter().find(|(enforced, ..)| *enforced == name).map(|(.., rule)| rule) {
        Some(Rule::Boolean | Rule::Always) => boolean(value).unwrap_or(value).to_owned(),
        Some(Rule::Least(_)) => value.parse::<u64>().map_or_else(|_| value.to_owned(), |number| number.to_string()),
        Some(Rule::OneOf(_)) => value.to_ascii_lowercase(),
        Some(Rule::LeastMegabytes(_)) | None => value.to_owned(),
    }
}

fn obey(rule: &Rule, given: &str, default: &str) -> Result<(), (String, String)> {
    let instead = |used: &str, why: String| Err((used.to_owned(), why));
    match rule {
        Rule::Least(least) => match given.parse::<u64>() {
            Ok(value) if value >= *least => Ok(()),
            Ok(_) => instead(&least.to_string(), format!("the least value is {least}")),
            Err(_) => instead(default, format!("expected a whole number from {least}")),
        },
        Rule::LeastMegabytes(least) => match megabytes(given) {
            Some(value) if value >= *least => Ok(()),
            Some(_) => instead(&format!("{least}MB"), format!("the least value is {least}MB")),
            None => instead(default, format!("expected an amount of memory from {least}MB")),
        },
        Rule::OneOf(values) if values.contains(&given.to_ascii_lowercase().as_str()) => Ok(()),
        Rule::OneOf(values) => instead(default, format!("accepted values: {}", values.join(", "))),
        Rule::Boolean if boolean(given).is_some() => Ok(()),
        Rule::Boolean => instead(default, "accepted values: on, off".to_owned()),
        Rule::Always if boolean(given) == Some(default) => Ok(()),
        Rule::Always => instead(default, format!("this must be {default}")),
    }
}

/// All of PostgreSQL's ways to say yes and no, but for abbreviations.
fn boolean(value: &str) -> Option<&'static str> {
    match value.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Some("on"),
        "off" | "false" | "no" | "0" => Some("off"),
        _ => None,
    }
}

/// "1GB" → 1024; a bare number is in MB, as for wal_keep_size.
fn megabytes(value: &str) -> Option<u64> {
    let digits = value.len() - value.trim_start_matches(|character: char| character.is_ascii_digit()).len();
    let number: u64 = value[..digits].parse().ok()?;
    match value[digits..].trim() {
        "" | "MB" => Some(number),
        "B" => Some(number >> 20),
        "kB" => Some(number >> 10),
        "GB" => number.checked_mul(1 << 10),
        "TB" => number.checked_mul(1 << 20),
        _ => None,
    }
}

/// What cannot stand in a configuration file.
fn check(name: &str, value: &str) -> Result<()> {
    let refuse = |why: &str| Err(Error::Setting { name: name.to_owned(), why: why.to_owned() });
    let shaped = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == '.';
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) || !name.chars().all(shaped) {
        return refuse("this is not a name of a parameter (letters, digits, '_' and '.')");
    }
    if value.contains(['\n', '\r', '\0']) {
        return refuse("a value cannot have line breaks");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controldata::tests::SAMPLE;

    fn settings(parameters: &[(&str, &str)]) -> Settings {
        Settings {
            parameters: parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            listen_addresses: "127.0.0.1".to_owned(),
            port: 5432,
            cluster_name: "demo".to_owned(),
            ..Settings::default()
        }
    }

    #[test]
    fn values_below_the_least_are_raised_and_nonsense_becomes_the_default() -> Result<()> {
        for (name, given, used) in [
            ("max_connections", "10", "25"),
            ("max_connections", "500", "500"),
            ("max_connections", "many", "100"),
            ("max_wal_senders", "0", "3"),
            ("wal_keep_size", "1GB", "1GB"),
            ("wal_keep_size", "1MB", "16MB"),
            ("wal_keep_size", "1XB", "128MB"),
            ("wal_level", "minimal", "replica"),
            ("wal_level", "logical", "logical"),
            ("hot_standby", "off", "on"),
            ("wal_log_hints", "off", "off"),
            ("track_commit_timestamp", "maybe", "off"),
            ("Max_Connections", "7", "25"),
            ("work_mem", "4MB", "4MB"),
        ] {
            let effective = effective(&settings(&[(name, given)]), None)?;
            assert_eq!(effective.parameters[&name.to_ascii_lowercase()], used, "{name} = {given}");
            assert_eq!(effective.adjustments.len(), usize::from(given != used), "{name} = {given}");
        }
        Ok(())
    }

    #[test]
    fn the_agents_own_parameters_are_left_out() -> Result<()> {
        let mut settings = settings(&[("primary_conninfo", "host=evil"), ("synchronous_standby_names", "*")]);
        let own = effective(&settings, None)?;
        assert!(!own.parameters.contains_key("primary_conninfo"));
        assert!(!own.parameters.contains_key("synchronous_standby_names"));
        assert_eq!(own.adjustments.len(), 2);
        settings.synchronous_standby_names = Some("FIRST 1 (\"b\")".to_owned());
        assert_eq!(effective(&settings, None)?.parameters["synchronous_standby_names"], "FIRST 1 (\"b\")");
        Ok(())
    }

    #[test]
    fn a_standby_gets_at_least_what_its_primary_had() -> Result<(), Box<dyn std::error::Error>> {
        let mut control = ControlData::parse(SAMPLE)?;
        control.standby_minimum.insert("max_connections", 300);
        let effective = effective(&settings(&[("max_connections", "200")]), Some(&control))?;
        assert_eq!(effective.parameters["max_connections"], "300");
        assert_eq!(effective.parameters["max_worker_processes"], "8");
        Ok(())
    }

    #[test]
    fn names_and_values_that_would_break_the_file_are_refused() {
        for (name, value) in
            [("a b", "1"), ("", "1"), ("x'", "1"), ("1x", "1"), ("work_mem", "1\nport = 1"), ("x", "\0")]
        {
            assert!(effective(&settings(&[(name, value)]), None).is_err(), "{name:?} = {value:?}");
        }
    }

    #[test]
    fn only_real_differences_wait_for_a_restart() -> Result<()> {
        let effective = effective(&settings(&[("max_connections", "200"), ("wal_log_hints", "true")]), None)?;
        let running = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let running = BTreeMap::from([
            running("max_connections", "100"),
            running("wal_log_hints", "on"),
            running("port", "5432"),
        ]);
        let pending = effective.pending_restart(&running);
        let expected =
            PendingRestart { name: "max_connections".into(), old_value: "100".into(), new_value: "200".into() };
        assert_eq!(pending, [expected]);
        Ok(())
    }
}
