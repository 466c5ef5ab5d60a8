//! The dynamic configuration: what `/config` holds and `edit-config` changes, for the whole scope.
//!
//! Read with Patroni's names. Values that are missing have defaults; values that are wrong are refused when somebody
//! writes them, and the last good configuration stays in force when somebody else did.

mod standby_cluster;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
pub use standby_cluster::StandbyCluster;
use std::collections::BTreeMap;
use thiserror::Error;
use types::Millis;

/// The leader's lease. Patroni's 30 s keep a cluster without a primary for half a minute; with the fence in the guard
/// and the store's own clock 1.5 s are safe. The store's lower limit is 1 s, a real etcd's 2 s.
pub const TTL_DEFAULT: Millis = Millis(1500);
pub const TTL_MIN: Millis = Millis(1000);
pub const TTL_MAX: Millis = Millis(3_600_000);
/// How often the members look again when nothing happens.
pub const LOOP_WAIT_DEFAULT: Millis = Millis(2000);
/// Patroni's default: how many bytes behind the last known position a replica may be and still lead.
pub const MAXIMUM_LAG_DEFAULT: u64 = 1_048_576;
/// Patroni's default for `primary_start_timeout`.
pub const PRIMARY_START_TIMEOUT_DEFAULT: Millis = Millis(300_000);

/// The numeric options at the top: name, what it means, smallest and largest value (seconds unless said otherwise).
pub const RANGES: &[(&str, f64, f64)] = &[
    ("ttl", 1.0, 3600.0),
    ("loop_wait", 0.5, 3600.0),
    ("retry_timeout", 0.5, 3600.0),
    ("maximum_lag_on_failover", 0.0, 9.0e18),
    ("maximum_lag_on_syncnode", -1.0, 9.0e18),
    ("max_timelines_history", 0.0, 1_000_000.0),
    ("primary_start_timeout", 0.0, 86_400.0),
    ("master_start_timeout", 0.0, 86_400.0),
    ("primary_stop_timeout", 0.0, 86_400.0),
    ("master_stop_timeout", 0.0, 86_400.0),
    ("synchronous_node_count", 1.0, 100.0),
    ("member_slots_ttl", 0.0, 86_400.0 * 365.0),
    ("primary_race_backoff", 0.0, 3600.0),
];

/// Every key that may stand at the top of the dynamic configuration.
pub const KEYS: &[&str] = &[
    "ttl",
    "loop_wait",
    "retry_timeout",
    "maximum_lag_on_failover",
    "maximum_lag_on_syncnode",
    "max_timelines_history",
    "check_timeline",
    "primary_start_timeout",
    "master_start_timeout",
    "primary_stop_timeout",
    "master_stop_timeout",
    "synchronous_mode",
    "synchronous_mode_strict",
    "synchronous_node_count",
    "failsafe_mode",
    "pause",
    "member_slots_ttl",
    "slots",
    "ignore_slots",
    "standby_cluster",
    "postgresql",
    "primary_race_backoff",
];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SynchronousMode {
    #[default]
    Off,
    On,
}

/// One setting that cannot be accepted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{key}: {problem}")]
pub struct ConfigProblem {
    /// Dotted path, such as `postgresql.parameters`.
    pub key: String,
    pub problem: String,
}

/// The dynamic configuration with everything filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // Patroni's switches, each on its own
pub struct DynamicConfig {
    pub ttl: Millis,
    pub loop_wait: Millis,
    pub retry_timeout: Millis,
    /// Bytes.
    pub maximum_lag_on_failover: u64,
    /// How long a primary whose postmaster died may take to come back before its place is given up. 0: at once.
    pub primary_start_timeout: Millis,
    pub synchronous_mode: SynchronousMode,
    pub synchronous_mode_strict: bool,
    pub synchronous_node_count: usize,
    /// While it stands nobody is promoted: the leader follows the remote primary.
    pub standby_cluster: Option<StandbyCluster>,
    /// The primary goes on without the store while everybody who could take over consents (`crate::failsafe`).
    pub failsafe_mode: bool,
    pub pause: bool,
    pub check_timeline: bool,
    pub use_pg_rewind: bool,
    pub use_slots: bool,
    pub parameters: BTreeMap<String, String>,
    pub pg_hba: Vec<String>,
    pub pg_ident: Vec<String>,
}

