//! What raft wants done: written down, sent, applied, in the order that keeps its promises.
//!
//! Three rules. A leader's messages go out at once, its own disk being one vote among several. What a follower or
//! candidate says waits until what it says is on disk: confirmations, votes, and asking for votes. Heartbeat answers and
//! read barriers promise nothing about the log, so they never wait (as in etcd's raft): reads go on while a disk is slow
//! or full.

use crate::{
    Effect, PeerMessage, Persist, Snapshot, Store, Token,
    entry::Entry,
    log::{from_raft_entry, from_raft_hard_state, from_raft_snapshot},
};
use kv::Kv;
use raft::{
    eraftpb::{self, ConfState, Message, MessageType, SnapshotMetadata},
    prelude::Ready,
};
use std::collections::VecDeque;

/// Writes on their way to disk, oldest first.
#[derive(Default)]
pub struct Persisting {
    queue: VecDeque<Step>,
    last_token: Token,
}

struct Step {
    /// `None`: nothing to write, but it must not overtake what is before it.
    token: Option<Token>,
    /// Raft's number for it; `None` for a snapshot of our own.
    ready: Option<u64>,
    /// The entry a received snapshot stands for.
    snapshot_index: Option<u64>,
    held_back: Vec<Message>,
}

impl Persisting {
    fn next_token(&mut self) -> Token {
        self.last_token += 1;
        self.last_token
    }

    /// The next step that is done when everything up to `token` is on disk.
    fn pop_done(&mut self, token: Token) -> Option<Step> {
        let done = self.queue.front()?.token.is_none_or(|own| own <= token);
        if done { self.queue.pop_front() } else { None }
    }

    /// Raft's log begins behind what it has applied until the snapshot is on disk; it must not stand for election then
    /// (it would look for the entries between and stop the process).
    pub fn has_received_snapshot(&self) -> bool {
        self.queue.iter().any(|step| step.snapshot_index.is_some())
    }

    fn has_own_snapshot(&self) -> bool {
        self.queue.iter().any(|step| step.ready.is_none())
    }
}

impl Store {
    pub(crate) fn process_ready(&mut self) {
        let mut ready = self.raft.ready();
        for message in ready.take_messages() {
            self.send(message);
        }
        let mut held_back = Vec::new();
        for message in ready.take_persisted_messages() {
            match message.get_msg_type() {
                MessageType::MsgHeartbeatResponse | MessageType::MsgReadIndex => self.send(message),
                _ => held_back.push(message),
            }
        }
        let has_snapshot = !ready.snapshot().is_empty();
        let token = self.persist(&ready, has_snapshot);
        if has_snapshot {
            self.install(ready.snapshot());
        }
        self.observe_received(ready.entries());
        self.raft.mut_store().append(ready.entries());
        if let Some(hard_state) = ready.hs() {
            self.raft.mut_store().set_hard_state(hard_state.clone());
        }
        let committed = ready.take_committed_entries();
        for state in ready.take_read_states() {
            self.barrier_answered(&state.request_ctx, state.index);
        }
        let snapshot_index = has_snapshot.then(|| ready.snapshot().get_metadata().index);
        self.persisting.queue.push_back(Step { token, ready: Some(ready.number()), snapshot_index, held_back });
        self.raft.advance_append_async(ready);
        if let Some(last) = committed.last().map(|entry| entry.index) {
            let awaited_by = self.apply(committed);
            self.raft.advance_apply_to(last);
            if self.is_leader() {
                for id in awaited_by.into_iter().filter(|id| *id != self.config.id) {
                    self.raft.raft.send_append(id);
                }
            }
            self.snapshot_if_due();
        } else if self.raft.mut_store().take_wanted() {
            self.take_snapshot();
        }
        self.release_reads();
        self.complete(0);
    }

    /// What another leader appended tells the time, whether it is committed or not.
    fn observe_received(&mut self, entries: &[eraftpb::Entry]) {
        if self.is_leader() {
            return;
        }
        if let Some(Entry::Command { at, .. }) = entries.iter().rev().find_map(|entry| Entry::decode(&entry.data)) {
            self.clock.observe(at, self.now);
            self.recovered = 0;
        }
    }

