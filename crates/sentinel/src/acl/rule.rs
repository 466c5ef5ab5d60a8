//! One rule about commands: `+@all`, `-sentinel|set`, ...

use crate::command::table::{self, CATEGORIES, CommandSpec};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub allow: bool,
    pub about: About,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    All,
    Category(&'static str),
    /// A command with all its subcommands.
    Command(String),
    Subcommand(String, String),
}

impl Rule {
    /// The text after `+` or `-`.
    pub fn parse(allow: bool, text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        let about = match lower.strip_prefix('@') {
            Some("all") => About::All,
            Some(name) => About::Category(
                CATEGORIES
                    .iter()
                    .find(|category| **category == name)
                    .copied()
                    .ok_or("Unknown command or category name in ACL")?,
            ),
            None => match lower.split_once('|') {
                Some((_, "") | ("", _)) => return Err("Syntax error".to_owned()),
                Some((command, subcommand)) => {
                    let known = table::find(command).and_then(|command| command.subcommand(subcommand));
                    known.ok_or("Unknown command or category name in ACL")?;
                    About::Subcommand(command.to_owned(), subcommand.to_owned())
                }
                None if lower.is_empty() => return Err("Syntax error".to_owned()),
                None => {
                    table::find(&lower).ok_or("Unknown command or category name in ACL")?;
                    About::Command(lower)
                }
            },
        };
        Ok(Self { allow, about })
    }

    pub fn concerns(&self, command: &CommandSpec, subcommand: Option<&CommandSpec>) -> bool {
        match &self.about {
            About::All => true,
            About::Category(category) => subcommand.unwrap_or(command).categories.contains(category),
            About::Command(name) => name == command.name,
            About::Subcommand(name, sub) => {
                name == command.name && subcommand.is_some_and(|subcommand| subcommand.name == sub)
            }
        }
    }

    pub fn text(&self) -> String {
        let sign = if self.allow { '+' } else { '-' };
        match &self.about {
            About::All => format!("{sign}@all"),
            About::Category(category) => format!("{sign}@{category}"),
            About::Command(name) => format!("{sign}{name}"),
            About::Subcommand(name, sub) => format!("{sign}{name}|{sub}"),
        }
    }
}
