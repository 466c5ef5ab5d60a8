//! The task: takes what happens, in the order it happens, to the store, and does what the store says.

use super::{
    disk_thread::{DiskReport, DiskThread},
    elapsed,
    handle::{Outlets, Request},
    limits,
};
use crate::peers::{PeerReport, Peers};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, PoisonError, RwLock},
    time::Instant,
};
use store::{Effect, Event, MemberId, RequestId, Status, Store, StoreError, Token};
use tokio::{
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use types::Revision;

pub struct Driver {
    store: Arc<RwLock<Store>>,
    clock: Instant,
    peers: Peers,
    disk: DiskThread,
    outlets: Outlets,
    stop: CancellationToken,
    answers: BTreeMap<RequestId, Answer>,
    last_request: RequestId,
    /// Writes that are not on disk, and since when.
    writing: VecDeque<(Token, Instant)>,
    /// For want of a working disk.
    last_handover: Option<Instant>,
    /// Leader, term, whether writes are taken here, whether the disk is full: as last told.
    standing: Option<(Option<MemberId>, u64, bool, bool)>,
    /// The newest revision that was told to watchers.
    told: Revision,
    /// Since when, if it is to stop once somebody else leads.
    stopping: Option<Instant>,
    /// The disk failed: everything ends.
    failure: Option<String>,
}

enum Answer {
    Write(oneshot::Sender<Result<store::Reply, StoreError>>),
    Read(oneshot::Sender<Result<(), StoreError>>),
}

enum Input {
    Tick,
    Disk(Option<DiskReport>),
    Peer(PeerReport),
    Request(Request),
    Killed,
}

impl Driver {
    pub fn new(
        store: Arc<RwLock<Store>>,
        clock: Instant,
        peers: Peers,
        disk: DiskThread,
        outlets: Outlets,
        stop: CancellationToken,
    ) -> Self {
        let told = super::read_lock(&store).kv().revision();
        Self {
            store,
            clock,
            peers,
            disk,
            outlets,
            stop,
            answers: BTreeMap::new(),
            last_request: 0,
            writing: VecDeque::new(),
            last_handover: None,
            standing: None,
            told,
            stopping: None,
            failure: None,
        }
    }

    pub async fn run(mut self, mut requests: mpsc::Receiver<Request>, mut reports: mpsc::Receiver<PeerReport>) {
        let mut ticks = interval(store::limits::TICK.into());
        // After a pause (a stopped process, a sleeping machine) time goes on from here, not in a burst.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.failure.is_none() && !self.may_stop() {
            let has_room = self.disk.has_room();
            let input = tokio::select! {
                biased;
                () = self.stop.cancelled() => Input::Killed,
                report = self.disk.report() => Input::Disk(report),
                _ = ticks.tick() => Input::Tick,
                Some(report) = reports.recv(), if has_room => Input::Peer(report),
                Some(request) = requests.recv(), if has_room => Input::Request(request),
            };
            match input {
                Input::Killed => break,
                input => self.handle(input),
            }
        }
        self.finish(requests).await;
    }

    fn handle(&mut self, input: Input) {
        match input {
            Input::Tick => {
                self.hand_over_if_stalled();
                self.event(Event::Tick);
            }
            Input::Disk(Some(DiskReport::Persisted(token))) => {
                let on_disk = self.writing.partition_point(|(written, _)| *written <= token);
                self.writing.drain(..on_disk);
                self.event(Event::Persisted { token });
            }
            Input::Disk(Some(DiskReport::Full(full))) => self.event(Event::StorageFull(full)),
            Input::Disk(Some(DiskReport::Failed(error))) => {
                self.failure = Some(format!("{error}; hint: {}", error.hint()));
            }
            Input::Disk(None) => self.failure = Some("the disk thread has ended".to_owned()),
            Input::Peer(PeerReport::Received { from, message }) => self.event(Event::Received { from, message }),
            Input::Peer(PeerReport::Unreachable { id }) => self.event(Event::PeerUnreachable { id }),
            Input::Peer(PeerReport::ProcessGone { id }) => self.event(Event::PeerProcessGone { id }),
            Input::Request(request) => self.request(request),
            Input::Killed => {}
        }
    }

    fn request(&mut self, request: Request) {
        self.last_request += 1;
        let id = self.last_request;
        match request {
            Request::Propose { command, within, answer } => {
                self.answers.insert(id, Answer::Write(answer));
                self.event(Event::Propose { id, command, within });
            }
            Request::Read { answer } => {
                self.answers.insert(id, Answer::Read(answer));
                self.event(Event::Read { id });
            }
            Request::Transfer { to } => self.event(Event::TransferLeader { to }),
            Request::Stop => {
                self.stopping.get_or_insert_with(Instant::now);
                self.event(Event::HandOver);
            }
        }
    }

    fn event(&mut self, event: Event) {
        let now = elapsed(self.clock);
        let (effects, standing) = {
            let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
            let effects = store.handle(now, event);
            let Status { leader, term, takes_writes, storage_full, .. } = store.status();
            (effects, (leader, term, takes_writes, storage_full))
        };
        for effect in effects {
            self.carry_out(effect);
        }
        if self.standing.replace(standing) != Some(standing) {
            self.outlets.update_status();
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Persist(persist) => {
                self.writing.push_back((persist.token, Instant::now()));
                if !self.disk.write(persist) {
                    self.failure.get_or_insert_with(|| "more writes wait for the disk than can be".to_owned());
                }
            }
            Effect::Send { to, message } => self.peers.send(to, &message),
            Effect::Reply { id, result } => {
                // A caller that has gone takes no answer.
                if let Some(Answer::Write(answer)) = self.answers.remove(&id) {
                    let _ = answer.send(result);
                }
            }
            Effect::ReadReady { id } => self.answer_read(id, Ok(())),
            Effect::ReadFailed { id, error } => self.answer_read(id, Err(error)),
            Effect::Applied { revision, events } => {
                self.told = revision;
                self.outlets.applied(revision, events);
            }
            Effect::Restored { revision } => self.restored(revision),
            Effect::LeaderChanged { leader: Some(leader), term } => {
                tracing::info!(leader = self.outlets.name_of(leader), term, "the store has a leader");
            }
            Effect::LeaderChanged { leader: None, term } => tracing::info!(term, "the store has no leader"),
            Effect::Notice(notice) => tracing::warn!("{notice}"),
        }
    }

    fn answer_read(&mut self, id: RequestId, result: Result<(), StoreError>) {
        if let Some(Answer::Read(answer)) = self.answers.remove(&id) {
            let _ = answer.send(result);
        }
    }

    /// Watchers go on if one revision was skipped, and read the history if it was more.
    fn restored(&mut self, revision: Revision) {
        let next = Revision(self.told.0 + 1);
        self.told = revision;
        let events = if next == revision {
            super::read_lock(&self.store).kv().events_since(revision).map(Iterator::collect).unwrap_or_default()
        } else {
            Vec::new()
        };
        self.outlets.applied(revision, events);
    }

    /// A leader whose disk hangs lets another lead.
    fn hand_over_if_stalled(&mut self) {
        let stalled = self.writing.front().is_some_and(|(_, since)| since.elapsed() >= limits::DISK_STALL);
        if stalled && self.last_handover.is_none_or(|at| at.elapsed() >= limits::DISK_STALL) {
            self.last_handover = Some(Instant::now());
            self.event(Event::HandOver);
        }
    }

    fn may_stop(&self) -> bool {
        self.stopping.is_some_and(|since| {
            let status = super::read_lock(&self.store).status();
            let alone = self.peers.is_empty();
            alone || status.leader != Some(status.id) || since.elapsed() >= limits::HANDOVER_WITHIN
        })
    }

    async fn finish(mut self, mut requests: mpsc::Receiver<Request>) {
        let killed = self.stop.is_cancelled();
        self.stop.cancel();
        requests.close();
        if let Some(reason) = &self.failure {
            tracing::error!("the store must stop: {reason}");
            self.outlets.failed(reason);
        }
        self.answers.clear();
        while requests.try_recv().is_ok() {}
        let finished = timeout(limits::STOP_WITHIN, self.disk.finish()).await;
        if finished.is_err() && !killed {
            tracing::warn!("the disk did not finish in time");
        }
    }
}
