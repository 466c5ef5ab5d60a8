//! A connected client: who it is, what it listens to, and the output that waits for it.
//!
//! Deliberately no socket; `session` moves bytes. The invariant: what waits for a client that does not read is bounded.

use crate::file::BufferLimit;
use bytes::BytesMut;
use ha::sentinel::Token;
use resp::{Protocol, Value, encode};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::sync::Notify;
use types::Millis;

/// For clients without a limit of their own. Far more than any reply of a Sentinel with a thousand masters.
const OUTPUT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Above this a client's next commands wait until it has read something.
pub const OUTPUT_BYTES_BEFORE_NEXT_COMMAND: usize = 1024 * 1024;

/// CLIENT REPLY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyMode {
    On,
    Off,
    /// The next command's reply is left out.
    SkipNext,
    SkipThis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Open,
    /// Ends when its output is written.
    Ending,
    /// Ends now.
    Killed,
}

#[derive(Debug)]
pub struct Client {
    pub id: u64,
    pub address: SocketAddr,
    pub local: SocketAddr,
    pub name: String,
    pub library_name: String,
    pub library_version: String,
    pub protocol: Protocol,
    /// `None` before AUTH, where AUTH is needed.
    pub user: Option<String>,
    pub connected_at: Millis,
    pub active_at: Millis,
    pub last_command: String,
    pub channels: BTreeSet<String>,
    pub patterns: BTreeSet<String>,
    pub reply_mode: ReplyMode,
    pub no_evict: bool,
    pub life: Life,
    /// A request to the state machine that has no answer yet; commands after it wait.
    pub waiting: Option<Token>,
    pub output: BytesMut,
    /// Output that the session has taken and not yet written.
    pub writing: usize,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub commands: u64,
    over_soft_since: Option<Millis>,
    /// Wakes the session.
    pub wake: Rc<Notify>,
}

impl Client {
    pub fn new(id: u64, address: SocketAddr, local: SocketAddr, user: Option<String>, now: Millis) -> Self {
        Self {
            id,
            address,
            local,
            name: String::new(),
            library_name: String::new(),
            library_version: String::new(),
            protocol: Protocol::Resp2,
            user,
            connected_at: now,
            active_at: now,
            last_command: String::new(),
            channels: BTreeSet::new(),
            patterns: BTreeSet::new(),
            reply_mode: ReplyMode::On,
            no_evict: false,
            life: Life::Open,
            waiting: None,
            output: BytesMut::new(),
            writing: 0,
            bytes_in: 0,
            bytes_out: 0,
            commands: 0,
            over_soft_since: None,
            wake: Rc::new(Notify::new()),
        }
    }

    pub fn is_subscribed(&self) -> bool {
        !self.channels.is_empty() || !self.patterns.is_empty()
    }

    pub fn subscriptions(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    pub fn output_bytes(&self) -> usize {
        self.output.len() + self.writing
    }

    /// A reply to a command; left out when the client does not want it.
    pub fn reply(&mut self, value: &Value) {
        if self.reply_mode == ReplyMode::On {
            encode(value, self.protocol, &mut self.output);
        }
    }

    /// A message that was not asked for by the last command.
    pub fn push(&mut self, value: &Value) {
        encode(value, self.protocol, &mut self.output);
    }

    /// After something was appended. Whoever does not read is cut off.
    pub fn bound_output(&mut self, now: Millis, limit: BufferLimit) -> bool {
        let waiting = self.output_bytes();
        let hard = if limit.hard_bytes == 0 { OUTPUT_BYTES_MAX } else { limit.hard_bytes };
        let over_soft = limit.soft_bytes > 0 && waiting > limit.soft_bytes;
        if over_soft {
            self.over_soft_since.get_or_insert(now);
        } else {
            self.over_soft_since = None;
        }
        let too_long =
            self.over_soft_since.is_some_and(|since| u128::from(now.since(since).0) > limit.soft_time.as_millis());
        if waiting > hard || too_long {
            self.kill();
            return false;
        }
        true
    }

    pub fn kill(&mut self) {
        self.life = Life::Killed;
        self.output.clear();
        self.wake.notify_one();
    }

    pub fn end_after_output(&mut self) {
        if self.life == Life::Open {
            self.life = Life::Ending;
        }
        self.wake.notify_one();
    }

    /// One line of CLIENT LIST, in Redis's order of fields.
    pub fn describe(&self, now: Millis) -> String {
        let mut flags = String::new();
        if self.is_subscribed() {
            flags.push('P');
        }
        if self.waiting.is_some() {
            flags.push('b');
        }
        if self.no_evict {
            flags.push('e');
        }
        if flags.is_empty() {
            flags.push('N');
        }
        let seconds = |since: Millis| now.since(since).0 / 1000;
        format!(
            "id={} addr={} laddr={} fd=-1 name={} age={} idle={} flags={flags} db=0 sub={} psub={} ssub=0 multi=-1 watch=0 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl={} oll=0 omem=0 tot-mem={} events=r cmd={} user={} redir=-1 resp={} lib-name={} lib-ver={} tot-net-in={} tot-net-out={} tot-cmds={}",
            self.id,
            self.address,
            self.local,
            self.name,
            seconds(self.connected_at),
            seconds(self.active_at),
            self.channels.len(),
            self.patterns.len(),
            self.output_bytes(),
            self.output.capacity(),
            if self.last_command.is_empty() { "NULL" } else { &self.last_command },
            self.user.as_deref().unwrap_or("(superuser)"),
            if self.protocol == Protocol::Resp3 { 3 } else { 2 },
            self.library_name,
            self.library_version,
            self.bytes_in,
            self.bytes_out,
            self.commands,
        )
    }
}