impl Default for DynamicConfig {
    fn default() -> Self {
        Self {
            ttl: TTL_DEFAULT,
            loop_wait: LOOP_WAIT_DEFAULT,
            retry_timeout: Millis(10_000),
            maximum_lag_on_failover: MAXIMUM_LAG_DEFAULT,
            primary_start_timeout: PRIMARY_START_TIMEOUT_DEFAULT,
            synchronous_mode: SynchronousMode::Off,
            synchronous_mode_strict: false,
            synchronous_node_count: 1,
            standby_cluster: None,
            failsafe_mode: false,
            pause: false,
            check_timeline: false,
            use_pg_rewind: true,
            use_slots: true,
            parameters: BTreeMap::new(),
            pg_hba: Vec::new(),
            pg_ident: Vec::new(),
        }
    }
}

impl DynamicConfig {
    /// Reads the JSON of `/config`; the first problem found is the error.
    pub fn from_json(text: &str) -> Result<Self, ConfigProblem> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| ConfigProblem { key: "config".into(), problem: format!("not JSON: {error}") })?;
        Self::from_value(&value)
    }

    pub fn from_value(value: &Value) -> Result<Self, ConfigProblem> {
        let Value::Object(map) = value else {
            return Err(problem("config", "must be a mapping of settings"));
        };
        let mut config = Self::default();
        for (key, min, max) in RANGES {
            check_range(map, key, *min, *max)?;
        }
        let millis = |names: &[&str], default: Millis| {
            names
                .iter()
                .find_map(|name| number(map.get(*name)?))
                .map_or(default, |seconds| Millis((seconds * 1000.0) as u64))
        };
        config.ttl = millis(&["ttl"], config.ttl);
        config.loop_wait = millis(&["loop_wait"], config.loop_wait);
        config.retry_timeout = millis(&["retry_timeout"], config.retry_timeout);
        config.primary_start_timeout =
            millis(&["primary_start_timeout", "master_start_timeout"], config.primary_start_timeout);
        if let Some(bytes) = map.get("maximum_lag_on_failover").and_then(number) {
            config.maximum_lag_on_failover = bytes as u64;
        }
        if let Some(count) = map.get("synchronous_node_count").and_then(number) {
            config.synchronous_node_count = count as usize;
        }
        config.synchronous_mode = match map.get("synchronous_mode") {
            Some(Value::String(text)) if text.eq_ignore_ascii_case("quorum") => {
                return Err(problem("synchronous_mode", "'quorum' is not supported yet; use on or off"));
            }
            other if flag(other, "synchronous_mode")?.unwrap_or(false) => SynchronousMode::On,
            _ => SynchronousMode::Off,
        };
        config.standby_cluster = StandbyCluster::read(map.get("standby_cluster"))?;
        let set = |target: &mut bool, map: &Map<String, Value>, key: &str| -> Result<(), ConfigProblem> {
            *target = flag(map.get(key), key)?.unwrap_or(*target);
            Ok(())
        };
        set(&mut config.synchronous_mode_strict, map, "synchronous_mode_strict")?;
        set(&mut config.failsafe_mode, map, "failsafe_mode")?;
        set(&mut config.pause, map, "pause")?;
        set(&mut config.check_timeline, map, "check_timeline")?;
        match map.get("postgresql") {
            None | Some(Value::Null) => {}
            Some(Value::Object(postgresql)) => {
                set(&mut config.use_pg_rewind, postgresql, "use_pg_rewind")?;
                set(&mut config.use_slots, postgresql, "use_slots")?;
                config.parameters = parameters(postgresql.get("parameters"), "postgresql.parameters")?;
                config.pg_hba = lines(postgresql.get("pg_hba"), "postgresql.pg_hba")?;
                config.pg_ident = lines(postgresql.get("pg_ident"), "postgresql.pg_ident")?;
            }
            Some(_) => return Err(problem("postgresql", "must be a mapping of settings")),
        }
        Ok(config)
    }

    pub fn is_synchronous(&self) -> bool {
        self.synchronous_mode == SynchronousMode::On
    }
}

