//! The store itself: takes events, settles what follows from them, hands out effects.

use crate::{
    Effect, Event, MemberId, Notice, OpenError, PeerMessage, Persisted, Role, Status, StoreConfig, StoreError,
    clock::StoreClock,
    election::Election,
    entry::{Entry, WriteId},
    limits,
    log::Log,
    message::{self, Forward, Refused},
    proposals::{Forwarded, Proposals},
    reads::Reads,
    ready::Persisting,
    rejoin::{self, Rejoin, Verdict},
};
use kv::{Command, Kv};
use raft::{
    Config, ProgressState, RawNode, ReadOnlyOption, SnapshotStatus, StateRole,
    eraftpb::{Message, MessageType},
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};
use types::{LeaseId, Millis};

pub struct Store {
    pub(crate) config: StoreConfig,
    pub(crate) raft: RawNode<Log>,
    pub(crate) kv: Kv,
    pub(crate) clock: StoreClock,
    /// Entries up to here were on disk when this member started, and tell the time as they are applied, until one arrives.
    pub(crate) recovered: u64,
    /// Local time of the latest event.
    pub(crate) now: Millis,
    election: Election,
    pub(crate) rejoin: Rejoin,
    pub(crate) proposals: Proposals,
    /// On the leader: what came from followers.
    pub(crate) forwarded: Forwarded,
    pub(crate) reads: Reads,
    pub(crate) persisting: Persisting,
    /// Index and term of the last applied entry.
    pub(crate) applied: (u64, u64),
    /// Bytes of the entries applied since the last snapshot.
    pub(crate) applied_bytes: u64,
    /// The state in a snapshot that raft was given and has not handed back yet, with its index.
    pub(crate) received_state: Option<(u64, Kv)>,
    /// Leases whose revocation is in the log and not applied.
    pub(crate) expiring: BTreeSet<LeaseId>,
    storage_full: bool,
    /// Leader and term as last announced.
    announced: (MemberId, u64),
    /// Ticks since a snapshot was sent to a member that has not confirmed it.
    snapshot_ticks: BTreeMap<MemberId, u32>,
    /// Ticks since this member, as the leader, has sent each follower anything.
    pub(crate) silent_ticks: BTreeMap<MemberId, usize>,
    /// Ticks as a leader with a full disk.
    full_ticks: u32,
    handovers: usize,
    /// Members that could not be reached and were not heard since.
    silent: BTreeSet<MemberId>,
    /// When each member was heard last.
    heard: BTreeMap<MemberId, Millis>,
    pub(crate) effects: Vec<Effect>,
}

impl Store {
    /// Starts from what is on disk; empty for a new member. `now` is the local clock, as in [`Self::handle`].
    pub fn open(config: StoreConfig, persisted: Persisted, now: Millis) -> Result<Self, OpenError> {
        let voters = voters(&config)?;
        let empty = persisted.is_empty();
        let kv = match &persisted.snapshot {
            None => Kv::new(),
            Some(snapshot) if snapshot.voters != voters => {
                let on_disk = snapshot.voters.clone();
                return Err(OpenError::MembersChanged { on_disk, configured: voters });
            }
            Some(snapshot) => Kv::restore(&snapshot.data)
                .map_err(|error| OpenError::BadSnapshot { index: snapshot.index, reason: error.to_string() })?,
        };
        let applied = persisted.snapshot.as_ref().map_or((0, 0), |snapshot| (snapshot.index, snapshot.term));
        let alone = voters.len() == 1;
        let log = Log::open(&persisted, voters)?;
        let recovered = log.last();
        drop(persisted);
        let raft_config = Config {
            id: config.id,
            election_tick: config.election_ticks,
            // Asked at every tick; what is not needed is not sent (`is_needed`).
            heartbeat_tick: 1,
            // The whole range must be allowed; what raft draws from it is overwritten.
            min_election_tick: config.election_ticks,
            max_election_tick: 2 * config.election_ticks,
            applied: applied.0,
            max_size_per_msg: limits::APPEND_BYTES_MAX,
            max_inflight_msgs: limits::APPENDS_IN_FLIGHT_MAX,
            max_uncommitted_size: limits::UNCOMMITTED_BYTES_MAX,
            max_committed_size_per_ready: limits::COMMITTED_BYTES_PER_STEP,
            check_quorum: true,
            pre_vote: true,
            read_only_option: ReadOnlyOption::Safe,
            // Whoever waits for it is told (`ready`).
            skip_bcast_commit: true,
            ..Config::default()
        };
        let silent = slog::Logger::root(slog::Discard, slog::o!());
        let raft = RawNode::new(&raft_config, log, &silent).map_err(|error| OpenError::Raft(error.to_string()))?;
        let mut store = Self {
            election: Election::new(config.seed, config.election_ticks),
            clock: StoreClock::starting_at(kv.now(), now),
            recovered,
            rejoin: Rejoin::starting_empty(empty && !alone),
            proposals: Proposals::default(),
            forwarded: Forwarded::default(),
            reads: Reads::default(),
            persisting: Persisting::default(),
            applied,
            applied_bytes: 0,
            received_state: None,
            expiring: BTreeSet::new(),
            storage_full: false,
            announced: (0, 0),
            snapshot_ticks: BTreeMap::new(),
            silent_ticks: BTreeMap::new(),
            full_ticks: 0,
            handovers: 0,
            silent: BTreeSet::new(),
            heard: BTreeMap::new(),
            effects: Vec::new(),
            config,
            raft,
            kv,
            now,
        };
        store.election.pin(&mut store.raft.raft);
        if alone {
            store.election.stand_at_the_next_tick(&mut store.raft.raft);
        }
        Ok(store)
    }

