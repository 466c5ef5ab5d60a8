//! One user.

use super::password::{hash, is_hash};
use super::rule::{About, Rule};
use crate::command::table::CommandSpec;
use ha::sentinel::glob;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub enabled: bool,
    /// `nopass`: every password is right.
    pub any_password: bool,
    /// SHA-256, hexadecimal, in the order they were given.
    pub passwords: Vec<String>,
    pub sanitize_payload: bool,
    /// `~pattern`, `%R~pattern`, as they were written. Kept for those who look; no command here has a key.
    pub keys: Vec<String>,
    pub channels: Vec<String>,
    rules: Vec<Rule>,
}

/// What a user was not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    Command,
    Channel(String),
}

impl User {
    /// What the default user is at first.
    pub fn everything() -> Self {
        Self {
            enabled: true,
            any_password: true,
            passwords: Vec::new(),
            sanitize_payload: true,
            keys: vec!["~*".to_owned()],
            channels: vec!["*".to_owned()],
            rules: vec![Rule { allow: true, about: About::All }],
        }
    }

    /// What a new user is at first.
    pub fn nothing(channels_open: bool) -> Self {
        Self {
            enabled: false,
            any_password: false,
            passwords: Vec::new(),
            sanitize_payload: true,
            keys: Vec::new(),
            channels: if channels_open { vec!["*".to_owned()] } else { Vec::new() },
            rules: vec![Rule { allow: false, about: About::All }],
        }
    }

    pub fn accepts(&self, password: &str) -> bool {
        // Both are digests, so how long the comparison takes says nothing about the password.
        self.any_password || self.passwords.contains(&hash(password))
    }

    /// Applies one word of ACL SETUSER.
    pub fn apply(&mut self, rule: &str, channels_open: bool) -> Result<(), String> {
        match rule.to_ascii_lowercase().as_str() {
            "on" => self.enabled = true,
            "off" => self.enabled = false,
            "nopass" => {
                self.any_password = true;
                self.passwords.clear();
            }
            "resetpass" => {
                self.any_password = false;
                self.passwords.clear();
            }
            "sanitize-payload" => self.sanitize_payload = true,
            "skip-sanitize-payload" => self.sanitize_payload = false,
            "allkeys" => self.keys = vec!["~*".to_owned()],
            "resetkeys" => self.keys.clear(),
            "allchannels" => self.channels = vec!["*".to_owned()],
            "resetchannels" => self.channels.clear(),
            "allcommands" => self.add(Rule { allow: true, about: About::All }),
            "nocommands" => self.add(Rule { allow: false, about: About::All }),
            "reset" => *self = Self::nothing(channels_open),
            "clearselectors" => {}
            _ => return self.apply_with_value(rule),
        }
        Ok(())
    }

    fn apply_with_value(&mut self, rule: &str) -> Result<(), String> {
        let mut characters = rule.chars();
        let first = characters.next();
        let value = characters.as_str();
        match first {
            Some('>') => self.add_password(hash(value)),
            Some('#') if is_hash(value) => self.add_password(value.to_owned()),
            Some('<') => self.remove_password(&hash(value))?,
            Some('!') if is_hash(value) => self.remove_password(value)?,
            Some('#' | '!') => {
                return Err(
                    "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
                        .to_owned(),
                );
            }
            Some('~') => self.add_keys(rule, rule == "~*")?,
            Some('%') if value.contains('~') => self.add_keys(rule, false)?,
            Some('&') => {
                if self.channels == ["*"] && value != "*" {
                    return Err("Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels".to_owned());
                }
                if value == "*" {
                    self.channels.clear();
                }
                if !self.channels.iter().any(|known| known == value) {
                    self.channels.push(value.to_owned());
                }
            }
            Some('+') => self.add(Rule::parse(true, value)?),
            Some('-') => self.add(Rule::parse(false, value)?),
            Some('(') => return Err("selectors are not supported by this sentinel".to_owned()),
            Some(_) | None => return Err("Syntax error".to_owned()),
        }
        Ok(())
    }

    fn add_password(&mut self, hash: String) {
        self.any_password = false;
        if !self.passwords.contains(&hash) {
            self.passwords.push(hash);
        }
    }

    fn remove_password(&mut self, hash: &str) -> Result<(), String> {
        let before = self.passwords.len();
        self.passwords.retain(|known| known != hash);
        if self.passwords.len() == before {
            return Err("The password you are trying to remove from the user does not exist".to_owned());
        }
        Ok(())
    }

    fn add_keys(&mut self, pattern: &str, all: bool) -> Result<(), String> {
        if self.keys == ["~*"] && !all {
            return Err("Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns".to_owned());
        }
        if all {
            self.keys.clear();
        }
        if !self.keys.iter().any(|known| known == pattern) {
            self.keys.push(pattern.to_owned());
        }
        Ok(())
    }

    /// What a new rule makes pointless is forgotten, so that a list of rules does not grow without end.
    fn add(&mut self, rule: Rule) {
        if rule.about == About::All {
            self.rules.clear();
        }
        self.rules.retain(|known| known.about != rule.about);
        if let About::Command(name) = &rule.about {
            self.rules.retain(|known| !matches!(&known.about, About::Subcommand(command, _) if command == name));
        }
        self.rules.push(rule);
    }

