//! `GET /quorate/stream`: the overview as server-sent events, each time it changes.
//!
//! Deliberately without history: whoever connects gets the overview as it is, and from then on every change that he is fast
//! enough for. The invariant: a listener costs one task and at most [`EVENTS_WAITING_MAX`] events; one that does not take
//! them is dropped, and the number of listeners is bounded.

use crate::api::Api;
use crate::reply::Reply;
use axum::body::{Body, Bytes};
use axum::http::Response;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Operators with a page open. Each costs what one overview costs for each change.
pub const LISTENERS_MAX: usize = 32;
/// A listener whose network stalls for a moment catches up from here.
const EVENTS_WAITING_MAX: usize = 4;
/// A listener that takes nothing for so long is dropped; the browser connects again by itself.
const SLOW_MAX: Duration = Duration::from_secs(5);
/// Changes come in bunches (a failover writes a dozen keys); one event for each bunch is enough for eyes.
const BUNCH: Duration = Duration::from_millis(40);
/// What is not a change of a snapshot (the store's leader) is seen at this pace.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Without news a listener hears this often that there is none: a host that vanishes says no word, and its silence is all that
/// tells. It also keeps middle boxes from closing the connection, and shows us who is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(3);
const ALIVE: &[u8] = b"event: alive\ndata: {}\n\n";
/// What browsers wait before they connect again, in milliseconds.
const RETRY: &str = "retry: 300\n\n";

/// The places for listeners.
#[derive(Clone, Debug)]
pub struct Listeners(Arc<Semaphore>);

impl Default for Listeners {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LISTENERS_MAX)))
    }
}

impl Listeners {
    /// Places that are free now.
    pub fn free(&self) -> usize {
        self.0.available_permits()
    }
}

impl Api {
    pub(crate) fn stream(&self) -> Result<Response<Body>, Reply> {
        let Ok(place) = self.extras.listeners.0.clone().try_acquire_owned() else {
            return Err(Reply::text(503, format!("{LISTENERS_MAX} listeners are connected already; close a page")));
        };
        let (events, waiting) = mpsc::channel::<Bytes>(EVENTS_WAITING_MAX);
        tokio::spawn(tell(self.clone(), events, place));
        let stream = futures_util::stream::unfold(waiting, |mut waiting| async move {
            let event = waiting.recv().await?;
            Some((Ok::<_, Infallible>(event), waiting))
        });
        let mut response = Response::new(Body::from_stream(stream));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

/// Until the listener is gone, too slow, or the agent ends.
async fn tell(api: Api, events: mpsc::Sender<Bytes>, _place: OwnedSemaphorePermit) {
    let mut snapshots = api.snapshots.clone();
    let mut redis = api.redis.as_ref().map(|redis| redis.snapshots.clone());
    let mut last = String::new();
    let mut silent = Duration::ZERO;
    if !send(&events, RETRY.into()).await {
        return;
    }
    loop {
        let overview = serde_json::to_string(&api.overview()).unwrap_or_default();
        if overview != last {
            if !send(&events, format!("event: overview\ndata: {overview}\n\n").into()).await {
                return;
            }
            last = overview;
            silent = Duration::ZERO;
        } else if silent >= KEEP_ALIVE {
            if !send(&events, Bytes::from_static(ALIVE)).await {
                return;
            }
            silent = Duration::ZERO;
        }
        let of_redis = async {
            match &mut redis {
                Some(redis) => redis.changed().await.is_ok(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = snapshots.changed() => if changed.is_err() { return },
            goes_on = of_redis => if !goes_on { return },
            () = tokio::time::sleep(LOOK_EVERY) => {
                silent += LOOK_EVERY;
                continue;
            }
            () = events.closed() => return,
        }
        tokio::time::sleep(BUNCH).await;
    }
}

async fn send(events: &mpsc::Sender<Bytes>, event: Bytes) -> bool {
    matches!(tokio::time::timeout(SLOW_MAX, events.send(event)).await, Ok(Ok(())))
}
