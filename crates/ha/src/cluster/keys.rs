//! Where a scope's keys are: `/<namespace>/<scope>/<name>`, Patroni's layout.

use kv::{Key, KeyRange};
use types::{MemberName, Scope};

/// Patroni's default for `namespace:`.
pub const NAMESPACE_DEFAULT: &str = "service";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// `namespace` may have slashes around it or not; `None`: `/service`.
    pub fn new(namespace: Option<&str>, scope: &Scope) -> Self {
        let namespace = namespace.unwrap_or(NAMESPACE_DEFAULT).trim_matches('/');
        Self { prefix: format!("/{namespace}/{scope}/") }
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    pub fn key(&self, name: &str) -> Key {
        format!("{}{name}", self.prefix).into_bytes()
    }

    pub fn leader(&self) -> Key {
        self.key("leader")
    }

    pub fn member(&self, name: &MemberName) -> Key {
        self.key(&format!("members/{name}"))
    }

    /// Every key of the scope.
    pub fn all(&self) -> KeyRange {
        let start = self.prefix.clone().into_bytes();
        let mut end = start.clone();
        // The prefix ends in '/', so raising its last byte gives the first key behind all of its keys.
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        KeyRange::Between(start, end)
    }

    /// The part of a key behind the prefix; `None` for keys of others.
    pub fn name_of<'a>(&self, key: &'a [u8]) -> Option<&'a str> {
        std::str::from_utf8(key).ok()?.strip_prefix(self.prefix.as_str())
    }
}
