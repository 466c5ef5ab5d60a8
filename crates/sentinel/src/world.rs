//! Everything that one Sentinel is, in one place and on one thread: the state machine, its connections, its clients.
//!
//! Deliberately single-threaded: a Sentinel waits, it does not compute, and so nothing here is locked or shared. The
//! invariant: effects are carried out in their order, and nothing waits while the world is borrowed.

use crate::acl::{Acl, AclLog};
use crate::driver::links::Links;
use crate::driver::scripts::Scripts;
use crate::driver::{links, resolve, save, scripts};
use crate::file::{ServerSettings, StateFile};
use crate::handle::FromSentinel;
use crate::server::client::{Client, ReplyMode};
use ha::sentinel::{Answer, Effect, Event, Level, Request, Sentinel, Token};
use resp::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::{Rc, Weak};
use tokio::sync::{Notify, mpsc};
use types::Millis;

pub type Shared = Rc<RefCell<World>>;

/// For INFO.
#[derive(Debug, Default)]
pub struct Statistics {
    pub connections: u64,
    pub rejected: u64,
    pub commands: u64,
    pub errors: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

/// A client's request that the state machine has not answered yet.
#[derive(Debug)]
pub struct Waiting {
    pub client: u64,
    /// To be in force when the answer is OK.
    pub log_level: Option<String>,
}

pub struct World {
    pub settings: ServerSettings,
    pub sentinel: Sentinel,
    pub clients: BTreeMap<u64, Client>,
    pub acl: Acl,
    /// ACL SETUSER or DELUSER was used, so the users belong into the configuration file.
    pub acl_changed: bool,
    pub acl_log: AclLog,
    pub statistics: Statistics,
    pub log_level: Level,
    pub log_level_name: String,
    pub run_id: String,
    pub started: Millis,
    pub state: StateFile,
    pub links: Links,
    pub scripts: Scripts,
    waiting: BTreeMap<Token, Waiting>,
    last_token: u64,
    last_client: u64,
    events: VecDeque<Event>,
    handling: bool,
    /// The time for which the timer is set.
    armed: Millis,
    /// Tells the timer that there is an earlier time.
    pub rearm: Rc<Notify>,
    outside: Option<mpsc::Sender<FromSentinel>>,
    pub exit: Option<i32>,
    pub exited: Rc<Notify>,
    this: Weak<RefCell<World>>,
}

/// What a world is made of.
pub struct Parts {
    pub settings: ServerSettings,
    pub sentinel: Sentinel,
    pub acl: Acl,
    pub state: StateFile,
    pub links: Links,
    pub run_id: String,
    pub outside: Option<mpsc::Sender<FromSentinel>>,
}

impl World {
    pub fn new(parts: Parts) -> Shared {
        let Parts { settings, sentinel, acl, state, links, run_id, outside } = parts;
        Rc::new_cyclic(|this| {
            RefCell::new(Self {
                acl_log: AclLog::new(settings.acl_log_max),
                log_level: level_of(&settings.log_level),
                log_level_name: settings.log_level.clone(),
                settings,
                sentinel,
                clients: BTreeMap::new(),
                acl,
                acl_changed: false,
                statistics: Statistics::default(),
                run_id,
                started: platform::boot_clock(),
                state,
                links,
                scripts: Scripts::default(),
                waiting: BTreeMap::new(),
                last_token: 0,
                last_client: 2,
                events: VecDeque::new(),
                handling: false,
                armed: Millis::MAX,
                rearm: Rc::new(Notify::new()),
                outside,
                exit: None,
                exited: Rc::new(Notify::new()),
                this: this.clone(),
            })
        })
    }

    /// The clock of all times in here.
    #[allow(clippy::unused_self)] // It is this world's clock, whichever that is.
    pub fn now(&self) -> Millis {
        platform::boot_clock()
    }

    /// For tasks that come back later.
    pub fn shared(&self) -> Weak<RefCell<World>> {
        self.this.clone()
    }

    pub fn next_client_id(&mut self) -> u64 {
        self.last_client += 1;
        self.last_client
    }

    pub fn forget_client(&mut self, id: u64) {
        if let Some(client) = self.clients.remove(&id) {
            self.statistics.bytes_in += client.bytes_in;
            self.statistics.bytes_out += client.bytes_out;
            if let Some(token) = client.waiting {
                self.waiting.remove(&token);
            }
        }
    }

    /// Something happened: everything that follows from it is done before this returns.
    pub fn event(&mut self, event: Event) {
        self.queue(event);
        self.run();
    }

    /// The same, together with what is queued after it.
    pub fn queue(&mut self, event: Event) {
        self.events.push_back(event);
    }

    pub fn run(&mut self) {
        if self.handling {
            return;
        }
        self.handling = true;
        while let Some(event) = self.events.pop_front() {
            let now = self.now();
            for effect in self.sentinel.handle(now, event) {
                self.carry_out(effect);
            }
        }
        self.handling = false;
        self.links.flush();
        let due = self.sentinel.next_tick();
        if due < self.armed {
            self.rearm.notify_one();
        }
    }

