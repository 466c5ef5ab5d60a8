//! Values of one kind, taken from the tree. Each answers `None` when the value is not of the kind.

use crate::address::{Address, AddressError};
use crate::place::Place;
use crate::tree::{Map, Node, Scalar, ScalarKind, Value};

pub(crate) use crate::schema::STORE_MEMBER;

/// One command line option, with or without a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OptionItem {
    pub name: String,
    pub value: Option<String>,
    pub place: Place,
}

/// The text as it was written; empty when it is no single value.
pub(crate) fn text(node: &Node) -> String {
    node.scalar().map(|scalar| scalar.text.clone()).unwrap_or_default()
}

pub(crate) fn flag(node: &Node) -> Option<bool> {
    let scalar = node.scalar()?;
    if let ScalarKind::Bool(value) = scalar.kind {
        return Some(value);
    }
    match scalar.text.to_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Some(true),
        "off" | "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// Patroni accepts numbers in quotes.
pub(crate) fn integer(node: &Node) -> Option<i64> {
    let scalar = node.scalar()?;
    match scalar.kind {
        ScalarKind::Integer(value) => Some(value),
        ScalarKind::Text => scalar.text.trim().parse().ok(),
        ScalarKind::Bool(_) | ScalarKind::Float(_) => None,
    }
}

pub(crate) fn number(node: &Node) -> Option<f64> {
    let scalar = node.scalar()?;
    match scalar.kind {
        ScalarKind::Integer(value) => Some(value as f64),
        ScalarKind::Float(value) => Some(value),
        ScalarKind::Text => scalar.text.trim().parse().ok(),
        ScalarKind::Bool(_) => None,
    }
    .filter(|value| value.is_finite())
}

/// Bytes; PostgreSQL's units.
pub(crate) fn size(node: &Node) -> Option<u64> {
    let text = text(node);
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor = match text[digits.len()..].to_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1 << 10,
        "mb" => 1 << 20,
        "gb" => 1 << 30,
        _ => return None,
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(factor)
}

/// The accepted word, as the table spells it. A truth value written as `off` or `false` is the word `off`.
pub(crate) fn choice(scalar: &Scalar, words: &[&'static str]) -> Option<&'static str> {
    let written = match scalar.kind {
        ScalarKind::Bool(false) if words.contains(&"off") => "off",
        _ => scalar.text.as_str(),
    };
    words.iter().find(|word| word.eq_ignore_ascii_case(written)).copied()
}

/// `host, host:port`: the port stands behind the last host.
pub(crate) fn listen(text: &str, default_port: u16) -> Result<(Vec<String>, u16), AddressError> {
    let mut hosts: Vec<&str> = text.split(',').map(str::trim).filter(|host| !host.is_empty()).collect();
    let last = Address::parse(hosts.pop().unwrap_or_default(), Some(default_port))?;
    let mut names = Vec::with_capacity(hosts.len() + 1);
    for host in hosts {
        names.push(Address::parse(host, Some(last.port))?.host);
    }
    names.push(last.host);
    Ok((names, last.port))
}

/// A list of single values, or one text with commas. Quotes around the parts are dropped, as in `"'a:1','b:2'"`.
pub(crate) fn words(node: &Node) -> Option<Vec<String>> {
    let clean = |word: &str| word.trim().trim_matches(['\'', '"']).trim().to_owned();
    match &node.value {
        Value::Scalar(scalar) => {
            let text = scalar.text.trim().trim_start_matches('[').trim_end_matches(']');
            Some(text.split(',').map(clean).filter(|word| !word.is_empty()).collect())
        }
        Value::List(items) => items.iter().map(|item| item.scalar().map(|scalar| clean(&scalar.text))).collect(),
        Value::Null => Some(Vec::new()),
        Value::Map(_) => None,
    }
}

/// `[name, {name: value}]`, or a mapping of names to values; `name: true` is a name alone.
pub(crate) fn options(node: &Node) -> Option<Vec<OptionItem>> {
    fn pair(name: &str, node: &Node, place: &Place) -> Option<OptionItem> {
        let value = match &node.value {
            Value::Null | Value::Scalar(Scalar { kind: ScalarKind::Bool(true), .. }) => None,
            Value::Scalar(scalar) => Some(scalar.text.clone()),
            Value::List(_) | Value::Map(_) => return None,
        };
        Some(OptionItem { name: name.to_owned(), value, place: place.clone() })
    }
    let strip = |name: &str| name.trim_start_matches('-').to_owned();
    match &node.value {
        Value::Map(map) => map.effective().map(|entry| pair(&strip(&entry.key), &entry.node, &entry.place)).collect(),
        Value::List(items) => items
            .iter()
            .map(|item| match &item.value {
                Value::Scalar(scalar) => {
                    Some(OptionItem { name: strip(&scalar.text), value: None, place: item.place.clone() })
                }
                Value::Map(map) => match map.entries.as_slice() {
                    [entry] => pair(&strip(&entry.key), &entry.node, &entry.place),
                    _ => None,
                },
                Value::Null | Value::List(_) => None,
            })
            .collect(),
        Value::Null => Some(Vec::new()),
        Value::Scalar(_) => None,
    }
}

/// The values of one directive, each on one line; a mapping or a control character is none.
pub(crate) fn directive(node: &Node) -> Option<Vec<String>> {
    let one = |node: &Node| match &node.value {
        Value::Null => Some(String::new()),
        Value::Scalar(scalar) => Some(scalar.text.clone()).filter(|text| !text.chars().any(char::is_control)),
        Value::List(_) | Value::Map(_) => None,
    };
    match &node.value {
        Value::List(items) => items.iter().map(one).collect(),
        Value::Null | Value::Scalar(_) | Value::Map(_) => one(node).map(|value| vec![value]),
    }
}

/// Names in `create_replica_methods` besides `basebackup`: each has a section of its own.
pub(crate) fn other_replica_methods(postgresql: &Map) -> Vec<String> {
    ["create_replica_methods", "create_replica_method"]
        .iter()
        .filter_map(|key| words(&postgresql.get(key)?.node))
        .flatten()
        .filter(|method| method != "basebackup")
        .collect()
}

/// The name in `bootstrap.method`, unless it is `initdb`: it has a section of its own.
pub(crate) fn bootstrap_method(bootstrap: &Map) -> Option<String> {
    Some(text(&bootstrap.get("method")?.node)).filter(|method| !method.is_empty() && method != "initdb")
}

pub(crate) fn lines(node: &Node) -> Option<Vec<String>> {
    match &node.value {
        Value::List(items) => items.iter().map(|item| item.scalar().map(|scalar| scalar.text.clone())).collect(),
        Value::Null => Some(Vec::new()),
        Value::Scalar(_) | Value::Map(_) => None,
    }
}
