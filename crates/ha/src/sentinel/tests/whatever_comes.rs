//! Nothing that servers, peers, clients, disks and the driver may send makes it panic, answer twice, use a connection that is
//! gone, or write a configuration that it cannot read.

use super::super::random::Random;
use super::super::*;
use super::rig::{MY_ID, PEERS, configuration};
use std::collections::BTreeSet;
use types::Millis;

const RUNS: u64 = 60;
const EVENTS: u64 = 1_500;

const HOSTS: [&str; 7] = ["10.0.0.1", "10.0.0.2", "::1", "redis.example", "", "a b", "10.0.0.1\n"];
const NAMES: [&str; 5] = ["db1", "db2", "nobody", "", "*"];
const TEXTS: [&str; 14] = [
    "1",
    "0",
    "-1",
    "99999999999999999999",
    "yes",
    "",
    "\u{0}",
    "x y",
    "quorum",
    "down-after-milliseconds",
    "auth-pass",
    "announce-hostnames",
    "rename-command",
    "resolve-hostnames",
];

struct Chaos {
    random: Random,
    open: Vec<(LinkId, Vec<Tag>)>,
    saves: Vec<u64>,
    scripts: Vec<ScriptId>,
    names: Vec<String>,
    unanswered: BTreeSet<Token>,
    tokens: u64,
}

impl Chaos {
    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.random.below(from.len() as u64) as usize].clone()
    }

    fn text(&mut self) -> String {
        self.pick(&TEXTS).to_owned()
    }

    fn port(&mut self) -> u16 {
        self.pick(&[0, 1, 2, 3, 26_001, 65_535])
    }

    fn epoch(&mut self) -> u64 {
        self.pick(&[0, 1, 2, 3, 7, u64::MAX])
    }

    fn id(&mut self) -> String {
        self.pick(&[MY_ID, PEERS[0], PEERS[1], "d000000000000000000000000000000000000000", "short", "*"]).to_owned()
    }

    fn hello(&mut self) -> String {
        let fields = [
            self.pick(&HOSTS).to_owned(),
            self.port().to_string(),
            self.id(),
            self.epoch().to_string(),
            self.pick(&NAMES).to_owned(),
            self.pick(&HOSTS).to_owned(),
            self.port().to_string(),
            self.epoch().to_string(),
        ];
        fields[..self.pick(&[8, 8, 8, 7])].join(",")
    }

    fn info(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..self.random.below(8) {
            let (host, port, number) = (self.pick(&HOSTS), self.port(), self.random.below(4));
            let line = match self.random.below(9) {
                0 => "role:master\r\n".to_owned(),
                1 => "role:slave\r\n".to_owned(),
                2 => format!("slave{number}:ip={host},port={port},state=online\r\n"),
                3 => format!("master_host:{host}\r\nmaster_port:{port}\r\n"),
                4 => format!("run_id:{number:040}\r\n"),
                5 => "master_link_status:up\r\n".to_owned(),
                6 => format!("master_failover_state:{number}\r\n"),
                7 => format!("slave_priority:{number}\r\nslave_repl_offset:{port}\r\n"),
                _ => "::\r\n:".to_owned(),
            };
            text.push_str(&line);
        }
        text
    }

    fn reply(&mut self) -> Reply {
        match self.random.below(10) {
            0 | 1 => Reply::Status("PONG".to_owned()),
            2 => Reply::Error(self.pick(&["LOADING x", "BUSY x", "NOAUTH x", ""]).to_owned()),
            3..=5 => Reply::Bulk(self.info()),
            6 => {
                let (down, epoch) = (self.random.below(3) as i64, self.epoch() as i64);
                Reply::Array(vec![Reply::Integer(down), Reply::Bulk(self.id()), Reply::Integer(epoch)])
            }
            7 => Reply::Array(vec![Reply::Null]),
            8 => Reply::Integer(-1),
            _ => Reply::Other,
        }
    }

    fn request(&mut self) -> Request {
        let master = self.pick(&NAMES).to_owned();
        let arguments: Vec<String> = (0..self.random.below(4)).map(|_| self.text()).collect();
        match self.random.below(11) {
            0 => Request::Hello { payload: self.hello() },
            1 | 2 => Request::IsMasterDown {
                host: self.pick(&HOSTS).to_owned(),
                port: self.port(),
                epoch: self.epoch(),
                candidate: self.id(),
            },
            3 => Request::Failover {
                master,
                option: self.pick(&[None, Some("COORDINATED".to_owned()), Some("FORCE".to_owned())]),
            },
            4 => {
                Request::Monitor { master, host: self.pick(&HOSTS).to_owned(), port: self.text(), quorum: self.text() }
            }
            5 => Request::Remove { master },
            6 => Request::Reset { pattern: master },
            7 => Request::Set { master, arguments, executable: vec![] },
            8 => Request::ConfigSet { arguments },
            9 => Request::FlushConfig,
            _ => Request::Debug { arguments },
        }
    }

    fn event(&mut self) -> Event {
        match self.random.below(20) {
            0..=2 if !self.open.is_empty() => {
                let at = self.random.below(self.open.len() as u64) as usize;
                let link = self.open[at].0;
                Event::LinkOpened { link, local: "10.0.0.9".parse().unwrap(), remote: "10.0.0.1".parse().unwrap() }
            }
            3 if !self.open.is_empty() => {
                let at = self.random.below(self.open.len() as u64) as usize;
                let (link, _) = self.open.swap_remove(at);
                let end = self.pick(&[LinkEnd::Refused, LinkEnd::Lost, LinkEnd::Failed("x".to_owned())]);
                Event::LinkClosed { link, end }
            }
            4..=9 if !self.open.is_empty() => {
                let at = self.random.below(self.open.len() as u64) as usize;
                let reply = self.reply();
                let (link, tags) = &mut self.open[at];
                match tags.pop() {
                    Some(tag) => Event::Reply { link: *link, tag, reply },
                    None => Event::Tick,
                }
            }
            10 if !self.open.is_empty() => {
                let at = self.random.below(self.open.len() as u64) as usize;
                Event::Message { link: self.open[at].0, payload: self.hello() }
            }
            11..=14 => {
                self.tokens += 1;
                let token = Token(self.tokens);
                self.unanswered.insert(token);
                Event::Request { token, request: self.request() }
            }
            15 | 16 if !self.saves.is_empty() => {
                Event::Saved { version: self.saves.remove(0), ok: self.random.below(4) > 0 }
            }
            17 => match self.pick(&self.scripts.clone().into_iter().map(Some).chain([None]).collect::<Vec<_>>()) {
                Some(script) => {
                    Event::ScriptEnded { script, end: self.pick(&[ScriptEnd::Exited(1), ScriptEnd::NotStarted]) }
                }
                None => Event::ScriptEnded { script: ScriptId(77), end: ScriptEnd::Signalled(9) },
            },
            18 => {
                let master = self.pick(&NAMES).to_owned();
                let address = Address::new("10.0.0.1", 3);
                match self.random.below(5) {
                    0 => Event::EpochClaimed { master, epoch: self.epoch() },
                    1 => Event::EpochRefused { master, epoch: self.epoch() },
                    2 => Event::ModeIs { master, mode: self.pick(&[Mode::Mixed, Mode::Native, Mode::Supervised]) },
                    3 if master == "db1" => {
                        Event::StoreSays { master, quorum: 0, address, epoch: self.epoch(), replicas: vec![] }
                    }
                    _ => Event::LinkClosed { link: LinkId(999_999), end: LinkEnd::Lost },
                }
            }
            19 if !self.names.is_empty() => {
                let ip = self.pick(&[None, Some("10.0.0.2".parse().unwrap())]);
                Event::Resolved { name: self.names.remove(0), ip }
            }
            _ => Event::Tick,
        }
    }

    fn check(&mut self, effect: Effect) {
        match effect {
            Effect::Open { link, .. } => {
                assert!(self.open.iter().all(|(known, _)| *known != link), "{link:?} is used twice");
                self.open.push((link, Vec::new()));
            }
            Effect::Close { link } => {
                let before = self.open.len();
                self.open.retain(|(known, _)| *known != link);
                assert_eq!(self.open.len() + 1, before, "{link:?} was not open");
            }
            Effect::Send { link, tag, .. } => {
                let open = self.open.iter_mut().find(|(known, _)| *known == link);
                open.unwrap_or_else(|| panic!("{link:?} is not open")).1.push(tag);
            }
            Effect::Save { version } => {
                assert!(self.saves.is_empty(), "one save at a time");
                self.saves.push(version);
            }
            Effect::Answer { token, .. } | Effect::RequestFailover { token, .. } => {
                assert!(self.unanswered.remove(&token), "{token:?} is answered twice");
            }
            Effect::RunScript { script, .. } => self.scripts.push(script),
            Effect::Resolve { name } => self.names.push(name),
            Effect::Publish { .. }
            | Effect::Log { .. }
            | Effect::KillScript { .. }
            | Effect::ClaimEpoch { .. }
            | Effect::Exit { .. } => {}
        }
    }
}

