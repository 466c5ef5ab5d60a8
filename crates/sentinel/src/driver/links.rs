//! Connections to Redis servers and to other Sentinels.
//!
//! There may be thousands, mostly silent, so each is cheap: a task that waits for bytes, no timer, and buffers that exist
//! only while something is in them. What is to be sent is written at once, without a detour through the task; only when
//! the kernel's buffer is full the task goes on with it.

use super::link_task;
use crate::world::World;
use bytes::{Buf, BytesMut};
use ha::sentinel::{Command, LinkId, LinkKind, Tag};
use resp::client::TlsClient;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::rc::Rc;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// Output for one server that does not read. The state machine sends no more than a hundred requests without a reply, of
/// some hundred bytes each.
const OUTPUT_BYTES_MAX: usize = 1024 * 1024;

pub struct Link {
    pub kind: LinkKind,
    /// What the next replies belong to; `None` for the greeting.
    pub expected: VecDeque<Option<Tag>>,
    pub output: BytesMut,
    /// Set once connected without TLS.
    pub stream: Option<Rc<TcpStream>>,
    /// There is output that could not be written at once, or that only the task can write.
    pub wake: Rc<Notify>,
    task: AbortHandle,
    dirty: bool,
}

pub struct Links {
    by_id: HashMap<LinkId, Link>,
    dirty: Vec<LinkId>,
    pub tls: Option<TlsClient>,
    /// What one read brings. Shared, because only one read happens at a time.
    pub scratch: Box<[u8]>,
}

/// INFO of a busy server fits.
const SCRATCH_BYTES: usize = 64 * 1024;

impl Links {
    pub fn new(tls: Option<TlsClient>) -> Self {
        Self { by_id: HashMap::new(), dirty: Vec::new(), tls, scratch: vec![0; SCRATCH_BYTES].into_boxed_slice() }
    }

    pub fn get_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.by_id.get_mut(&id)
    }

    /// The link is over; the state machine is told by whoever found out.
    pub fn remove(&mut self, id: LinkId) -> bool {
        self.by_id.remove(&id).is_some()
    }

    pub fn close(&mut self, id: LinkId) {
        if let Some(link) = self.by_id.remove(&id) {
            link.task.abort();
        }
    }

    pub fn send(&mut self, id: LinkId, tag: Tag, command: &Command) {
        if let Some(link) = self.by_id.get_mut(&id) {
            if link.output.len() > OUTPUT_BYTES_MAX {
                // Nothing is read there. Its pings are not answered, and that is what decides about it.
                return;
            }
            link.push(Some(tag), command);
            if !link.dirty {
                link.dirty = true;
                self.dirty.push(id);
            }
        }
    }

    /// Writes what was sent since the last time.
    pub fn flush(&mut self) {
        for id in std::mem::take(&mut self.dirty) {
            if let Some(link) = self.by_id.get_mut(&id) {
                link.dirty = false;
                if !link.write() {
                    link.wake.notify_one();
                }
            }
        }
    }
}

impl Link {
    fn push(&mut self, tag: Option<Tag>, command: &Command) {
        self.expected.push_back(tag);
        let words: Vec<&str> = command.words().collect();
        resp::encode_command(&words, &mut self.output);
    }

    /// Writes as much as the kernel takes. False when something is left that the task has to see to.
    pub fn write(&mut self) -> bool {
        // Not connected yet: the task writes once it is. With TLS: always the task.
        let Some(stream) = &self.stream else { return self.output.is_empty() };
        while !self.output.is_empty() {
            match stream.try_write(&self.output) {
                Ok(count) => self.output.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // Reading finds out, too, and reports it.
                Err(_) => break,
            }
        }
        self.output = BytesMut::new();
        true
    }
}

/// Carries out `Effect::Open`.
pub fn open(world: &mut World, id: LinkId, kind: LinkKind, host: String, port: u16, greeting: &[Command]) {
    let wake = Rc::new(Notify::new());
    let tls = world.links.tls.clone();
    let task = tokio::task::spawn_local(link_task::run(world.shared(), id, host, port, tls, wake.clone()));
    let mut link = Link {
        kind,
        expected: VecDeque::new(),
        output: BytesMut::new(),
        stream: None,
        wake,
        task: task.abort_handle(),
        dirty: false,
    };
    for command in greeting {
        link.push(None, command);
    }
    world.links.by_id.insert(id, link);
}
