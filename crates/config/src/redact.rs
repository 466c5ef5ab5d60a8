//! A configuration, and any other text, without what is secret in it: for people who ask for help.
//!
//! Deliberately removes too much rather than too little. The invariants: a value whose key the table calls secret is never
//! in the result, a key that the table does not know loses its value, and a text loses the password of every connection
//! string in it.

use crate::error::Report;
use crate::schema::{Field, Kind, STORE_MEMBER, TOP};
use crate::tree::{Node, Value};
use crate::{ConfigErrors, environment, read, yaml_from_json};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Stands in the place of what was removed.
pub const REMOVED: &str = "(removed)";
/// A shorter secret is no word that could be looked for in other texts; it is removed where it is known to be one.
const SEARCHED_LENGTH_MIN: usize = 6;
/// Parts of names whose values are secret, where there is no table of keys.
const SECRET_PARTS: [&str; 11] = [
    "passw",
    "passphrase",
    "secret",
    "token",
    "credential",
    "pwd",
    "masterauth",
    "api_key",
    "apikey",
    "access_key",
    "private_key",
];
/// Names that only look like it.
const HARMLESS: [&str; 2] = ["password_encryption", "server_tokens"];
/// Directives of Redis whose values are secret in another way: users with their passwords, and commands under new names.
const SECRET_DIRECTIVES: [&str; 2] = ["user", "rename-command"];

/// A configuration that can be shown, and the secrets that were in it, to be looked for elsewhere.
pub struct Redacted {
    /// YAML, without comments.
    pub text: String,
    secrets: BTreeSet<String>,
}

/// Reads a configuration as [`crate::load`] does; it may be wrong, as long as it is YAML.
pub fn redacted(path: &Path, env: &BTreeMap<String, String>) -> Result<Redacted, ConfigErrors> {
    let mut report = Report::default();
    let Some(mut tree) = read::from_path(path, &mut report) else { return Err(report.into_errors()) };
    environment::overlay(&mut tree, env, &mut report);
    Ok(of_tree(&tree))
}

fn of_tree(tree: &Node) -> Redacted {
    let mut walk = Walk::default();
    let shown = walk.section(tree, TOP);
    // A password that stands openly elsewhere, such as "postgres", is a word like any other.
    let secrets = walk.secrets.difference(&walk.open).filter(|text| text.len() >= SEARCHED_LENGTH_MIN).cloned();
    let secrets: BTreeSet<String> = secrets.collect();
    let text = without(&yaml_from_json(&shown), &secrets);
    Redacted { text, secrets }
}

impl Redacted {
    /// Any other text, such as a log, without secrets: neither this configuration's nor those in connection strings.
    pub fn clean(&self, text: &str) -> String {
        clean_text(&without(text, &self.secrets))
    }

    /// The same for JSON, where also names tell what is secret.
    pub fn clean_json(&self, value: &Json) -> Json {
        clean_json_with(value, &|text| self.clean(text))
    }
}

fn without(text: &str, secrets: &BTreeSet<String>) -> String {
    let mut longest_first: Vec<&String> = secrets.iter().collect();
    longest_first.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    longest_first.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), REMOVED))
}

#[derive(Default)]
struct Walk {
    secrets: BTreeSet<String>,
    /// Values that are no secret.
    open: BTreeSet<String>,
}

impl Walk {
    fn section(&mut self, node: &Node, fields: &'static [Field]) -> Json {
        let Value::Map(map) = &node.value else { return self.free(node) };
        let entries = map.effective().map(|entry| {
            let shown = match fields.iter().find(|field| field.key == entry.key) {
                Some(field) => self.field(&entry.node, field.kind),
                None => self.remove(&entry.node),
            };
            (entry.key.clone(), shown)
        });
        Json::Object(entries.collect())
    }

