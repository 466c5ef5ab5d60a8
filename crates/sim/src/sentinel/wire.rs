//! Connections: to servers and between sentinels. In order, delayed, and dead for good once something on them was lost.
//!
//! Deliberately TCP's promise and no more: what was sent on a connection arrives in order or the connection ends, perhaps long
//! after.

use super::mutant::Mutant;
use super::process::Pending;
use super::redis::{Life, Outcome};
use super::world::{Happening, World};
use crate::clock::{MS, Time};
use ha::sentinel::{Event, LinkEnd, LinkId, LinkKind, Reply, Request, Tag, Token};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// Somebody who waits for a connection gives up after this.
const CONNECT_PATIENCE: Time = 5_000 * MS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Server(usize),
    Process(usize),
    /// Nobody lives there.
    Nowhere,
}

/// A request on its way.
#[derive(Clone, Debug)]
pub struct Asked {
    pub tag: Tag,
    pub words: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Connection {
    pub process: usize,
    pub process_run: u64,
    pub link: LinkId,
    pub kind: LinkKind,
    pub target: Target,
    pub open: bool,
    /// Something was lost on it.
    pub broken: bool,
    waiting: Vec<Asked>,
    there_at: Time,
    back_at: Time,
}

/// Which ways are cut, by how many faults.
#[derive(Debug, Default)]
pub struct Cuts(BTreeMap<(usize, usize), u32>);

impl Cuts {
    pub fn cut(&mut self, from: usize, to: usize) {
        *self.0.entry((from, to)).or_default() += 1;
    }

    pub fn mend(&mut self, from: usize, to: usize) {
        if let Some(count) = self.0.get_mut(&(from, to)) {
            *count -= 1;
        }
        self.0.retain(|_, count| *count > 0);
    }

    pub fn passes(&self, from: usize, to: usize) -> bool {
        from == to || !self.0.contains_key(&(from, to))
    }

    pub fn connects(&self, one: usize, other: usize) -> bool {
        self.passes(one, other) && self.passes(other, one)
    }
}

pub fn ip(host: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, host as u8 + 1))
}

impl World {
    pub fn server_at(&self, host: &str, port: &str) -> Option<usize> {
        self.servers.iter().position(|server| ip(server.host).to_string() == host && server.port.to_string() == port)
    }

    pub fn server_name(&self, index: usize) -> String {
        let server = &self.servers[index];
        format!("{}:{}", ip(server.host), server.port)
    }

    fn target_at(&self, host: &str, port: u16) -> Target {
        if port == super::process::PORT {
            let process = (0..self.processes.len()).find(|at| ip(*at).to_string() == host);
            return process.map_or(Target::Nowhere, Target::Process);
        }
        self.server_at(host, &port.to_string()).map_or(Target::Nowhere, Target::Server)
    }

    fn target_host(&self, target: Target) -> usize {
        match target {
            Target::Server(index) => self.servers[index].host,
            Target::Process(index) => index,
            Target::Nowhere => usize::MAX,
        }
    }

    fn delay(&mut self) -> Time {
        let hiccup = if self.random.percent(1) { self.random.between(0, 30 * MS) } else { 0 };
        let slow = if self.slow > 0 { self.random.between(0, self.slow) } else { 0 };
        self.random.between(100, 1_500) + hiccup + slow
    }

    pub fn open(&mut self, process: usize, link: LinkId, kind: LinkKind, host: &str, port: u16) {
        let target = self.target_at(host, port);
        let number = self.next_number();
        let process_run = self.processes[process].run;
        let connection = Connection {
            process,
            process_run,
            link,
            kind,
            target,
            open: false,
            broken: false,
            waiting: Vec::new(),
            there_at: 0,
            back_at: 0,
        };
        self.connections.insert(number, connection);
        self.processes[process].links.insert(link, number);
        let delay = self.delay();
        self.schedule(delay, Happening::Connect { connection: number });
    }

