//! Redis over HTTP: `/redis` and what is below it.
//!
//! Ours, not Patroni's: `GET /redis` (the group), `/redis/master` and `/redis/replica` (health checks for load
//! balancers), `POST /redis/switchover`, `/redis/failover` and `/redis/overwrite`. The same rules as for the rest: read off the last
//! snapshot, and changes are compare-and-swaps in the store.

mod change;
mod explanation;
mod metrics;
mod snapshot;
mod view;
mod wish;

pub use explanation::explanation;
pub use metrics::families;
pub use snapshot::{RedisApi, RedisLocal, RedisServerStatus, RedisSnapshot};
pub use view::{RedisMemberView, RedisView};
pub use wish::{RedisAction, RedisWish, obstacle, overwrite_obstacle};

use crate::api::Api;
use crate::reply::Reply;
use serde_json::{Map, Value};
use std::time::Instant;

/// `GET /redis...`; `what` is the second segment of the path. `whole`: with the body.
pub(crate) fn read(api: &Api, what: &str) -> Reply {
    let Some(redis) = &api.redis else { return no_redis() };
    let snapshot = redis.snapshots.borrow().clone();
    let now = Instant::now();
    let healthy = match what {
        "" => true,
        "master" | "primary" => snapshot.is_master(now),
        "replica" => snapshot.is_replica(),
        "health" => snapshot.local.status.is_some(),
        _ => return Reply::text(404, "there is /redis, /redis/master, /redis/replica and /redis/health"),
    };
    Reply::json(if healthy { 200 } else { 503 }, &snapshot.to_json(now))
}

pub(crate) async fn change(api: &Api, what: &str, body: &Map<String, Value>) -> Reply {
    let Some(redis) = &api.redis else { return no_redis() };
    let changed = match what {
        "switchover" => change::begin(api, redis, RedisAction::Switchover, body).await,
        "failover" => change::begin(api, redis, RedisAction::Failover, body).await,
        "overwrite" => change::overwrite(api, redis).await,
        _ => Err(Reply::text(404, "there is /redis/switchover, /redis/failover and /redis/overwrite")),
    };
    match changed {
        Ok(reply) | Err(reply) => reply,
    }
}

fn no_redis() -> Reply {
    Reply::text(404, "this member has no Redis")
}
