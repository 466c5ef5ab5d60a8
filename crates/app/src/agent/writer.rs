//! Carries out the store writes of decisions, in order, one batch at a time.
//!
//! The invariant: while a batch is under way, and until the view has caught up with what it wrote, no further batch
//! is taken. A write is therefore never decided on a view that does not know the write before it.

use dcs::{Dcs, DcsError, Written};
use ha::cluster::StoreWrite;
use ha::cluster::redis::RedisWrite;
use platform::boot_clock;
use tokio::sync::mpsc;
use types::{Millis, Revision};

/// How long the view may take to show a write before decisions go on without it.
const VIEW_WAIT_MAX: Millis = Millis(300);
/// The same after a refusal, which comes from a change that is on its way already.
const REFUSED_WAIT_MAX: Millis = Millis(40);

/// One write of either kind.
#[derive(Clone, Debug)]
pub enum Write {
    Postgres(StoreWrite),
    Redis { group: String, write: RedisWrite },
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchOutcome {
    /// The view must reach this revision before the next batch.
    Done { revision: Revision },
    /// A write was refused: the view was old. What followed it was not sent.
    Refused,
    /// Unknown, or the store cannot be reached; the view will tell.
    Failed { why: String },
}

/// Whether a batch may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    Idle,
    /// Decided on the view of this revision.
    UnderWay {
        decided_on: Revision,
    },
    /// Until the view has this revision, or until it took too long.
    Settling {
        revision: Revision,
        until: Millis,
    },
}

impl Writes {
    /// After the outcome of the batch that was under way; `seen` is the revision of the present view.
    pub fn after(self, outcome: &BatchOutcome, seen: Revision) -> Self {
        let now = boot_clock();
        let decided_on = match self {
            Self::UnderWay { decided_on } => decided_on,
            Self::Idle | Self::Settling { .. } => seen,
        };
        match outcome {
            BatchOutcome::Done { revision } => Self::Settling { revision: *revision, until: now + VIEW_WAIT_MAX },
            // What made the store refuse is newer than the view that was decided on.
            BatchOutcome::Refused => {
                Self::Settling { revision: Revision(decided_on.0 + 1), until: now + REFUSED_WAIT_MAX }
            }
            BatchOutcome::Failed { why } => {
                tracing::warn!(why, "a write to the store failed");
                Self::Settling { revision: Revision(i64::MAX), until: now + VIEW_WAIT_MAX }
            }
        }
    }

    /// After a new view, or after time.
    pub fn seen(self, revision: Revision) -> Self {
        match self {
            Self::Settling { revision: awaited, until } if revision >= awaited || boot_clock() >= until => Self::Idle,
            Self::Idle | Self::UnderWay { .. } | Self::Settling { .. } => self,
        }
    }

    /// When to look again, at the latest.
    pub fn wake_at(self) -> Millis {
        match self {
            Self::Settling { until, .. } => until,
            Self::Idle | Self::UnderWay { .. } => Millis::MAX,
        }
    }
}

/// Runs one batch and reports.
pub fn start(dcs: Dcs, batch: Vec<Write>, results: mpsc::Sender<BatchOutcome>) {
    for write in batch.iter().filter(|write| write.changes_leader()) {
        tracing::info!("to the store: {}", write.name());
    }
    tokio::spawn(async move {
        let outcome = run(&dcs, &batch).await;
        // A closed channel means that the agent ends.
        let _ = results.send(outcome).await;
    });
}

async fn run(dcs: &Dcs, batch: &[Write]) -> BatchOutcome {
    let mut newest = Revision(0);
    for write in batch {
        let written = match write {
            Write::Postgres(write) => dcs.write(write).await,
            Write::Redis { group, write } => dcs.write_redis(group, write).await,
        };
        match written {
            Ok(Written::Done { revision }) => newest = newest.max(revision),
            Ok(Written::Refused) => {
                tracing::debug!(write = write.name(), "the store refused a write that was decided on an older view");
                return BatchOutcome::Refused;
            }
            Err(error) => return failed(write, &error),
        }
    }
    BatchOutcome::Done { revision: newest }
}

fn failed(write: &Write, error: &DcsError) -> BatchOutcome {
    BatchOutcome::Failed { why: format!("{}: {error}", write.name()) }
}

impl Write {
    fn changes_leader(&self) -> bool {
        match self {
            Self::Postgres(write) => {
                matches!(write, StoreWrite::TakeLeader { .. } | StoreWrite::ReleaseLeader { .. })
            }
            Self::Redis { write, .. } => matches!(
                write,
                RedisWrite::TakeLeader { .. } | RedisWrite::HandOver(_) | RedisWrite::ReleaseLeader { .. }
            ),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Postgres(write) => match write {
                StoreWrite::ClaimInitialize { .. } => "claim the initialization",
                StoreWrite::PublishSystemId { .. } => "publish the system identifier",
                StoreWrite::AbandonInitialize { .. } => "abandon the initialization",
                StoreWrite::TakeLeader { .. } => "take the leader key",
                StoreWrite::ReleaseLeader { .. } => "release the leader key",
                StoreWrite::PutMember { .. } => "write the own entry",
                StoreWrite::PutStatus { .. } => "write the status",
                StoreWrite::PutSync { .. } => "write the synchronous state",
                StoreWrite::PutHistory { .. } => "write the history",
                StoreWrite::PutConfig { .. } => "write the configuration",
                StoreWrite::PutFailover { .. } => "write the failover request",
                StoreWrite::DeleteFailover { .. } => "delete the failover request",
                StoreWrite::PutFailsafe { .. } => "list who may take over in failsafe mode",
                StoreWrite::DeleteFailsafe { .. } => "remove the list of failsafe mode",
            },
            Self::Redis { write, .. } => match write {
                RedisWrite::TakeLeader { .. } => "take Redis's leader key",
                RedisWrite::HandOver(_) => "hand Redis's leader key over",
                RedisWrite::ReleaseLeader { .. } => "release Redis's leader key",
                RedisWrite::PutMember { .. } => "write the own entry for Redis",
                RedisWrite::PutData { .. } => "note whose data Redis has",
                RedisWrite::AllowOverwrite { .. } => "let Redis's data be replaced",
                RedisWrite::PutStatus { .. } => "write Redis's status",
                RedisWrite::PutHistory { .. } => "write Redis's history",
                RedisWrite::PutFailover { .. } => "write the failover request for Redis",
                RedisWrite::DeleteFailover { .. } => "delete the failover request for Redis",
            },
        }
    }
}
