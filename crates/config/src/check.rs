//! The tree against the table of keys. Finds everything that can be said about one key alone; what concerns two keys
//! together is found where the types are built.

use crate::dynamic;
use crate::error::{Code, ConfigError, Report, problem};
use crate::place::Place;
use crate::schema::{self, Field, Kind, Support};
use crate::tree::{Map, Node, ScalarKind, Value};
use crate::{Address, parts};

/// How alike two names must be to be suggested. `listn` and `listen` are at 0.97, unrelated words below 0.7.
const ALIKE_MIN: f64 = 0.83;
/// A value longer than this is not repeated in a message.
const SHOWN_VALUE_CHARS_MAX: usize = 60;

pub(crate) fn check(tree: &Node, report: &mut Report) {
    let Some(map) = tree.map() else { return };
    Checker { report }.section("", map, schema::TOP, &[]);
}

/// Only these sections, and no complaint about others: what the command line reads of a file.
pub(crate) fn check_only(tree: &Node, keys: &[&str], report: &mut Report) {
    for field in schema::TOP.iter().filter(|field| keys.contains(&field.key)) {
        if let Some(entry) = tree.map().and_then(|map| map.get(field.key)) {
            Checker { report }.value(field.key, &entry.node, field.kind);
        }
    }
}

struct Checker<'a> {
    report: &'a mut Report,
}

