//! Carries out the store writes of decisions: in order, one batch at a time, and the next one only on a view that knows
//! what this one did.

use crate::clock::{MS, Time};
use crate::mutant::Mutant;
use crate::say;
use crate::store::client::Purpose;
use crate::store::{Answer, Request};
use crate::worker::WorkerEvent;
use crate::world::World;
use ha::cluster::StoreWrite;
use ha::guard::ServerKind;
use kv::{Command, Response, TxnResponse};
use types::Revision;

/// How long the view may take to show a write before decisions go on without it.
const VIEW_WAIT_MAX: Time = 300 * MS;

#[derive(Clone, Debug)]
pub enum Writes {
    Idle,
    UnderWay {
        rest: Vec<StoreWrite>,
        newest: Revision,
    },
    /// Until the view has this revision, or until it took too long.
    Settling {
        revision: Revision,
        until: Time,
    },
}

impl World {
    pub(crate) fn start_writes(&mut self, host: usize, mut batch: Vec<StoreWrite>) {
        let Some(worker) = &mut self.hosts[host].worker else { return };
        if batch.is_empty() || !matches!(worker.writes, Writes::Idle) {
            return;
        }
        batch = self.allowed(host, batch);
        let Some(worker) = self.hosts[host].worker.as_mut().filter(|_| !batch.is_empty()) else { return };
        batch.reverse();
        worker.writes = Writes::UnderWay { rest: batch, newest: Revision(0) };
        self.next_write(host);
    }

    fn next_write(&mut self, host: usize) {
        let Some(worker) = &mut self.hosts[host].worker else { return };
        let Writes::UnderWay { rest, newest } = &mut worker.writes else { return };
        let Some(mut write) = rest.pop() else {
            let revision = *newest;
            return self.settle(host, revision);
        };
        worker.takes.postgres = write.takes_leader().is_some();
        if self.trace.on {
            say!(self, host, "writes: {}", describe(&write));
        }
        if self.setup.mutant == Some(Mutant::ClaimEndsWithLease)
            && let StoreWrite::TakeLeader { lease, claim_lease, .. } = &mut write
        {
            *claim_lease = Some(*lease);
        }
        let mut txn = write.to_txn(&self.keys);
        if self.setup.mutant == Some(Mutant::StaleView) && matches!(write, StoreWrite::TakeLeader { .. }) {
            txn.compare.clear();
        }
        self.call(host, Purpose::Write, Request::Change(Command::Txn(txn)));
    }

    pub(crate) fn written(&mut self, host: usize, answer: &Answer) {
        let Some(worker) = &mut self.hosts[host].worker else { return };
        let behind = worker.cluster.as_ref().map_or(0, |cluster| cluster.revision.0) + 1;
        let Writes::UnderWay { newest, .. } = &mut worker.writes else { return };
        match answer {
            Answer::Changed { revision, response: Response::Txn(TxnResponse { succeeded: true, .. }) } => {
                *newest = *revision;
                self.next_write(host);
            }
            Answer::Changed { .. } | Answer::Refused(_) => {
                if worker.takes.postgres {
                    worker.word.was_refused(ServerKind::Postgres);
                }
                say!(self, host, "the store refuses a write");
                self.settle(host, Revision(behind));
            }
            Answer::NotTaken | Answer::Unknown | Answer::Loaded { .. } => {
                say!(self, host, "what became of a write is not known");
                self.settle(host, Revision(i64::MAX));
            }
        }
    }

    fn settle(&mut self, host: usize, revision: Revision) {
        let until = self.now + VIEW_WAIT_MAX;
        if let Some(worker) = &mut self.hosts[host].worker {
            worker.writes = Writes::Settling { revision, until };
        }
        self.worker_soon(host, VIEW_WAIT_MAX, WorkerEvent::Settled);
        self.settled(host);
    }

    /// The view has moved, or time has passed: may the next batch go?
    pub(crate) fn settled(&mut self, host: usize) {
        let now = self.now;
        let Some(worker) = &mut self.hosts[host].worker else { return };
        let Writes::Settling { revision, until } = worker.writes else { return };
        let seen = worker.cluster.as_ref().is_some_and(|cluster| cluster.revision >= revision);
        if seen || now >= until {
            worker.writes = Writes::Idle;
            self.decide_soon(host);
        }
    }
}

pub fn describe(write: &StoreWrite) -> String {
    match write {
        StoreWrite::ClaimInitialize { .. } => "claim /initialize".to_owned(),
        StoreWrite::PublishSystemId { .. } => "publish the system identifier".to_owned(),
        StoreWrite::AbandonInitialize { .. } => "abandon /initialize".to_owned(),
        StoreWrite::TakeLeader { sync, .. } => {
            format!("take the leader key{}", if sync.is_some() { " and /sync" } else { "" })
        }
        StoreWrite::ReleaseLeader { status, .. } => {
            format!("release the leader key at {:?}", status.as_ref().map(|status| status.optime.to_string()))
        }
        StoreWrite::PutMember { member, .. } => format!(
            "the own entry: {} {} tl {:?} at {} {:?}",
            member.role.as_str(),
            member.state.as_str(),
            member.timeline.map(|timeline| timeline.0),
            member.position(),
            member.quorate.clone().unwrap_or_default()
        ),
        StoreWrite::PutStatus { status, .. } => format!("status {}", status.optime),
        StoreWrite::PutSync { state, .. } => format!("/sync {state:?}"),
        StoreWrite::PutHistory { lines, .. } => format!("history of {} lines", lines.len()),
        StoreWrite::PutConfig { text, .. } => format!("config {text}"),
        StoreWrite::PutFailover { request, .. } => format!("failover {request:?}"),
        StoreWrite::PutFailsafe { listed, .. } => format!("/failsafe {}", listed.to_text()),
        StoreWrite::DeleteFailsafe { .. } => "delete /failsafe".to_owned(),
        StoreWrite::DeleteFailover { .. } => "delete the failover request".to_owned(),
    }
}
