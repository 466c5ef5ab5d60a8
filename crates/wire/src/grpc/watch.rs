//! Watches: a task for each stream, which is told of changes and reads the history when it has fallen behind.
//!
//! Who is told what is [`kv::WatchHub`]'s business; here are the requests, the answers and the waiting. The invariant:
//! a stream holds a few answers and no more. While its client does not read, changes pass it by, and it fetches them from
//! the history afterwards; if they are compacted by then, the watch is cancelled and says so.

use super::Answers;
use crate::api::{Api, requires_leader};
use crate::limits::{
    LEADERLESS_MAX, PROGRESS_EVERY, WATCH_ANSWERS_WAITING_MAX, WATCH_FRAGMENT_BYTES, WATCHES_PER_STREAM_MAX,
};
use crate::metrics::Rpc;
use crate::node::AppliedBatch;
use crate::{convert, status};
use etcd_api::etcdserverpb::{self as pb, watch_request::RequestUnion, watch_server};
use etcd_api::mvccpb;
use futures_util::{Stream, StreamExt};
use kv::{KeyRange, WatchError, WatchHub, WatchId, WatchUpdate};
use prost::Message;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, async_trait};
use types::Revision;

/// etcd's id for an answer that belongs to no watch.
const NO_WATCH: i64 = -1;

#[async_trait]
impl watch_server::Watch for Api {
    type WatchStream = Answers<pb::WatchResponse>;

    async fn watch(
        &self,
        request: Request<Streaming<pb::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let with_leader = requires_leader(request.metadata());
        watch(self.clone(), request.into_inner(), with_leader).map(Response::new)
    }
}

