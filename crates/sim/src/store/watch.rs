//! Watches: a store tells an agent of every change, in order, until the connection breaks.
//!
//! The agent's side follows what the real client does: the own store first, another one when it breaks or goes silent, and a
//! fresh load when answers show that the watch has missed something. The invariant: the view never goes back.

use super::{Answer, Inbound, Request};
use crate::clock::{MS, SECOND, Time};
use crate::network::Plane;
use crate::say;
use crate::store::client::Purpose;
use crate::worker::WorkerEvent;
use crate::world::{Happening, World};
use ha::cluster::Cluster;
use types::Revision;

const PING_EVERY: Time = SECOND;
const PING_TIMEOUT: Time = SECOND;
const CREATE_TIMEOUT: Time = SECOND;
const RETRY_PAUSE: Time = 100 * MS;
/// Answers have been ahead of the watch for this long.
const DOUBT_AFTER: Time = 1_500 * MS;

/// The store's side.
#[derive(Clone, Debug)]
pub struct Session {
    pub host: usize,
    pub run: u64,
    pub id: u64,
    pub sent: Revision,
    /// A connection keeps the order of what goes through it.
    pub arrives: Time,
}

/// The agent's side.
#[derive(Debug, Default)]
pub struct Watch {
    pub session: u64,
    pub endpoint: usize,
    /// Confirmed by the store.
    pub following: bool,
    pub heard: Time,
    pub behind_since: Option<Time>,
}

impl World {
    pub(crate) fn watch_arrives(&mut self, host: usize, from: usize, run: u64, id: u64, after: Revision) {
        let now = self.now;
        let Some(node) = self.node(host) else { return };
        node.sessions.retain(|session| session.host != from);
        node.sessions.push(Session { host: from, run, id, sent: after, arrives: now });
        let revision = node.store.kv().revision();
        self.send_to_agent(host, from, run, WorkerEvent::WatchCreated { session: id, revision });
        self.feed_watches(host);
    }

    pub(crate) fn ping_arrives(&mut self, host: usize, from: usize, run: u64, id: u64) {
        let known = self.node(host).is_some_and(|node| node.sessions.iter().any(|session| session.id == id));
        let event = if known { WorkerEvent::Pong { session: id } } else { WorkerEvent::WatchBroken { session: id } };
        self.send_to_agent(host, from, run, event);
    }

    pub(crate) fn feed_watches(&mut self, host: usize) {
        let Some(node) = self.node(host) else { return };
        let mut sessions = std::mem::take(&mut node.sessions);
        let newest = node.store.kv().revision();
        sessions.retain_mut(|session| self.feed(host, session, newest));
        if let Some(node) = self.node(host) {
            node.sessions = sessions;
        }
    }

    /// `false`: the session is over.
    fn feed(&mut self, host: usize, session: &mut Session, newest: Revision) -> bool {
        if session.sent >= newest {
            return true;
        }
        let Some(node) = self.node(host) else { return false };
        let next = Revision(session.sent.0 + 1);
        let (to, run, id) = (session.host, session.run, session.id);
        let event = match node.store.kv().events_since(next) {
            Ok(events) => WorkerEvent::WatchEvents { session: id, events: events.collect() },
            Err(_) => WorkerEvent::WatchCompacted { session: id },
        };
        session.sent = newest;
        if !self.network.connects(Plane::Store, host, to) {
            // What is lost here would be sent again by TCP until one side gives up; the agent's pings fail first.
            return false;
        }
        let after = self.network.delay(&mut self.random, host, to);
        session.arrives = session.arrives.max(self.now + after);
        self.plan(session.arrives - self.now, Happening::Worker { host: to, run, event });
        true
    }

    /// Opens the next watch, on this store.
    pub(crate) fn open_watch(&mut self, host: usize, endpoint: usize) {
        let now = self.now;
        self.last_session += 1;
        let session = self.last_session;
        let Some(worker) = &mut self.hosts[host].worker else { return };
        worker.watch.session = session;
        worker.watch.endpoint = endpoint;
        worker.watch.following = false;
        worker.watch.heard = now;
        let Some(after) = worker.cluster.as_ref().map(|cluster| cluster.revision) else {
            return self.call(host, Purpose::Load, Request::Load);
        };
        self.send_to_store(host, endpoint, Inbound::Watch { session, after });
    }

