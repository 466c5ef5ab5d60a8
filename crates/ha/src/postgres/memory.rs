//! What a decision remembers for the next one. Small, plain and printable.

use super::Source;
use super::decide::Job;
use super::failsafe::FailsafeMemory;
use std::collections::{BTreeMap, BTreeSet};
use types::{Lsn, MemberName, Millis, Revision, Timeline};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // notes that do not depend on each other
pub struct Memory {
    /// The leadership this member last saw.
    pub last_epoch: Revision,
    pub leader_missing_since: Option<Millis>,
    /// As the leader: PostgreSQL is not serving since then, and nobody asked for it.
    pub down_since: Option<Millis>,
    /// As a replica: not streaming from the leader since then.
    pub not_streaming_since: Option<Millis>,
    /// The synchronous standbys that PostgreSQL enforces, and the end of WAL when that was first seen.
    pub enforced: Option<Enforced>,
    /// As the leader in synchronous mode: the newest write of `/sync` that may still be on its way.
    pub sync_sent: Option<SyncSent>,
    /// PostgreSQL is to start again as the primary, and `/sync` of this revision is being written anew before.
    pub sync_settling: Option<Revision>,
    /// The `synchronous_standby_names` that were asked for last.
    pub names_asked: Option<String>,
    pub switchover: Option<Switchover>,
    /// As a leader whose agent ends: it asked for a switchover then.
    pub leaving_since: Option<Millis>,
    /// Failures in a row and the earliest next try, by kind of job.
    pub retries: BTreeMap<&'static str, Retry>,
    /// The data directory is to be made anew from the leader, because rewinding failed or somebody asked.
    pub needs_clone: bool,
    /// `rejoin` looked at the data directory and found it fit to follow on this timeline.
    pub rejoined: Option<Timeline>,
    /// The data directory was copied from there or rewound to it, and PostgreSQL does not come up before it has the rest of the log.
    pub completed_by: Option<Source>,
    /// The release of this leadership was decided, so it is over, whatever an older view says.
    pub released: Option<Revision>,
    /// This member led, and its claim has stood in every view since, or the others' promises: nobody else can have led.
    pub unbroken: bool,
    /// A promotion was begun, and PostgreSQL has been seen neither promoted nor down since.
    pub promoting: bool,
    /// As a replica: PostgreSQL is starting since then.
    pub starting_since: Option<Millis>,
    /// Starts as a replica that ended with a stop because it did not stream.
    pub futile_starts: u32,
    /// Slots made for members, and when the member was last seen.
    pub member_slots: BTreeMap<String, Millis>,
    pub status_written: Option<(Millis, Lsn)>,
    pub entry_written_at: Millis,
    /// The operator's restart or reinitialization that is under way.
    pub restarting: bool,
    /// As a standby leader: stopped to be brought to the remote primary's history.
    pub realigning: bool,
    pub failsafe: FailsafeMemory,
}

/// A write of `/sync` that was decided: it may reach the store at any time, as long as the key has this revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncSent {
    pub expected: Option<Revision>,
    pub standbys: BTreeSet<MemberName>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enforced {
    pub names: String,
    pub since_lsn: Lsn,
}

/// A planned change of leadership, as the leader carries it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switchover {
    pub candidate: MemberName,
    /// The request's revision: a changed request ends this one.
    pub request: Revision,
    pub stage: SwitchoverStage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchoverStage {
    Checkpoint,
    /// Proxies and connection poolers hold clients; since then.
    Hold {
        since: Millis,
    },
    Stop,
}

impl Switchover {
    /// The request for which proxies and connection poolers are to hold clients.
    pub(super) fn holds_clients(&self) -> Option<Revision> {
        match self.stage {
            SwitchoverStage::Checkpoint => None,
            SwitchoverStage::Hold { .. } | SwitchoverStage::Stop => Some(self.request),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    pub failures: u32,
    pub not_before: Millis,
}

/// After a failure the next try waits this long, doubled with every further failure up to the limit.
const RETRY_PAUSE: Millis = Millis(500);
const RETRY_PAUSE_MAX: Millis = Millis(30_000);

impl Memory {
    pub fn may_try(&self, job: &Job, now: Millis) -> bool {
        self.retries.get(job.kind()).is_none_or(|retry| retry.not_before <= now)
    }

    pub(super) fn failed(&mut self, job: &Job, now: Millis) {
        let retry = self.retries.entry(job.kind()).or_default();
        let pause = Millis(RETRY_PAUSE.0.saturating_shl(retry.failures)).min(RETRY_PAUSE_MAX);
        *retry = Retry { failures: retry.failures.saturating_add(1), not_before: now + pause };
    }

    pub(super) fn succeeded(&mut self, job: &Job) {
        self.retries.remove(job.kind());
    }

    pub(super) fn failures(&self, kind: &str) -> u32 {
        self.retries.get(kind).map_or(0, |retry| retry.failures)
    }
}

trait SaturatingShl {
    fn saturating_shl(self, by: u32) -> Self;
}

impl SaturatingShl for u64 {
    fn saturating_shl(self, by: u32) -> u64 {
        self.saturating_mul(2u64.saturating_pow(by))
    }
}
