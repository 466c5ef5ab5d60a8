//! How ACL GETUSER and ACL LOG show what they found.

use super::strings;
use crate::acl::{LogEntry, User};
use resp::Value;
use types::Millis;

pub fn user(user: &User) -> Value {
    let mut flags = vec![if user.enabled { "on" } else { "off" }];
    if user.any_password {
        flags.push("nopass");
    }
    if !user.sanitize_payload {
        flags.push("skip-sanitize-payload");
    }
    Value::Map(vec![
        ("flags".into(), Value::Set(flags.into_iter().map(Value::from).collect())),
        ("passwords".into(), strings(user.passwords.iter().map(String::as_str))),
        ("commands".into(), user.commands_text().into()),
        ("keys".into(), user.keys_text().into()),
        ("channels".into(), user.channels_text().into()),
        ("selectors".into(), Value::Array(Vec::new())),
    ])
}

pub fn log_entry(now: Millis, entry: &LogEntry) -> Value {
    let age = now.since(entry.created).0 as f64 / 1000.0;
    Value::Map(vec![
        ("count".into(), Value::Integer(entry.count as i64)),
        ("reason".into(), entry.denial.word().into()),
        ("context".into(), "toplevel".into()),
        ("object".into(), entry.object.as_str().into()),
        ("username".into(), entry.user.as_str().into()),
        ("age-seconds".into(), Value::Double(age)),
        ("client-info".into(), entry.client.as_str().into()),
        ("entry-id".into(), Value::Integer(entry.id as i64)),
        ("timestamp-created".into(), Value::Integer(entry.created.0 as i64)),
        ("timestamp-last-updated".into(), Value::Integer(entry.updated.0 as i64)),
    ])
}
