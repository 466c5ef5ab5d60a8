//! Carries out the store writes of decisions, in order, one batch at a time.
//!
//! The invariant: while a batch is under way, and until the view has caught up with what it wrote, no further batch
//! is taken. A write is therefore never decided on a view that does not know the write before it.

use dcs::{Dcs, DcsError, Written};
use ha::cluster::StoreWrite;
use tokio::sync::mpsc;
use types::Revision;

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

/// Runs one batch and reports.
pub fn start(dcs: Dcs, batch: Vec<StoreWrite>, results: mpsc::Sender<BatchOutcome>) {
    tokio::spawn(async move {
        let outcome = run(&dcs, &batch).await;
        // A closed channel means that the agent ends.
        let _ = results.send(outcome).await;
    });
}

async fn run(dcs: &Dcs, batch: &[StoreWrite]) -> BatchOutcome {
    let mut newest = Revision(0);
    for write in batch {
        match dcs.write(write).await {
            Ok(Written::Done { revision }) => newest = newest.max(revision),
            Ok(Written::Refused) => {
                tracing::debug!(write = name(write), "the store refused a write that was decided on an older view");
                return BatchOutcome::Refused;
            }
            Err(error) => return failed(write, &error),
        }
    }
    BatchOutcome::Done { revision: newest }
}

fn failed(write: &StoreWrite, error: &DcsError) -> BatchOutcome {
    BatchOutcome::Failed { why: format!("{}: {error}", name(write)) }
}

pub fn name(write: &StoreWrite) -> &'static str {
    match write {
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
    }
}
