//! The task of one connection: connects, reads, and reports.

use super::resolve;
use crate::world::World;
use bytes::BytesMut;
use ha::sentinel::{Event, Level, LinkEnd, LinkId, LinkKind, Reply};
use resp::client::TlsClient;
use resp::{Limits, ReplyDecoder, Value};
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// TCP and TLS together. The state machine does not wait for it: unanswered pings count from the attempt on.
const CONNECT: Duration = Duration::from_secs(10);

/// Most of what arrives.
const PONG: &[u8] = b"+PONG\r\n";

pub async fn run(
    world: Weak<RefCell<World>>,
    id: LinkId,
    host: String,
    port: u16,
    tls: Option<TlsClient>,
    wake: Rc<Notify>,
) {
    let end = match Box::pin(tokio::time::timeout(CONNECT, connect(&host, port))).await {
        Err(_) => LinkEnd::Failed(format!("{host}:{port}: no answer")),
        Ok(Err(end)) => end,
        Ok(Ok(stream)) => match tls {
            None => plain(&world, id, Rc::new(stream), &wake).await,
            // In a box, because thousands of tasks without TLS would each have room for it.
            Some(tls) => Box::pin(encrypted(&world, id, &host, stream, &tls, &wake)).await,
        },
    };
    let Some(world) = world.upgrade() else { return };
    let mut world = world.borrow_mut();
    // Not there any more: it was closed from this side, and nobody wants to hear of it.
    if world.links.remove(id) {
        world.event(Event::LinkClosed { link: id, end });
    }
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, LinkEnd> {
    let failed = |what: &str| LinkEnd::Failed(format!("{host}:{port}: {what}"));
    let ip = resolve::lookup(host).await.ok_or_else(|| failed("the name does not resolve"))?;
    let stream = TcpStream::connect(SocketAddr::new(ip, port)).await.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => LinkEnd::Refused,
        _ => failed(&error.to_string()),
    })?;
    // Without it small requests may wait for each other's acknowledgement; it is not worth failing for.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Tells the state machine, and sends what has waited for the connection.
fn opened(world: &Weak<RefCell<World>>, id: LinkId, stream: &TcpStream, plain: Option<&Rc<TcpStream>>) -> bool {
    let (Some(world), Ok(local), Ok(remote)) = (world.upgrade(), stream.local_addr(), stream.peer_addr()) else {
        return false;
    };
    let mut world = world.borrow_mut();
    let Some(link) = world.links.get_mut(id) else { return false };
    link.stream = plain.cloned();
    if !link.write() {
        link.wake.notify_one();
    }
    world.event(Event::LinkOpened { link: id, local: local.ip(), remote: remote.ip() });
    true
}