    /// Takes in what happened at local time `now` (of a clock that never goes back) and says what to do about it.
    pub fn handle(&mut self, now: Millis, event: Event) -> Vec<Effect> {
        self.now = self.now.max(now);
        match event {
            Event::Tick => self.tick(),
            Event::Received { from, message } => {
                if self.raft.store().voters().contains(&from) {
                    self.heard.insert(from, self.now);
                }
                self.receive(from, message);
            }
            Event::Propose { id, command, within } => self.propose(id, command, within),
            Event::Read { id } => {
                if !self.reads.add(id, self.now + self.config.request_timeout) {
                    self.effects.push(Effect::ReadFailed { id, error: StoreError::Overloaded });
                }
            }
            Event::Persisted { token } => self.persisted(token),
            Event::PeerUnreachable { id } => self.unreachable(id),
            Event::PeerProcessGone { id } => {
                self.unreachable(id);
                let voters = self.raft.store().voters().to_vec();
                self.election.process_gone(id, &mut self.raft.raft, &voters);
            }
            Event::TransferLeader { to } => self.transfer(to),
            Event::HandOver => self.hand_over(),
            Event::StorageFull(full) => {
                self.storage_full = full;
                self.full_ticks = 0;
            }
        }
        self.settle();
        std::mem::take(&mut self.effects)
    }

    /// The state after all applied entries. For reads; see [`Event::Read`] for when it is new enough.
    pub fn kv(&self) -> &Kv {
        &self.kv
    }

    /// The store's clock as this member estimates it: never ahead of the leader's.
    pub fn store_time(&self, now: Millis) -> Millis {
        self.clock.at(now)
    }

    pub fn status(&self) -> Status {
        let raft = &self.raft.raft;
        Status {
            id: self.config.id,
            role: match raft.state {
                StateRole::Leader => Role::Leader,
                StateRole::Follower => Role::Follower,
                StateRole::Candidate | StateRole::PreCandidate => Role::Candidate,
            },
            leader: self.leader(),
            term: raft.term,
            last_index: raft.raft_log.last_index(),
            committed_index: raft.raft_log.committed,
            applied_index: self.applied.0,
            takes_writes: self.takes_writes(),
            storage_full: self.storage_full,
            log_bytes: self.raft.store().bytes(),
        }
    }

    pub fn term(&self) -> u64 {
        self.raft.raft.term
    }

    pub fn config(&self) -> &StoreConfig {
        &self.config
    }

    pub(crate) fn is_leader(&self) -> bool {
        self.raft.raft.state == StateRole::Leader
    }

    fn leader(&self) -> Option<MemberId> {
        Some(self.raft.raft.leader_id).filter(|leader| *leader != raft::INVALID_ID)
    }

    /// A leader stamps entries with its clock, which is right only when everything before is applied.
    pub(crate) fn takes_writes(&self) -> bool {
        self.is_leader() && self.applied.1 == self.raft.raft.term
    }

    fn tick(&mut self) {
        // A member that cannot write cannot vote for itself either.
        if self.is_leader() || !(self.storage_full || self.persisting.has_received_snapshot()) {
            self.silent_ticks.values_mut().for_each(|ticks| *ticks += 1);
            self.raft.tick();
        }
        for (id, error) in self.proposals.take_overdue(self.now) {
            self.effects.push(Effect::Reply { id, result: Err(error) });
        }
        for (id, error) in self.reads.take_overdue(self.now) {
            self.effects.push(Effect::ReadFailed { id, error });
        }
        self.reads.restart_if_old(self.now);
        self.send_forwards_again();
        if self.is_leader() {
            self.expire_leases();
            self.resend_snapshots();
            self.hand_over_if_full();
        }
    }

