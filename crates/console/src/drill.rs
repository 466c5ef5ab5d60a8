//! `POST /quorate/drill`: a planned switchover, and how long nobody could commit meanwhile.
//!
//! Deliberately measured by commits of our own, not by what members say of themselves: a client on the member that answers
//! commits one small record after another, to the primary, before, during and after the switchover. What it reports is the
//! longest time between two confirmed commits. It writes no table: the record goes into the write-ahead log only.

use crate::api::Api;
use crate::reply::Reply;
use crate::switchover::{Action, begin};
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};

/// The client commits for so long before and after, so that both sides of the gap are certain.
const AROUND: Duration = Duration::from_millis(700);

/// One drill at a time: two would measure each other.
#[derive(Clone, Debug)]
pub struct Turn(Arc<Semaphore>);

impl Default for Turn {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// The client that commits. It ends when told, at the latest after a time of its own.
pub trait Drill: Send + Sync {
    /// Begins to commit; `started` is told at the first confirmed commit.
    fn commit_until(
        &self,
        started: oneshot::Sender<()>,
        stop: oneshot::Receiver<()>,
    ) -> BoxFuture<'static, Result<Measured, String>>;
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// The longest time between two confirmed commits, in milliseconds.
    pub gap_ms: f64,
    /// The usual time between two of them, in milliseconds (median).
    pub usual_ms: f64,
    pub commits: u64,
    /// Commits that were not confirmed. Nobody knows what became of those that were under way.
    pub errors: u64,
    /// How the client reached the primary.
    pub way: String,
}

#[derive(Serialize)]
struct Report {
    result: String,
    #[serde(flatten)]
    measured: Measured,
}

pub async fn run(api: &Api, body: &Map<String, Value>) -> Reply {
    let Some(drill) = api.extras.drill.clone() else {
        return Reply::text(501, "this member has no PostgreSQL, so it cannot measure; ask one that has");
    };
    if body.contains_key("scheduled_at") {
        return Reply::text(400, "a drill is now; it cannot be scheduled");
    }
    let Ok(_turn) = api.extras.turn.0.try_acquire() else {
        return Reply::text(409, "a drill is under way");
    };
    let (started, begun) = oneshot::channel();
    let (stop, stopped) = oneshot::channel();
    let client = tokio::spawn(drill.commit_until(started, stopped));
    if begun.await.is_err() {
        return match client.await {
            Ok(Err(why)) => Reply::text(503, format!("nothing was switched: the client cannot commit: {why}")),
            Ok(Ok(_)) | Err(_) => Reply::text(503, "nothing was switched: the client ended before it had committed"),
        };
    }
    tokio::time::sleep(AROUND).await;
    let switched = begin(api, Action::Switchover, body).await;
    if switched.status.as_u16() == 200 {
        tokio::time::sleep(AROUND).await;
    }
    let _ = stop.send(());
    let measured = match client.await {
        Ok(Ok(measured)) => measured,
        Ok(Err(why)) => return Reply::text(503, format!("{}; the client broke: {why}", switched.body)),
        Err(_) => return Reply::text(503, format!("{}; the client broke", switched.body)),
    };
    if switched.status.as_u16() == 200 {
        Reply::json(200, &Report { result: switched.body, measured })
    } else {
        switched
    }
}
