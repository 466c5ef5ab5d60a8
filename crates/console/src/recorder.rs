//! The last hour as this member saw it: samples for curves, and what happened with its reasons.
//!
//! Deliberately in memory only, and of this member alone: after a restart it begins anew, and another member has seen other
//! things. Both are rings of fixed length.

use crate::api::Api;
use ha::chronicle::happenings;
use ha::cluster::Cluster;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use types::MemberName;

/// Between two samples.
pub const SAMPLE_EVERY: Duration = Duration::from_secs(10);
/// An hour.
pub const SAMPLES_MAX: usize = 360;
/// A failover makes about ten; this is a bad week, and 50 kB.
pub const NOTES_MAX: usize = 300;
/// The longest note that is kept whole, in characters.
const NOTE_CHARS_MAX: usize = 500;
/// The counter of the proxies that is drawn.
const CONNECTIONS: &str = "quorate_proxy_connections";

#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Seconds since 1970.
    at: u64,
    leader: Option<MemberName>,
    /// The end of the leader's log in bytes, as it last told.
    position: u64,
    /// Bytes behind the leader, by replica.
    lag: BTreeMap<MemberName, u64>,
    /// Clients that are connected to this member's proxies.
    connections: Option<f64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Note {
    /// Milliseconds since 1970.
    at: u64,
    /// `decision`: why the member that answers does what it does; otherwise what happened in the cluster.
    code: &'static str,
    text: String,
}

#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Rings>>);

#[derive(Debug, Default)]
struct Rings {
    samples: VecDeque<Sample>,
    notes: VecDeque<Note>,
}

impl Recorder {
    /// Records until the agent ends.
    pub async fn run(self, api: Api) {
        let mut snapshots = api.snapshots.clone();
        let mut before: Option<Arc<Cluster>> = None;
        let mut decision = String::new();
        let mut ticks = tokio::time::interval(SAMPLE_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                changed = snapshots.changed() => if changed.is_err() { return },
                _ = ticks.tick() => {
                    self.sample(&api);
                    continue;
                }
            }
            let snapshot = snapshots.borrow_and_update().clone();
            if snapshot.cluster.revision.0 > 0 {
                if let Some(before) = &before {
                    for happening in happenings(before, &snapshot.cluster) {
                        self.note(happening.code(), happening.to_string());
                    }
                }
                before = Some(snapshot.cluster.clone());
            }
            let reasons = snapshot.explanation["here"].as_array().into_iter().flatten();
            let reasons: Vec<&str> = reasons.filter_map(serde_json::Value::as_str).collect();
            let now = reasons.join("; ");
            if !now.is_empty() && now != decision {
                self.note("decision", format!("{}: {now}", snapshot.me));
                decision = now;
            }
        }
    }

    fn sample(&self, api: &Api) {
        let snapshot = api.snapshot();
        let Some(cluster) = snapshot.known_cluster() else { return };
        let end = cluster.status.as_ref().map(|status| status.value.optime).unwrap_or_default();
        let replicas = cluster.members.iter().filter(|(name, _)| !cluster.is_leader(name));
        let ports = api.metrics.as_ref().map(|source| source()).unwrap_or_default();
        let ports = ports.iter().find(|family| family.name == CONNECTIONS);
        let sample = Sample {
            at: since_1970().as_secs(),
            leader: cluster.leader_name().cloned(),
            position: cluster.leader_member().map_or(end.0, |(_, member)| member.data.position().max(end).0),
            lag: replicas.map(|(name, member)| (name.clone(), member.data.position().behind(end))).collect(),
            connections: ports.map(|family| family.samples.iter().map(|sample| sample.value).sum()),
        };
        push(&mut self.rings().samples, sample, SAMPLES_MAX);
    }

    fn note(&self, code: &'static str, text: String) {
        let text = if text.chars().count() > NOTE_CHARS_MAX {
            text.chars().take(NOTE_CHARS_MAX).chain(['…']).collect()
        } else {
            text
        };
        let note = Note { at: since_1970().as_millis() as u64, code, text };
        push(&mut self.rings().notes, note, NOTES_MAX);
    }

    /// Oldest first.
    pub fn samples(&self) -> Vec<Sample> {
        self.rings().samples.iter().cloned().collect()
    }

    /// Newest first.
    pub fn notes(&self) -> Vec<Note> {
        self.rings().notes.iter().rev().cloned().collect()
    }

    fn rings(&self) -> MutexGuard<'_, Rings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner) // whole at every moment
    }
}

fn push<T>(ring: &mut VecDeque<T>, item: T, max: usize) {
    if ring.len() >= max {
        ring.pop_front();
    }
    ring.push_back(item);
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