    fn receive(&mut self, from: MemberId, message: PeerMessage) {
        if from == self.config.id || !self.raft.store().voters().contains(&from) {
            return self.effects.push(Effect::Notice(Notice::BadMessage { from, reason: "not a member" }));
        }
        self.silent.remove(&from);
        match message {
            PeerMessage::Raft(message) => self.receive_raft(from, *message),
            PeerMessage::Forward(forward) if forward.id.origin == from => self.accept(forward),
            PeerMessage::Forward(_) => {
                self.effects.push(Effect::Notice(Notice::BadMessage { from, reason: "a write of somebody else" }));
            }
            PeerMessage::Refused(Refused { id }) => {
                if self.is_mine(id)
                    && let Some(id) = self.proposals.take(id.sequence)
                {
                    self.effects.push(Effect::Reply { id, result: Err(StoreError::NoSpace) });
                }
            }
            PeerMessage::Transfer { to } if self.is_leader() => self.transfer(to),
            PeerMessage::Transfer { .. } => {}
        }
    }

    fn receive_raft(&mut self, from: MemberId, mut message: Message) {
        let last_index = self.raft.raft.raft_log.last_index();
        if let Err(reason) = message::check(&message, from, self.config.id, last_index) {
            return self.effects.push(Effect::Notice(Notice::BadMessage { from, reason }));
        }
        let kind = message.get_msg_type();
        if self.storage_full && needs_disk(&message) {
            return;
        }
        if kind == MessageType::MsgTimeoutNow && self.persisting.has_received_snapshot() {
            return;
        }
        match self.rejoin.judge(&message, last_index) {
            Verdict::Take => {}
            Verdict::WithholdVote(first) => {
                if first {
                    self.effects.push(Effect::Notice(Notice::VoteWithheld));
                }
                return;
            }
            Verdict::AskForSnapshot => {
                self.effects.push(Effect::Notice(Notice::DataLost));
                let last = (last_index, self.raft.raft.raft_log.last_term());
                let request = rejoin::request_snapshot(&message, message.commit, last, self.config.id);
                self.effects.push(Effect::Send { to: from, message: PeerMessage::Raft(Box::new(request)) });
                message.commit = 0;
            }
        }
        if kind == MessageType::MsgSnapshot && !self.read_snapshot(from, &message) {
            return;
        }
        let confirmed = (kind == MessageType::MsgAppendResponse && !message.reject).then_some(message.index);
        // Raft returns an error for what it drops; there is nothing to do about it.
        let _ = self.raft.step(message);
        if matches!(kind, MessageType::MsgHeartbeat | MessageType::MsgAppend) {
            self.election.leader_heard(from, &self.raft.raft);
        }
        if let Some(index) = confirmed {
            self.snapshot_confirmed(from, index);
        }
    }

    /// The state in a snapshot is read before raft gets to see it: an unreadable one changes nothing.
    fn read_snapshot(&mut self, from: MemberId, message: &Message) -> bool {
        let snapshot = message.get_snapshot();
        let metadata = snapshot.get_metadata();
        if metadata.get_conf_state().voters != self.raft.store().voters() {
            self.effects.push(Effect::Notice(Notice::BadMessage { from, reason: "a snapshot of other members" }));
            return false;
        }
        match Kv::restore(&snapshot.data) {
            Ok(kv) => {
                self.received_state = Some((metadata.index, kv));
                true
            }
            Err(error) => {
                self.effects.push(Effect::Notice(Notice::BadSnapshot { from, reason: error.to_string() }));
                false
            }
        }
    }

    fn propose(&mut self, id: crate::RequestId, command: Command, within: Option<Millis>) {
        let timeout = within.map_or(self.config.request_timeout, |within| within.min(self.config.request_timeout));
        let refusal = if self.storage_full {
            StoreError::NoSpace
        } else if let Err(error) = kv::validate(&command) {
            StoreError::Kv(error)
        } else if self.proposals.add(id, command, self.now + timeout) {
            return;
        } else {
            StoreError::Overloaded
        };
        self.effects.push(Effect::Reply { id, result: Err(refusal) });
    }

    fn is_mine(&self, id: WriteId) -> bool {
        id.origin == self.config.id && id.incarnation == self.config.incarnation
    }

    fn write_id(&self, sequence: u64) -> WriteId {
        WriteId { origin: self.config.id, incarnation: self.config.incarnation, sequence }
    }

