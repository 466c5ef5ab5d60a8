//! Passing bytes between a client and its server until both have ended or the server loses its role.
//!
//! Deliberately no buffer on a connection that is idle: what is read goes out at once, from the stack, and only what the other
//! side does not take is kept. While something is kept, nothing more is read, so a side that does not read slows the other
//! down instead of filling our memory. A stream that goes on and on is handed to the kernel where it can pass it on itself.

use crate::hold::{is_allowed, no_longer_allowed};
use crate::pipes::{Pipes, Pooled};
use crate::routes::{Port, Routes, Target};
use crate::sockets::{close_with_reset, send_at_once};
use crate::statistics::Counters;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Read at once, and so the most that is kept for a side that does not read. PostgreSQL and Redis send in pieces of 8 and 16 KiB.
const READ_BYTES: usize = 16 * 1024;
/// Reads in a row that were as large as they could be: a result or a dump is on its way, not a conversation.
const FULL_READS_OF_A_FLOOD: u8 = 4;

/// How a relayed connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Both ends closed, or one broke.
    Closed,
    /// The server lost its role.
    Cut,
}

/// The side that broke a stream, seen from the stream.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("reading: {0}")]
    Source(io::Error),
    #[error("writing: {0}")]
    Destination(io::Error),
}

/// What a relay needs beside its two sockets.
pub(crate) struct Surroundings<'a> {
    pub(crate) port: Port,
    pub(crate) target: &'a Target,
    pub(crate) routes: watch::Receiver<Routes>,
    pub(crate) counters: &'a Counters,
    pub(crate) pipes: &'a Pipes,
    pub(crate) shutdown: &'a CancellationToken,
}

/// `early` is what goes to the server first. The role is looked at before the first byte is passed.
///
/// A client that broke off is a reset for its server, as it would be without us: nobody is left to say goodbye to, and a goodbye
/// costs packets, and us a port in TIME-WAIT. A server that broke off is an ordinary end for its client, because its last words
/// may be on their way still.
pub(crate) async fn relay(
    mut client: TcpStream,
    mut server: TcpStream,
    mut early: Vec<u8>,
    mut around: Surroundings<'_>,
) -> End {
    if is_allowed(&around.routes, around.port, around.target) {
        let sent = send_at_once(&server, &early);
        around.counters.bytes_up.fetch_add(sent as u64, Ordering::Relaxed);
        early.drain(..sent);
    }
    let mut up = Stream::new(&around.counters.bytes_up, around.pipes, early);
    let mut down = Stream::new(&around.counters.bytes_down, around.pipes, Vec::new());
    let mut client_broke = false;
    let pass = poll_fn(|context| {
        let up = up.poll(context, &mut client, &mut server).map_err(|broken| {
            client_broke = matches!(broken, Broken::Source(_));
            broken
        })?;
        let down = down.poll(context, &mut server, &mut client).map_err(|broken| {
            client_broke = matches!(broken, Broken::Destination(_));
            broken
        })?;
        if up.is_ready() && down.is_ready() { Poll::Ready(Ok::<_, Broken>(())) } else { Poll::Pending }
    });
    let end = tokio::select! {
        biased;
        () = no_longer_allowed(&mut around.routes, around.port, around.target) => End::Cut,
        () = around.shutdown.cancelled() => End::Closed,
        passed = pass => {
            if let Err(error) = passed {
                tracing::debug!(target = %around.target, %error, "a connection broke");
            }
            End::Closed
        }
    };
    if end == End::Cut {
        close_with_reset(&client);
    }
    if end == End::Cut || client_broke {
        close_with_reset(&server);
    }
    end
}

/// One direction.
struct Stream<'a> {
    bytes: &'a AtomicU64,
    pipes: &'a Pipes,
    waiting: Waiting,
    full_reads: u8,
    state: State,
}

/// What was read and is not written yet.
enum Waiting {
    Nothing,
    Bytes { bytes: Box<[u8]>, written: usize },
    InPipe(Pooled),
}

#[derive(PartialEq, Eq)]
enum State {
    Open,
    /// The source has ended; the destination is to be told when it has everything.
    Ended,
    Closed,
}

impl<'a> Stream<'a> {
    fn new(bytes: &'a AtomicU64, pipes: &'a Pipes, early: Vec<u8>) -> Self {
        let waiting = if early.is_empty() {
            Waiting::Nothing
        } else {
            Waiting::Bytes { bytes: early.into_boxed_slice(), written: 0 }
        };
        Self { bytes, pipes, waiting, full_reads: 0, state: State::Open }
    }

