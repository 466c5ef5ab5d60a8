//! YAML with the line of every key and every value, and the text of scalars as it was written.
//!
//! Scalars are read as Patroni's YAML library reads them: `on`, `off`, `yes`, `no` are truth values, `y` and `n` are not.
//! Of a key that stands twice the last counts; the earlier ones are kept, so that they can be reported.

use crate::Place;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub value: Value,
    pub place: Place,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Map),
}

/// `text` is what stands in the file, without quotes; `kind` what YAML takes it for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scalar {
    pub text: String,
    pub kind: ScalarKind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ScalarKind {
    Text,
    Bool(bool),
    Integer(i64),
    Float(f64),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Map {
    pub entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub key: String,
    pub place: Place,
    pub node: Node,
}

impl Map {
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.key == key)
    }

    pub fn set(&mut self, key: &str, node: Node) {
        match self.entries.iter_mut().rev().find(|entry| entry.key == key) {
            Some(entry) => entry.node = node,
            None => self.entries.push(Entry { key: key.to_owned(), place: node.place.clone(), node }),
        }
    }

    /// The entries that count, in the order of the file.
    pub fn effective(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().enumerate().filter(|(at, entry)| !self.is_overridden(*at, entry)).map(|(_, entry)| entry)
    }

    /// The entries that a later one with the same key hides.
    pub fn overridden(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().enumerate().filter(|(at, entry)| self.is_overridden(*at, entry)).map(|(_, entry)| entry)
    }

    fn is_overridden(&self, at: usize, entry: &Entry) -> bool {
        self.entries[at + 1..].iter().any(|later| later.key == entry.key)
    }
}

impl Node {
    pub fn empty_map() -> Self {
        Self { value: Value::Map(Map::default()), place: Place { source: Arc::from("configuration"), line: 0 } }
    }

    pub fn map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// The node at a path of keys; `None` also where the value is null.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        let mut node = self;
        for key in path {
            node = &node.map()?.get(key)?.node;
        }
        Some(node).filter(|node| !node.is_null())
    }

    /// Lays another file over this one: mappings are merged, everything else is replaced.
    pub fn merge(&mut self, over: Node) {
        let Node { value, place } = over;
        match (&mut self.value, value) {
            (Value::Map(map), Value::Map(over)) => {
                for entry in over.entries {
                    match map.entries.iter_mut().rev().find(|own| own.key == entry.key) {
                        Some(own) => own.node.merge(entry.node),
                        None => map.entries.push(entry),
                    }
                }
            }
            (_, Value::Null) => {}
            (own, value) => {
                *own = value;
                self.place = place;
            }
        }
    }

    /// Sets a value at a path, making the mappings on the way.
    pub fn set(&mut self, path: &[&str], node: Node) {
        let Some((key, rest)) = path.split_first() else {
            *self = node;
            return;
        };
        if self.map().is_none() {
            self.value = Value::Map(Map::default());
            self.place = node.place.clone();
        }
        let Value::Map(map) = &mut self.value else { return };
        if rest.is_empty() {
            map.set(key, node);
            return;
        }
        if map.get(key).is_none() {
            map.set(key, Node { value: Value::Map(Map::default()), place: node.place.clone() });
        }
        if let Some(entry) = map.entries.iter_mut().rev().find(|entry| entry.key == *key) {
            entry.node.set(rest, node);
        }
    }

    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Scalar(scalar) => scalar.to_json(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(map) => map.effective().map(|entry| (entry.key.clone(), entry.node.to_json())).collect(),
        }
    }
}

impl Scalar {
    fn to_json(&self) -> serde_json::Value {
        match self.kind {
            ScalarKind::Text => self.text.clone().into(),
            ScalarKind::Bool(value) => value.into(),
            ScalarKind::Integer(value) => value.into(),
            ScalarKind::Float(value) => value.into(),
        }
    }
}

/// Nodes that aliases may add to a document. A configuration has hundreds; more is an attempt to fill the memory.
const REPLAYED_MAX: usize = 20_000;

/// Reads one document. An error carries the line (0 when there is none) and a sentence without the file's content.
pub(crate) fn parse(source: &Arc<str>, text: &str) -> Result<Node, (u32, String)> {
    let options = serde_saphyr::options! {
        // Custom visitors see every entry; which one counts is decided here.
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::PassThrough,
        leading_zero_numbers_as_strings: true,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: REPLAYED_MAX },
        // A snippet could show a password.
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
        Ok(raw) => Ok(Reader { source, text }.node(raw)),
        Err(error) => {
            let line = error.location().map_or(0, |location| u32::try_from(location.line()).unwrap_or(0));
            let message = error.without_snippet().to_string();
            let message = message.lines().next().unwrap_or_default();
            // The line is told in front of the message.
            Err((line, message.split(" at line ").next().unwrap_or(message).to_owned()))
        }
    }
}

struct Reader<'a> {
    source: &'a Arc<str>,
    text: &'a str,
}