    /// The last rule that concerns the command decides.
    pub fn may_run(&self, command: &CommandSpec, subcommand: Option<&CommandSpec>) -> bool {
        let last = self.rules.iter().rev().find(|rule| rule.concerns(command, subcommand));
        last.is_some_and(|rule| rule.allow)
    }

    pub fn check(
        &self,
        command: &CommandSpec,
        subcommand: Option<&CommandSpec>,
        channels: &[&str],
        literal: bool,
    ) -> Result<(), Denied> {
        if !command.without_authentication() && !self.may_run(command, subcommand) {
            return Err(Denied::Command);
        }
        for channel in channels {
            let allowed = self.channels.iter().any(|pattern| {
                pattern == "*" || if literal { pattern == channel } else { glob::matches(pattern, channel, false) }
            });
            if !allowed {
                return Err(Denied::Channel((*channel).to_owned()));
            }
        }
        Ok(())
    }

    pub fn commands_text(&self) -> String {
        let begins_with_all = self.rules.first().is_some_and(|rule| rule.about == About::All);
        let mut words: Vec<String> = self.rules.iter().map(Rule::text).collect();
        if !begins_with_all {
            words.insert(0, "-@all".to_owned());
        }
        words.join(" ")
    }

    pub fn keys_text(&self) -> String {
        self.keys.join(" ")
    }

    pub fn channels_text(&self) -> String {
        self.channels.iter().map(|channel| format!("&{channel}")).collect::<Vec<_>>().join(" ")
    }

    /// The rules as ACL LIST shows them and files keep them.
    pub fn description(&self) -> String {
        let mut words = vec![if self.enabled { "on" } else { "off" }.to_owned()];
        if self.any_password {
            words.push("nopass".to_owned());
        }
        if !self.sanitize_payload {
            words.push("skip-sanitize-payload".to_owned());
        }
        words.extend(self.passwords.iter().map(|hash| format!("#{hash}")));
        if !self.keys.is_empty() {
            words.push(self.keys_text());
        }
        words.push(if self.channels.is_empty() { "resetchannels".to_owned() } else { self.channels_text() });
        words.push(self.commands_text());
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table::find;

    fn user(rules: &str) -> User {
        let mut user = User::nothing(false);
        for rule in rules.split_whitespace() {
            user.apply(rule, false).expect("a valid rule");
        }
        user
    }

    fn check(rules: &str, command: &str, allowed: bool) {
        let (name, sub) = command.split_once(' ').unwrap_or((command, ""));
        let spec = find(name).expect("a command");
        assert_eq!(user(rules).may_run(spec, spec.subcommand(sub)), allowed, "{rules}: {command}");
    }

    #[test]
    fn the_last_rule_that_concerns_a_command_decides() {
        check("", "ping", false);
        check("+ping", "ping", true);
        check("+@all -@dangerous", "info", false);
        check("+@all -@dangerous +info", "info", true);
        check("+sentinel|masters", "sentinel masters", true);
        check("+sentinel|masters", "sentinel master", false);
        check("+sentinel -sentinel|set", "sentinel set", false);
        check("+sentinel -sentinel|set", "sentinel masters", true);
        check("+@admin", "sentinel set", true);
        check("allcommands nocommands", "ping", false);
    }

    #[test]
    fn passwords_are_kept_as_digests() {
        let user = user("on >secret");
        assert!(user.accepts("secret"));
        assert!(!user.accepts("other"));
        assert_eq!(
            user.description(),
            "on #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b resetchannels -@all"
        );
    }

    #[test]
    fn channels_are_patterns_and_patterns_must_be_allowed_as_they_are() {
        let user = user("on +subscribe +psubscribe &+switch-*");
        let subscribe = find("subscribe").expect("a command");
        assert_eq!(user.check(subscribe, None, &["+switch-master"], false), Ok(()));
        assert_eq!(user.check(subscribe, None, &["+sdown"], false), Err(Denied::Channel("+sdown".to_owned())));
        let psubscribe = find("psubscribe").expect("a command");
        assert_eq!(user.check(psubscribe, None, &["+switch-*"], true), Ok(()));
        assert_eq!(user.check(psubscribe, None, &["*"], true), Err(Denied::Channel("*".to_owned())));
    }

    #[test]
    fn what_is_described_can_be_read_back() {
        let user = user("on >a >b ~x* &c* +@all -@dangerous +sentinel|masters");
        let mut again = User::nothing(false);
        for rule in user.description().split(' ') {
            again.apply(rule, false).expect("a valid rule");
        }
        assert_eq!(again, user);
    }

    #[test]
    fn nonsense_is_refused() {
        for rule in ["", "nonsense", "+@nonsense", "+sentinel|nonsense", "#abc", "<nobody", "(+ping)"] {
            assert!(User::nothing(false).apply(rule, false).is_err(), "{rule}");
        }
    }
}
