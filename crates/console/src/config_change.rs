//! `PATCH /config` and `PUT /config`: changes to the dynamic configuration.
//!
//! Every change is checked before it is written. Patroni writes anything and its members then ignore what they cannot
//! use; here the one who makes the mistake hears of it.

use crate::api::{Api, outcome_unknown};
use crate::reply::Reply;
use dcs::Written;
use ha::cluster::{Cluster, StoreWrite};
use ha::config::DynamicConfig;
use serde_json::{Map, Value};
use types::Revision;

/// `PUT` promises to overwrite whatever is there; more writers than this at once are somebody's loop.
const OVERWRITE_ATTEMPTS_MAX: u32 = 5;

/// Changes what `changes` names; `null` removes. 409 when somebody else was faster.
pub async fn patch(api: &Api, changes: &Map<String, Value>) -> Reply {
    let cluster = match api.load().await {
        Ok(cluster) => cluster,
        Err(reply) => return reply,
    };
    let Some((before, revision)) = current(&cluster) else {
        let why = cluster.unreadable.get("config").map_or("there is no configuration", String::as_str);
        return Reply::text(503, format!("the configuration cannot be changed: {why}"));
    };
    let mut after = before.clone();
    merge(&mut after, changes);
    if after == before {
        return Reply::json(200, &after);
    }
    match write(api, &after, Some(revision)).await {
        Ok(Some(Written::Done { .. })) => Reply::json(200, &after),
        Ok(None) => outcome_unknown(),
        Ok(Some(Written::Refused)) => {
            Reply::text(409, "somebody else changed the configuration at the same time; try again")
        }
        Err(reply) => reply,
    }
}

/// Replaces the whole configuration.
pub async fn put(api: &Api, after: Map<String, Value>) -> Reply {
    for _ in 0..OVERWRITE_ATTEMPTS_MAX {
        let cluster = match api.load().await {
            Ok(cluster) => cluster,
            Err(reply) => return reply,
        };
        let current = current(&cluster);
        if current.as_ref().is_some_and(|(before, _)| *before == after) {
            return Reply::json(200, &after);
        }
        match write(api, &after, current.map(|(_, revision)| revision)).await {
            Ok(Some(Written::Done { .. })) => return Reply::json(200, &after),
            // The next round reads again, and finds the change where it was made after all.
            Ok(Some(Written::Refused) | None) => {}
            Err(reply) => return reply,
        }
    }
    Reply::text(502, "the configuration could not be written: it changes all the time")
}

fn current(cluster: &Cluster) -> Option<(Map<String, Value>, Revision)> {
    let text = cluster.config_text.as_ref()?;
    Some((serde_json::from_str(&text.value).ok()?, text.revision))
}

async fn write(api: &Api, config: &Map<String, Value>, expected: Option<Revision>) -> Result<Option<Written>, Reply> {
    let value = Value::Object(config.clone());
    DynamicConfig::from_value(&value).map_err(|problem| Reply::text(400, problem.to_string()))?;
    let text = value.to_string();
    tracing::info!(config = %text, "the dynamic configuration is changed over the REST API");
    api.write(StoreWrite::PutConfig { text, expected }).await
}

/// Objects are merged, everything else is replaced, `null` removes. The nesting is bounded by the JSON reader.
fn merge(config: &mut Map<String, Value>, changes: &Map<String, Value>) {
    for (name, change) in changes {
        match (config.get_mut(name), change) {
            (_, Value::Null) => {
                config.remove(name);
            }
            (Some(Value::Object(inner)), Value::Object(changes)) => merge(inner, changes),
            (_, Value::Object(changes)) => {
                let mut inner = Map::new();
                merge(&mut inner, changes);
                config.insert(name.clone(), Value::Object(inner));
            }
            (_, other) => {
                config.insert(name.clone(), other.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_patch_merges_replaces_and_removes() {
        let object = |value: Value| value.as_object().cloned().unwrap();
        let before =
            json!({"ttl": 30, "postgresql": {"parameters": {"a": 1, "b": 2}}, "slots": {"x": {}}, "pause": true});
        for (changes, expected) in [
            (
                json!({"ttl": 5}),
                json!({"ttl": 5, "postgresql": {"parameters": {"a": 1, "b": 2}}, "slots": {"x": {}}, "pause": true}),
            ),
            (
                json!({"pause": null, "slots": null, "postgresql": {"parameters": {"a": null, "c": 3}}}),
                json!({"ttl": 30, "postgresql": {"parameters": {"b": 2, "c": 3}}}),
            ),
            (
                json!({"postgresql": 1, "ttl": {"x": {"y": null, "z": 1}}, "absent": null}),
                json!({"ttl": {"x": {"z": 1}}, "postgresql": 1, "slots": {"x": {}}, "pause": true}),
            ),
        ] {
            let mut config = object(before.clone());
            merge(&mut config, &object(changes));
            assert_eq!(Value::Object(config), expected);
        }
    }
}
