//! What was refused lately, for ACL LOG.

use std::collections::VecDeque;
use types::Millis;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    Command,
    Channel,
    Authentication,
}

impl Denial {
    pub fn word(&self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Channel => "channel",
            Self::Authentication => "auth",
        }
    }
}

#[derive(Clone, Debug)]
pub struct LogEntry {
    pub id: u64,
    pub count: u64,
    pub denial: Denial,
    /// The command, the channel, or AUTH.
    pub object: String,
    pub user: String,
    pub client: String,
    /// When it happened first and last, on the boot clock.
    pub created: Millis,
    pub updated: Millis,
}

/// Newest first, at most `acllog-max-len`.
#[derive(Debug)]
pub struct AclLog {
    entries: VecDeque<LogEntry>,
    max: usize,
    next: u64,
}

/// The same refusal within this time is counted, not listed again. Redis's number.
const SAME_WITHIN: Millis = Millis(60_000);

impl AclLog {
    pub fn new(max: usize) -> Self {
        Self { entries: VecDeque::new(), max, next: 0 }
    }

    pub fn add(&mut self, now: Millis, denial: Denial, object: &str, user: &str, client: String) {
        let same = self.entries.iter_mut().find(|entry| {
            entry.denial == denial
                && entry.object == object
                && entry.user == user
                && now.since(entry.updated) < SAME_WITHIN
        });
        if let Some(entry) = same {
            entry.count += 1;
            entry.updated = now;
            entry.client = client;
            return;
        }
        let entry = LogEntry {
            id: self.next,
            count: 1,
            denial,
            object: object.to_owned(),
            user: user.to_owned(),
            client,
            created: now,
            updated: now,
        };
        self.next += 1;
        self.entries.push_front(entry);
        self.entries.truncate(self.max);
    }

    pub fn entries(&self) -> impl Iterator<Item = &LogEntry> {
        self.entries.iter()
    }

    pub fn clear(&mut self) {
        self.entries.clear();
    }
}