    /// The first packet has arrived, or not.
    pub fn connect(&mut self, number: u64) {
        let Some(connection) = self.connections.get(&number) else { return };
        let (process, target) = (connection.process, connection.target);
        let there = self.target_host(target);
        if target == Target::Nowhere || !self.cuts.connects(process, there) {
            self.schedule(CONNECT_PATIENCE, Happening::ConnectTimeout { connection: number });
            return;
        }
        let lives = match target {
            Target::Server(index) => self.servers[index].life != Life::Down,
            Target::Process(index) => self.processes[index].sentinel.is_some(),
            Target::Nowhere => false,
        };
        if !lives {
            self.end(number, LinkEnd::Refused);
            return;
        }
        let (local, remote) = (ip(process), ip(there));
        let Some(connection) = self.connections.get_mut(&number) else { return };
        connection.open = true;
        let (link, run) = (connection.link, connection.process_run);
        let waiting = std::mem::take(&mut connection.waiting);
        self.report(process, run, Event::LinkOpened { link, local, remote });
        for asked in waiting {
            self.transmit(number, asked);
        }
    }

    /// The connection is over, and its owner is told.
    pub fn end(&mut self, number: u64, end: LinkEnd) {
        let Some(connection) = self.connections.remove(&number) else { return };
        let (process, run, link) = (connection.process, connection.process_run, connection.link);
        let delay = self.delay();
        self.schedule(delay, Happening::ToProcess { process, run, event: Event::LinkClosed { link, end } });
    }

    pub fn close(&mut self, process: usize, link: LinkId) {
        if let Some(number) = self.processes[process].links.remove(&link) {
            self.connections.remove(&number);
        }
    }

    pub fn send(&mut self, process: usize, link: LinkId, tag: Tag, words: Vec<String>) {
        let Some(number) = self.processes[process].links.get(&link).copied() else { return };
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let asked = Asked { tag, words };
        if connection.open {
            self.transmit(number, asked);
        } else {
            connection.waiting.push(asked);
        }
    }

