//! Changes of master over the API.

use super::snapshot::RedisApi;
use super::wish::{RedisAction, RedisWish, obstacle, overwrite_obstacle};
use crate::api::{Api, outcome_unknown};
use crate::reply::Reply;
use dcs::Written;
use ha::cluster::redis::RedisWrite;
use serde_json::{Map, Value};
use std::time::Duration;
use types::MemberName;

/// Longer than a lease, an election and a pause of writes together.
const RESULT_WAIT_MAX: Duration = Duration::from_secs(20);

/// Writes the wish and waits until it has come true, or certainly has not.
pub async fn begin(
    api: &Api,
    redis: &RedisApi,
    action: RedisAction,
    body: &Map<String, Value>,
) -> Result<Reply, Reply> {
    let candidate = text(body, "candidate")?.map(MemberName::new);
    let force = body.get("force").and_then(Value::as_bool).unwrap_or(false);
    let name = redis.snapshots.borrow().name.clone();
    let group = api.load().await?.redis_group(&name);
    if let Some(leader) = text(body, "leader")?
        && group.leader_name().is_none_or(|present| present.as_str() != leader)
    {
        return Err(Reply::text(412, "leader name does not match"));
    }
    if let Some(why) = obstacle(action, &group, candidate.as_ref(), force) {
        return Err(Reply::text(412, why));
    }
    let request = action.request(&group, candidate.clone(), force);
    tracing::info!(?request, "a {} of Redis is asked for over the REST API", action.word());
    // Taken before the write, so that no snapshot that follows it is missed.
    let mut snapshots = redis.snapshots.clone();
    let expected = group.failover.as_ref().map(|failover| failover.revision);
    let revision = match api.write_redis(&name, RedisWrite::PutFailover { request, expected }).await? {
        Some(Written::Done { revision }) => revision,
        Some(Written::Refused) => {
            return Err(Reply::text(409, "somebody else asked for a change of master at the same time; look first"));
        }
        None => return Err(outcome_unknown()),
    };
    let wish = RedisWish { action, old: group.leader_name().cloned(), candidate, revision };
    let decided = snapshots.wait_for(|it| wish.verdict(&it.group, it.revision).is_some());
    let verdict = match tokio::time::timeout(RESULT_WAIT_MAX, decided).await {
        Ok(Ok(snapshot)) => wish.verdict(&snapshot.group, snapshot.revision),
        // The agent is stopping, or nothing happened.
        Ok(Err(_)) | Err(_) => None,
    };
    Ok(match verdict {
        Some(Ok(done)) => Reply::text(200, done),
        Some(Err(why)) => Reply::text(503, why),
        None => {
            Reply::text(503, format!("{} status unknown after {} seconds", action.title(), RESULT_WAIT_MAX.as_secs()))
        }
    })
}

/// Noted in the store for the present leadership: it outlives the agent, and says nothing of a later one that has lost its data.
pub async fn overwrite(api: &Api, redis: &RedisApi) -> Result<Reply, Reply> {
    let (me, name) = {
        let snapshot = redis.snapshots.borrow();
        (snapshot.me.clone(), snapshot.name.clone())
    };
    let group = api.load().await?.redis_group(&name);
    let Some(leader) = &group.leader else {
        return Err(Reply::text(503, "there is no master to copy from at the moment; ask again when there is one"));
    };
    if let Some(why) = overwrite_obstacle(&group, &me) {
        return Err(Reply::text(412, why));
    }
    tracing::info!(leader = %leader.name, "what Redis has here may be replaced by what its master has");
    let expected = group.overwrite.get(&me).map(|allowed| allowed.revision);
    let write = RedisWrite::AllowOverwrite { member: me, epoch: leader.epoch, expected };
    match api.write_redis(&name, write).await? {
        Some(Written::Done { .. }) => Ok(Reply::text(202, "its data may be replaced by the master's")),
        Some(Written::Refused) => Err(Reply::text(409, "the master changed at the same time; look first")),
        None => Err(outcome_unknown()),
    }
}

/// A text; absent, `null` and empty are the same.
fn text<'a>(body: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, Reply> {
    match body.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(Reply::text(400, format!("{key} must be a text"))),
    }
}
