//! One real Sentinel, and servers and peers that answer at once as they are told to.

use super::super::*;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::net::IpAddr;
use types::Millis;

pub const MY_ID: &str = "a000000000000000000000000000000000000000";
pub const PEERS: [&str; 2] = ["b000000000000000000000000000000000000000", "c000000000000000000000000000000000000000"];
const LOCAL: &str = "10.0.0.9";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Up,
    /// Accepts connections and never answers.
    Frozen,
    /// Refuses connections.
    Down,
}

/// What a pretended server does.
#[derive(Clone, Debug)]
pub struct Server {
    pub life: Life,
    /// Port of the master it follows.
    pub follows: Option<u16>,
    pub offset: u64,
    pub run: u8,
    pub priority: u32,
    /// Does what SLAVEOF says.
    pub obeys: bool,
    pub ping: &'static str,
    pub old: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            life: Life::Up,
            follows: Some(1),
            offset: 100,
            run: 0,
            priority: 100,
            obeys: true,
            ping: "PONG",
            old: false,
        }
    }
}

/// What a pretended peer answers when it is asked about the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opinion {
    Fine,
    Down,
    /// Down, and it votes for whoever asks.
    Votes,
    /// Down, and it voted for somebody else.
    VotesFor(&'static str),
}

pub struct Rig {
    pub sentinel: Sentinel,
    pub now: Millis,
    /// By port; all of them are on 10.0.0.1. Ports from 26001: peers.
    pub servers: BTreeMap<u16, Server>,
    pub opinion: Opinion,
    pub disk_works: bool,
    /// Saves are not answered until `release_saves`.
    pub disk_slow: bool,
    held: Vec<u64>,
    links: BTreeMap<LinkId, u16>,
    /// Published events, and what happened otherwise, in order.
    pub said: Vec<String>,
    pub answers: BTreeMap<u64, Answer>,
    tokens: u64,
    /// Every command that is not routine: port and words.
    pub sent: Vec<String>,
    pub effects: Vec<Effect>,
}

/// `db1` with quorum 2, one second to be down, ten for a failover.
pub fn configuration(replicas: &[u16], peers: usize) -> Configuration {
    let lines = [
        format!("myid {MY_ID}"),
        "monitor db1 10.0.0.1 1 2".to_owned(),
        "down-after-milliseconds db1 1000".to_owned(),
        "failover-timeout db1 10000".to_owned(),
    ];
    let replicas = replicas.iter().map(|port| format!("known-replica db1 10.0.0.1 {port}"));
    let peers = (0..peers).map(|at| format!("known-sentinel db1 10.0.0.1 {} {}", 26_001 + at, PEERS[at]));
    let words = |line: String| line.split(' ').map(str::to_owned).collect();
    let directives: Vec<(usize, Vec<String>)> =
        lines.into_iter().chain(replicas).chain(peers).map(words).enumerate().collect();
    Configuration::read(&directives).unwrap()
}

impl Rig {
    /// A master on port 1, replicas on 2 and 3, two peers; everything has been up for a while.
    pub fn settled() -> Self {
        Self::settled_with(configuration(&[2, 3], 2))
    }

    pub fn settled_with(configuration: Configuration) -> Self {
        let mut rig = Self::started(configuration);
        rig.pass(30_000);
        rig.said.clear();
        rig.sent.clear();
        rig
    }

    pub fn started(configuration: Configuration) -> Self {
        let mut rig = Self::new(configuration);
        rig.event(Event::Start);
        rig
    }

    pub fn new(configuration: Configuration) -> Self {
        let now = Millis(1_000_000);
        let local = Local { port: 26_379, own_password: None, fresh_id: MY_ID.to_owned(), seed: 7, mode: Mode::Mixed };
        let mut rig = Self {
            sentinel: Sentinel::new(now, configuration, local),
            now,
            servers: BTreeMap::new(),
            opinion: Opinion::Fine,
            disk_works: true,
            disk_slow: false,
            held: Vec::new(),
            links: BTreeMap::new(),
            said: Vec::new(),
            answers: BTreeMap::new(),
            tokens: 0,
            sent: Vec::new(),
            effects: Vec::new(),
        };
        rig.servers.insert(1, Server { follows: None, ..Server::default() });
        for port in [2, 3] {
            rig.servers.insert(port, Server { offset: 100 + u64::from(port), run: port as u8, ..Server::default() });
        }
        for port in [26_001, 26_002] {
            rig.servers.insert(port, Server::default());
        }
        rig
    }

