//! Streaming: walsenders and walreceivers.
//!
//! A cut link does not end a connection, it only stalls it; that is why a fast stop can hang. A standby is accepted
//! when its log is the beginning of the sender's; otherwise it tries again and again, as the real one does. When it is not,
//! and only seems to be, the real one may go on over the difference: that must not come to pass.

use super::wal::Wal;
use super::{Phase, PostgresEvent, Receiver, Sender};
use crate::clock::{MS, SECOND, Time};
use crate::network::Plane;
use crate::remote::REMOTE;
use crate::say;
use crate::world::World;

/// `wal_retrieve_retry_interval` as the agent sets it.
const RECEIVE_RETRY: Time = 200 * MS;
/// TCP sends again about this often.
const RETRANSMIT: Time = 250 * MS;
/// `wal_sender_timeout` and `wal_receiver_timeout`.
const REPLICATION_TIMEOUT: Time = 60 * SECOND;
const LOOK_EVERY: Time = 2 * SECOND;

impl World {
    /// `primary_conninfo` changes and is loaded.
    pub(crate) fn follow(&mut self, host: usize, upstream: Option<usize>) {
        let postgres = &mut self.hosts[host].postgres;
        if let Some(cluster) = postgres.data.cluster_mut() {
            cluster.upstream = upstream;
        }
        let Some(server) = &mut postgres.server else { return };
        if server.upstream == upstream {
            return;
        }
        server.upstream = upstream;
        self.stop_receiving(host);
        self.receive_soon(host, 2 * MS);
    }

    pub(crate) fn receive_soon(&mut self, host: usize, after: Time) {
        let postgres = &mut self.hosts[host].postgres;
        let run = postgres.run;
        if let Some(server) = &mut postgres.server
            && !server.trying
        {
            server.trying = true;
            self.postgres_soon(host, run, after, PostgresEvent::TryToReceive);
        }
    }

    pub(crate) fn stop_receiving(&mut self, host: usize) {
        let Some(receiver) = self.hosts[host].postgres.server.as_mut().and_then(|server| server.receiver.take()) else {
            return;
        };
        if receiver.from == REMOTE {
            return;
        }
        // A sender that cannot be told goes on until its timeout.
        let told = self.hosts[host].up && self.network.connects(Plane::Replication, host, receiver.from);
        let sender = &mut self.hosts[receiver.from].postgres;
        if sender.run == receiver.from_run
            && told
            && let Some(server) = &mut sender.server
        {
            server.senders.remove(&host);
        }
    }

    pub(crate) fn try_to_receive(&mut self, host: usize) {
        let Some(server) = &mut self.hosts[host].postgres.server else { return };
        server.trying = false;
        let recovering = matches!(server.phase, Phase::Standby | Phase::Starting) && !server.as_primary;
        if !recovering || server.receiver.is_some() {
            return;
        }
        let Some(from) = server.upstream else { return };
        if from == REMOTE {
            if !self.connect_to_remote(host) {
                self.receive_soon(host, RECEIVE_RETRY);
            }
            return;
        }
        if !self.connect(host, from) {
            return self.receive_soon(host, RECEIVE_RETRY);
        }
        let run = self.hosts[host].postgres.run;
        self.postgres_soon(host, run, LOOK_EVERY, PostgresEvent::LookAtReceiver);
        self.send(from, host);
    }

    fn connect(&mut self, host: usize, from: usize) -> bool {
        let now = self.now;
        let (mine, theirs) = (&self.hosts[host].postgres, &self.hosts[from].postgres);
        let reachable = host != from && self.network.connects(Plane::Replication, host, from) && theirs.frozen == 0;
        let serves = matches!(theirs.phase(), Some(Phase::Primary | Phase::Standby | Phase::Promoting));
        let (Some(own), Some(other)) = (mine.data.cluster(), theirs.data.cluster()) else { return false };
        if !reachable || !serves {
            return false;
        }
        if !own.wal.is_prefix_of(&other.wal) {
            if own.wal.seems_prefix_of(&other.wal) {
                let (mine, theirs) = (host + 1, from + 1);
                self.violation(format!("m{mine} streams from m{theirs} onto another history of the same timeline"));
                return false;
            }
            say!(self, host, "postgres: cannot stream from m{}: its history is another one", from + 1);
            return false;
        }
        let (run, from_run, flush) = (mine.run, theirs.run, own.wal.end());
        let names = other.synchronous_standby_names.clone();
        let sender = Sender { run, flush, names, under_way: false, heard: now };
        say!(self, host, "postgres: streams from m{}", from + 1);
        if let Some(server) = &mut self.hosts[from].postgres.server {
            server.senders.insert(host, sender);
        }
        if let Some(server) = &mut self.hosts[host].postgres.server {
            server.receiver = Some(Receiver { from, from_run, heard: now });
        }
        true
    }

    /// A connection whose other end is gone is noticed when that host answers, or when it has been silent too long.
    pub(crate) fn look_at_receiver(&mut self, host: usize) {
        let now = self.now;
        let postgres = &self.hosts[host].postgres;
        let run = postgres.run;
        let Some(receiver) = postgres.server.as_ref().and_then(|server| server.receiver) else { return };
        if receiver.from == REMOTE {
            return;
        }
        let sender = &self.hosts[receiver.from];
        let alive = sender.postgres.run == receiver.from_run
            && sender.postgres.server.as_ref().is_some_and(|server| server.senders.contains_key(&host));
        let told = sender.up && self.network.connects(Plane::Replication, host, receiver.from);
        if (!alive && told) || now - receiver.heard > REPLICATION_TIMEOUT {
            self.stop_receiving(host);
            return self.receive_soon(host, RECEIVE_RETRY);
        }
        if let Some(server) = &mut self.hosts[host].postgres.server
            && let Some(receiver) = &mut server.receiver
            && alive
            && told
        {
            receiver.heard = now;
        }
        self.postgres_soon(host, run, LOOK_EVERY, PostgresEvent::LookAtReceiver);
    }