fn check(seed: u64) {
    let mut now = Millis(1_000_000);
    let mut configuration = configuration(&[2, 3], 2);
    configuration.masters[0].settings.notification_script = Some("/notify".to_owned());
    let local = Local { port: 26_379, own_password: None, fresh_id: MY_ID.to_owned(), seed, mode: Mode::Mixed };
    let mut sentinel = Sentinel::new(now, configuration, local);
    let mut chaos = Chaos {
        random: Random::new(seed),
        open: Vec::new(),
        saves: Vec::new(),
        scripts: Vec::new(),
        names: Vec::new(),
        unanswered: BTreeSet::new(),
        tokens: 0,
    };
    let mut event = Event::Start;
    for _ in 0..EVENTS {
        for effect in sentinel.handle(now, event) {
            chaos.check(effect);
        }
        assert!(sentinel.next_tick() >= now);
        event = chaos.event();
        let step = chaos.pick(&[0, 1, 20, 300, 700]);
        now = now + Millis(if chaos.random.below(200) == 0 { 40_000 } else { step });
        if event == Event::Tick {
            now = now.max(sentinel.next_tick());
        }
    }
    // Nobody waits for ever: what is left waits for the disk, a name or the store.
    for effect in sentinel.handle(now, Event::Tick) {
        chaos.check(effect);
    }
    let written = sentinel.configuration();
    let lines: Vec<(usize, Vec<String>)> = written
        .directives()
        .into_iter()
        .map(|line| std::iter::once(line.option.to_owned()).chain(line.arguments).collect())
        .enumerate()
        .collect();
    let read = Configuration::read(&lines).unwrap_or_else(|error| panic!("seed {seed}: {error:?} in {lines:?}"));
    assert_eq!(read.masters.len(), written.masters.len());
    for master in sentinel.masters() {
        let _ = (sentinel.describe_master(now, master), sentinel.check_quorum(master));
        for replica in master.replicas_shown() {
            let _ = sentinel.describe_replica(now, master, replica);
        }
        for peer in &master.peers {
            let _ = sentinel.describe_peer(now, master, peer);
        }
    }
    let _ = (sentinel.info_section(now), sentinel.pending_scripts(now), sentinel.info_cache(now, &[]));
}

#[test]
fn nothing_that_comes_in_breaks_it() {
    for seed in 0..RUNS {
        check(seed);
    }
}