impl Reader<'_> {
    fn place(&self, at: &serde_saphyr::Location) -> Place {
        Place { source: Arc::clone(self.source), line: u32::try_from(at.line()).unwrap_or(0) }
    }

    fn node(&self, raw: Spanned<Raw>) -> Node {
        let place = self.place(&raw.referenced);
        let written = self.written(&raw.defined);
        let scalar = |kind, text: String| Value::Scalar(Scalar { text: written.map_or(text, str::to_owned), kind });
        let value = match raw.value {
            Raw::Null => Value::Null,
            Raw::Text(text) => Value::Scalar(Scalar { text, kind: ScalarKind::Text }),
            Raw::Bool(value) => match written {
                // YAML 1.1 lists these as truth values, but the library that Patroni uses reads them as text.
                Some(word @ ("y" | "Y" | "n" | "N")) => {
                    Value::Scalar(Scalar { text: word.to_owned(), kind: ScalarKind::Text })
                }
                _ => scalar(ScalarKind::Bool(value), value.to_string()),
            },
            Raw::Integer(value) => scalar(ScalarKind::Integer(value), value.to_string()),
            Raw::Float(value) => scalar(ScalarKind::Float(value), value.to_string()),
            Raw::List(items) => Value::List(items.into_iter().map(|item| self.node(item)).collect()),
            Raw::Map(entries) => Value::Map(Map {
                entries: entries
                    .into_iter()
                    .map(|(key, value)| Entry {
                        place: self.place(&key.referenced),
                        key: key.value,
                        node: self.node(value),
                    })
                    .collect(),
            }),
        };
        Node { value, place }
    }

    /// The characters of a scalar in the file.
    fn written(&self, at: &serde_saphyr::Location) -> Option<&str> {
        let start = usize::try_from(at.span().byte_offset()?).ok()?;
        let length = usize::try_from(at.span().byte_len()?).ok()?;
        self.text.get(start..start.checked_add(length)?).map(str::trim).filter(|text| !text.is_empty())
    }
}

enum Raw {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }
    fn visit_unit<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }
    fn visit_none<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Integer(value))
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Raw, E> {
        Ok(i64::try_from(value).map_or(Raw::Float(value as f64), Raw::Integer))
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }
    fn visit_str<E: de::Error>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }
    fn visit_string<E: de::Error>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Node {
        parse(&Arc::from("f.yml"), text).unwrap()
    }

    #[test]
    fn every_key_and_value_knows_its_line() {
        let tree = read("a: 1\nb:\n  c: on\n  d: [x, 'y']\n");
        let b = tree.map().unwrap().get("b").unwrap();
        assert_eq!((b.place.line, tree.at(&["b", "c"]).unwrap().place.line), (2, 3));
        assert_eq!(tree.at(&["b", "d"]).unwrap().place.to_string(), "f.yml:4");
    }

    #[test]
    fn scalars_are_read_as_patroni_reads_them_and_keep_their_text() {
        for (yaml, text, kind) in [
            ("on", "on", ScalarKind::Bool(true)),
            ("No", "No", ScalarKind::Bool(false)),
            ("y", "y", ScalarKind::Text),
            ("'on'", "on", ScalarKind::Text),
            ("10", "10", ScalarKind::Integer(10)),
            ("-3", "-3", ScalarKind::Integer(-3)),
            ("0644", "0644", ScalarKind::Text),
            ("1.50", "1.50", ScalarKind::Float(1.5)),
            ("16MB", "16MB", ScalarKind::Text),
            ("10.0.0.1:5432", "10.0.0.1:5432", ScalarKind::Text),
        ] {
            let tree = read(&format!("k: {yaml}  # why\n"));
            let scalar = tree.at(&["k"]).unwrap().scalar().unwrap().clone();
            assert_eq!((scalar.text.as_str(), scalar.kind), (text, kind), "{yaml}");
        }
        assert!(read("k: ~\n").at(&["k"]).is_none());
        assert_eq!(read("").value, Value::Null);
    }

    #[test]
    fn the_last_of_two_equal_keys_counts_and_both_are_known() {
        let tree = read("a: 1\nb: 2\na: 3\n");
        assert_eq!(tree.at(&["a"]).unwrap().scalar().unwrap().text, "3");
        let map = tree.map().unwrap();
        assert_eq!(map.overridden().map(|entry| entry.place.line).collect::<Vec<_>>(), [1]);
        assert_eq!(map.effective().count(), 2);
    }

    #[test]
    fn anchors_and_merge_keys_work_and_alias_bombs_end() {
        let tree = read("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n");
        assert_eq!(tree.at(&["use"]).unwrap().to_json(), serde_json::json!({"x": 1, "y": 3}));
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for at in 1..12 {
            let items = vec![format!("*a{}", at - 1); 9].join(", ");
            bomb.extend([format!("a{at}: &a{at} [{items}]\n")]);
        }
        assert!(parse(&Arc::from("f.yml"), &bomb).is_err());
    }

    #[test]
    fn a_syntax_error_names_the_line_and_shows_no_content() {
        let (line, message) = parse(&Arc::from("f.yml"), "a: 1\npassword: hunter2\n  b: [\n").unwrap_err();
        assert!(line >= 2, "{line}");
        assert!(!message.contains("hunter2"), "{message}");
    }

    #[test]
    fn files_are_merged_deeply() {
        let mut tree = read("a: {x: 1, y: 2}\nl: [1]\n");
        tree.merge(read("a: {y: 3, z: 4}\nl: [2]\n"));
        assert_eq!(tree.to_json(), serde_json::json!({"a": {"x": 1, "y": 3, "z": 4}, "l": [2]}));
    }
}
