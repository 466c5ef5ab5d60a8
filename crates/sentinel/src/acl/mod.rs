//! Who may do what: users with passwords and rules, as Redis's ACLs.
//!
//! Deliberately less than Redis's where a Sentinel has nothing to protect: rules about keys are kept and shown, and never
//! refuse anything, because no command here takes a key. Selectors are refused.
//!
//! Invariant: a user that does not exist any more, or was switched off, has no connection.

mod file;
mod log;
mod password;
mod rule;
mod user;

pub use log::{AclLog, Denial, LogEntry};
pub use password::{generate, hash};
pub use user::{Denied, User};

use crate::command::table::CommandSpec;
use std::collections::BTreeMap;
use std::path::Path;

/// The user of connections that have not said who they are.
pub const DEFAULT_USER: &str = "default";

#[derive(Clone, Debug)]
pub struct Acl {
    users: BTreeMap<String, User>,
    channels_open: bool,
}

impl Acl {
    /// With the default user alone: everything is allowed, no password.
    pub fn new(channels_open: bool) -> Self {
        Self { users: BTreeMap::from([(DEFAULT_USER.to_owned(), User::everything())]), channels_open }
    }

    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    pub fn users(&self) -> impl Iterator<Item = (&str, &User)> {
        self.users.iter().map(|(name, user)| (name.as_str(), user))
    }

    /// Whether connections need no AUTH at all.
    pub fn is_open(&self) -> bool {
        self.user(DEFAULT_USER).is_some_and(|user| user.enabled && user.any_password)
    }

    /// Makes the user if need be and applies the rules in order, all or none.
    pub fn set_user(&mut self, name: &str, rules: &[String]) -> Result<(), String> {
        let mut user = match self.users.get(name) {
            Some(user) => user.clone(),
            None => User::nothing(self.channels_open),
        };
        for rule in rules {
            user.apply(rule, self.channels_open)
                .map_err(|why| format!("Error in ACL SETUSER modifier '{rule}': {why}"))?;
        }
        self.users.insert(name.to_owned(), user);
        Ok(())
    }

    /// `requirepass`: the default user's only password, or none.
    pub fn set_default_password(&mut self, password: Option<&str>) {
        let rules = match password {
            Some(password) => vec!["resetpass".to_owned(), format!(">{password}")],
            None => vec!["nopass".to_owned()],
        };
        // These rules cannot fail.
        let _ = self.set_user(DEFAULT_USER, &rules);
    }

    pub fn delete(&mut self, name: &str) -> bool {
        self.users.remove(name).is_some()
    }

    pub fn authenticate(&self, name: &str, password: &str) -> bool {
        self.user(name).is_some_and(|user| user.enabled && user.accepts(password))
    }

    /// May the user run this? `channels`: those the command names; `literal`: they are patterns, which must be allowed as
    /// they stand.
    pub fn check(
        &self,
        name: &str,
        command: &CommandSpec,
        subcommand: Option<&CommandSpec>,
        channels: &[&str],
        literal: bool,
    ) -> Result<(), Denied> {
        let user = self.user(name).ok_or(Denied::Command)?;
        user.check(command, subcommand, channels, literal)
    }

    pub fn load(path: &Path, channels_open: bool) -> Result<Self, String> {
        file::load(path, channels_open)
    }

    pub fn save(&self, path: &Path) -> std::io::Result<()> {
        file::save(self, path)
    }
}