    pub(crate) fn watch_broken(&mut self, host: usize, session: u64) {
        let hosts = self.hosts.len();
        let Some(worker) = &mut self.hosts[host].worker else { return };
        if worker.watch.session != session {
            return;
        }
        worker.connected = false;
        let was_following = std::mem::replace(&mut worker.watch.following, false);
        let next =
            if was_following && worker.watch.endpoint != host { host } else { (worker.watch.endpoint + 1) % hosts };
        worker.watch.endpoint = next;
        let run = worker.run;
        let session = worker.watch.session;
        self.plan(RETRY_PAUSE, Happening::Worker { host, run, event: WorkerEvent::OpenWatch { session } });
        self.decide_soon(host);
    }

    pub(crate) fn watch_created(&mut self, host: usize, session: u64, revision: Revision) {
        let now = self.now;
        let Some(worker) = &mut self.hosts[host].worker else { return };
        if worker.watch.session != session {
            return;
        }
        worker.watch.following = true;
        worker.watch.heard = now;
        worker.connected = true;
        let behind = worker.cluster.as_ref().is_some_and(|cluster| revision < cluster.revision);
        if behind {
            self.call(host, Purpose::Load, Request::Load);
        }
        self.decide_soon(host);
    }

    /// Whatever comes through it says that the watch is open: what was lost on the way is sent again by TCP.
    pub(crate) fn watch_heard(&mut self, host: usize, session: u64) {
        let now = self.now;
        let Some(worker) = &mut self.hosts[host].worker else { return };
        if worker.watch.session != session {
            return;
        }
        worker.watch.following = true;
        worker.watch.heard = now;
        if !std::mem::replace(&mut worker.connected, true) {
            self.decide_soon(host);
        }
    }

    pub(crate) fn watch_events(&mut self, host: usize, session: u64, events: &[kv::Event]) {
        self.watch_heard(host, session);
        let keys = self.keys.clone();
        let Some(worker) = &mut self.hosts[host].worker else { return };
        if worker.watch.session != session {
            return;
        }
        let Some(cluster) = &mut worker.cluster else { return };
        let before = cluster.revision;
        for event in events.iter().filter(|event| event.kv.mod_revision > before) {
            cluster.apply(&keys, event);
        }
        let changed = cluster.revision > before;
        if changed {
            self.view_changed(host);
        }
    }

    pub(crate) fn loaded(&mut self, host: usize, answer: Answer) {
        let keys = self.keys.clone();
        let Some(worker) = &mut self.hosts[host].worker else { return };
        let session = worker.watch.session;
        let Answer::Loaded { revision, keys: found } = answer else {
            return self.watch_broken(host, session);
        };
        let first = worker.cluster.is_none();
        if worker.cluster.as_ref().is_none_or(|cluster| cluster.revision < revision) {
            worker.cluster = Some(Cluster::from_keys(&keys, &found, revision));
            self.view_changed(host);
        }
        if first {
            self.open_watch(host, host);
        }
    }

    /// Once a second: is the watch alive, and does it keep up?
    pub(crate) fn watch_ping(&mut self, host: usize) {
        let now = self.now;
        let Some(worker) = &mut self.hosts[host].worker else { return };
        let run = worker.run;
        let (session, endpoint) = (worker.watch.session, worker.watch.endpoint);
        let limit = if worker.watch.following { PING_EVERY + PING_TIMEOUT } else { CREATE_TIMEOUT };
        let silent = now - worker.watch.heard > limit;
        let behind = worker.cluster.as_ref().is_some_and(|cluster| cluster.revision < worker.seen_revision);
        worker.watch.behind_since = if behind { worker.watch.behind_since.or(Some(now)) } else { None };
        let doubtful = worker.watch.behind_since.is_some_and(|since| now - since > DOUBT_AFTER);
        if worker.cluster.is_some() && silent {
            say!(self, host, "dcs: the watch on m{} is silent", endpoint + 1);
            self.watch_broken(host, session);
        } else if doubtful {
            say!(self, host, "dcs: the watch on m{} has missed something", endpoint + 1);
            self.call(host, Purpose::Load, Request::Load);
            self.watch_broken(host, session);
        } else {
            self.send_to_store(host, endpoint, Inbound::Ping { session });
        }
        self.plan(PING_EVERY, Happening::Worker { host, run, event: WorkerEvent::WatchPing });
    }
}
