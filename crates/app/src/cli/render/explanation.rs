//! `explain`: sentences about who leads and why nobody else does.

use ha::cluster::Cluster;
use ha::postgres::explain;
use serde_json::{Value, json};
use std::fmt::Write;

/// What a member answered to `GET /quorate/explain`:
/// `{leader: {name, because: [text]}, members: [{name, obstacles: [text]}], here: [text]}`, each part optional.
/// `from` is the member that answered; empty when nobody did.
pub fn explanation(answer: &Value, from: &str) -> String {
    let mut text = String::new();
    let leader = answer.get("leader").unwrap_or(&Value::Null);
    let head = match name(leader) {
        Some(name) => format!("{name} leads:"),
        None => "No member leads:".to_owned(),
    };
    paragraph(&mut text, &head, &texts(leader.get("because")), "no reason is known");
    for member in answer.get("members").and_then(Value::as_array).into_iter().flatten() {
        let head = format!("{} does not lead:", name(member).unwrap_or("?"));
        paragraph(&mut text, &head, &texts(member.get("obstacles")), "nothing keeps it from taking over");
    }
    let here = texts(answer.get("here"));
    if !here.is_empty() {
        paragraph(&mut text, &format!("On {from} now:"), &here, "");
    }
    for vip in answer.get("vip").and_then(Value::as_array).into_iter().flatten() {
        text.push_str(&virtual_address(vip, from));
    }
    if let Some(redis) = answer.get("redis") {
        text.push_str("\nRedis\n");
        text.push_str(&explanation(redis, from));
    }
    text
}

fn virtual_address(vip: &Value, from: &str) -> String {
    let word = |key: &str| vip.get(key).and_then(Value::as_str);
    let head = match word("holder") {
        Some(holder) => format!("The virtual IP {} is on {holder}:", word("address").unwrap_or("?")),
        None => format!("The virtual IP {} is on no member:", word("address").unwrap_or("?")),
    };
    let here = format!("{from}: {}", word("because").unwrap_or("no reason is known"));
    let conflict =
        word("conflict").map(|other| format!("another host answers for it, with the hardware address {other}"));
    let mut text = String::new();
    paragraph(
        &mut text,
        &head,
        &[Some(here.as_str()), conflict.as_deref()].into_iter().flatten().collect::<Vec<_>>(),
        "",
    );
    text
}

/// The same, concluded from the store's keys, when no member answers.
pub fn explanation_from_store(cluster: &Cluster) -> Value {
    let explanation = explain(cluster);
    let because: Vec<String> = explanation.because.iter().map(ToString::to_string).collect();
    let members: Vec<Value> = explanation
        .members
        .iter()
        .map(|(name, obstacles)| {
            let obstacles: Vec<String> = obstacles.iter().map(ToString::to_string).collect();
            json!({"name": name, "obstacles": obstacles})
        })
        .collect();
    json!({"leader": {"name": explanation.leader, "because": because}, "members": members})
}

fn name(of: &Value) -> Option<&str> {
    of.get("name").and_then(Value::as_str)
}

fn texts(value: Option<&Value>) -> Vec<&str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

fn paragraph(text: &mut String, head: &str, sentences: &[&str], otherwise: &str) {
    let _ = writeln!(text, "{head}");
    for sentence in sentences {
        let _ = writeln!(text, "  - {sentence}");
    }
    if sentences.is_empty() {
        let _ = writeln!(text, "  - {otherwise}");
    }
}