    /// A follower's write, on the leader.
    fn accept(&mut self, forward: Forward) {
        if !self.is_leader() || forward.term != self.raft.raft.term || kv::validate(&forward.command).is_err() {
            return;
        }
        if self.storage_full {
            let refused = PeerMessage::Refused(Refused { id: forward.id });
            return self.effects.push(Effect::Send { to: forward.id.origin, message: refused });
        }
        if !self.takes_writes() {
            return self.forwarded.keep_for_later(forward);
        }
        if self.forwarded.is_new(forward.id, forward.oldest) && !self.append(forward.id, forward.command) {
            self.forwarded.forget(forward.id);
        }
    }

    /// Stamps and appends. `false`: raft takes no more at the moment.
    fn append(&mut self, id: WriteId, command: Command) -> bool {
        let entry = Entry::Command { id, at: self.clock.at(self.now), command };
        entry.encode().is_some_and(|data| self.raft.propose(Vec::new(), data).is_ok())
    }

    /// Brings everything to rest: each step can make another possible.
    fn settle(&mut self) {
        loop {
            self.election.pin(&mut self.raft.raft);
            self.announce();
            if self.raft.has_ready() {
                self.process_ready();
                continue;
            }
            if self.accept_early() || self.send_waiting() || self.start_barrier() {
                continue;
            }
            break;
        }
        let (last_index, vote) = (self.raft.store().last(), self.raft.raft.vote);
        self.rejoin.progress(last_index, vote);
    }

    /// What changes with the leader or the term.
    fn announce(&mut self) {
        let present = (self.raft.raft.leader_id, self.raft.raft.term);
        if present == self.announced {
            return;
        }
        self.announced = present;
        self.handovers = 0;
        self.reads.restart();
        self.forwarded.clear();
        self.expiring.clear();
        self.snapshot_ticks.clear();
        self.silent_ticks.clear();
        self.effects.push(Effect::LeaderChanged { leader: self.leader(), term: present.1 });
    }

    fn accept_early(&mut self) -> bool {
        if !self.takes_writes() || self.forwarded.early.is_empty() {
            return false;
        }
        for forward in std::mem::take(&mut self.forwarded.early) {
            self.accept(forward);
        }
        true
    }

    /// Sends the oldest waiting write on its way. `false`: there is none, or it has to wait.
    fn send_waiting(&mut self) -> bool {
        let Some((sequence, pending)) = self.proposals.first_waiting() else { return false };
        let command = pending.command.clone();
        let term = self.raft.raft.term;
        match self.leader() {
            Some(leader) if leader != self.config.id && self.hears_leader() => self.forward(leader, sequence, command),
            Some(leader)
                if leader == self.config.id && self.takes_writes() && self.hears_a_majority() && !self.storage_full =>
            {
                if !self.append(self.write_id(sequence), command) {
                    return false;
                }
            }
            Some(_) | None => return false,
        }
        self.proposals.sent(sequence, term, self.now);
        true
    }

    /// A follower that is heard and hears nobody would renew leases without ever learning of it, and keep the others waiting for
    /// their end.
    fn hears_leader(&self) -> bool {
        self.raft.raft.election_elapsed <= limits::LEADER_SILENT_TICKS_MAX
    }

    /// A leader that is heard and hears nobody would hand renewals to its followers that its successor commits.
    fn hears_a_majority(&self) -> bool {
        let limit = Millis(limits::TICK.0 * limits::LEADER_SILENT_TICKS_MAX as u64);
        let voters = self.raft.store().voters();
        let is_heard =
            |id: &MemberId| *id == self.config.id || self.heard.get(id).is_some_and(|at| self.now.since(*at) <= limit);
        voters.iter().filter(|id| is_heard(id)).count() > voters.len() / 2
    }

    fn forward(&mut self, leader: MemberId, sequence: u64, command: Command) {
        let forward = Forward {
            term: self.raft.raft.term,
            oldest: self.proposals.oldest(),
            id: self.write_id(sequence),
            command,
        };
        self.effects.push(Effect::Send { to: leader, message: PeerMessage::Forward(forward) });
    }

    fn send_forwards_again(&mut self) {
        let Some(leader) = self.leader().filter(|leader| *leader != self.config.id) else { return };
        for (sequence, command) in self.proposals.repeat_after_a_while(self.raft.raft.term, self.now) {
            self.forward(leader, sequence, command);
        }
    }