    /// Time passes, and the Sentinel is called whenever it wants to be.
    pub fn pass(&mut self, millis: u64) {
        let end = self.now + Millis(millis);
        while self.sentinel.next_tick() <= end {
            self.now = self.sentinel.next_tick().max(self.now);
            self.event(Event::Tick);
        }
        self.now = end;
    }

    pub fn event(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.sentinel.handle(self.now, event) {
                self.carry_out(effect, &mut events);
            }
        }
    }

    pub fn ask(&mut self, request: Request) -> Option<Answer> {
        self.tokens += 1;
        self.event(Event::Request { token: Token(self.tokens), request });
        self.answers.get(&self.tokens).cloned()
    }

    pub fn last_answer(&self) -> Option<Answer> {
        self.answers.get(&self.tokens).cloned()
    }

    pub fn release_saves(&mut self) {
        self.disk_slow = false;
        for version in std::mem::take(&mut self.held) {
            self.event(Event::Saved { version, ok: self.disk_works });
        }
    }

    /// The process of this server ends, or it is stopped.
    pub fn cut(&mut self, port: u16) {
        let links: Vec<LinkId> = self.links.iter().filter(|(_, to)| **to == port).map(|(link, _)| *link).collect();
        for link in links {
            self.links.remove(&link);
            self.event(Event::LinkClosed { link, end: LinkEnd::Lost });
        }
    }

    pub fn kill(&mut self, port: u16) {
        self.server(port).life = Life::Down;
        self.cut(port);
    }

    pub fn server(&mut self, port: u16) -> &mut Server {
        self.servers.get_mut(&port).unwrap()
    }

    pub fn master(&self) -> &Master {
        self.sentinel.master("db1").unwrap()
    }

    pub fn flags(&self) -> String {
        let fields = self.sentinel.describe_master(self.now, self.master());
        fields.into_iter().find(|(name, _)| *name == "flags").unwrap().1
    }

    /// What was said since the last time, without what is in `but`.
    pub fn said_but(&mut self, but: &[&str]) -> String {
        let said = std::mem::take(&mut self.said);
        let kept = said.into_iter().filter(|line| !but.iter().any(|word| line.starts_with(word)));
        kept.collect::<Vec<String>>().join("\n")
    }

    fn carry_out(&mut self, effect: Effect, events: &mut VecDeque<Event>) {
        self.effects.push(effect.clone());
        match effect {
            Effect::Open { link, port, .. } => {
                let Some(server) = self.servers.get(&port) else {
                    return events.push_back(Event::LinkClosed { link, end: LinkEnd::Failed("no route".into()) });
                };
                if server.life == Life::Down {
                    return events.push_back(Event::LinkClosed { link, end: LinkEnd::Refused });
                }
                self.links.insert(link, port);
                let (local, remote): (IpAddr, IpAddr) = (LOCAL.parse().unwrap(), "10.0.0.1".parse().unwrap());
                events.push_back(Event::LinkOpened { link, local, remote });
            }
            Effect::Close { link } => {
                self.links.remove(&link);
            }
            Effect::Send { link, tag, command } => {
                let Some(port) = self.links.get(&link).copied().or_else(|| self.opening(link, events)) else { return };
                let words: Vec<String> = command.words().map(str::to_owned).collect();
                if self.servers.get(&port).is_some_and(|server| server.life == Life::Frozen) {
                    return;
                }
                if let Some(reply) = self.reply(port, &words) {
                    events.push_back(Event::Reply { link, tag, reply });
                }
            }
            Effect::Save { version } if self.disk_slow => self.held.push(version),
            Effect::Save { version } => events.push_back(Event::Saved { version, ok: self.disk_works }),
            Effect::Publish { channel, payload, .. } => self.said.push(format!("{channel} {payload}")),
            Effect::Log { .. } => {}
            Effect::RunScript { arguments, .. } => self.said.push(format!("script {}", arguments.join(" "))),
            Effect::KillScript { script } => self.said.push(format!("kill script {}", script.0)),
            Effect::Answer { token, answer } => {
                assert!(self.answers.insert(token.0, answer).is_none(), "one answer for each request");
            }
            Effect::Resolve { name } => self.said.push(format!("resolve {name}")),
            Effect::ClaimEpoch { master, epoch } => self.said.push(format!("claim {master} {epoch}")),
            Effect::RequestFailover { master, manner, .. } => self.said.push(format!("request {master} {manner:?}")),
            Effect::Exit { code } => self.said.push(format!("exit {code}")),
        }
    }

    /// A link whose opening is still among the events.
    fn opening(&self, link: LinkId, events: &VecDeque<Event>) -> Option<u16> {
        let opening =
            events.iter().any(|event| matches!(event, Event::LinkOpened { link: opened, .. } if *opened == link));
        if opening { self.links.get(&link).copied() } else { None }
    }

    fn reply(&mut self, port: u16, words: &[String]) -> Option<Reply> {
        let texts: Vec<&str> = words.iter().map(String::as_str).collect();
        match texts.as_slice() {
            ["PING"] => {
                let ping = self.servers.get(&port)?.ping;
                return Some(if ping == "PONG" { Reply::Status(ping.into()) } else { Reply::Error(ping.into()) });
            }
            ["INFO"] => return Some(Reply::Bulk(self.info(port))),
            ["PUBLISH", ..] => return Some(Reply::Integer(1)),
            ["SENTINEL", _, _, _, epoch, candidate] => {
                let epoch = epoch.parse().unwrap();
                let (down, leader) = match self.opinion {
                    Opinion::Fine => (0, "*"),
                    Opinion::Votes => (1, *candidate),
                    Opinion::VotesFor(other) if *candidate != "*" => (1, other),
                    Opinion::Down | Opinion::VotesFor(_) => (1, "*"),
                };
                let elements = vec![Reply::Integer(down), Reply::Bulk(leader.into()), Reply::Integer(epoch)];
                return Some(Reply::Array(elements));
            }
            ["SLAVEOF", host, to] => {
                let server = self.servers.get_mut(&port)?;
                if server.obeys {
                    server.follows = if *host == "NO" { None } else { Some(to.parse().unwrap()) };
                }
            }
            ["FAILOVER", "TO", _, to, ..] => {
                let to = to.parse().unwrap();
                if self.servers.get(&port)?.obeys {
                    self.server(to).follows = None;
                    self.server(port).follows = Some(to);
                }
            }
            _ => {}
        }
        self.sent.push(format!("{port}: {}", words.join(" ")));
        Some(Reply::Status("OK".into()))
    }

    fn info(&self, port: u16) -> String {
        let server = &self.servers[&port];
        let mut text = format!("run_id:{:040x}\r\n", server.run);
        match server.follows {
            None => {
                text += "role:master\r\n";
                let followers =
                    self.servers.iter().filter(|(_, other)| other.life != Life::Down && other.follows == Some(port));
                for (number, (replica, _)) in followers.filter(|(replica, _)| **replica < 1_000).enumerate() {
                    let _ = write!(text, "slave{number}:ip=10.0.0.1,port={replica},state=online\r\n");
                }
            }
            Some(master) => {
                let up = self.servers.get(&master).is_some_and(|server| server.life == Life::Up);
                let _ = write!(
                    text,
                    "role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:{master}\r\nmaster_link_status:{}\r\nslave_repl_offset:{}\r\nslave_priority:{}\r\n",
                    if up { "up" } else { "down" },
                    server.offset,
                    server.priority
                );
            }
        }
        if !server.old {
            text += "master_failover_state:no-failover\r\n";
        }
        text
    }
}
