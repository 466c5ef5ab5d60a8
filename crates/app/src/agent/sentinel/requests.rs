//! What the sentinel wants from the store: epochs for masters that something else runs, and failovers of those that our
//! agents run.
//!
//! Deliberately without retries: a refusal is an answer, and whoever asked decides what to do next.

use console::redis::{RedisAction, obstacle};
use dcs::{Dcs, Written};
use ha::cluster::EpochClaim;
use ha::cluster::redis::RedisWrite;
use ha::sentinel::{Answer, Manner};
use sentinel::{FromSentinel, ToSentinel};
use tokio::sync::mpsc;

pub async fn run(dcs: Dcs, mut asked: mpsc::Receiver<FromSentinel>, sentinel: mpsc::Sender<ToSentinel>) {
    while let Some(request) = asked.recv().await {
        let (dcs, sentinel) = (dcs.clone(), sentinel.clone());
        // One that waits for a store that elects must not keep the others.
        tokio::spawn(async move {
            let answer = match request {
                FromSentinel::ClaimEpoch { master, epoch } => claim(&dcs, master, epoch).await,
                FromSentinel::RequestFailover { token, master, manner } => {
                    let answer = request_failover(&dcs, &master, manner).await;
                    ToSentinel::FailoverAnswered { token, answer }
                }
            };
            // A sentinel that has ended needs no answer.
            let _ = sentinel.send(answer).await;
        });
    }
}

async fn claim(dcs: &Dcs, master: String, epoch: u64) -> ToSentinel {
    let known = match dcs.load().await {
        Ok(cluster) => cluster.sentinel_epochs.get(&master).cloned(),
        Err(error) => {
            tracing::warn!(master, epoch, "no epoch from the store: {error}");
            return ToSentinel::EpochRefused { master, epoch: 0 };
        }
    };
    let claim = match EpochClaim::new(&master, epoch, known.as_ref()) {
        Ok(claim) => claim,
        Err(epoch) => return ToSentinel::EpochRefused { master, epoch },
    };
    match dcs.claim_epoch(&claim).await {
        Ok(Written::Done { .. }) => ToSentinel::EpochClaimed { master, epoch },
        // Somebody has this one now, or a higher one.
        Ok(Written::Refused) => ToSentinel::EpochRefused { master, epoch },
        Err(error) => {
            tracing::warn!(master, epoch, "the store did not say whether the epoch is ours: {error}");
            ToSentinel::EpochRefused { master, epoch: 0 }
        }
    }
}

/// The answer is the one of a real Sentinel: OK when it has begun.
async fn request_failover(dcs: &Dcs, master: &str, manner: Manner) -> Answer {
    let group = match dcs.load().await {
        Ok(cluster) => cluster.redis_group(master),
        Err(error) => return Answer::error(format!("the store cannot be reached: {error}")),
    };
    if group.failover.is_some() || group.writable_master().is_none() {
        return Answer::Error("INPROG Failover already in progress".to_owned());
    }
    let (action, force) = match manner {
        Manner::Coordinated => (RedisAction::Switchover, false),
        Manner::Forced => (RedisAction::Failover, true),
    };
    if let Some(why) = obstacle(action, &group, None, force) {
        tracing::warn!(master, why, "a client of the sentinel asked for a failover that is not possible");
        return Answer::Error("NOGOODSLAVE No suitable replica to promote".to_owned());
    }
    let request = action.request(&group, None, force);
    match dcs.write_redis(master, &RedisWrite::PutFailover { request, expected: None }).await {
        Ok(Written::Done { .. }) => Answer::Ok,
        Ok(Written::Refused) => Answer::Error("INPROG Failover already in progress".to_owned()),
        Err(error) => Answer::error(format!("the store did not say whether the failover has begun: {error}")),
    }
}