    /// Ready when the source has ended and the destination was told so.
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        from: &mut TcpStream,
        to: &mut TcpStream,
    ) -> Poll<Result<(), Broken>> {
        while self.state != State::Closed {
            ready!(self.poll_waiting(context, to))?;
            match self.state {
                State::Open => {
                    // What the destination would not take now is better left in the source's socket.
                    ready!(to.poll_write_ready(context)).map_err(Broken::Destination)?;
                    if matches!(self.waiting, Waiting::InPipe(_)) {
                        ready!(self.poll_fill(context, from))?;
                    } else {
                        ready!(self.poll_copy(context, from, to))?;
                    }
                }
                State::Ended => {
                    ready!(Pin::new(&mut *to).poll_shutdown(context)).map_err(Broken::Destination)?;
                    self.state = State::Closed;
                }
                State::Closed => {}
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when nothing is kept any more. An empty pipe stays while more may come.
    fn poll_waiting(&mut self, context: &mut Context<'_>, to: &mut TcpStream) -> Poll<Result<(), Broken>> {
        loop {
            match &mut self.waiting {
                Waiting::Nothing => return Poll::Ready(Ok(())),
                Waiting::Bytes { bytes, written } => {
                    let count = ready!(Pin::new(&mut *to).poll_write(context, &bytes[*written..]))
                        .map_err(Broken::Destination)?;
                    self.bytes.fetch_add(count as u64, Ordering::Relaxed);
                    *written += count;
                    if *written == bytes.len() {
                        self.waiting = Waiting::Nothing;
                    }
                }
                Waiting::InPipe(pipe) => {
                    if pipe.waiting() == 0 {
                        return Poll::Ready(Ok(()));
                    }
                    ready!(to.poll_write_ready(context)).map_err(Broken::Destination)?;
                    match to.try_io(Interest::WRITABLE, || pipe.drain(to)) {
                        Ok(count) => {
                            self.bytes.fetch_add(count as u64, Ordering::Relaxed);
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Poll::Ready(Err(Broken::Destination(error))),
                    }
                }
            }
        }
    }

    /// Reads once and writes what was read.
    fn poll_copy(
        &mut self,
        context: &mut Context<'_>,
        from: &mut TcpStream,
        to: &mut TcpStream,
    ) -> Poll<Result<(), Broken>> {
        let mut space = [MaybeUninit::uninit(); READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(from).poll_read(context, &mut buffer)).map_err(Broken::Source)?;
        let read = buffer.filled();
        if read.is_empty() {
            self.state = State::Ended;
            return Poll::Ready(Ok(()));
        }
        let count = match Pin::new(to).poll_write(context, read) {
            Poll::Ready(count) => count.map_err(Broken::Destination)?,
            Poll::Pending => 0,
        };
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        if count < read.len() {
            self.waiting = Waiting::Bytes { bytes: read[count..].into(), written: 0 };
        }
        if read.len() < READ_BYTES {
            self.full_reads = 0;
        } else {
            self.full_reads = self.full_reads.saturating_add(1);
            if self.full_reads >= FULL_READS_OF_A_FLOOD
                && count == read.len()
                && let Some(pipe) = self.pipes.take()
            {
                self.waiting = Waiting::InPipe(pipe);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Lets the kernel take over what the source has. The pipe is given back when that is nothing.
    fn poll_fill(&mut self, context: &mut Context<'_>, from: &mut TcpStream) -> Poll<Result<(), Broken>> {
        let Waiting::InPipe(pipe) = &mut self.waiting else { return Poll::Ready(Ok(())) };
        let filled = match from.poll_read_ready(context).map_err(Broken::Source)? {
            Poll::Ready(()) => from.try_io(Interest::READABLE, || pipe.fill(from)),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        };
        match filled {
            Ok(0) => {
                self.state = State::Ended;
                self.waiting = Waiting::Nothing;
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.waiting = Waiting::Nothing;
                // One more full read says that it was only a breath.
                self.full_reads = FULL_READS_OF_A_FLOOD - 1;
            }
            Err(error) => return Poll::Ready(Err(Broken::Source(error))),
        }
        Poll::Ready(Ok(()))
    }
}