async fn plain(world: &Weak<RefCell<World>>, id: LinkId, stream: Rc<TcpStream>, wake: &Notify) -> LinkEnd {
    if !opened(world, id, &stream, Some(&stream)) {
        return LinkEnd::Lost;
    }
    let mut replies = Replies::new(id);
    loop {
        tokio::select! {
            ready = stream.readable() => {
                let Some(world) = world.upgrade() else { return LinkEnd::Lost };
                let mut world = world.borrow_mut();
                let world = &mut *world;
                let read = ready.and_then(|()| stream.try_read(&mut world.links.scratch));
                match read {
                    Ok(0) => return LinkEnd::Lost,
                    Ok(count) => {
                        let scratch = std::mem::take(&mut world.links.scratch);
                        let taken = replies.take(world, &scratch[..count]);
                        world.links.scratch = scratch;
                        if !taken {
                            return LinkEnd::Lost;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => return LinkEnd::Lost,
                }
            }
            () = wake.notified() => {
                // The kernel's buffer was full, which hardly ever happens: until it has room nothing else matters here.
                loop {
                    if stream.writable().await.is_err() {
                        return LinkEnd::Lost;
                    }
                    let Some(world) = world.upgrade() else { return LinkEnd::Lost };
                    let mut world = world.borrow_mut();
                    let Some(link) = world.links.get_mut(id) else { return LinkEnd::Lost };
                    if link.write() {
                        break;
                    }
                }
            }
        }
    }
}

async fn encrypted(
    world: &Weak<RefCell<World>>,
    id: LinkId,
    host: &str,
    stream: TcpStream,
    tls: &TlsClient,
    wake: &Notify,
) -> LinkEnd {
    let stream = match tokio::time::timeout(CONNECT, tls.connect(host, stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return LinkEnd::Failed(format!("{host}: {error}")),
        Err(_) => return LinkEnd::Failed(format!("{host}: no answer to the TLS handshake")),
    };
    if !opened(world, id, stream.get_ref().0, None) {
        return LinkEnd::Lost;
    }
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut replies = Replies::new(id);
    let mut input = [0; 4096];
    wake.notify_one();
    loop {
        tokio::select! {
            read = reader.read(&mut input) => match read {
                Ok(count) if count > 0 => {
                    let Some(world) = world.upgrade() else { return LinkEnd::Lost };
                    if !replies.take(&mut world.borrow_mut(), &input[..count]) {
                        return LinkEnd::Lost;
                    }
                }
                Ok(_) | Err(_) => return LinkEnd::Lost,
            },
            () = wake.notified() => {
                let output = {
                    let Some(world) = world.upgrade() else { return LinkEnd::Lost };
                    let mut world = world.borrow_mut();
                    let Some(link) = world.links.get_mut(id) else { return LinkEnd::Lost };
                    std::mem::take(&mut link.output)
                };
                if writer.write_all(&output).await.is_err() || writer.flush().await.is_err() {
                    return LinkEnd::Lost;
                }
            }
        }
    }
}

/// Makes events of the bytes of one connection.
struct Replies {
    id: LinkId,
    decoder: ReplyDecoder,
    input: BytesMut,
}

impl Replies {
    fn new(id: LinkId) -> Self {
        Self { id, decoder: ReplyDecoder::new(Limits::WATCHED), input: BytesMut::new() }
    }

    /// False when the connection cannot be used any more.
    fn take(&mut self, world: &mut World, bytes: &[u8]) -> bool {
        if bytes == PONG && self.input.is_empty() {
            let known = self.reply(world, Value::Simple("PONG".to_owned()));
            world.run();
            return known;
        }
        self.input.extend_from_slice(bytes);
        let usable = loop {
            match self.decoder.decode(&mut self.input) {
                Ok(None) => break true,
                Ok(Some(value)) => {
                    if !self.reply(world, value) {
                        break false;
                    }
                }
                Err(error) => {
                    world.log(Level::Warning, format_args!("a server does not speak Redis's protocol: {error}"));
                    break false;
                }
            }
        };
        world.run();
        if self.input.is_empty() {
            // An empty buffer still holds its memory, and there are thousands.
            self.input = BytesMut::new();
        }
        usable
    }

    fn reply(&self, world: &mut World, value: Value) -> bool {
        let Some(link) = world.links.get_mut(self.id) else { return false };
        match link.kind {
            LinkKind::PubSub => {
                if let Some(payload) = hello_payload(&value) {
                    world.queue(Event::Message { link: self.id, payload });
                    return true;
                }
                link.expected.pop_front();
            }
            LinkKind::Command => match link.expected.pop_front() {
                Some(Some(tag)) => {
                    world.queue(Event::Reply { link: self.id, tag, reply: reply_of(value) });
                    return true;
                }
                Some(None) => {}
                // A reply that nobody asked for: what comes after it cannot be told apart either.
                None => return matches!(value, Value::Push(_)),
            },
        }
        if let Value::Error(text) = &value {
            // An error about a name or a password that is not needed; when it matters, the pings say so.
            world.log(Level::Debug, format_args!("the greeting of a connection was answered: {text}"));
        }
        true
    }
}

/// The payload, if this is a message on a channel.
fn hello_payload(value: &Value) -> Option<String> {
    match value.as_array()? {
        [kind, _channel, payload] if kind.as_bytes() == Some(b"message") => Some(payload.as_text()?.into_owned()),
        _ => None,
    }
}

fn reply_of(value: Value) -> Reply {
    match value {
        Value::Simple(text) => Reply::Status(text),
        Value::Error(text) => Reply::Error(text),
        Value::Integer(number) => Reply::Integer(number),
        Value::Bulk(bytes) | Value::Verbatim { text: bytes, .. } => {
            Reply::Bulk(String::from_utf8_lossy(&bytes).into_owned())
        }
        Value::Array(items) | Value::Set(items) | Value::Push(items) => {
            Reply::Array(items.into_iter().map(reply_of).collect())
        }
        Value::Null | Value::NullArray => Reply::Null,
        Value::Map(_) | Value::Boolean(_) | Value::Double(_) | Value::BigNumber(_) => Reply::Other,
    }
}
