//! What the rest of the process holds of a running member.

use super::{elapsed, limits, read_lock};
use kv::{Command, Kv, Response};
use std::{
    sync::{Arc, RwLock},
    time::Instant,
};
use store::{Member, MemberId, Role, Store, StoreError};
use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use types::{Millis, Revision};

/// A running member. Cheap to clone; the member runs until [`StoreHandle::shutdown`] or a failure of its disk.
#[derive(Clone)]
pub struct StoreHandle {
    shared: Arc<Shared>,
}

struct Shared {
    parts: Parts,
    applied: broadcast::Sender<Arc<AppliedBatch>>,
    status: watch::Sender<NodeStatus>,
    failure: watch::Sender<Option<Arc<str>>>,
}

pub(super) struct Parts {
    pub store: Arc<RwLock<Store>>,
    pub name: String,
    pub members: Vec<Member>,
    pub cluster_id: u64,
    pub clock: Instant,
    pub requests: mpsc::Sender<Request>,
    pub tasks: TaskTracker,
    pub stop: CancellationToken,
}

/// What the driver tells everybody.
pub(super) struct Outlets {
    shared: Arc<Shared>,
}

pub(super) enum Request {
    Propose { command: Command, within: Option<Millis>, answer: oneshot::Sender<Result<store::Reply, StoreError>> },
    Read { answer: oneshot::Sender<Result<(), StoreError>> },
    Transfer { to: MemberId },
    Stop,
}

/// The changes of one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedBatch {
    pub revision: Revision,
    /// Empty when more than this revision is new and the history must be read.
    pub events: Vec<kv::Event>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub cluster_id: u64,
    pub member_id: u64,
    pub revision: Revision,
    pub raft_term: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    pub id: u64,
    pub name: String,
    /// 0: none is known.
    pub leader: u64,
    pub term: u64,
    pub raft_index: u64,
    pub raft_applied: u64,
    /// Of the state in memory.
    pub db_size: u64,
    pub is_leader: bool,
    /// This member leads and has made sure that it knows everything before.
    pub takes_writes: bool,
    /// The disk is full: reads only.
    pub storage_full: bool,
}

pub(super) fn new(parts: Parts) -> (StoreHandle, Outlets) {
    let status = status(&parts);
    let shared = Arc::new(Shared {
        applied: broadcast::Sender::new(limits::BATCHES_KEPT),
        status: watch::Sender::new(status),
        failure: watch::Sender::new(None),
        parts,
    });
    (StoreHandle { shared: Arc::clone(&shared) }, Outlets { shared })
}

impl StoreHandle {
    /// Changes something, on whichever member leads. The answer comes when this member has applied it.
    pub async fn propose(&self, command: Command) -> Result<(Header, Response), StoreError> {
        self.propose_within(command, None).await
    }

    /// `within`: how long it may wait for a leader before it is given up; not at all is the store's own time.
    pub async fn propose_within(
        &self,
        command: Command,
        within: Option<Millis>,
    ) -> Result<(Header, Response), StoreError> {
        let reply = self.ask(|answer| Request::Propose { command, within, answer }).await?;
        Ok((Header { revision: reply.revision, ..self.header() }, reply.response))
    }

    /// Returns when this member's state has everything that was committed anywhere before the call.
    pub async fn linearizable(&self) -> Result<(), StoreError> {
        self.ask(|answer| Request::Read { answer }).await
    }

    /// Looks at this member's state, whatever its age. Must be short: nothing is applied meanwhile.
    pub fn read<R>(&self, look: impl FnOnce(&Kv) -> R) -> R {
        look(read_lock(&self.shared.parts.store).kv())
    }

    /// Changes from now on. A receiver that lags reads the history instead ([`Kv::events_since`]).
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<AppliedBatch>> {
        self.shared.applied.subscribe()
    }

    pub fn status(&self) -> NodeStatus {
        status(&self.shared.parts)
    }

    /// Changes when the leader, the term, or the readiness for writes does; the indexes in it are of that moment.
    pub fn watch_status(&self) -> watch::Receiver<NodeStatus> {
        self.shared.status.subscribe()
    }

    pub fn header(&self) -> Header {
        let store = read_lock(&self.shared.parts.store);
        Header {
            cluster_id: self.shared.parts.cluster_id,
            member_id: store.config().id,
            revision: store.kv().revision(),
            raft_term: store.term(),
        }
    }

    /// The store's clock, by which leases run: for [`Kv::lease_status`]. Never ahead of the leader's.
    pub fn store_time(&self) -> Millis {
        let parts = &self.shared.parts;
        read_lock(&parts.store).store_time(elapsed(parts.clock))
    }

    pub fn members(&self) -> Vec<Member> {
        self.shared.parts.members.clone()
    }

    /// Asks the leader, whoever it is, to hand over to member `to`, and waits until that one leads.
    pub async fn move_leader(&self, to: u64) -> Result<(), StoreError> {
        let mut status = self.watch_status();
        self.send(Request::Transfer { to })?;
        let moved = timeout(limits::ANSWER_WITHIN, status.wait_for(|status| status.leader == to)).await;
        moved.map_err(|_| StoreError::Timeout)?.map(drop).map_err(|_| StoreError::Stopped)
    }

    /// Hands the leadership over, finishes what the disk has, frees the data directory and the ports.
    pub async fn shutdown(&self) {
        let parts = &self.shared.parts;
        if parts.requests.send(Request::Stop).await.is_err() {
            parts.stop.cancel();
        }
        parts.tasks.wait().await;
    }

    /// Resolves when the member has stopped; with the reason if its disk failed, and then the process must end.
    pub async fn stopped(&self) -> Option<Arc<str>> {
        self.shared.parts.tasks.wait().await;
        self.shared.failure.borrow().clone()
    }

    /// Stops like a process that is killed: nothing is said, nothing is finished.
    #[doc(hidden)]
    pub async fn kill(&self) {
        self.shared.parts.stop.cancel();
        self.shared.parts.tasks.wait().await;
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Request,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.send(request(answer))?;
        match timeout(limits::ANSWER_WITHIN, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(StoreError::Stopped),
            Err(_) => Err(StoreError::Timeout),
        }
    }

    fn send(&self, request: Request) -> Result<(), StoreError> {
        self.shared.parts.requests.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => StoreError::Stopped,
        })
    }
}

impl Outlets {
    pub fn applied(&self, revision: Revision, events: Vec<kv::Event>) {
        // It fails when nobody watches.
        let _ = self.shared.applied.send(Arc::new(AppliedBatch { revision, events }));
    }

    pub fn name_of(&self, id: MemberId) -> &str {
        self.shared.parts.members.iter().find(|member| member.id == id).map_or("?", |member| member.name.as_str())
    }

    pub fn update_status(&self) {
        self.shared.status.send_replace(status(&self.shared.parts));
    }

    pub fn failed(&self, reason: &str) {
        self.shared.failure.send_replace(Some(reason.into()));
    }
}

fn status(parts: &Parts) -> NodeStatus {
    let store = read_lock(&parts.store);
    let status = store.status();
    NodeStatus {
        id: status.id,
        name: parts.name.clone(),
        leader: status.leader.unwrap_or(0),
        term: status.term,
        raft_index: status.committed_index,
        raft_applied: status.applied_index,
        db_size: store.kv().size_bytes(),
        is_leader: status.role == Role::Leader,
        takes_writes: status.takes_writes,
        storage_full: status.storage_full,
    }
}