    /// Everything up to `token` is on disk.
    pub(crate) fn persisted(&mut self, token: Token) {
        self.complete(token);
    }

    fn complete(&mut self, token: Token) {
        while let Some(step) = self.persisting.pop_done(token) {
            if let Some(number) = step.ready {
                self.raft.on_persist_ready(number);
            }
            if let Some(index) = step.snapshot_index {
                self.raft.advance_apply_to(index);
            }
            for message in step.held_back {
                self.send(message);
            }
        }
    }

    fn send(&mut self, message: Message) {
        let to = message.to;
        if message.get_msg_type() == MessageType::MsgHeartbeat && !self.is_needed(&message) {
            return;
        }
        self.silent_ticks.insert(to, 0);
        self.effects.push(Effect::Send { to, message: PeerMessage::Raft(Box::new(message)) });
    }

    /// A follower that has just been told something needs no sign of life. (With a context it is a read's barrier.)
    fn is_needed(&self, heartbeat: &Message) -> bool {
        let silent = self.silent_ticks.get(&heartbeat.to);
        !heartbeat.context.is_empty() || silent.is_none_or(|ticks| *ticks >= self.config.heartbeat_ticks)
    }

    /// That more is committed is not written down by itself: the next leader finds it out, and the next entry takes it along.
    fn persist(&mut self, ready: &Ready, has_snapshot: bool) -> Option<Token> {
        if !has_snapshot && !ready.must_sync() {
            return None;
        }
        let token = self.persisting.next_token();
        self.effects.push(Effect::Persist(Persist {
            token,
            snapshot: has_snapshot.then(|| from_raft_snapshot(ready.snapshot())),
            entries: ready.entries().iter().map(from_raft_entry).collect(),
            hard_state: ready.hs().map_or_else(|| self.raft.store().hard_state(), from_raft_hard_state),
        }));
        Some(token)
    }

    /// The leader's snapshot becomes the state.
    fn install(&mut self, snapshot: &eraftpb::Snapshot) {
        let metadata = snapshot.get_metadata();
        let received = self.received_state.take().filter(|(index, _)| *index == metadata.index);
        let state = received.map(|(_, kv)| kv).or_else(|| Kv::restore(&snapshot.data).ok());
        // It was read when it arrived, or raft would not have it.
        self.kv = state.expect("a snapshot that was read once is readable");
        self.clock.observe(self.kv.now(), self.now);
        self.recovered = 0;
        self.applied = (metadata.index, metadata.term);
        self.applied_bytes = 0;
        self.raft.mut_store().install(snapshot.clone());
        self.snapshot_installed();
    }

    fn snapshot_if_due(&mut self) {
        let entries = self.applied.0.saturating_sub(self.raft.store().snapshot_index());
        let due = entries >= self.config.snapshot_entries || self.applied_bytes >= crate::limits::SNAPSHOT_BYTES;
        if self.raft.mut_store().take_wanted() || due {
            self.take_snapshot();
        }
    }

    fn take_snapshot(&mut self) {
        if self.persisting.has_own_snapshot() || self.applied.0 == self.raft.store().snapshot_index() {
            return;
        }
        let (index, term) = self.applied;
        let voters = self.raft.store().voters().to_vec();
        let data = self.kv.snapshot();
        let token = self.persisting.next_token();
        self.effects.push(Effect::Persist(Persist {
            token,
            snapshot: Some(Snapshot { index, term, voters: voters.clone(), data: data.clone() }),
            entries: self.raft.store().behind(index),
            hard_state: self.raft.store().hard_state(),
        }));
        self.persisting.queue.push_back(Step {
            token: Some(token),
            ready: None,
            snapshot_index: None,
            held_back: Vec::new(),
        });
        let conf_state = Some(ConfState { voters, ..ConfState::default() });
        let metadata = Some(SnapshotMetadata { index, term, conf_state });
        self.raft.mut_store().compact(eraftpb::Snapshot { data, metadata }, self.config.trailing_entries);
        self.applied_bytes = 0;
    }
}