/// Serves the requests until the client goes away. That it sends no more of them does not end its watches.
pub fn watch(
    api: Api,
    requests: impl Stream<Item = Result<pb::WatchRequest, Status>> + Send + 'static,
    with_leader: bool,
) -> Result<Answers<pb::WatchResponse>, Status> {
    if with_leader && !api.has_leader() {
        return Err(status::no_leader());
    }
    let permit = api.admit_watch_stream()?;
    let (answers, receiver) = mpsc::channel(WATCH_ANSWERS_WAITING_MAX);
    let stream = WatchStream {
        api,
        answers,
        hub: WatchHub::new(),
        fragmented: BTreeSet::new(),
        told_lately: BTreeSet::new(),
        covered: Revision(0),
        counted: 0,
    };
    tokio::spawn(async move {
        stream.run(requests, with_leader).await;
        drop(permit);
    });
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

/// Nobody listens any more.
struct Gone;

struct WatchStream {
    api: Api,
    answers: mpsc::Sender<Result<pb::WatchResponse, Status>>,
    hub: WatchHub,
    /// The watches whose answers may come in pieces.
    fragmented: BTreeSet<WatchId>,
    /// The watches that had events since the last progress report.
    told_lately: BTreeSet<WatchId>,
    /// Every watch has been told everything up to here.
    covered: Revision,
    /// What this stream has added to the number of watches.
    counted: usize,
}

impl WatchStream {
    async fn run(mut self, requests: impl Stream<Item = Result<pb::WatchRequest, Status>> + Send, with_leader: bool) {
        let started = self.api.clone();
        let started = started.metrics().started(Rpc::Watch);
        let result = match self.serve(requests, with_leader).await {
            Ok(status) => {
                let _ = self.answers.send(Err(status.clone())).await;
                Err(status)
            }
            Err(Gone) => Ok(()),
        };
        self.count_watchers(0);
        started.handled(&result);
    }

    /// Returns what to tell the client at the end.
    async fn serve(
        &mut self,
        requests: impl Stream<Item = Result<pb::WatchRequest, Status>> + Send,
        with_leader: bool,
    ) -> Result<Status, Gone> {
        let requests = requests.fuse();
        futures_util::pin_mut!(requests);
        let mut requests_end = false;
        // Subscribed before the first look at the state: what comes after that look is in the subscription.
        let mut changes = self.api.store().subscribe();
        self.covered = self.api.store().read(kv::Kv::revision);
        let stop = self.api.stop().clone();
        let answers = self.answers.clone();
        let mut progress_at = Instant::now() + PROGRESS_EVERY;
        let mut status = self.api.store().watch_status();
        let mut leaderless_since: Option<Instant> = None;
        loop {
            tokio::select! {
                () = answers.closed() => return Err(Gone),
                () = stop.cancelled() => return Ok(status::stopped()),
                request = requests.next(), if !requests_end => match request {
                    Some(Ok(request)) => self.handle(request).await?,
                    // The client broke off the call.
                    Some(Err(_)) => return Err(Gone),
                    None => requests_end = true,
                },
                change = changes.recv() => match change {
                    Ok(batch) => self.pass_on(&batch).await?,
                    Err(RecvError::Lagged(_)) => {
                        self.api.metrics().slow_watchers.fetch_add(1, Relaxed);
                        self.catch_up().await?;
                    }
                    Err(RecvError::Closed) => return Ok(status::stopped()),
                },
                () = sleep_until(progress_at) => {
                    progress_at = Instant::now() + PROGRESS_EVERY;
                    self.report_progress().await?;
                }
                Ok(()) = status.changed(), if with_leader => {
                    let leaderless = status.borrow_and_update().leader == 0;
                    leaderless_since = leaderless.then(|| leaderless_since.unwrap_or_else(Instant::now));
                }
                () = sleep_until(leaderless_since.unwrap_or_else(Instant::now) + LEADERLESS_MAX),
                    if leaderless_since.is_some() => return Ok(status::no_leader()),
            }
        }
    }

    async fn handle(&mut self, request: pb::WatchRequest) -> Result<(), Gone> {
        match request.request_union {
            Some(RequestUnion::CreateRequest(request)) => self.create(request).await,
            Some(RequestUnion::CancelRequest(request)) => {
                let id = WatchId(request.watch_id);
                // Like etcd: nothing to say about a watch that is not there.
                if !self.forget(id) {
                    return Ok(());
                }
                let answer = pb::WatchResponse { watch_id: id.0, canceled: true, ..self.answer() };
                self.send(answer).await
            }
            Some(RequestUnion::ProgressRequest(_)) => {
                self.catch_up().await?;
                let answer = pb::WatchResponse { watch_id: NO_WATCH, ..self.answer() };
                self.send(answer).await
            }
            None => Ok(()),
        }
    }

    async fn create(&mut self, request: pb::WatchCreateRequest) -> Result<(), Gone> {
        // All watches of a stream are at the same revision before another one joins them.
        self.catch_up().await?;
        let wanted = (request.watch_id != 0).then_some(WatchId(request.watch_id));
        let fragment = request.fragment;
        let (newest, result) = match watch_request(request) {
            Ok(request) => self.api.store().read(|kv| {
                let full = self.hub.len() >= WATCHES_PER_STREAM_MAX;
                let result = match wanted {
                    _ if full => Err(WatchError::TooManyWatchers.to_string()),
                    wanted => self.hub.create(wanted, request, kv.revision()).map_err(|error| error.to_string()),
                };
                (kv.revision(), result)
            }),
            Err(reason) => (self.covered, Err(reason.to_owned())),
        };
        let answer =
            pb::WatchResponse { header: Some(self.api.header_at(newest)), created: true, ..Default::default() };
        match result {
            Ok(id) => {
                if fragment {
                    self.fragmented.insert(id);
                }
                self.count_watchers(self.hub.len());
                self.send(pb::WatchResponse { watch_id: id.0, ..answer }).await?;
                self.catch_up().await
            }
            Err(cancel_reason) => {
                self.send(pb::WatchResponse { watch_id: NO_WATCH, canceled: true, cancel_reason, ..answer }).await
            }
        }
    }

    /// One batch of changes. Whoever misses something before it gets all of it from the history.
    async fn pass_on(&mut self, batch: &AppliedBatch) -> Result<(), Gone> {
        if batch.revision <= self.covered {
            return Ok(());
        }
        let updates = self.hub.notify(batch.revision, &batch.events);
        if !self.hub.is_behind(batch.revision) {
            self.covered = batch.revision;
        }
        for update in updates {
            self.tell(update).await?;
        }
        if self.covered < batch.revision { self.catch_up().await } else { Ok(()) }
    }

    /// Tells every watch what it has missed, piece by piece, as fast as the client reads.
    async fn catch_up(&mut self) -> Result<(), Gone> {
        loop {
            let (newest, updates) = self.api.store().read(|kv| (kv.revision(), self.hub.catch_up(kv)));
            if !self.hub.is_behind(newest) {
                self.covered = newest;
            }
            for update in updates {
                self.tell(update).await?;
            }
            if self.covered >= newest {
                return Ok(());
            }
        }
    }

    async fn tell(&mut self, update: WatchUpdate) -> Result<(), Gone> {
        match update {
            WatchUpdate::Events { id, revision, events } => {
                self.told_lately.insert(id);
                let with_prev = true; // the hub has taken them out where nobody asked
                let events = events.iter().map(|event| convert::event(event, with_prev)).collect();
                let header = Some(self.api.header_at(revision));
                let answer = pb::WatchResponse { header, watch_id: id.0, events, ..Default::default() };
                if self.fragmented.contains(&id) { self.send_in_pieces(answer).await } else { self.send(answer).await }
            }
            WatchUpdate::Compacted { id, compact_revision } => {
                self.forget(id);
                let compact_revision = compact_revision.0;
                let answer = pb::WatchResponse { watch_id: id.0, canceled: true, compact_revision, ..self.answer() };
                self.send(answer).await
            }
        }
    }

    async fn send_in_pieces(&mut self, mut answer: pb::WatchResponse) -> Result<(), Gone> {
        let mut events = std::mem::take(&mut answer.events).into_iter().peekable();
        while events.peek().is_some() {
            let mut bytes = answer.encoded_len();
            let mut piece: Vec<mvccpb::Event> = Vec::new();
            while let Some(event) = events.next_if(|event| {
                bytes += event.encoded_len();
                piece.is_empty() || bytes <= WATCH_FRAGMENT_BYTES
            }) {
                piece.push(event);
            }
            let fragment = events.peek().is_some();
            self.send(pb::WatchResponse { events: piece, fragment, ..answer.clone() }).await?;
        }
        Ok(())
    }

    async fn report_progress(&mut self) -> Result<(), Gone> {
        let told_lately = std::mem::take(&mut self.told_lately);
        for id in self.hub.progress(self.covered) {
            if !told_lately.contains(&id) {
                let answer = pb::WatchResponse { watch_id: id.0, ..self.answer() };
                self.send(answer).await?;
            }
        }
        Ok(())
    }

    /// An answer about the state that every watch has been told of.
    fn answer(&self) -> pb::WatchResponse {
        pb::WatchResponse { header: Some(self.api.header_at(self.covered)), ..Default::default() }
    }

    async fn send(&self, answer: pb::WatchResponse) -> Result<(), Gone> {
        self.answers.send(Ok(answer)).await.map_err(|_| Gone)
    }

    fn forget(&mut self, id: WatchId) -> bool {
        self.fragmented.remove(&id);
        self.told_lately.remove(&id);
        let was_there = self.hub.cancel(id);
        self.count_watchers(self.hub.len());
        was_there
    }

    fn count_watchers(&mut self, watchers: usize) {
        let total = &self.api.metrics().watchers;
        total.fetch_add(watchers as u64, Relaxed);
        total.fetch_sub(self.counted as u64, Relaxed);
        self.counted = watchers;
    }
}

fn watch_request(request: pb::WatchCreateRequest) -> Result<kv::WatchRequest, &'static str> {
    use pb::watch_create_request::FilterType;
    // etcd's reading: no key is the very first key.
    let key = if request.key.is_empty() { vec![0] } else { request.key };
    let keys = KeyRange::from_wire(key, request.range_end);
    if matches!(&keys, KeyRange::Between(start, end) if start >= end) {
        return Err("mvcc: watcher range is empty");
    }
    let filters: Vec<_> = request.filters.iter().map(|filter| FilterType::try_from(*filter)).collect();
    Ok(kv::WatchRequest {
        keys,
        start_revision: (request.start_revision > 0).then_some(Revision(request.start_revision)),
        no_put: filters.contains(&Ok(FilterType::Noput)),
        no_delete: filters.contains(&Ok(FilterType::Nodelete)),
        prev_kv: request.prev_kv,
        progress_notify: request.progress_notify,
    })
}
