//! `openapi.json` describes the API that is there: every endpoint, its answers, and the shape of what is typed.

use super::world::{World, ask, member};
use console::{OPENAPI, StoreNow, endpoints};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

fn description() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

/// Method, path and what is said of it.
fn operations(description: &Value) -> Vec<(String, String, Value)> {
    let paths = description["paths"].as_object().unwrap();
    let of = |(path, methods): (&String, &Value)| -> Vec<(String, String, Value)> {
        let methods = methods.as_object().unwrap().iter();
        methods.map(|(method, what)| (method.to_uppercase(), path.clone(), what.clone())).collect()
    };
    paths.iter().flat_map(of).collect()
}

#[test]
fn every_endpoint_is_described_and_every_description_has_its_endpoint() {
    let endpoints = endpoints();
    let described = operations(&description());
    // A described path may go on below an endpoint: /redis/master below /redis.
    let belongs = |path: &str, endpoint: &str| path == endpoint || path.starts_with(&format!("{endpoint}/"));
    for (method, endpoint) in &endpoints {
        let found = described.iter().any(|(other, path, _)| other == method && belongs(path, endpoint));
        assert!(found, "{method} {endpoint} is not in openapi.json");
    }
    for (method, path, _) in described.iter().filter(|(_, path, _)| path != "/") {
        let found = endpoints.iter().any(|(other, endpoint)| other == method && belongs(path, endpoint));
        assert!(found, "{method} {path} is in openapi.json, and there is no such endpoint");
    }
}

#[tokio::test]
async fn reading_gives_what_is_described() {
    let world = World::new();
    world.publish(|snapshot| snapshot.explanation = Arc::new(serde_json::json!({"here": ["it leads"]})));
    let description = description();
    let reads =
        operations(&description).into_iter().filter(|(method, path, _)| method == "GET" && path != "/quorate/stream");
    for (_, path, what) in reads {
        let answer = world.get(&path).await;
        let described = &what["responses"][answer.status.to_string()];
        assert!(described.is_object(), "GET {path} answered {}, which is not described", answer.status);
        let Some(schema) = described["content"]["application/json"].get("schema") else { continue };
        assert_eq!(answer.header("content-type"), Some("application/json"), "GET {path}");
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        check(&description, schema, &body, &path);
    }
}

#[tokio::test]
async fn an_overview_with_everything_in_it_has_the_described_shape() {
    let mut world = World::new();
    let services = r#","quorate":{"writable":true,"claim":true,"addresses":["10.0.0.100"],"services":{"console":"http://10.0.0.1:8080","proxy":"10.0.0.1:5000"}}"#;
    world.store.put("members/pg1", &member("pg1", "primary", services));
    world.store.put("failover", r#"{"leader":"pg1","member":"pg2","scheduled_at":"2099-01-01T00:00:00+00:00"}"#);
    world.store.put("sync", r#"{"leader":"pg1","sync_standby":"pg2"}"#);
    world.store.put("redis/db1/leader", "pg1");
    let server = r#"{"address":"10.0.0.1:6379","state":"running","role":"master","claim":true,"writable":true,"version":"7.0.15","offset":10,"keys":3,"replid":"8","run_id":"r"}"#;
    world.store.put("redis/db1/members/pg1", server);
    let alone = r#"{"address":"10.0.0.9:6379","state":"running","services":{"console":"http://10.0.0.9:8080","sentinel":"10.0.0.9:26379"}}"#;
    world.store.put("redis/db1/members/r9", alone);
    world.extras_store(StoreNow {
        voters: Some(["pg1", "pg2", "pg3", "pg4"].map(Into::into).into()),
        witnesses: ["pg4".into()].into(),
        leader: Some("pg2".into()),
        term: Some(7),
    });
    world.publish(|snapshot| snapshot.explanation = Arc::new(serde_json::json!({"here": ["it leads"]})));
    let overview: Value = serde_json::from_str(&world.get("/quorate/overview").await.body).unwrap();
    let description = description();
    check(&description, &description["components"]["schemas"]["Overview"], &overview, "overview");
    assert_eq!(overview["virtual_addresses"]["10.0.0.100"], "pg1");
    assert_eq!(overview["others"].as_array().unwrap().len(), 1, "pg1 is a member with PostgreSQL");
    assert_eq!(overview["others"][0]["sentinel"], "10.0.0.9:26379");
    assert_eq!(overview["store"]["spare"], 1);
    assert_eq!(overview["members"][0]["console"], "http://10.0.0.1:8080");
    assert_eq!(
        overview["members"][2]["impossible"]["switchover"],
        "it must not lead (tag nofailover or failover_priority 0)"
    );
    assert_eq!(overview["without"][0]["sentences"][0], "pg2 takes over; commits of the last moment may be lost.");
    assert_eq!(overview["loss"]["code"], "last_commits");
}

#[tokio::test]
async fn changing_is_described_with_the_statuses_it_gives() {
    let world = World::new();
    for (method, path, what) in operations(&description()).into_iter().filter(|(method, ..)| method != "GET") {
        // Wrong or empty on purpose: nothing here asks the agent, which is not there to answer.
        if path.contains("restart") || path.contains("reload") || path.contains("reinitialize") {
            continue;
        }
        let body = if what["requestBody"]["required"] == true { Some(r#"{"leader":1,"ttl":"x"}"#) } else { None };
        let answer = ask(&world.api, &method, &path, body).await;
        let status = answer.status.to_string();
        assert!(what["responses"][&status].is_object(), "{method} {path} answered {status}: {}", answer.body);
    }
    for path in ["/members/nobody/restart", "/members/pg2/reload", "/members/pg1/drop", "/members/pg1"] {
        let answer = ask(&world.api, "POST", path, None).await;
        assert!(matches!(answer.status, 404 | 501), "{path} answered {}", answer.status);
    }
}

/// The few words of JSON Schema that the description uses.
fn check(description: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        let schema = &description["components"]["schemas"][name];
        assert!(schema.is_object(), "{reference} is not described");
        return check(description, schema, value, at);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let choice = choices.iter().find(|choice| (choice["type"] == "null") == value.is_null());
        return check(description, choice.unwrap(), value, at);
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let kinds: BTreeSet<&str> = match &schema["type"] {
        Value::String(kind) => [kind.as_str()].into(),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let fits = kinds.contains(kind) || kind == "integer" && kinds.contains("number");
    assert!(fits, "{at} is {value}, described as {kinds:?}");
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(value), "{at} is {value}, described as one of {words:?}");
    }
    match value {
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                check(description, &schema["items"], item, &format!("{at}[{n}]"));
            }
        }
        Value::Object(fields) => check_fields(description, schema, fields, at),
        _ => {}
    }
}

fn check_fields(description: &Value, schema: &Value, fields: &Map<String, Value>, at: &str) {
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        assert!(fields.contains_key(required), "{at}.{required} is missing");
    }
    for (name, field) in fields {
        let at = format!("{at}.{name}");
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (described @ Value::Object(_), _) | (_, described @ Value::Object(_)) => {
                check(description, described, field, &at);
            }
            (_, Value::Bool(true)) => {}
            (_, _) => panic!("{at} is not described"),
        }
    }
}
