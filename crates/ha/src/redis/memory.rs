//! What a decision remembers for the next one. Small, plain and printable.

use super::decide::Job;
use std::collections::{BTreeMap, BTreeSet};
use types::{MemberName, Millis, Revision};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // notes that do not depend on each other
pub struct Memory {
    /// The revision of the first view. A leadership that began later began in the life of this memory, so that everything
    /// ever decided under it is known here.
    pub first_revision: Option<Revision>,
    /// The newest leadership this member has seen.
    pub last_epoch: Revision,
    pub leader_missing_since: Option<Millis>,
    /// As the leader: Redis is not serving since then, and nobody asked for it.
    pub down_since: Option<Millis>,
    /// The replicas that were online when this master last told.
    pub in_sync: BTreeSet<MemberName>,
    pub switchover: Option<Switchover>,
    /// This leadership was handed over or released by a write that may still be on its way: under it, nothing here is ever
    /// promoted again.
    pub given_up: Option<Revision>,
    /// This member led, and its claim has stood in every view since: nobody else can have led.
    pub unbroken: bool,
    /// A promotion was begun, and Redis has been seen neither as a master nor down since.
    pub promoting: bool,
    /// Redis was made a replica by a command that it confirmed, and no promotion was begun since.
    pub demoted: bool,
    /// Writes may wait for a switchover that was given up.
    pub unpause: bool,
    /// The promotion that was begun last was of a Redis without data.
    pub began_empty: bool,
    /// The key was taken without data, after nobody who had some came (or because an operator said so). Otherwise a leader
    /// that finds itself without data has lost them.
    pub took_without_data: bool,
    /// An operator forced this member to lead, although it has no data and others have.
    pub overrule_data: bool,
    /// The leadership from which this member's data certainly come: it led then, or its link to that leader was up.
    pub data_epoch: Option<Revision>,
    /// The master's data that was last written to `status`, and when.
    pub status_written: Option<(Millis, u64)>,
    pub entry_written_at: Millis,
    /// Failures in a row and the earliest next try, by kind of job.
    pub retries: BTreeMap<&'static str, Retry>,
    /// Stopping: nobody could take over, so Redis is stopped as the master.
    pub stop_as_master: bool,
}

/// A planned change of leadership, as the leader carries it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switchover {
    pub candidate: MemberName,
    /// The request's revision: a changed request ends this one. `None`: the agent itself wants it, because it stops.
    pub request: Option<Revision>,
    /// Also at the price of writes: nothing is paused, nobody is waited for.
    pub forced: bool,
    pub began: Millis,
    /// Writes wait until then at most.
    pub paused_until: Option<Millis>,
    pub stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Writes are about to wait.
    Pause,
    /// Writes wait; the candidate catches up.
    WaitOffset,
    /// The candidate has everything up to this offset; the master is about to step down.
    /// `None`: forced, however much it has.
    Demote { candidate_has: Option<u64> },
    /// The master is a replica since then, and its stream, which ends here for good, went on meanwhile.
    CatchUp { end: u64, since: Millis },
    /// The master is a replica for certain since then, and the key passes.
    HandOver { since: Millis },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    pub failures: u32,
    pub not_before: Millis,
}

/// After a failure the next try waits this long, doubled with every further failure up to the limit.
const RETRY_PAUSE: Millis = Millis(200);
const RETRY_PAUSE_MAX: Millis = Millis(10_000);

impl Memory {
    pub fn may_try(&self, job: &Job, now: Millis) -> bool {
        self.retries.get(job.kind()).is_none_or(|retry| retry.not_before <= now)
    }

    pub(super) fn failed(&mut self, job: &Job, now: Millis) {
        let retry = self.retries.entry(job.kind()).or_default();
        let pause = Millis(RETRY_PAUSE.0.saturating_mul(2u64.saturating_pow(retry.failures))).min(RETRY_PAUSE_MAX);
        *retry = Retry { failures: retry.failures.saturating_add(1), not_before: now + pause };
    }

    pub(super) fn succeeded(&mut self, job: &Job) {
        self.retries.remove(job.kind());
    }

    pub(super) fn failures(&self, kind: &str) -> u32 {
        self.retries.get(kind).map_or(0, |retry| retry.failures)
    }
}
