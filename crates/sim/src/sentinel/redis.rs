//! A Redis server, as far as a Sentinel can tell: role, replication, INFO, and the few commands it is sent.
//!
//! Deliberately without data: an offset stands for it.

use super::world::World;
use crate::clock::{MS, SECOND, Time};
use std::fmt::Write;

/// How often replication moves.
pub const REPLICATION_STEP: Time = 100 * MS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Up,
    /// The process is stopped: connections stay, nothing is answered.
    Frozen,
    /// No process: connections are refused.
    Down,
}

/// The server's own FAILOVER command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandOver {
    pub to: usize,
    pub until: Time,
}

#[derive(Clone, Debug)]
pub struct Server {
    pub host: usize,
    pub port: u16,
    /// Which master it belongs to.
    pub group: usize,
    pub life: Life,
    pub run: u64,
    /// `None`: it is a master.
    pub follows: Option<usize>,
    pub link_up: bool,
    pub link_down_since: Time,
    pub sync_done_at: Option<Time>,
    pub offset: u64,
    pub priority: u32,
    pub paused_until: Time,
    pub hand_over: Option<HandOver>,
    /// Requests that wait until the process goes on: connection, number and words.
    pub inbox: Vec<(u64, super::wire::Asked)>,
}

impl Server {
    pub fn new(host: usize, port: u16, group: usize, follows: Option<usize>) -> Self {
        Self {
            host,
            port,
            group,
            life: Life::Up,
            run: 1,
            follows,
            link_up: follows.is_some(),
            link_down_since: 0,
            sync_done_at: None,
            offset: 1,
            priority: 100,
            paused_until: 0,
            hand_over: None,
            inbox: Vec::new(),
        }
    }

    pub fn follow(&mut self, now: Time, master: Option<usize>) {
        if self.follows != master {
            self.follows = master;
            self.link_up = false;
            self.link_down_since = now;
            self.sync_done_at = None;
        }
        self.hand_over = None;
    }
}

/// What a command leads to beside its reply.
pub enum Outcome {
    Ok,
    Error(&'static str),
    Text(String),
}

impl World {
    pub fn replicate(&mut self) {
        for index in 0..self.servers.len() {
            self.follow_master(index);
        }
        for index in 0..self.servers.len() {
            self.hand_over(index);
        }
        self.schedule(REPLICATION_STEP, super::world::Happening::Replication);
    }

    fn follow_master(&mut self, index: usize) {
        let now = self.now;
        let server = &self.servers[index];
        let Some(master) = server.follows else {
            if server.life == Life::Up && now >= server.paused_until && server.hand_over.is_none() {
                let written = self.random.between(0, 5);
                self.servers[index].offset += written;
            }
            return;
        };
        let other = &self.servers[master];
        let reached = self.cuts.connects(server.host, other.host);
        let good = master != index && reached && server.life == Life::Up && other.life == Life::Up;
        let (offset, loop_back) = (other.offset, other.follows == Some(index));
        let delay = self.random.between(100 * MS, 800 * MS);
        let server = &mut self.servers[index];
        if !good || loop_back {
            if server.link_up {
                server.link_down_since = now;
            }
            server.link_up = false;
            server.sync_done_at = None;
            return;
        }
        if !server.link_up && now >= *server.sync_done_at.get_or_insert(now + delay) {
            server.link_up = true;
        }
        if server.link_up {
            server.offset = offset;
        }
    }

    fn hand_over(&mut self, index: usize) {
        let now = self.now;
        let server = &self.servers[index];
        let Some(HandOver { to, until }) = server.hand_over else { return };
        if server.life != Life::Up {
            return;
        }
        let target = &self.servers[to];
        let ready = target.life == Life::Up
            && target.link_up
            && target.follows == Some(index)
            && target.offset == server.offset;
        if ready && self.cuts.connects(server.host, target.host) {
            self.servers[to].follow(now, None);
            self.servers[index].follow(now, Some(to));
            self.servers[index].sync_done_at = Some(now);
        } else if now >= until {
            self.servers[index].hand_over = None;
        }
    }