fn problem(key: &str, problem: &str) -> ConfigProblem {
    ConfigProblem { key: key.to_owned(), problem: problem.to_owned() }
}

/// Patroni accepts numbers also as text.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn check_range(map: &Map<String, Value>, key: &str, min: f64, max: f64) -> Result<(), ConfigProblem> {
    let Some(value) = map.get(key).filter(|value| !value.is_null()) else { return Ok(()) };
    match number(value) {
        Some(number) if (min..=max).contains(&number) => Ok(()),
        Some(_) if max > 1.0e9 => Err(problem(key, &format!("{value} is out of range; expected at least {min}"))),
        Some(_) => Err(problem(key, &format!("{value} is out of range; expected {min} to {max}"))),
        None => Err(problem(key, &format!("{value} is not a number"))),
    }
}

/// A truth value in any of PostgreSQL's and YAML 1.1's words.
fn flag(value: Option<&Value>, key: &str) -> Result<Option<bool>, ConfigProblem> {
    let word = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Bool(value)) => return Ok(Some(*value)),
        Some(Value::String(text)) => text.to_lowercase(),
        Some(other) => other.to_string(),
    };
    match word.as_str() {
        "on" | "true" | "yes" | "1" => Ok(Some(true)),
        "off" | "false" | "no" | "0" | "" => Ok(Some(false)),
        _ => Err(problem(key, &format!("'{word}' is not a truth value; expected true or false"))),
    }
}

/// PostgreSQL's parameters as text; booleans become `on` and `off`.
pub fn parameters(value: Option<&Value>, key: &str) -> Result<BTreeMap<String, String>, ConfigProblem> {
    match value {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(Value::Object(map)) => map
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| {
                let text = match value {
                    Value::Bool(true) => "on".to_owned(),
                    Value::Bool(false) => "off".to_owned(),
                    Value::Number(number) => number.to_string(),
                    Value::String(text) => text.clone(),
                    _ => return Err(problem(&format!("{key}.{name}"), "must be a single value")),
                };
                Ok((name.to_lowercase(), text))
            })
            .collect(),
        Some(_) => Err(problem(key, "must be a mapping of parameter names to values")),
    }
}

fn lines(value: Option<&Value>, key: &str) -> Result<Vec<String>, ConfigProblem> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| problem(key, "every line must be a text")))
            .collect(),
        Some(_) => Err(problem(key, "must be a list of lines")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patronis_own_example_is_read() {
        let config = DynamicConfig::from_json(
            r#"{"ttl":30,"loop_wait":10,"retry_timeout":10,"maximum_lag_on_failover":1048576,"synchronous_mode":"on",
                "postgresql":{"use_pg_rewind":true,"parameters":{"max_connections":100,"hot_standby":true}}}"#,
        )
        .unwrap();
        assert_eq!((config.ttl, config.loop_wait), (Millis(30_000), Millis(10_000)));
        assert!(config.is_synchronous() && config.use_pg_rewind);
        assert_eq!(config.parameters["hot_standby"], "on");
        assert_eq!(DynamicConfig::from_json("{}").unwrap(), DynamicConfig::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            (r#"{"ttl":0.2}"#, "ttl: 0.2 is out of range; expected 1 to 3600"),
            (r#"{"ttl":"soon"}"#, "ttl: \"soon\" is not a number"),
            (
                r#"{"synchronous_mode":"maybe"}"#,
                "synchronous_mode: 'maybe' is not a truth value; expected true or false",
            ),
            (r#"{"maximum_lag_on_failover":-1}"#, "maximum_lag_on_failover: -1 is out of range; expected at least 0"),
            (r#"{"postgresql":[]}"#, "postgresql: must be a mapping of settings"),
            ("[]", "config: must be a mapping of settings"),
        ] {
            assert_eq!(DynamicConfig::from_json(text).unwrap_err().to_string(), expected);
        }
    }
}