    fn field(&mut self, node: &Node, kind: Kind) -> Json {
        match kind {
            // Of a section that is refused nothing is known.
            Kind::Secret | Kind::Section([]) => self.remove(node),
            Kind::Section(fields) => self.section(node, fields),
            Kind::Sections(fields) => match &node.value {
                Value::List(items) => Json::Array(items.iter().map(|item| self.section(item, fields)).collect()),
                _ => self.section(node, fields),
            },
            Kind::Named(fields) => self.named(node, fields),
            Kind::StoreMembers => self.named(node, STORE_MEMBER),
            Kind::Directives { .. } => {
                let Value::Map(map) = &node.value else { return self.free(node) };
                let entries = map.effective().map(|entry| {
                    let secret = SECRET_DIRECTIVES.contains(&entry.key.to_lowercase().as_str());
                    let secret = secret || is_secret_name(&entry.key);
                    let shown = if secret { self.remove(&entry.node) } else { self.free(&entry.node) };
                    (entry.key.clone(), shown)
                });
                Json::Object(entries.collect())
            }
            Kind::Text
            | Kind::Path
            | Kind::Flag
            | Kind::Integer { .. }
            | Kind::Seconds { .. }
            | Kind::Size { .. }
            | Kind::FileMode
            | Kind::Choice(_)
            | Kind::Address { .. }
            | Kind::Listen { .. }
            | Kind::Words
            | Kind::Lines
            | Kind::Options { .. }
            | Kind::Values
            | Kind::Dynamic
            | Kind::Anything => self.free(node),
        }
    }

    /// A mapping of the user's own names to sections.
    fn named(&mut self, node: &Node, fields: &'static [Field]) -> Json {
        let Value::Map(map) = &node.value else { return self.free(node) };
        let entries = map.effective().map(|entry| (entry.key.clone(), self.section(&entry.node, fields)));
        Json::Object(entries.collect())
    }

    /// A value without a table of its keys: names tell.
    fn free(&mut self, node: &Node) -> Json {
        match &node.value {
            Value::Map(map) => {
                let entries = map.effective().map(|entry| {
                    let secret = is_secret_name(&entry.key);
                    let shown = if secret { self.remove(&entry.node) } else { self.free(&entry.node) };
                    (entry.key.clone(), shown)
                });
                Json::Object(entries.collect())
            }
            Value::List(items) => Json::Array(items.iter().map(|item| self.free(item)).collect()),
            Value::Scalar(scalar) => {
                self.open.insert(scalar.text.clone());
                clean_json(&node.to_json())
            }
            Value::Null => Json::Null,
        }
    }

    fn remove(&mut self, node: &Node) -> Json {
        match &node.value {
            Value::Map(map) => map.effective().for_each(|entry| drop(self.remove(&entry.node))),
            Value::List(items) => items.iter().for_each(|item| drop(self.remove(item))),
            Value::Scalar(scalar) => drop(self.secrets.insert(scalar.text.clone())),
            Value::Null => {}
        }
        Json::String(REMOVED.to_owned())
    }
}

/// Values under names that say so, and the passwords in connection strings.
pub fn clean_json(value: &Json) -> Json {
    clean_json_with(value, &clean_text)
}

fn clean_json_with(value: &Json, clean: &dyn Fn(&str) -> String) -> Json {
    match value {
        Json::Object(map) => {
            let entries = map.iter().map(|(key, value)| {
                let shown =
                    if is_secret_name(key) { Json::String(REMOVED.to_owned()) } else { clean_json_with(value, clean) };
                (key.clone(), shown)
            });
            Json::Object(entries.collect())
        }
        Json::Array(items) => Json::Array(items.iter().map(|item| clean_json_with(item, clean)).collect()),
        Json::String(text) => Json::String(clean(text)),
        Json::Null | Json::Bool(_) | Json::Number(_) => value.clone(),
    }
}

/// The text without the passwords of URLs (`scheme://user:password@host`) and of settings (`password=..`, `PGPASSWORD=..`,
/// `--password ..`, `"password": ".."`).
pub fn clean_text(text: &str) -> String {
    without_settings(&without_user_information(&without_tokens(text)))
}

/// Tokens of `quorate token` begin so.
const TOKEN_BEGINS: &str = "qt1_";

fn without_tokens(text: &str) -> String {
    let is_of_a_token = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(TOKEN_BEGINS) {
        let (before, token) = rest.split_at(at);
        shown.extend([before, REMOVED]);
        rest = token.trim_start_matches(is_of_a_token);
    }
    shown + rest
}

fn is_secret_name(name: &str) -> bool {
    let name = name.trim_start_matches('-').to_lowercase().replace('-', "_");
    if HARMLESS.contains(&name.as_str()) {
        return false;
    }
    name.ends_with("pass") || SECRET_PARTS.iter().any(|part| name.contains(part))
}

