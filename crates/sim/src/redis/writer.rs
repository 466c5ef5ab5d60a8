//! Carries out the store writes of decisions about Redis: in order, one batch at a time, and the next one only on a view that
//! knows what this one did. The same as for PostgreSQL, and apart from it.

use super::{GROUP, RedisWorkerEvent};
use crate::clock::{MS, Time};
use crate::say;
use crate::store::client::Purpose;
use crate::store::{Answer, Request};
use crate::world::World;
use ha::cluster::redis::RedisWrite;
use ha::guard::ServerKind;
use kv::{Command, Response, TxnResponse};
use types::Revision;

/// How long the view may take to show a write before decisions go on without it.
const VIEW_WAIT_MAX: Time = 300 * MS;

#[derive(Clone, Debug, Default)]
pub enum Writes {
    #[default]
    Idle,
    UnderWay {
        rest: Vec<RedisWrite>,
        newest: Revision,
    },
    /// Until the view has this revision, or until it took too long.
    Settling {
        revision: Revision,
        until: Time,
    },
}

impl World {
    pub(crate) fn redis_start_writes(&mut self, host: usize, mut batch: Vec<RedisWrite>) {
        let Some(worker) = self.redis_worker(host) else { return };
        if batch.is_empty() || !matches!(worker.writes, Writes::Idle) {
            return;
        }
        if let Some(compared) = batch.iter().find_map(RedisWrite::takes_leader)
            && !self.may_take(host, ServerKind::Redis, compared)
        {
            return self.redis_decide_soon(host);
        }
        let Some(worker) = self.redis_worker(host) else { return };
        batch.reverse();
        worker.writes = Writes::UnderWay { rest: batch, newest: Revision(0) };
        self.redis_next_write(host);
    }

    fn redis_next_write(&mut self, host: usize) {
        let Some(worker) = self.redis_worker(host) else { return };
        let Writes::UnderWay { rest, newest } = &mut worker.writes else { return };
        let Some(write) = rest.pop() else {
            let revision = *newest;
            return self.redis_settle(host, revision);
        };
        if let Some(worker) = &mut self.hosts[host].worker {
            worker.takes.redis = write.takes_leader().is_some();
        }
        if self.trace.on {
            say!(self, host, "writes: {}", describe(&write));
        }
        let txn = write.to_txn(&self.keys, GROUP);
        self.call(host, Purpose::RedisWrite, Request::Change(Command::Txn(txn)));
    }

    pub(crate) fn redis_written(&mut self, host: usize, answer: &Answer) {
        let Some(worker) = &mut self.hosts[host].worker else { return };
        let behind = worker.cluster.as_ref().map_or(0, |cluster| cluster.revision.0) + 1;
        let Writes::UnderWay { newest, .. } = &mut worker.redis.writes else { return };
        match answer {
            Answer::Changed { revision, response: Response::Txn(TxnResponse { succeeded: true, .. }) } => {
                *newest = *revision;
                self.redis_next_write(host);
            }
            Answer::Changed { .. } | Answer::Refused(_) => {
                if worker.takes.redis {
                    worker.word.was_refused(ServerKind::Redis);
                }
                say!(self, host, "the store refuses a write about Redis");
                self.redis_settle(host, Revision(behind));
            }
            Answer::NotTaken | Answer::Unknown | Answer::Loaded { .. } => {
                say!(self, host, "what became of a write about Redis is not known");
                self.redis_settle(host, Revision(i64::MAX));
            }
        }
    }

    fn redis_settle(&mut self, host: usize, revision: Revision) {
        let until = self.now + VIEW_WAIT_MAX;
        if let Some(worker) = self.redis_worker(host) {
            worker.writes = Writes::Settling { revision, until };
        }
        self.redis_worker_soon(host, VIEW_WAIT_MAX, RedisWorkerEvent::Settled);
        self.redis_settled(host);
    }

    /// The view has moved, or time has passed: may the next batch go?
    pub(crate) fn redis_settled(&mut self, host: usize) {
        let now = self.now;
        let Some(worker) = &mut self.hosts[host].worker else { return };
        let Writes::Settling { revision, until } = worker.redis.writes else { return };
        let seen = worker.cluster.as_ref().is_some_and(|cluster| cluster.revision >= revision);
        if seen || now >= until {
            worker.redis.writes = Writes::Idle;
            self.redis_decide_soon(host);
        }
    }
}

fn describe(write: &RedisWrite) -> String {
    match write {
        RedisWrite::TakeLeader { .. } => "Redis: take the leader key".to_owned(),
        RedisWrite::HandOver(hand_over) => format!("Redis: hand the leader key to {}", hand_over.candidate),
        RedisWrite::ReleaseLeader { .. } => "Redis: release the leader key".to_owned(),
        RedisWrite::PutMember { member, .. } => format!(
            "Redis: the own entry: {} {} {:?} at {} claim {} writable {} leaderless {:?} link {}",
            member.role.as_str(),
            member.state.as_str(),
            member.replid,
            member.offset,
            member.claim,
            member.writable,
            member.leaderless_at,
            member.link_up
        ),
        RedisWrite::PutData { epoch, .. } => format!("Redis: the own data are from {epoch}"),
        RedisWrite::AllowOverwrite { member, epoch, .. } => format!("Redis: {member} may be overwritten by {epoch}"),
        RedisWrite::PutStatus { status, .. } => format!("Redis: status {}", status.offset),
        RedisWrite::PutHistory { lines, .. } => format!("Redis: history of {} lines", lines.len()),
        RedisWrite::PutFailover { request, .. } => format!("Redis: failover {request:?}"),
        RedisWrite::DeleteFailover { .. } => "Redis: delete the failover request".to_owned(),
    }
}
