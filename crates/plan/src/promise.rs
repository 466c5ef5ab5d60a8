//! What the cluster puts first when servers are lost, and what that means in settings and in words: one table.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The question that matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Promise {
    NeverLoseACommit,
    #[default]
    StayWritable,
    Fastest,
}

/// A promise, in words and in the first dynamic configuration.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Terms {
    pub promise: Promise,
    /// As it stands in `cluster.yaml`.
    pub word: &'static str,
    pub title: &'static str,
    /// What every commit costs.
    pub commit: &'static str,
    /// When the primary's server is lost.
    pub primary_lost: &'static str,
    /// When the last replica is lost.
    pub replicas_lost: &'static str,
    pub synchronous_mode: bool,
    pub synchronous_mode_strict: bool,
    /// Seconds. The same for all of them: how soon a loss is noticed has nothing to do with what may be lost.
    pub ttl: f64,
    /// Bytes that a replica may have been behind at its last report and still take over.
    pub maximum_lag_on_failover: u64,
}

/// The defaults of the program, written down: whoever reads the configuration sees what holds.
const TTL_SECONDS: f64 = 1.5;
const LAG_BYTES_MAX: u64 = 1024 * 1024;

const TABLE: [Terms; 3] = [
    Terms {
        promise: Promise::NeverLoseACommit,
        word: "never-lose-a-commit",
        title: "Never lose a commit",
        commit: "A commit is confirmed when a second server has it on disk: about one round trip between the servers longer.",
        primary_lost: "Nothing that was confirmed is lost; writes go on after about two seconds.",
        replicas_lost: "Writes wait until a replica is back. Reading goes on.",
        synchronous_mode: true,
        synchronous_mode_strict: true,
        ttl: TTL_SECONDS,
        maximum_lag_on_failover: LAG_BYTES_MAX,
    },
    Terms {
        promise: Promise::StayWritable,
        word: "stay-writable",
        title: "Stay writable",
        commit: "A commit is confirmed when a second server has it on disk, as long as there is one.",
        primary_lost: "Nothing that was confirmed is lost, as long as a replica was there; writes go on after about two seconds.",
        replicas_lost: "The primary goes on alone. What it confirms from then on is lost if it is lost, too.",
        synchronous_mode: true,
        synchronous_mode_strict: false,
        ttl: TTL_SECONDS,
        maximum_lag_on_failover: LAG_BYTES_MAX,
    },
    Terms {
        promise: Promise::Fastest,
        word: "fastest",
        title: "Fastest",
        commit: "A commit is confirmed by the primary alone.",
        primary_lost: "The last moment's commits can be lost: usually milliseconds, never more than 1 MB of the write-ahead log by the last report. Writes go on after about two seconds.",
        replicas_lost: "Writes go on as before.",
        synchronous_mode: false,
        synchronous_mode_strict: false,
        ttl: TTL_SECONDS,
        maximum_lag_on_failover: LAG_BYTES_MAX,
    },
];

impl Promise {
    pub fn all() -> &'static [Terms] {
        &TABLE
    }

    pub fn terms(self) -> &'static Terms {
        match self {
            Self::NeverLoseACommit => &TABLE[0],
            Self::StayWritable => &TABLE[1],
            Self::Fastest => &TABLE[2],
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        TABLE.iter().find(|terms| terms.word == word).map(|terms| terms.promise)
    }
}

impl Terms {
    /// The part of `bootstrap.dcs` that keeps the promise.
    pub(crate) fn dynamic(&self) -> Value {
        json!({
            "ttl": self.ttl,
            "maximum_lag_on_failover": self.maximum_lag_on_failover,
            "synchronous_mode": self.synchronous_mode,
            "synchronous_mode_strict": self.synchronous_mode_strict,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_promise_stands_at_its_place_under_its_word() {
        for terms in Promise::all() {
            assert_eq!(terms.promise.terms(), terms);
            assert_eq!(Promise::parse(terms.word), Some(terms.promise));
            assert_eq!(serde_json::to_value(terms.promise).unwrap(), terms.word);
        }
        assert_eq!(Promise::parse("best"), None);
    }

    #[test]
    fn the_numbers_are_the_programs_own_defaults() {
        let defaults = ha::config::DynamicConfig::default();
        for terms in Promise::all() {
            let config = ha::config::DynamicConfig::from_value(&terms.dynamic()).unwrap();
            assert_eq!((config.ttl, config.maximum_lag_on_failover), (defaults.ttl, defaults.maximum_lag_on_failover));
        }
    }
}