    /// Carries a command out; `connection` is the one that it came on.
    pub fn execute(&mut self, index: usize, connection: u64, words: &[String]) -> Outcome {
        let now = self.now;
        let texts: Vec<&str> = words.iter().map(String::as_str).collect();
        match texts.as_slice() {
            ["PING"] => Outcome::Text("PONG".to_owned()),
            ["INFO"] => Outcome::Text(self.info(index)),
            ["PUBLISH", _, payload] => {
                self.spread(index, payload);
                Outcome::Ok
            }
            ["SLAVEOF", host, port] => {
                if self.servers[index].hand_over.is_some() {
                    return Outcome::Error("ERR REPLICAOF not allowed while failing over.");
                }
                let master = if *host == "NO" { None } else { self.server_at(host, port) };
                let (role, who) = (self.servers[index].follows, self.server_name(index));
                if role != master {
                    let text =
                        format!("{who} follows {}", master.map_or("nobody".to_owned(), |at| self.server_name(at)));
                    self.say("redis", &text);
                }
                self.servers[index].follow(now, master);
                Outcome::Ok
            }
            ["CLIENT", "KILL", "TYPE", kind] => {
                self.kill_clients(index, connection, *kind == "pubsub");
                Outcome::Ok
            }
            ["CLIENT", "PAUSE", millis, "WRITE"] => {
                self.servers[index].paused_until = now + millis.parse::<u64>().unwrap_or(0) * MS;
                Outcome::Ok
            }
            ["CLIENT", "UNPAUSE"] => {
                self.servers[index].paused_until = 0;
                Outcome::Ok
            }
            ["FAILOVER", "TO", host, port, "TIMEOUT", millis] => {
                let until = now + millis.parse::<u64>().unwrap_or(0) * MS;
                match self.server_at(host, port) {
                    Some(to) if self.servers[index].follows.is_none() && self.servers[to].follows == Some(index) => {
                        self.servers[index].hand_over = Some(HandOver { to, until });
                        Outcome::Ok
                    }
                    Some(_) | None => Outcome::Error("ERR FAILOVER target HOST and PORT is not a replica."),
                }
            }
            ["FAILOVER", "ABORT"] => {
                self.servers[index].hand_over = None;
                Outcome::Ok
            }
            _ => Outcome::Ok,
        }
    }

    fn info(&self, index: usize) -> String {
        let server = &self.servers[index];
        // Writing into a string does not fail.
        let mut text = format!("run_id:{:08x}{:032x}\r\n", index, server.run);
        match server.follows {
            None => {
                text += "role:master\r\n";
                let replicas = self.servers.iter().filter(|other| other.follows == Some(index) && other.link_up);
                for (number, replica) in replicas.enumerate() {
                    let _ = write!(
                        text,
                        "slave{number}:ip={},port={},state=online\r\n",
                        super::wire::ip(replica.host),
                        replica.port
                    );
                }
            }
            Some(master) => {
                let master = &self.servers[master];
                let _ = write!(
                    text,
                    "role:slave\r\nmaster_host:{}\r\nmaster_port:{}\r\nmaster_link_status:{}\r\nslave_repl_offset:{}\r\nslave_priority:{}\r\n",
                    super::wire::ip(master.host),
                    master.port,
                    if server.link_up { "up" } else { "down" },
                    server.offset,
                    server.priority
                );
                if !server.link_up {
                    let seconds = (self.now - server.link_down_since) / SECOND;
                    let _ = write!(text, "master_link_down_since_seconds:{seconds}\r\n");
                }
            }
        }
        let state = if server.hand_over.is_some() { "waiting-for-sync" } else { "no-failover" };
        text + "master_failover_state:" + state + "\r\n"
    }

    pub fn kill_server(&mut self, index: usize) {
        self.servers[index].life = Life::Down;
        self.servers[index].inbox.clear();
        self.servers[index].hand_over = None;
        self.drop_connections_to(super::wire::Target::Server(index));
    }

    /// `empty`: it has lost its data, not its configuration.
    pub fn start_server(&mut self, index: usize, empty: bool) {
        let now = self.now;
        let server = &mut self.servers[index];
        server.life = Life::Up;
        server.run += 1;
        server.link_up = false;
        server.link_down_since = now;
        server.sync_done_at = None;
        server.paused_until = 0;
        if empty {
            server.offset = 0;
        }
    }
}
