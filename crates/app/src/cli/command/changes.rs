//! Changes of the dynamic configuration, as values. Nothing is written here.

use crate::cli::context::Target;
use crate::cli::failure::Failure;
use serde_json::{Map, Value};

/// PostgreSQL's parameters have dots in their names, so the path ends here.
const PARAMETERS: [&str; 2] = ["postgresql", "parameters"];

/// The configuration in the store.
pub fn present(target: &Target) -> Result<Value, Failure> {
    if let Some(why) = target.cluster.unreadable.get("config") {
        return Err(Failure::new(
            "cli-config-unreadable",
            format!("the configuration in the store cannot be read: {why}"),
        ));
    }
    match &target.cluster.config_text {
        Some(text) => serde_json::from_str(&text.value).map_err(|error| {
            Failure::new("cli-config-unreadable", format!("the configuration in the store is not JSON: {error}"))
        }),
        None => {
            Err(Failure::new("cli-no-config", format!("The config key does not exist in the cluster {}", target.scope))
                .hint("it is written when the cluster is created"))
        }
    }
}

/// Lays `over` over the configuration: mappings are merged, null removes.
pub fn patch(config: &mut Value, over: &Value) {
    let Value::Object(over) = over else {
        *config = over.clone();
        return;
    };
    if !config.is_object() {
        *config = Value::Object(Map::new());
    }
    let Value::Object(config) = config else { return };
    for (key, value) in over {
        if value.is_null() {
            config.remove(key);
        } else {
            patch(config.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Sets `a.b.c=value`, where the value is YAML and null removes.
pub fn set(config: &mut Value, pair: &str) -> Result<(), Failure> {
    let wrong = |why: &str| {
        Failure::usage("cli-set", format!("Invalid parameter setting {pair}{why}"))
            .hint("write it as key=value, such as ttl=20")
    };
    let (path, value) = pair.split_once('=').filter(|(path, _)| !path.trim().is_empty()).ok_or_else(|| wrong(""))?;
    let value = config::yaml_to_json("value", value).map_err(|error| wrong(&format!(": {error}")))?;
    let keys: Vec<&str> = path.trim().split('.').collect();
    let keys: Vec<String> = match keys.as_slice() {
        [first, second, rest @ ..] if [*first, *second] == PARAMETERS && !rest.is_empty() => {
            vec![(*first).to_owned(), (*second).to_owned(), rest.join(".")]
        }
        keys => keys.iter().map(|key| (*key).to_owned()).collect(),
    };
    set_path(config, &keys, value);
    Ok(())
}

fn set_path(config: &mut Value, keys: &[String], value: Value) {
    let Some((key, rest)) = keys.split_first() else { return };
    if !config.is_object() {
        *config = Value::Object(Map::new());
    }
    let Value::Object(map) = config else { return };
    if !rest.is_empty() {
        let below = map.entry(key.clone()).or_insert_with(|| Value::Object(Map::new()));
        set_path(below, rest, value);
        // A mapping that became empty is not kept.
        if below.as_object().is_some_and(Map::is_empty) {
            map.remove(key);
        }
    } else if value.is_null() {
        map.remove(key);
    } else {
        map.insert(key.clone(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_set_and_removed_by_path() {
        for (pair, expected) in [
            ("ttl=20", json!({"ttl": 20, "postgresql": {"parameters": {"a": 1}}})),
            ("ttl=null", json!({"postgresql": {"parameters": {"a": 1}}})),
            (
                "synchronous_mode=on",
                json!({"ttl": 30, "synchronous_mode": true, "postgresql": {"parameters": {"a": 1}}}),
            ),
            (
                "postgresql.parameters.pg_stat.max=5",
                json!({"ttl": 30, "postgresql": {"parameters": {"a": 1, "pg_stat.max": 5}}}),
            ),
            ("postgresql.parameters.a=null", json!({"ttl": 30})),
            (
                "slots.s.type=physical",
                json!({"ttl": 30, "postgresql": {"parameters": {"a": 1}}, "slots": {"s": {"type": "physical"}}}),
            ),
        ] {
            let mut config = json!({"ttl": 30, "postgresql": {"parameters": {"a": 1}}});
            set(&mut config, pair).unwrap();
            assert_eq!(config, expected, "{pair}");
        }
        let mut config = json!({});
        assert!(
            set(&mut config, "ttl").is_err() && set(&mut config, "=1").is_err() && set(&mut config, "a=[").is_err()
        );
    }

    #[test]
    fn a_patch_merges_and_null_removes() {
        let mut config = json!({"a": {"x": 1, "y": 2}, "l": [1]});
        patch(&mut config, &json!({"a": {"x": null, "z": 3}, "l": [2], "new": {"deep": true}}));
        assert_eq!(config, json!({"a": {"y": 2, "z": 3}, "l": [2], "new": {"deep": true}}));
    }
}