impl Checker<'_> {
    fn fail(&mut self, code: Code, place: &Place, key: &str, message: impl Into<String>) {
        self.report.error(problem(code, place, key, message));
    }

    /// `more`: keys that are allowed here besides the table's, because another setting names them.
    fn section(&mut self, path: &str, map: &Map, fields: &[Field], more: &[String]) {
        for entry in map.overridden() {
            let key = join(path, &entry.key);
            self.report.warn(problem(Code::Duplicate, &entry.place, &key, "stands twice; the later one counts"));
        }
        for entry in map.effective() {
            let key = join(path, &entry.key);
            let Some(field) = fields.iter().find(|field| field.key == entry.key) else {
                if !more.contains(&entry.key) {
                    self.report.error(unknown(&entry.place, path, &entry.key, fields));
                }
                continue;
            };
            match field.support {
                Support::Full => self.value(&key, &entry.node, field.kind),
                Support::Ignored(_) | Support::Later(_) if entry.node.is_null() => {}
                Support::Ignored(why) => {
                    self.report.warn(problem(Code::Note, &entry.place, &key, format!("has no effect: {why}")));
                }
                Support::Later(hint) => {
                    self.report
                        .error(problem(Code::Unsupported, &entry.place, &key, "is not supported yet").hint(hint));
                }
            }
        }
    }

    fn value(&mut self, key: &str, node: &Node, kind: Kind) {
        // `key:` with nothing behind it is the same as leaving it out.
        if node.is_null() {
            return;
        }
        match kind {
            Kind::Text | Kind::Path | Kind::Secret => {
                if node.scalar().is_none() {
                    self.fail(Code::Type, &node.place, key, "must be a single value");
                }
            }
            Kind::Flag => {
                if parts::flag(node).is_none() {
                    let message = format!("{} is not a truth value; expected true or false", shown(node));
                    self.fail(Code::Type, &node.place, key, message);
                }
            }
            Kind::Integer { min, max } => match parts::integer(node) {
                Some(value) if (min..=max).contains(&value) => {}
                Some(value) => {
                    self.fail(
                        Code::Range,
                        &node.place,
                        key,
                        format!("{value} is out of range; expected {min} to {max}"),
                    );
                }
                None => {
                    let message = format!("{} is not a whole number; expected {min} to {max}", shown(node));
                    self.fail(Code::Type, &node.place, key, message);
                }
            },
            Kind::Seconds { min, max } => match parts::number(node) {
                Some(value) if (min..=max).contains(&value) => {}
                Some(value) => {
                    let message = format!("{value} is out of range; expected {min} to {max} seconds");
                    self.fail(Code::Range, &node.place, key, message);
                }
                None => {
                    let message = format!("{} is not a number; expected {min} to {max} seconds", shown(node));
                    self.fail(Code::Type, &node.place, key, message);
                }
            },
            Kind::Size { min, max } => match parts::size(node) {
                Some(value) if (min..=max).contains(&value) => {}
                Some(value) => {
                    let message = format!("{value} bytes is out of range; expected {min} to {max} bytes");
                    self.fail(Code::Range, &node.place, key, message);
                }
                None => {
                    let message =
                        format!("{} is not a size; expected bytes, or a number with kB, MB or GB", shown(node));
                    self.fail(Code::Type, &node.place, key, message);
                }
            },
            Kind::FileMode => {
                if node.scalar().is_none_or(|scalar| u32::from_str_radix(&scalar.text, 8).is_err()) {
                    let message = format!("{} is not a file mode; expected octal digits such as 0644", shown(node));
                    self.fail(Code::Type, &node.place, key, message);
                }
            }
            Kind::Choice(words) => {
                let known = node.scalar().is_some_and(|scalar| parts::choice(scalar, words).is_some());
                if !known {
                    let message = format!("{} is not accepted; expected {}", shown(node), one_of(words));
                    self.fail(Code::Range, &node.place, key, message);
                }
            }
            Kind::Address { port } => match node.scalar() {
                Some(scalar) => {
                    if let Err(error) = Address::parse(&scalar.text, port) {
                        self.fail(Code::Range, &node.place, key, error.to_string());
                    }
                }
                None => self.fail(Code::Type, &node.place, key, "must be an address, host:port"),
            },
            Kind::Listen { port } => match node.scalar() {
                Some(scalar) => {
                    if let Err(error) = parts::listen(&scalar.text, port) {
                        self.fail(Code::Range, &node.place, key, error.to_string());
                    }
                }
                None => self.fail(
                    Code::Type,
                    &node.place,
                    key,
                    "must be an address, host:port, or several hosts separated by commas",
                ),
            },
            Kind::Words => {
                if parts::words(node).is_none() {
                    self.fail(Code::Type, &node.place, key, "must be a list, or a text separated by commas");
                }
            }
            Kind::Lines => self.lines(key, node),
            Kind::Options { reserved } => self.options(key, node, reserved),
            Kind::Values => self.values(key, node),
            Kind::Directives { reserved } => self.directives(key, node, reserved),
            Kind::Named(fields) => self.named(key, node, fields),
            Kind::Sections(fields) => {
                let items = match &node.value {
                    Value::List(items) => items.as_slice(),
                    Value::Map(_) | Value::Scalar(_) | Value::Null => std::slice::from_ref(node),
                };
                for item in items {
                    self.value(key, item, Kind::Section(fields));
                }
            }
            Kind::Section(fields) => match node.map() {
                Some(map) => {
                    let more = if key == "postgresql" { parts::other_replica_methods(map) } else { Vec::new() };
                    let more =
                        if key == "bootstrap" { parts::bootstrap_method(map).into_iter().collect() } else { more };
                    self.section(key, map, fields, &more);
                }
                None => self.fail(Code::Type, &node.place, key, "must be a section (keys and values, indented)"),
            },
            Kind::StoreMembers => self.store_members(key, node),
            Kind::Dynamic => dynamic::check(key, node, self.report),
            Kind::Anything => {}
        }
    }

    fn lines(&mut self, key: &str, node: &Node) {
        let Value::List(items) = &node.value else {
            return self.fail(Code::Type, &node.place, key, "must be a list of lines");
        };
        for item in items.iter().filter(|item| item.scalar().is_none()) {
            self.fail(Code::Type, &item.place, key, "every line must be a text");
        }
    }

    fn values(&mut self, key: &str, node: &Node) {
        let Some(map) = node.map() else {
            return self.fail(Code::Type, &node.place, key, "must be a section (names and single values, indented)");
        };
        for entry in map.effective() {
            if matches!(entry.node.value, Value::List(_) | Value::Map(_)) {
                self.fail(Code::Type, &entry.place, &join(key, &entry.key), "must be a single value");
            }
        }
    }

    fn options(&mut self, key: &str, node: &Node, reserved: &[&str]) {
        let Some(options) = parts::options(node) else {
            let message = "must be a list of options: names, or `name: value`";
            return self.fail(Code::Type, &node.place, key, message);
        };
        for option in options.iter().filter(|option| reserved.contains(&option.name.as_str())) {
            self.fail(Code::Reserved, &option.place, &join(key, &option.name), "is set by the agent itself; remove it");
        }
    }

    fn directives(&mut self, key: &str, node: &Node, reserved: &[(&str, &str)]) {
        let Some(map) = node.map() else {
            return self.fail(
                Code::Type,
                &node.place,
                key,
                "must be a section (directives and their values, indented)",
            );
        };
        for entry in map.effective() {
            let name = join(key, &entry.key);
            if let Some((_, why)) = reserved.iter().find(|(name, _)| name.eq_ignore_ascii_case(&entry.key)) {
                let error = problem(Code::Reserved, &entry.place, &name, "is set by the agent itself; remove it");
                self.report.error(error.hint(*why));
            } else if parts::directive(&entry.node).is_none() {
                self.fail(
                    Code::Type,
                    &entry.place,
                    &name,
                    "must be a single value, or a list of them, of one line each",
                );
            } else if !entry.key.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter)) {
                self.fail(
                    Code::Range,
                    &entry.place,
                    &name,
                    "is not a directive's name (letters, digits, '-', '_', '.')",
                );
            }
        }
    }

    fn named(&mut self, key: &str, node: &Node, fields: &[Field]) {
        let Some(map) = node.map() else {
            return self.fail(Code::Type, &node.place, key, "must be a section: a name, and below it its keys");
        };
        for entry in map.overridden() {
            self.fail(Code::Duplicate, &entry.place, &join(key, &entry.key), "stands twice");
        }
        for entry in map.effective() {
            let key = join(key, &entry.key);
            match &entry.node.value {
                Value::Map(inner) => self.section(&key, inner, fields, &[]),
                Value::Null | Value::Scalar(_) | Value::List(_) => {
                    self.fail(Code::Type, &entry.place, &key, "must be a section (keys and values, indented)");
                }
            }
        }
    }

    fn store_members(&mut self, key: &str, node: &Node) {
        let Some(map) = node.map() else {
            let message = "must be a section: a line for each member, such as `pg1: 10.0.0.1`";
            return self.fail(Code::Type, &node.place, key, message);
        };
        for entry in map.overridden() {
            self.fail(
                Code::Duplicate,
                &entry.place,
                &join(key, &entry.key),
                "stands twice; every member has its own name",
            );
        }
        for entry in map.effective() {
            let key = join(key, &entry.key);
            match &entry.node.value {
                Value::Scalar(_) => {}
                Value::Map(member) => self.section(&key, member, parts::STORE_MEMBER, &[]),
                _ => self.fail(
                    Code::Type,
                    &entry.place,
                    &key,
                    "must be the member's address, or {address: .., witness: true}",
                ),
            }
        }
    }
}

pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The closest of the known names, when one is close.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    known
        .into_iter()
        .map(|known| (alike(&name, known), known))
        .filter(|(alike, _)| *alike >= ALIKE_MIN)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, known)| known)
}

/// One slip of the finger in a short word (`tll`) counts as much as a few in a long one.
fn alike(name: &str, known: &str) -> f64 {
    let slip = name.len() > 2 && strsim::osa_distance(name, known) == 1;
    strsim::jaro_winkler(name, known).max(if slip { ALIKE_MIN } else { 0.0 })
}

fn unknown(place: &Place, path: &str, key: &str, fields: &[Field]) -> ConfigError {
    let error = problem(Code::UnknownKey, place, &join(path, key), "unknown key");
    // The right word at the wrong place is the commonest mistake (indentation).
    let same_word = known_paths().into_iter().filter(|known| known.rsplit('.').next() == Some(key));
    // One below the section it was written in is meant rather than one of another.
    let (below, others): (Vec<String>, Vec<String>) =
        same_word.partition(|known| !path.is_empty() && known.starts_with(&join(path, "")));
    let elsewhere = below.into_iter().chain(others).next();
    let near = nearest(key, fields.iter().map(|field| field.key));
    match (near, elsewhere) {
        (Some(near), _) => error.hint(format!("did you mean '{near}'?")),
        (None, Some(known)) => error.hint(format!("'{known}' exists; is the indentation right?")),
        (None, None) => {
            let names: Vec<&str> = fields.iter().map(|field| field.key).collect();
            error.hint(format!("known keys: {}", names.join(", ")))
        }
    }
}

/// Every key of the table and of the dynamic configuration, as a path.
fn known_paths() -> Vec<String> {
    fn walk(path: &str, fields: &[Field], paths: &mut Vec<String>) {
        for field in fields {
            let path = join(path, field.key);
            if let Kind::Section(fields) | Kind::Sections(fields) = field.kind {
                walk(&path, fields, paths);
            }
            paths.push(path);
        }
    }
    let mut paths: Vec<String> = dynamic::keys().map(|key| format!("bootstrap.dcs.{key}")).collect();
    walk("", schema::TOP, &mut paths);
    paths
}

/// The value in quotes, when it is short and single.
pub(crate) fn shown(node: &Node) -> String {
    match &node.value {
        Value::Scalar(scalar) if scalar.text.chars().count() <= SHOWN_VALUE_CHARS_MAX => match scalar.kind {
            ScalarKind::Text | ScalarKind::Bool(_) => format!("'{}'", scalar.text),
            ScalarKind::Integer(_) | ScalarKind::Float(_) => scalar.text.clone(),
        },
        Value::Scalar(_) => "this text".to_owned(),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a section".to_owned(),
        Value::Null => "nothing".to_owned(),
    }
}

fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [word] => (*word).to_owned(),
        [words @ .., last] => format!("{} or {last}", words.join(", ")),
    }
}