fn without_user_information(text: &str) -> String {
    const BEGINS: &str = "://";
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(BEGINS) {
        let (before, behind) = rest.split_at(at + BEGINS.len());
        shown.push_str(before);
        let end = behind.find(|letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '<' | '>'));
        let (url, after) = behind.split_at(end.unwrap_or(behind.len()));
        // A password may have any letter in it that does not end the URL, so its end is the last sign for it.
        match url.rsplit_once('@').and_then(|(user, host)| Some((user.split_once(':')?.0, host))) {
            Some((user, host)) => shown.extend([user, ":", REMOVED, "@", host]),
            None => shown.push_str(url),
        }
        rest = after;
    }
    shown + rest
}

fn without_settings(text: &str) -> String {
    let is_of_a_word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find(is_of_a_word) {
        let (before, behind) = rest.split_at(begin);
        shown.push_str(before);
        let (word, after) = behind.split_at(behind.find(|letter| !is_of_a_word(letter)).unwrap_or(behind.len()));
        shown.push_str(word);
        rest = after;
        if !is_secret_name(word) {
            continue;
        }
        let Some(sign) = sign_length(word, after) else { continue };
        let (sign, value) = after.split_at(sign);
        let length = value_length(value);
        if length > 0 {
            shown.push_str(sign);
            shown.push_str(REMOVED);
            rest = &value[length..];
        }
    }
    shown + rest
}

/// How long what stands between a name and its value is, with a quote that opens the value; `None`: no value follows.
fn sign_length(word: &str, after: &str) -> Option<usize> {
    let unquoted = after.trim_start_matches(['"', '\'']);
    let sign = unquoted.trim_start_matches([' ', '\t']);
    let value = match sign.strip_prefix(['=', ':']) {
        Some(value) => value.trim_start_matches([' ', '\t']),
        // On a command line, and in SQL.
        None if sign.len() < unquoted.len() && (word.starts_with("--") || sign.starts_with('\'')) => sign,
        None => return None,
    };
    Some(after.len() - value.len())
}