    /// The processes of this server are gone: its peers see their connections close, where they can.
    pub(crate) fn close_connections(&mut self, host: usize, run: u64) {
        self.stop_receiving(host);
        for other in 0..self.hosts.len() {
            let receives = self.hosts[other].postgres.server.as_ref().and_then(|server| server.receiver);
            let here = receives.is_some_and(|receiver| receiver.from == host && receiver.from_run == run);
            if here && self.hosts[host].up && self.network.connects(Plane::Replication, host, other) {
                if let Some(server) = &mut self.hosts[other].postgres.server {
                    server.receiver = None;
                }
                self.receive_soon(other, RECEIVE_RETRY);
            }
        }
    }

    pub(crate) fn send_to_all(&mut self, host: usize) {
        let standbys: Vec<usize> = match &self.hosts[host].postgres.server {
            Some(server) => server.senders.keys().copied().collect(),
            None => return,
        };
        for to in standbys {
            self.send(host, to);
        }
    }

    pub(crate) fn send(&mut self, host: usize, to: usize) {
        let postgres = &mut self.hosts[host].postgres;
        let run = postgres.run;
        let (Some(server), Some(cluster)) = (&mut postgres.server, postgres.data.cluster()) else { return };
        let Some(sender) = server.senders.get_mut(&to) else { return };
        if sender.under_way || cluster.wal.end() <= sender.flush {
            return;
        }
        sender.under_way = true;
        let (wal, to_run) = (cluster.wal.clone(), sender.run);
        if self.network.passes(Plane::Replication, host, to) && self.hosts[to].up {
            let after = self.network.delay(&mut self.random, host, to);
            self.postgres_soon(to, to_run, after, PostgresEvent::Stream { from: host, from_run: run, wal });
        } else {
            self.postgres_soon(host, run, RETRANSMIT, PostgresEvent::SendAgain { to });
        }
    }

    pub(crate) fn send_again(&mut self, host: usize, to: usize) {
        if let Some(server) = &mut self.hosts[host].postgres.server
            && let Some(sender) = server.senders.get_mut(&to)
            && sender.under_way
        {
            sender.under_way = false;
            self.send(host, to);
        }
    }

    pub(crate) fn stream_arrives(&mut self, host: usize, from: usize, from_run: u64, wal: Wal) {
        let slow = self.hosts[host].postgres.slow_disk;
        let after = self.random.between(MS / 4, 2 * MS) * slow;
        let now = self.now;
        let postgres = &mut self.hosts[host].postgres;
        let run = postgres.run;
        let Some(server) = &mut postgres.server else { return };
        let Some(receiver) = &mut server.receiver else { return };
        if (receiver.from, receiver.from_run) != (from, from_run) {
            return;
        }
        receiver.heard = now;
        let receiver = *receiver;
        self.postgres_soon(host, run, after, PostgresEvent::StandbyFlushed { receiver, wal });
    }

    /// A receiver that was ended meanwhile takes what it had not flushed along.
    pub(crate) fn standby_flushed(&mut self, host: usize, receiver: Receiver, wal: Wal) {
        let postgres = &mut self.hosts[host].postgres;
        let run = postgres.run;
        let (Some(server), Some(cluster)) = (&postgres.server, postgres.data.cluster_mut()) else { return };
        let recovering = !server.as_primary && matches!(server.phase, Phase::Standby | Phase::Starting);
        let same = |now: Receiver| (now.from, now.from_run) == (receiver.from, receiver.from_run);
        if !recovering || !server.receiver.is_some_and(same) || !cluster.wal.is_prefix_of(&wal) {
            return;
        }
        cluster.wal = wal;
        let flush = cluster.wal.end();
        let consistent = flush >= cluster.consistent_at;
        if consistent && server.phase == Phase::Starting {
            self.postgres_soon(host, run, MS, PostgresEvent::Recovered);
        }
        let Some(receiver) = self.hosts[host].postgres.server.as_ref().and_then(|server| server.receiver) else {
            return;
        };
        if self.network.passes(Plane::Replication, host, receiver.from) {
            let after = self.network.delay(&mut self.random, host, receiver.from);
            let feedback = PostgresEvent::Feedback { from: host, run, flush };
            self.postgres_soon(receiver.from, receiver.from_run, after, feedback);
        } else {
            let again = PostgresEvent::SendAgain { to: host };
            self.postgres_soon(receiver.from, receiver.from_run, RETRANSMIT, again);
        }
        self.send_to_all(host);
    }

    pub(crate) fn feedback(&mut self, host: usize, from: usize, run: u64, flush: u64) {
        let now = self.now;
        let Some(server) = &mut self.hosts[host].postgres.server else { return };
        let Some(sender) = server.senders.get_mut(&from).filter(|sender| sender.run == run) else { return };
        sender.flush = sender.flush.max(flush);
        sender.under_way = false;
        sender.heard = now;
        self.release_commits(host);
        self.acknowledge(host);
        self.send(host, from);
    }

    /// Standbys that a fast stop still has to wait for.
    pub(crate) fn waits_for_standbys(&mut self, host: usize) -> bool {
        let now = self.now;
        let postgres = &mut self.hosts[host].postgres;
        let (Some(server), Some(cluster)) = (&mut postgres.server, postgres.data.cluster()) else { return false };
        server.senders.retain(|_, sender| now - sender.heard < REPLICATION_TIMEOUT);
        server.senders.values().any(|sender| sender.flush < cluster.wal.end())
    }
}
