//! Options for PostgreSQL's tools as the configuration lists them, and commands as a person writes them.
//!
//! Deliberately no shell: a command is split into words and run directly. The invariant: an option that the agent sets
//! itself cannot be overridden from the configuration.

use crate::error::{Error, Result};
use serde::{Deserialize, Deserializer, de};
use std::{ffi::OsString, fmt};

/// `data-checksums` or `encoding: UTF8`, without the leading dashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolOption {
    Flag(String),
    Value(String, String),
}

impl ToolOption {
    fn name(&self) -> &str {
        match self {
            Self::Flag(name) | Self::Value(name, _) => name,
        }
    }

    /// `--name` or `--name=value`.
    pub fn to_arg(&self) -> String {
        match self {
            Self::Flag(name) => format!("--{name}"),
            Self::Value(name, value) => format!("--{name}={value}"),
        }
    }
}

/// `reserved` are the options the agent sets itself.
pub(crate) fn to_args(tool: &str, options: &[ToolOption], reserved: &[&str]) -> Result<Vec<OsString>> {
    options
        .iter()
        .map(|option| {
            let name = option.name();
            let refuse = |why: &str| Error::Setting { name: format!("{tool}: {name}"), why: why.to_owned() };
            if reserved.contains(&name) {
                return Err(refuse("the agent sets this option itself"));
            }
            let shaped = |character: char| character.is_ascii_alphanumeric() || character == '-';
            if name.is_empty() || name.starts_with('-') || !name.chars().all(shaped) {
                return Err(refuse("expected the name of a long option, without dashes in front"));
            }
            Ok(option.to_arg().into())
        })
        .collect()
}

/// A list as in `patroni.yml`: strings and one-entry maps, or one map for all. `true` or nothing makes a flag, `false`
/// leaves the option out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolOptions(pub Vec<ToolOption>);

impl<'de> Deserialize<'de> for ToolOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Vec<ToolOption>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("options such as [data-checksums, {encoding: UTF8}]")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Vec::new())
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
                Ok(vec![ToolOption::Flag(name.to_owned())])
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(ToolOptions(mut some)) = items.next_element()? {
                    all.append(&mut some);
                }
                Ok(all)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some((name, value)) = entries.next_entry::<String, serde_json::Value>()? {
                    match value {
                        serde_json::Value::Null | serde_json::Value::Bool(true) => all.push(ToolOption::Flag(name)),
                        serde_json::Value::Bool(false) => {}
                        serde_json::Value::String(text) => all.push(ToolOption::Value(name, text)),
                        serde_json::Value::Number(number) => all.push(ToolOption::Value(name, number.to_string())),
                        serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
                            return Err(de::Error::custom(format!("the option '{name}' takes one value")));
                        }
                    }
                }
                Ok(all)
            }
        }
        deserializer.deserialize_any(Visitor).map(Self)
    }
}

/// Splits a command into words as a POSIX shell would: quotes group, a backslash outside single quotes takes the next
/// character as it is (not on Windows, where it separates folders). `None` when a quote is not closed.
pub(crate) fn split_command(command: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = command.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') if !cfg!(windows) => word.get_or_insert_default().push(characters.next()?),
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_patronis_lists_is_read() -> Result<(), serde_json::Error> {
        let flag = |name: &str| ToolOption::Flag(name.to_owned());
        let value = |name: &str, value: &str| ToolOption::Value(name.to_owned(), value.to_owned());
        for (json, expected) in [
            (
                r#"[{"encoding": "UTF8"}, "data-checksums", {"wal-segsize": 16, "x": false}]"#,
                vec![value("encoding", "UTF8"), flag("data-checksums"), value("wal-segsize", "16")],
            ),
            (
                r#"{"locale": "C.UTF-8", "verbose": null, "k": true}"#,
                vec![value("locale", "C.UTF-8"), flag("verbose"), flag("k")],
            ),
            ("null", vec![]),
            ("[]", vec![]),
        ] {
            let mut read: ToolOptions = serde_json::from_str(json)?;
            read.0.sort_by(|a, b| a.name().cmp(b.name()));
            let mut expected = expected;
            expected.sort_by(|a, b| a.name().cmp(b.name()));
            assert_eq!(read.0, expected, "{json}");
        }
        assert!(serde_json::from_str::<ToolOptions>(r#"[{"a": [1]}]"#).is_err());
        assert!(serde_json::from_str::<ToolOptions>("3").is_err());
        Ok(())
    }

    #[test]
    fn the_agents_own_options_and_malformed_ones_are_refused() {
        let flag = |name: &str| [ToolOption::Flag(name.to_owned())];
        for bad in ["pgdata", "-D", "--waldir", "a b", "", "x=y"] {
            assert!(to_args("initdb", &flag(bad), &["pgdata"]).is_err(), "{bad}");
        }
        assert_eq!(to_args("initdb", &flag("data-checksums"), &["pgdata"]).ok(), Some(vec!["--data-checksums".into()]));
    }

    #[test]
    fn commands_are_split_as_a_shell_would() {
        for (command, words) in [
            ("/bin/setup --x=1", Some(vec!["/bin/setup", "--x=1"])),
            (r#"a 'b "c' "d e" """#, Some(vec!["a", "b \"c", "d e", ""])),
            ("  ", Some(vec![])),
            ("a 'b", None),
        ] {
            let words = words.map(|words: Vec<&str>| words.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(split_command(command), words, "{command}");
        }
        if !cfg!(windows) {
            assert_eq!(split_command(r"a\ b"), Some(vec!["a b".to_owned()]));
        }
    }
}
