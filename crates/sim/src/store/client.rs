//! How an agent asks: its own store first, the next one when that is certain not to have done it, two at once when the
//! question may be repeated and the first is slow.
//!
//! The invariant, as in the real client: only what certainly was not carried out counts as such.

use super::{Answer, Inbound, Request};
use crate::clock::{MS, SECOND, Time};
use crate::worker::WorkerEvent;
use crate::world::{Happening, World};
use kv::Command;
use types::{LeaseId, Millis};

const REQUEST_TIMEOUT: Time = SECOND;
const HEDGE_AFTER: Time = 150 * MS;
const HEARD_FOR: Time = 400 * MS;
const RETRY_PAUSE: Time = 60 * MS;

/// What an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Load,
    Grant {
        sent: Millis,
        sent_at: Time,
    },
    Renew {
        id: LeaseId,
        ttl: Millis,
        sent: Millis,
        sent_at: Time,
    },
    Write,
    RedisWrite,
    /// Nobody waits for it.
    Operator,
}

#[derive(Clone, Debug)]
pub struct Call {
    pub purpose: Purpose,
    request: Request,
    deadline: Time,
    /// Nothing may come of it after its deadline, and only stores within hearing are asked.
    bounded: bool,
    /// Stores still to be asked in this round.
    waiting: Vec<usize>,
    asked: u32,
    /// Some store has it and may still carry it out.
    doubt: bool,
}

impl Call {
    fn is_repeatable(&self) -> bool {
        match &self.request {
            Request::Load => true,
            Request::Change(command) => matches!(command, Command::LeaseGrant { .. } | Command::LeaseKeepAlive { .. }),
        }
    }
}

impl World {
    pub(crate) fn call(&mut self, host: usize, purpose: Purpose, request: Request) {
        self.call_within(host, purpose, request, None);
    }

    pub(crate) fn call_within(&mut self, host: usize, purpose: Purpose, request: Request, within: Option<Time>) {
        let limit = within.map_or(REQUEST_TIMEOUT, |within| within.min(REQUEST_TIMEOUT));
        let deadline = self.now + limit;
        let bounded = within.is_some();
        let stores = self.hosts.len();
        self.last_call += 1;
        let id = self.last_call;
        let Some(worker) = &mut self.hosts[host].worker else { return };
        let run = worker.run;
        // The own store last when it was found wanting.
        let first = worker.preferred_store;
        let mut waiting: Vec<usize> = (0..stores).map(|at| (first + at) % stores).collect();
        waiting.reverse();
        let call = Call { purpose, request, deadline, bounded, waiting, asked: 0, doubt: false };
        worker.calls.insert(id, call);
        self.plan(limit, Happening::Worker { host, run, event: WorkerEvent::CallDeadline { call: id } });
        self.ask_next(host, id);
    }

    fn ask_next(&mut self, host: usize, id: u64) {
        let Some(worker) = &mut self.hosts[host].worker else { return };
        let run = worker.run;
        let Some(call) = worker.calls.get_mut(&id) else { return };
        let Some(endpoint) = call.waiting.pop() else { return };
        call.asked += 1;
        call.doubt = true;
        let hedge = call.is_repeatable();
        let in_hearing = worker.heard_at.get(&endpoint).is_some_and(|at| self.now - at < HEARD_FOR);
        if call.bounded && !in_hearing {
            self.send_to_store(host, endpoint, Inbound::Probe { call: id });
        } else {
            self.send_request(host, endpoint, id);
        }
        if hedge {
            self.plan(HEDGE_AFTER, Happening::Worker { host, run, event: WorkerEvent::CallHedge { call: id } });
        }
    }

    fn send_request(&mut self, host: usize, endpoint: usize, id: u64) {
        let Some(worker) = &self.hosts[host].worker else { return };
        let Some(call) = worker.calls.get(&id) else { return };
        let within = call.bounded.then(|| Millis(call.deadline.saturating_sub(self.now) / MS));
        let request = call.request.clone();
        self.send_to_store(host, endpoint, Inbound::Request { call: id, request, within });
    }

    /// This store has answered a probe.
    pub(crate) fn store_heard(&mut self, host: usize, id: u64, endpoint: usize) {
        let now = self.now;
        let Some(worker) = &mut self.hosts[host].worker else { return };
        worker.heard_at.insert(endpoint, now);
        self.send_request(host, endpoint, id);
    }

    pub(crate) fn call_hedge(&mut self, host: usize, id: u64) {
        self.ask_next(host, id);
    }

    pub(crate) fn call_retry(&mut self, host: usize, id: u64) {
        let stores = self.hosts.len();
        let Some(worker) = &mut self.hosts[host].worker else { return };
        if let Some(call) = worker.calls.get_mut(&id) {
            call.waiting = (0..stores).rev().collect();
            self.ask_next(host, id);
        }
    }

    pub(crate) fn call_answered(&mut self, host: usize, id: u64, endpoint: usize, answer: Answer) {
        let now = self.now;
        let stores = self.hosts.len();
        let Some(worker) = &mut self.hosts[host].worker else { return };
        let run = worker.run;
        worker.heard_at.insert(endpoint, now);
        let Some(call) = worker.calls.get_mut(&id) else { return };
        if matches!(answer, Answer::NotTaken) || (matches!(answer, Answer::Unknown) && call.is_repeatable()) {
            call.asked -= 1;
            if endpoint == worker.preferred_store {
                worker.preferred_store = (endpoint + 1) % stores;
            }
            if !call.waiting.is_empty() {
                return self.ask_next(host, id);
            }
            if call.asked > 0 {
                return;
            }
            if now + RETRY_PAUSE < call.deadline {
                return self
                    .plan(RETRY_PAUSE, Happening::Worker { host, run, event: WorkerEvent::CallRetry { call: id } });
            }
            let purpose = call.purpose;
            worker.calls.remove(&id);
            return self.call_done(host, purpose, Answer::NotTaken);
        }
        let purpose = call.purpose;
        worker.calls.remove(&id);
        worker.preferred_store = endpoint;
        if let Answer::Changed { revision, .. } | Answer::Loaded { revision, .. } = &answer {
            worker.seen_revision = worker.seen_revision.max(*revision);
        }
        self.call_done(host, purpose, answer);
    }

    pub(crate) fn call_deadline(&mut self, host: usize, id: u64) {
        let stores = self.hosts.len();
        let Some(worker) = &mut self.hosts[host].worker else { return };
        let Some(call) = worker.calls.remove(&id) else { return };
        worker.preferred_store = (worker.preferred_store + 1) % stores;
        self.call_done(host, call.purpose, Answer::Unknown);
    }

    fn call_done(&mut self, host: usize, purpose: Purpose, answer: Answer) {
        match purpose {
            Purpose::Load => self.loaded(host, answer),
            Purpose::Grant { sent, sent_at } => self.granted(host, sent, sent_at, &answer),
            Purpose::Renew { id, ttl, sent, sent_at } => self.renewed(host, id, ttl, sent, sent_at, &answer),
            Purpose::Write => self.written(host, &answer),
            Purpose::RedisWrite => self.redis_written(host, &answer),
            Purpose::Operator => {}
        }
    }
}