    /// The timer asks how long it may sleep.
    pub fn arm(&mut self) -> Millis {
        self.armed = self.sentinel.next_tick();
        self.armed
    }

    /// The timer is awake and will ask again.
    pub fn disarm(&mut self) {
        self.armed = Millis::ZERO;
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Open { link, kind, host, port, greeting } => {
                links::open(self, link, kind, host, port, &greeting);
            }
            Effect::Close { link } => self.links.close(link),
            Effect::Send { link, tag, command } => self.links.send(link, tag, &command),
            Effect::Save { version } => save::begin(self, version),
            Effect::Publish { level, channel, payload } => {
                self.log(level, format_args!("{channel} {payload}"));
                self.publish(channel, &payload);
            }
            Effect::Log { level, text } => self.log(level, format_args!("{text}")),
            Effect::RunScript { script, arguments } => scripts::run(self, script, &arguments),
            Effect::KillScript { script } => self.scripts.kill(script),
            Effect::Answer { token, answer } => self.answer(token, answer),
            Effect::Resolve { name } => resolve::begin(self, name),
            Effect::ClaimEpoch { master, epoch } => {
                if !self.tell_outside(FromSentinel::ClaimEpoch { master: master.clone(), epoch }) {
                    self.queue(Event::EpochRefused { master, epoch: 0 });
                }
            }
            Effect::RequestFailover { token, master, manner } => {
                if !self.tell_outside(FromSentinel::RequestFailover { token, master, manner }) {
                    self.answer(token, Answer::error("the agent does not answer"));
                }
            }
            Effect::Exit { code } => self.end(code),
        }
    }

    /// False when nobody is there to be told, or too much is waiting already.
    fn tell_outside(&self, message: FromSentinel) -> bool {
        self.outside.as_ref().is_some_and(|outside| outside.try_send(message).is_ok())
    }

    pub fn end(&mut self, code: i32) {
        self.exit.get_or_insert(code);
        self.exited.notify_one();
    }

    pub fn log(&self, level: Level, text: std::fmt::Arguments<'_>) {
        if level < self.log_level || self.log_level_name == "nothing" {
            return;
        }
        match level {
            Level::Debug => tracing::trace!("{text}"),
            Level::Verbose => tracing::debug!("{text}"),
            Level::Notice => tracing::info!("{text}"),
            Level::Warning => tracing::warn!("{text}"),
        }
    }

    /// Hands a client's request to the state machine. The answer is written when it comes.
    pub fn request(&mut self, client: u64, request: Request, log_level: Option<String>) {
        self.last_token += 1;
        let token = Token(self.last_token);
        self.waiting.insert(token, Waiting { client, log_level });
        if let Some(client) = self.clients.get_mut(&client) {
            client.waiting = Some(token);
        }
        self.event(Event::Request { token, request });
    }

    pub fn answer(&mut self, token: Token, answer: Answer) {
        // A client that has gone in the meantime is not waiting any more.
        let Some(waiting) = self.waiting.remove(&token) else { return };
        if let (Answer::Ok, Some(level)) = (&answer, waiting.log_level) {
            self.log_level = level_of(&level);
            self.log_level_name = level;
        }
        let value = match answer {
            Answer::Ok => Value::ok(),
            Answer::Integer(number) => Value::Integer(number),
            Answer::Error(text) => {
                self.statistics.errors += 1;
                Value::Error(text)
            }
            Answer::MasterDown { down, leader, epoch } => Value::Array(vec![
                Value::Integer(i64::from(down)),
                Value::bulk(leader.unwrap_or_else(|| "*".to_owned())),
                Value::Integer(epoch.try_into().unwrap_or(i64::MAX)),
            ]),
        };
        if let Some(client) = self.clients.get_mut(&waiting.client) {
            client.waiting = None;
            client.reply(&value);
            if client.reply_mode == ReplyMode::SkipThis {
                client.reply_mode = ReplyMode::On;
            }
            client.wake.notify_one();
        }
    }

    /// Sends a message to whoever has subscribed; how many that were.
    pub fn publish(&mut self, channel: &str, payload: &str) -> usize {
        let now = self.now();
        let limit = self.settings.pubsub_limit;
        let mut receivers = 0;
        for client in self.clients.values_mut() {
            if !client.is_subscribed() {
                continue;
            }
            let before = receivers;
            if client.channels.contains(channel) {
                client.push(&Value::Push(vec!["message".into(), channel.into(), payload.into()]));
                receivers += 1;
            }
            let matching: Vec<String> = client
                .patterns
                .iter()
                .filter(|pattern| ha::sentinel::glob::matches(pattern, channel, false))
                .cloned()
                .collect();
            for pattern in matching {
                client.push(&Value::Push(vec!["pmessage".into(), pattern.into(), channel.into(), payload.into()]));
                receivers += 1;
            }
            if receivers > before && client.bound_output(now, limit) {
                client.wake.notify_one();
            }
        }
        receivers
    }
}

pub fn level_of(name: &str) -> Level {
    match name {
        "debug" => Level::Debug,
        "verbose" => Level::Verbose,
        "notice" => Level::Notice,
        // "nothing" is looked at where lines are written.
        _ => Level::Warning,
    }
}