    fn start_barrier(&mut self) -> bool {
        // Raft drops barriers without a word when it cannot serve them.
        let possible = if self.is_leader() { self.takes_writes() } else { self.leader().is_some() };
        if !possible {
            return false;
        }
        let Some(number) = self.reads.start(self.now) else { return false };
        let context = [self.config.id, self.config.incarnation, number].map(u64::to_be_bytes).concat();
        self.raft.read_index(context);
        true
    }

    fn expire_leases(&mut self) {
        let at = self.clock.at(self.now);
        if !self.takes_writes() || self.storage_full || self.kv.next_expiry().is_none_or(|next| next > at) {
            return;
        }
        let ids: Vec<_> = self
            .kv
            .expired(at)
            .into_iter()
            .filter(|id| !self.expiring.contains(id))
            .take(limits::LEASES_EXPIRED_AT_ONCE_MAX)
            .collect();
        // Sequence 0 is nobody's: no caller waits for it.
        if !ids.is_empty() && self.append(self.write_id(0), Command::LeaseExpire { ids: ids.clone() }) {
            self.expiring.extend(ids);
        }
    }

    fn unreachable(&mut self, id: MemberId) {
        if self.raft.store().voters().contains(&id) {
            self.silent.insert(id);
        }
        if self.is_leader() {
            self.raft.report_unreachable(id);
            if self.awaits_snapshot(id) {
                self.raft.report_snapshot(id, SnapshotStatus::Failure);
            }
        }
    }

    fn awaits_snapshot(&self, id: MemberId) -> bool {
        self.raft.raft.prs().get(id).is_some_and(|progress| progress.state == ProgressState::Snapshot)
    }

    fn snapshot_confirmed(&mut self, from: MemberId, index: u64) {
        let pending = self.raft.raft.prs().get(from).map_or(u64::MAX, |progress| progress.pending_snapshot);
        if self.is_leader() && self.awaits_snapshot(from) && index >= pending {
            self.raft.report_snapshot(from, SnapshotStatus::Finish);
        }
    }

    fn resend_snapshots(&mut self) {
        let members: Vec<_> = self.raft.store().voters().to_vec();
        for id in members {
            if !self.awaits_snapshot(id) {
                self.snapshot_ticks.remove(&id);
                continue;
            }
            let ticks = self.snapshot_ticks.entry(id).or_default();
            *ticks += 1;
            if *ticks >= limits::SNAPSHOT_RETRY_TICKS {
                self.snapshot_ticks.remove(&id);
                self.raft.report_snapshot(id, SnapshotStatus::Failure);
            }
        }
    }

    fn transfer(&mut self, to: MemberId) {
        if !self.raft.store().voters().contains(&to) {
            return;
        }
        if self.is_leader() {
            self.raft.transfer_leader(to);
        } else if let Some(leader) = self.leader() {
            self.effects.push(Effect::Send { to: leader, message: PeerMessage::Transfer { to } });
        }
    }

    /// The others may have room. Each gets its turn; one whose disk is full ignores it.
    fn hand_over_if_full(&mut self) {
        if !self.storage_full {
            return;
        }
        if self.full_ticks.is_multiple_of(limits::HANDOVER_RETRY_TICKS) {
            self.hand_over();
        }
        self.full_ticks = self.full_ticks.wrapping_add(1);
    }

    fn hand_over(&mut self) {
        if !self.is_leader() {
            return;
        }
        let progress = self.raft.raft.prs();
        let mut others: Vec<_> =
            self.raft.store().voters().iter().copied().filter(|voter| *voter != self.config.id).collect();
        // Those that answer before those that do not; then the one that has most of the log.
        others.sort_by_key(|id| (self.silent.contains(id), Reverse(progress.get(*id).map_or(0, |p| p.matched)), *id));
        if !others.is_empty() {
            let to = others[self.handovers % others.len()];
            self.handovers += 1;
            self.raft.transfer_leader(to);
        }
    }
}

fn voters(config: &StoreConfig) -> Result<Vec<MemberId>, OpenError> {
    let unique: BTreeSet<_> = config.members.iter().map(|member| member.id).collect();
    if unique.contains(&0) || unique.len() != config.members.len() {
        return Err(OpenError::BadMembers);
    }
    if !unique.contains(&config.id) {
        return Err(OpenError::NotAMember { id: config.id });
    }
    Ok(unique.into_iter().collect())
}

/// Messages whose effect has to be written down.
fn needs_disk(message: &Message) -> bool {
    match message.get_msg_type() {
        MessageType::MsgAppend => !message.entries.is_empty(),
        kind => matches!(
            kind,
            MessageType::MsgSnapshot
                | MessageType::MsgRequestVote
                | MessageType::MsgRequestPreVote
                | MessageType::MsgTimeoutNow
        ),
    }
}
