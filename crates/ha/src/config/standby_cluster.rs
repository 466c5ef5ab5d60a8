//! `standby_cluster`: the remote primary that all members of a standby cluster get their log from.
//!
//! Deliberately without accounts: those of `postgresql.authentication` are used, because a copy of the remote has its roles. The
//! invariant: what is not supported is refused with a sentence, never passed over.

use super::{ConfigProblem, problem};
use serde_json::{Map, Value};
use std::fmt;

const PORT_DEFAULT: u16 = 5432;
/// PostgreSQL's NAMEDATALEN - 1.
const SLOT_NAME_CHARS_MAX: usize = 63;
const KEYS: &[&str] = &[
    "host",
    "port",
    "primary_slot_name",
    "create_replica_methods",
    "restore_command",
    "archive_cleanup_command",
    "recovery_min_apply_delay",
];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StandbyCluster {
    /// Several are separated by commas; then the one that takes writes is followed, as Patroni does it.
    pub host: String,
    pub port: u16,
    /// A physical slot that exists on the remote primary.
    pub primary_slot_name: Option<String>,
    // PostgreSQL's parameters of these names, on the standby leader only.
    pub restore_command: Option<String>,
    pub archive_cleanup_command: Option<String>,
    pub recovery_min_apply_delay: Option<String>,
}

impl StandbyCluster {
    pub(super) fn read(value: Option<&Value>) -> Result<Option<Self>, ConfigProblem> {
        let map = match value {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Object(map)) => map,
            Some(_) => return Err(problem("standby_cluster", "must be a mapping of settings")),
        };
        if let Some(unknown) = map.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(wrong(unknown, &format!("is not known; expected one of {}", KEYS.join(", "))));
        }
        let host = text(map, "host")?.ok_or_else(|| {
            wrong("host", "is missing; a standby cluster that reads from an archive only is not supported")
        })?;
        let names: Vec<&str> = host.split(',').map(str::trim).collect();
        if names.iter().any(|name| name.is_empty() || name.contains(char::is_whitespace)) {
            return Err(wrong("host", &format!("'{host}' is no host name or list of them separated by commas")));
        }
        basebackup_only(map.get("create_replica_methods"))?;
        let primary_slot_name = text(map, "primary_slot_name")?;
        if let Some(name) = primary_slot_name.as_ref().filter(|name| !is_slot_name(name)) {
            return Err(wrong(
                "primary_slot_name",
                &format!("'{name}' is no name of a slot; expected a-z, 0-9 and _, at most {SLOT_NAME_CHARS_MAX}"),
            ));
        }
        Ok(Some(Self {
            host: names.join(","),
            port: port(map)?,
            primary_slot_name,
            restore_command: text(map, "restore_command")?,
            archive_cleanup_command: text(map, "archive_cleanup_command")?,
            recovery_min_apply_delay: text(map, "recovery_min_apply_delay")?,
        }))
    }

    pub fn has_several_hosts(&self) -> bool {
        self.host.contains(',')
    }
}

/// Where it is.
impl fmt::Display for StandbyCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

fn wrong(key: &str, what: &str) -> ConfigProblem {
    problem(&format!("standby_cluster.{key}"), what)
}

fn text(map: &Map<String, Value>, key: &str) -> Result<Option<String>, ConfigProblem> {
    let text = match map.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => return Err(wrong(key, "must be a single value")),
    };
    if text.contains(['\n', '\r', '\0']) {
        return Err(wrong(key, "must be one line"));
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn port(map: &Map<String, Value>) -> Result<u16, ConfigProblem> {
    let Some(text) = text(map, "port")? else { return Ok(PORT_DEFAULT) };
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        Ok(_) | Err(_) => {
            Err(wrong("port", &format!("'{text}' is no port; expected 1 to 65535, the same for all hosts")))
        }
    }
}

fn basebackup_only(value: Option<&Value>) -> Result<(), ConfigProblem> {
    let is_basebackup = |method: &Value| method.as_str() == Some("basebackup");
    match value {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Array(methods)) if methods.iter().all(is_basebackup) => Ok(()),
        Some(_) => Err(wrong("create_replica_methods", "other methods than basebackup are not supported")),
    }
}

fn is_slot_name(name: &str) -> bool {
    name.len() <= SLOT_NAME_CHARS_MAX && name.chars().all(|character| matches!(character, 'a'..='z' | '0'..='9' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn patronis_example_is_read() {
        let read = |value: Value| StandbyCluster::read(Some(&value)).unwrap();
        let remote = read(json!({"host": "1.2.3.4", "port": "5433", "primary_slot_name": "patroni",
            "create_replica_methods": ["basebackup"], "recovery_min_apply_delay": "5min"}));
        let expected = StandbyCluster {
            host: "1.2.3.4".into(),
            port: 5433,
            primary_slot_name: Some("patroni".into()),
            recovery_min_apply_delay: Some("5min".into()),
            ..StandbyCluster::default()
        };
        assert_eq!(remote, Some(expected));
        let several = read(json!({"host": "a, b"})).unwrap();
        assert_eq!((several.to_string().as_str(), several.has_several_hosts()), ("a,b:5432", true));
        assert_eq!(read(Value::Null), None);
    }

    #[test]
    fn what_is_wrong_or_not_supported_is_named() {
        for (value, expected) in [
            (json!("remote"), "standby_cluster: must be a mapping of settings"),
            (
                json!({"restore_command": "cp /a/%f %p"}),
                "standby_cluster.host: is missing; a standby cluster that reads from an archive only is not supported",
            ),
            (
                json!({"host": "a", "create_replica_methods": ["wal_e"]}),
                "standby_cluster.create_replica_methods: other methods than basebackup are not supported",
            ),
            (
                json!({"host": "a,b", "port": "5432,5433"}),
                "standby_cluster.port: '5432,5433' is no port; expected 1 to 65535, the same for all hosts",
            ),
            (
                json!({"host": "a,,b"}),
                "standby_cluster.host: 'a,,b' is no host name or list of them separated by commas",
            ),
            (
                json!({"host": "a", "primary_slot_name": "Standby"}),
                "standby_cluster.primary_slot_name: 'Standby' is no name of a slot; expected a-z, 0-9 and _, at most 63",
            ),
        ] {
            assert_eq!(StandbyCluster::read(Some(&value)).unwrap_err().to_string(), expected);
        }
        assert!(
            StandbyCluster::read(Some(&json!({"hots": "a"}))).unwrap_err().to_string().contains("hots: is not known")
        );
    }
}