/// Up to its closing quote, or up to the next space; a backslash takes the meaning of what is behind it.
fn value_length(value: &str) -> usize {
    // What was removed before stays as it is.
    if value.starts_with(REMOVED) {
        return REMOVED.len();
    }
    let quote = value.chars().next().filter(|letter| matches!(letter, '"' | '\''));
    let mut escaped = false;
    for (at, letter) in value.char_indices().skip(usize::from(quote.is_some())) {
        if escaped {
            escaped = false;
        } else if letter == '\\' {
            escaped = true;
        } else if Some(letter) == quote {
            // Two of them are one that does not close.
            if value[at + 1..].starts_with(letter) {
                escaped = true;
            } else {
                return at + 1;
            }
        } else if quote.is_none() && (letter.is_whitespace() || matches!(letter, '"' | '\'')) {
            return at;
        }
    }
    value.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn shown(yaml: &str) -> Redacted {
        of_tree(&crate::tree::parse(&Arc::from("f.yml"), yaml).unwrap())
    }

    #[test]
    fn connection_strings_lose_their_passwords_and_nothing_else() {
        for (text, expected) in [
            ("postgresql://app:hunter2@db:5432/shop", "postgresql://app:(removed)@db:5432/shop"),
            ("postgresql://app:p@ss/w:rd@db/shop?a=b", "postgresql://app:(removed)@db/shop?a=b"),
            ("redis://:hunter2@h:6379/0 and more", "redis://:(removed)@h:6379/0 and more"),
            ("http://10.0.0.1:8008/patroni", "http://10.0.0.1:8008/patroni"),
            ("host=a user=b password=hunter2 dbname=c", "host=a user=b password=(removed) dbname=c"),
            ("password = 'it''s x\\' y' host=a", "password = (removed) host=a"),
            ("ALTER ROLE a PASSWORD 'hunter 2' LOGIN", "ALTER ROLE a PASSWORD (removed) LOGIN"),
            ("sslpassword=a\\ b host=c", "sslpassword=(removed) host=c"),
            ("PGPASSWORD=hunter2 pg_dump", "PGPASSWORD=(removed) pg_dump"),
            ("AWS_SECRET_ACCESS_KEY=x/y+z wal-g", "AWS_SECRET_ACCESS_KEY=(removed) wal-g"),
            ("tool --password hunter2 --user me", "tool --password (removed) --user me"),
            ("{\"password\": \"hun\\\"ter\", \"user\": \"me\"}", "{\"password\": (removed), \"user\": \"me\"}"),
            ("ldapbindpasswd=\"hunter 2\" x", "ldapbindpasswd=(removed) x"),
            ("requirepass: hunter2", "requirepass: (removed)"),
            ("quorate join 10.0.0.1 qt1_aB-_9 --run", "quorate join 10.0.0.1 (removed) --run"),
            ("FATAL:  password authentication failed for user x", "FATAL:  password authentication failed for user x"),
            ("password_encryption = scram-sha-256", "password_encryption = scram-sha-256"),
        ] {
            let cleaned = clean_text(text);
            assert_eq!(cleaned, expected, "{text}");
            assert_eq!(clean_text(&cleaned), cleaned, "again: {text}");
        }
    }

    #[test]
    fn every_key_that_the_table_calls_secret_is_removed() {
        /// Fills every key of the sections; secret ones with a value that tells its path.
        fn fill(fields: &[Field], path: &str, planted: &mut Vec<String>) -> Json {
            let mut map = serde_json::Map::new();
            for field in fields {
                let path = format!("{path}.{}", field.key);
                let value = match field.kind {
                    Kind::Secret => {
                        planted.push(format!("planted{}", planted.len()));
                        Json::String(planted[planted.len() - 1].clone())
                    }
                    Kind::Section(fields) => fill(fields, &path, planted),
                    Kind::Sections(fields) => Json::Array(vec![fill(fields, &path, planted)]),
                    Kind::Named(fields) => serde_json::json!({ "own": fill(fields, &path, planted) }),
                    Kind::Values | Kind::Anything | Kind::Dynamic | Kind::Directives { .. } => {
                        planted.push(format!("planted{}", planted.len()));
                        let planted = &planted[planted.len() - 1];
                        serde_json::json!({
                            "password": planted, "requirepass": planted, "kept": "open value",
                            "conninfo": format!("host=h password={planted} user=u"),
                            "uri": format!("postgresql://u:{planted}@h/d"),
                            "users": { "admin": { "password": planted } },
                        })
                    }
                    _ => continue,
                };
                map.insert(field.key.to_owned(), value);
            }
            Json::Object(map)
        }
        let mut planted = Vec::new();
        let all = fill(TOP, "", &mut planted);
        assert!(planted.len() > 10, "{planted:?}");
        let result = shown(&yaml_from_json(&all));
        assert!(!result.text.contains("planted"), "{}", result.text);
        assert!(result.text.contains("open value"));
        for secret in &planted {
            assert_eq!(result.clean(&format!("a log line with {secret}.")), "a log line with (removed).");
        }
        assert_eq!(
            result.clean_json(&serde_json::json!({"name": planted[0], "dsn": "x://u:p@h", "n": 1})),
            serde_json::json!({"name": REMOVED, "dsn": "x://u:(removed)@h", "n": 1})
        );
    }

    #[test]
    fn what_the_table_does_not_know_loses_its_value() {
        let result = shown(
            "scope: demo\nmy_own: {a: hunter2}\ncitus: {group: 1}\nredis: {parameters: {user: ['a on >hunter3 ~*'], maxmemory: 1gb}}\n",
        );
        assert!(!result.text.contains("hunter"), "{}", result.text);
        assert!(result.text.contains("scope: demo") && result.text.contains("my_own: (removed)"), "{}", result.text);
        assert!(result.text.contains("maxmemory: 1gb"), "{}", result.text);
    }

    #[test]
    fn a_password_that_is_a_common_word_of_the_file_is_not_looked_for_elsewhere() {
        let result = shown("postgresql:\n  authentication:\n    superuser: {username: postgres, password: postgres}\n");
        assert_eq!(
            result.text,
            "postgresql:\n  authentication:\n    superuser:\n      password: (removed)\n      username: postgres\n"
        );
        assert_eq!(result.clean("user postgres"), "user postgres");
    }
}
