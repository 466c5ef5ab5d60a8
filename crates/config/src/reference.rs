//! The reference page, made from the table of keys.

use crate::check::join;
use crate::environment::variables;
use crate::schema::{Field, Kind, STORE_MEMBER, Support, TOP};
use std::collections::BTreeMap;
use std::fmt::Write;

/// All keys as Markdown tables, one for each section.
pub fn reference_markdown() -> String {
    let mut page = String::from(
        "# Configuration reference\n\n\
         One YAML file for each member, or a directory of `*.yml` files merged in the order of their names. Any\n\
         `patroni.yml` is understood; the sections `store`, `proxy`, `vip`, `redis` and `sentinel` are additions. A variable named below wins over\n\
         the files; `PATRONI_CONFIGURATION` holds a whole configuration. Unknown keys are errors.\n\n\
         The dynamic configuration (`bootstrap.dcs`, later `quorate edit-config`) is listed at the end.\n",
    );
    let variables: BTreeMap<String, String> = variables().into_iter().map(|(name, path)| (path, name)).collect();
    section("", TOP, &variables, &mut page);
    dynamic(&mut page);
    page
}

fn section(path: &str, fields: &[Field], variables: &BTreeMap<String, String>, page: &mut String) {
    let title = if path.is_empty() { "The top of the file".to_owned() } else { format!("`{path}`") };
    let _ = write!(page, "\n## {title}\n\n| key | takes | default | meaning | variable |\n|---|---|---|---|---|\n");
    for field in fields {
        let meaning = match field.support {
            Support::Full => field.doc.to_owned(),
            Support::Ignored(why) => format!("{} *Accepted, no effect: {why}.*", field.doc),
            Support::Later(hint) => format!("{} *Not supported yet: {hint}.*", field.doc),
        };
        let default = if field.default.is_empty() { String::new() } else { format!("`{}`", field.default) };
        let default = if field.default.contains([' ', ',']) { field.default.to_owned() } else { default };
        let variable = variables.get(&join(path, field.key)).map_or(String::new(), |name| format!("`{name}`"));
        let takes = takes(field.kind).replace('|', "\\|");
        let _ = writeln!(page, "| `{}` | {takes} | {default} | {} | {variable} |", field.key, meaning.trim());
    }
    for field in fields {
        let path = join(path, field.key);
        match field.kind {
            Kind::Section(fields) | Kind::Sections(fields) if !fields.is_empty() => {
                section(&path, fields, variables, page);
            }
            Kind::StoreMembers => section(&format!("{path}.<name>"), STORE_MEMBER, variables, page),
            Kind::Named(fields) => section(&format!("{path}.<name>"), fields, variables, page),
            _ => {}
        }
    }
}

fn takes(kind: Kind) -> String {
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Secret => "text, never printed".to_owned(),
        Kind::Path => "path".to_owned(),
        Kind::Flag => "true or false".to_owned(),
        Kind::Integer { min, max } => format!("{min} to {max}"),
        Kind::Seconds { min, max } => format!("{min} to {max} seconds"),
        Kind::Size { min, max } => format!("{min} to {max} bytes, or kB, MB, GB"),
        Kind::FileMode => "octal digits".to_owned(),
        Kind::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::Address { .. } => "host:port".to_owned(),
        Kind::Listen { .. } => "host[,host]:port".to_owned(),
        Kind::Words => "list".to_owned(),
        Kind::Lines => "list of lines".to_owned(),
        Kind::Options { .. } => "list of options".to_owned(),
        Kind::Values | Kind::Directives { .. } => "names and values".to_owned(),
        Kind::Section(_) => "section".to_owned(),
        Kind::Sections(_) => "section, or a list of them".to_owned(),
        Kind::Named(_) => "names and sections".to_owned(),
        Kind::StoreMembers => "members".to_owned(),
        Kind::Dynamic => "dynamic configuration".to_owned(),
        Kind::Anything => "anything".to_owned(),
    }
}

fn dynamic(page: &mut String) {
    page.push_str("\n## The dynamic configuration\n\n| key | takes |\n|---|---|\n");
    for key in ha::config::KEYS {
        let range = ha::config::RANGES.iter().find(|(name, ..)| name == key);
        let takes = match range {
            Some((_, min, max)) if *max > 1.0e9 => format!("at least {min}"),
            Some((_, min, max)) => format!("{min} to {max}"),
            None => String::new(),
        };
        let _ = writeln!(page, "| `{key}` | {takes} |");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_and_every_variable_is_on_the_page() {
        fn keys(fields: &[Field], found: &mut Vec<&'static str>) {
            for field in fields {
                found.push(field.key);
                if let Kind::Section(fields) | Kind::Sections(fields) = field.kind {
                    keys(fields, found);
                }
            }
        }
        let page = reference_markdown();
        let mut found = Vec::new();
        keys(TOP, &mut found);
        found.extend(ha::config::KEYS);
        for key in found {
            assert!(page.contains(&format!("| `{key}` |")), "{key}");
        }
        for (name, _) in variables() {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
        assert!(page.lines().filter(|line| line.starts_with("| `")).all(|line| !line.contains("|  | |  |")));
    }
}
