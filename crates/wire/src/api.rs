//! What every protocol of the server shares: the store, the counters, the bounds, the signal to stop.
//!
//! Deliberately without a word of any protocol. The invariant: a call that runs has its memory accounted for, and a
//! header's revision is that of the state the answer was read from.

use crate::limits::{MEMORY_BYTES_MAX, WATCH_STREAMS_MAX};
use crate::metrics::{Metrics, Rpc};
use crate::node::{Header, StoreHandle};
use crate::status;
use etcd_api::etcdserverpb as pb;
use kv::{Command, Kv};
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};
use types::{Millis, Revision};

/// Beside its message, what a call costs us.
const CALL_BYTES: usize = 4096;

/// One member's API. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    shared: Arc<Shared>,
}

struct Shared {
    store: StoreHandle,
    metrics: Metrics,
    /// Bytes that requests may still take.
    memory: Arc<Semaphore>,
    watch_streams: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Api {
    pub fn new(store: StoreHandle, stop: CancellationToken) -> Self {
        Self {
            shared: Arc::new(Shared {
                store,
                metrics: Metrics::default(),
                memory: Arc::new(Semaphore::new(MEMORY_BYTES_MAX)),
                watch_streams: Arc::new(Semaphore::new(WATCH_STREAMS_MAX)),
                stop,
            }),
        }
    }

    pub fn store(&self) -> &StoreHandle {
        &self.shared.store
    }

    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    pub fn stop(&self) -> &CancellationToken {
        &self.shared.stop
    }

    pub fn memory(&self) -> &Arc<Semaphore> {
        &self.shared.memory
    }

    pub fn has_leader(&self) -> bool {
        self.store().status().leader != 0
    }

    /// One call with one answer: counted, bounded, and refused without a leader if the client wants that.
    pub async fn unary<Q: Message, A, F>(
        &self,
        rpc: Rpc,
        request: Request<Q>,
        run: impl FnOnce(Q) -> F,
    ) -> Result<Response<A>, Status>
    where
        F: Future<Output = Result<A, Status>>,
    {
        let started = self.metrics().started(rpc);
        let result = self.admitted(request, run).await;
        started.handled(&result);
        result.map(Response::new)
    }

    async fn admitted<Q: Message, A, F>(&self, request: Request<Q>, run: impl FnOnce(Q) -> F) -> Result<A, Status>
    where
        F: Future<Output = Result<A, Status>>,
    {
        if requires_leader(request.metadata()) && !self.has_leader() {
            return Err(status::no_leader());
        }
        let message = request.into_inner();
        let _held = self.hold_memory(message.encoded_len() + CALL_BYTES)?;
        run(message).await
    }

    /// Puts so many bytes on the budget of all requests, until the permit is dropped.
    pub fn hold_memory(&self, bytes: usize) -> Result<SemaphorePermit<'_>, Status> {
        let bytes = u32::try_from(bytes).map_err(|_| status::too_many_requests())?;
        self.memory().try_acquire_many(bytes).map_err(|_| status::too_many_requests())
    }

    /// Held for as long as the stream lives.
    pub fn admit_watch_stream(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.shared.watch_streams).try_acquire_owned().map_err(|_| status::too_many_requests())
    }

    /// How many watch streams there are.
    pub fn watch_streams(&self) -> usize {
        WATCH_STREAMS_MAX - self.shared.watch_streams.available_permits()
    }

    /// Through the log. The header's revision is that of the answer.
    pub async fn propose(&self, command: Command) -> Result<(pb::ResponseHeader, kv::Response), Status> {
        self.propose_within(command, None).await
    }

    /// `within`: for how long the client waits for a leader.
    pub async fn propose_within(
        &self,
        command: Command,
        within: Option<Duration>,
    ) -> Result<(pb::ResponseHeader, kv::Response), Status> {
        kv::validate(&command).map_err(|error| status::of_kv(&error))?;
        let proposing = self.store().propose_within(command, within.map(|within| Millis(within.as_millis() as u64)));
        let (header, response) = proposing.await.map_err(|error| status::of_store(&error))?;
        Ok((wire_header(&header), response))
    }

    /// What was there when this was called, or later.
    pub async fn linearizable(&self) -> Result<(), Status> {
        self.store().linearizable().await.map_err(|error| status::of_store(&error))
    }

    /// Reads this member's state, whatever its age, with the header that goes with it.
    pub fn read<R>(&self, read: impl FnOnce(&Kv) -> R) -> (pb::ResponseHeader, R) {
        let (revision, result) = self.store().read(|kv| (kv.revision(), read(kv)));
        (self.header_at(revision), result)
    }

    pub fn header(&self) -> pb::ResponseHeader {
        wire_header(&self.store().header())
    }

    /// For an answer that reflects an older state than the newest.
    pub fn header_at(&self, revision: Revision) -> pb::ResponseHeader {
        pb::ResponseHeader { revision: revision.0, ..self.header() }
    }
}

fn wire_header(header: &Header) -> pb::ResponseHeader {
    pb::ResponseHeader {
        cluster_id: header.cluster_id,
        member_id: header.member_id,
        revision: header.revision.0,
        raft_term: header.raft_term,
    }
}

/// The client wants an error rather than a server that is cut off (`clientv3.WithRequireLeader`).
pub fn requires_leader(metadata: &MetadataMap) -> bool {
    metadata.get("hasleader").is_some_and(|value| value == "true")
}

/// For how long the client waits for the end of the call (gRPC's `grpc-timeout`: up to eight digits and a unit).
pub fn call_timeout(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount.saturating_mul(3600))),
        "M" => Some(Duration::from_secs(amount.saturating_mul(60))),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

/// A state machine that answers another question than was asked: a broken invariant, but no reason to fall over.
pub fn unexpected_response() -> Status {
    Status::internal("etcdserver: unexpected response")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calls_timeout_is_read_in_each_unit() {
        for (text, expected) in [
            ("2H", Some(Duration::from_secs(7200))),
            ("3M", Some(Duration::from_secs(180))),
            ("1S", Some(Duration::from_secs(1))),
            ("250m", Some(Duration::from_millis(250))),
            ("99999999u", Some(Duration::from_micros(99_999_999))),
            ("5n", Some(Duration::from_nanos(5))),
            ("18446744073709551615H", Some(Duration::from_secs(u64::MAX))),
            ("", None),
            ("m", None),
            ("-1m", None),
            ("1x", None),
        ] {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", text.parse().unwrap());
            assert_eq!(call_timeout(&metadata), expected, "{text}");
        }
        assert_eq!(call_timeout(&MetadataMap::new()), None);
    }
}
