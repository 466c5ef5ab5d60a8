//! The dynamic configuration, checked with the names and ranges of the crate that reads it.

use crate::check::{join, nearest};
use crate::error::{Code, ConfigError, Report, problem};
use crate::tree::Node;
use ha::config::{DynamicConfig, KEYS};
use serde_json::{Map, Value};

/// What may stand under `postgresql` in the dynamic configuration.
const POSTGRESQL_KEYS: &[&str] = &[
    "use_pg_rewind",
    "use_slots",
    "parameters",
    "pg_hba",
    "pg_ident",
    "recovery_conf",
    "parameters_primary",
    "parameters_replica",
    "parameters_standby_leader",
    "pg_hba_primary",
    "pg_hba_replica",
    "pg_hba_standby_leader",
    "pg_ident_primary",
    "pg_ident_replica",
    "pg_ident_standby_leader",
    "callbacks",
    "create_replica_methods",
    "basebackup",
    "pg_ctl_timeout",
    "remove_data_directory_on_rewind_failure",
    "remove_data_directory_on_diverged_timelines",
    "authentication",
    "bin_name",
    "use_unix_socket",
    "custom_conf",
];

/// One setting that would be refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamicProblem {
    pub code: Code,
    /// Dotted path within the dynamic configuration.
    pub key: String,
    pub message: String,
    pub hint: Option<String>,
}

impl std::fmt::Display for DynamicProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, key, message, hint } = self;
        write!(f, "{key}: {message} [{code}]")?;
        hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  hint: {hint}"))
    }
}

/// Every problem of a dynamic configuration, as it would be put into the store.
pub fn dynamic_problems(config: &Value) -> Vec<DynamicProblem> {
    let Value::Object(map) = config else {
        return vec![DynamicProblem {
            code: Code::Type,
            key: "config".to_owned(),
            message: "must be a mapping of settings".to_owned(),
            hint: None,
        }];
    };
    let mut problems = Vec::new();
    for (key, value) in map {
        if !KEYS.contains(&key.as_str()) {
            problems.push(unknown(key, key, KEYS));
            continue;
        }
        // One at a time, so that every wrong setting is found and not only the first.
        let alone: Map<String, Value> = [(key.clone(), value.clone())].into_iter().collect();
        if let Err(error) = DynamicConfig::from_value(&Value::Object(alone)) {
            let code = if error.problem.contains("range") { Code::Range } else { Code::Type };
            let code = if error.problem.contains("not supported") { Code::Unsupported } else { code };
            problems.push(DynamicProblem { code, key: error.key, message: error.problem, hint: None });
        }
        if let (true, Value::Object(postgresql)) = (key == "postgresql", value) {
            for name in postgresql.keys().filter(|name| !POSTGRESQL_KEYS.contains(&name.as_str())) {
                problems.push(unknown(&join(key, name), name, POSTGRESQL_KEYS));
            }
        }
    }
    problems
}

fn unknown(path: &str, key: &str, known: &[&str]) -> DynamicProblem {
    DynamicProblem {
        code: Code::UnknownKey,
        key: path.to_owned(),
        message: "unknown key".to_owned(),
        hint: Some(match nearest(key, known.iter().copied()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("known keys: {}", known.join(", ")),
        }),
    }
}

pub(crate) fn keys() -> impl Iterator<Item = &'static str> {
    KEYS.iter().copied()
}

/// The same for the part of a file, with lines.
pub(crate) fn check(path: &str, node: &Node, report: &mut Report) {
    for found in dynamic_problems(&node.to_json()) {
        let key = if found.key == "config" { path.to_owned() } else { join(path, &found.key) };
        let place = place_of(node, &found.key);
        let error = problem(found.code, &place, &key, found.message);
        report.error(ConfigError { hint: found.hint, ..error });
    }
}

/// The line of the longest part of the path that exists.
fn place_of(node: &Node, path: &str) -> crate::Place {
    let mut node = node;
    let mut place = node.place.clone();
    for key in path.split('.') {
        let Some(entry) = node.map().and_then(|map| map.get(key)) else { break };
        place = entry.place.clone();
        node = &entry.node;
    }
    place
}