    fn transmit(&mut self, number: u64, asked: Asked) {
        let delay = self.delay();
        let Some(connection) = self.connections.get(&number) else { return };
        let there = self.target_host(connection.target);
        let passes = self.cuts.passes(connection.process, there);
        let both = self.cuts.connects(connection.process, there);
        if connection.broken && both {
            // The other side knows nothing of it any more.
            return self.end(number, LinkEnd::Lost);
        }
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&number) else { return };
        if connection.broken || !passes {
            connection.broken = true;
            return;
        }
        connection.there_at = connection.there_at.max(now + delay);
        let wait = connection.there_at - now;
        self.schedule(wait, Happening::Arrive { connection: number, asked });
    }

    /// A request has arrived.
    pub fn arrive(&mut self, number: u64, asked: Asked) {
        let Some(connection) = self.connections.get(&number) else { return };
        match connection.target {
            Target::Server(index) => match self.servers[index].life {
                Life::Down => {}
                Life::Frozen => self.servers[index].inbox.push((number, asked)),
                Life::Up => self.serve(index, number, &asked),
            },
            Target::Process(index) => self.ask_process(index, number, &asked),
            Target::Nowhere => {}
        }
    }

    pub fn thaw_server(&mut self, index: usize) {
        if self.servers[index].life == Life::Frozen {
            self.servers[index].life = Life::Up;
            for (number, asked) in std::mem::take(&mut self.servers[index].inbox) {
                self.serve(index, number, &asked);
            }
        }
    }

    fn serve(&mut self, index: usize, number: u64, asked: &Asked) {
        if !self.connections.contains_key(&number) {
            return;
        }
        let outcome = self.execute(index, number, &asked.words);
        let reply = match (outcome, asked.tag) {
            (Outcome::Text(text), Tag::Info) => Reply::Bulk(text),
            (Outcome::Text(text), _) => Reply::Status(text),
            (Outcome::Ok, _) => Reply::Status("OK".to_owned()),
            (Outcome::Error(text), _) => Reply::Error(text.to_owned()),
        };
        self.reply(number, |link| Event::Reply { link, tag: asked.tag, reply });
    }

    /// Something goes back on a connection.
    pub fn reply(&mut self, number: u64, event: impl FnOnce(LinkId) -> Event) {
        let delay = self.delay();
        let Some(connection) = self.connections.get(&number) else { return };
        let there = self.target_host(connection.target);
        let passes = self.cuts.passes(there, connection.process);
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&number) else { return };
        if connection.broken || !passes {
            connection.broken = true;
            return;
        }
        connection.back_at = connection.back_at.max(now + delay);
        let wait = connection.back_at - now;
        let (process, run, event) = (connection.process, connection.process_run, event(connection.link));
        self.schedule(wait, Happening::ToProcess { process, run, event });
    }

    /// A hello goes to everybody who listens there, and through replication to the replicas' listeners.
    pub fn spread(&mut self, index: usize, payload: &str) {
        let mut at = vec![index];
        if self.servers[index].follows.is_none() {
            let replicas = (0..self.servers.len()).filter(|&other| self.servers[other].follows == Some(index));
            at.extend(replicas.filter(|&other| self.servers[other].link_up && self.servers[other].life == Life::Up));
        }
        let listens = |connection: &Connection| match connection.target {
            Target::Server(server) => connection.open && connection.kind == LinkKind::PubSub && at.contains(&server),
            Target::Process(_) | Target::Nowhere => false,
        };
        let listeners: Vec<u64> =
            self.connections.iter().filter(|(_, connection)| listens(connection)).map(|(number, _)| *number).collect();
        for number in listeners {
            let payload = payload.to_owned();
            self.reply(number, |link| Event::Message { link, payload });
        }
    }

    pub fn kill_clients(&mut self, index: usize, but: u64, pubsub: bool) {
        let kind = if pubsub { LinkKind::PubSub } else { LinkKind::Command };
        let killed = |(number, connection): (&u64, &Connection)| {
            let concerned = connection.target == Target::Server(index) && connection.kind == kind && connection.open;
            (concerned && *number != but).then_some(*number)
        };
        let numbers: Vec<u64> = self.connections.iter().filter_map(killed).collect();
        for number in numbers {
            self.end_or_break(number);
        }
    }

    /// The process there is gone, so its host ends the connections, as far as that can be heard.
    pub fn drop_connections_to(&mut self, target: Target) {
        let numbers: Vec<u64> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.target == target && connection.open)
            .map(|(number, _)| *number)
            .collect();
        for number in numbers {
            self.end_or_break(number);
        }
    }

    fn end_or_break(&mut self, number: u64) {
        let Some(connection) = self.connections.get(&number) else { return };
        let there = self.target_host(connection.target);
        if self.cuts.passes(there, connection.process) {
            self.end(number, LinkEnd::Lost);
        } else if let Some(connection) = self.connections.get_mut(&number) {
            connection.broken = true;
        }
    }

    /// A request to a sentinel.
    fn ask_process(&mut self, index: usize, number: u64, asked: &Asked) {
        let run = self.processes[index].run;
        if self.processes[index].sentinel.is_none() {
            return;
        }
        let texts: Vec<&str> = asked.words.iter().map(String::as_str).collect();
        let request = match texts.as_slice() {
            ["PUBLISH", ..] if self.setup.mutant == Some(Mutant::DeafToHellos) => {
                Request::Hello { payload: String::new() }
            }
            ["PUBLISH", _, payload] => Request::Hello { payload: (*payload).to_owned() },
            ["SENTINEL", _, host, port, epoch, candidate] => Request::IsMasterDown {
                host: (*host).to_owned(),
                port: port.parse().unwrap_or(0),
                epoch: epoch.parse().unwrap_or(0),
                candidate: (*candidate).to_owned(),
            },
            _ => {
                // A ping. A process that is frozen answers when it goes on.
                if self.processes[index].frozen {
                    self.processes[index].inbox.push((run, super::process::Incoming::Ping(number, asked.tag)));
                } else {
                    self.reply(number, |link| Event::Reply {
                        link,
                        tag: asked.tag,
                        reply: Reply::Status("PONG".to_owned()),
                    });
                }
                return;
            }
        };
        let token = Token(self.next_number());
        let group = self.group_of(&request);
        self.processes[index].pending.insert(token, Pending { connection: Some(number), tag: asked.tag, group });
        self.report(index, run, Event::Request { token, request });
    }

    fn group_of(&self, request: &Request) -> Option<usize> {
        match request {
            Request::IsMasterDown { host, port, .. } => {
                self.server_at(host, &port.to_string()).map(|server| self.servers[server].group)
            }
            _ => None,
        }
    }
}
