//! The long poll of version 2: one answer for the first change at or after an index.

use super::answer::{Answer, Node, Refusal, headers};
use super::tree::Tree;
use crate::api::Api;
use crate::limits::V2_WAIT_MAX;
use crate::node::AppliedBatch;
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use kv::{Event, EventKind, KvError};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;
use types::Revision;

/// The headers go out at once, the body with the change; an empty body when nothing happens for too long.
pub fn wait(api: Api, key: &str, recursive: bool, wait_index: Option<i64>) -> Response {
    let Ok(permit) = api.admit_watch_stream() else {
        return Refusal::too_many_watches().response(&api);
    };
    let changes = api.store().subscribe();
    let (newest, oldest) = api.store().read(|kv| (kv.revision(), kv.compact_revision()));
    // 0 means "from now on", as does nothing.
    let from = match wait_index {
        Some(index) if index > 0 && Revision(index) < oldest => {
            return Refusal::event_index_cleared(oldest.0, index).response(&api);
        }
        Some(index) if index > 0 => Revision(index),
        _ => Revision(newest.0 + 1),
    };
    let headers = headers(&api, newest.0);
    let wanted = Wanted { key: key.to_owned(), recursive, from };
    let stop = api.stop().clone();
    let body = async move {
        let _permit = permit;
        let answer = tokio::select! {
            answer = timeout(V2_WAIT_MAX, wanted.first(&api, changes)) => answer.ok().flatten(),
            () = stop.cancelled() => None,
        };
        Ok::<_, Infallible>(Bytes::from(answer.map(|answer| answer.line()).unwrap_or_default()))
    };
    (headers, Body::from_stream(stream::once(body).boxed())).into_response()
}

struct Wanted {
    key: String,
    recursive: bool,
    from: Revision,
}

impl Wanted {
    /// `None`: the change was compacted away, or the store has stopped.
    async fn first(&self, api: &Api, mut changes: Receiver<Arc<AppliedBatch>>) -> Option<Answer> {
        loop {
            // From the history each time: it has what a full subscription dropped.
            if let Some(answer) = self.look(api).ok()? {
                return Some(answer);
            }
            loop {
                match changes.recv().await {
                    Ok(batch) if batch.events.is_empty() || batch.events.iter().any(|event| self.matches(event)) => {
                        break;
                    }
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return None,
                }
            }
        }
    }

    fn look(&self, api: &Api) -> Result<Option<Answer>, KvError> {
        let now = api.store().store_time();
        api.store().read(|kv| {
            let found = kv.events_since(self.from)?.find(|event| self.matches(event));
            Ok(found.map(|event| answer(&Tree { kv, now }, &event)))
        })
    }

    fn matches(&self, event: &Event) -> bool {
        let (key, wanted) = (event.kv.key.as_slice(), self.key.as_bytes());
        event.kv.mod_revision >= self.from
            && (key == wanted
                || (self.recursive && key.strip_prefix(wanted).is_some_and(|rest| rest.starts_with(b"/"))))
    }
}

fn answer(tree: &Tree<'_>, event: &Event) -> Answer {
    let prev_node = event.prev_kv.as_ref().map(|prev| tree.leaf(prev));
    let node = tree.leaf(&event.kv);
    match event.kind {
        EventKind::Put => Answer { action: "set", node, prev_node },
        EventKind::Delete => {
            let created_index = prev_node.as_ref().map_or(0, |prev| prev.created_index);
            Answer { action: "delete", node: Node { value: None, created_index, ..node }, prev_node }
        }
    }
}
