//! The connection to one other member: made, kept, made again.

use super::{
    PeerReport,
    frame::{self, Answer, Greeting},
    limits,
    queue::Queue,
    transport::{self, PeerTls, Stream},
};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout},
};

pub struct Outgoing {
    pub greeting: Greeting,
    pub address: String,
    pub tls: Option<PeerTls>,
    pub queue: Arc<Queue>,
    pub reports: mpsc::Sender<PeerReport>,
}

/// Why there is no connection.
enum Failure {
    /// The host answers that nobody listens.
    Refused,
    /// A member answers that it wants no such connection.
    Unwanted(Answer),
    Other(io::Error),
}

impl Outgoing {
    /// Never returns.
    pub async fn run(self) {
        let id = self.greeting.to;
        let mut pause = Duration::ZERO;
        let mut told: Option<Answer> = None;
        let mut insecure: Option<String> = None;
        loop {
            match self.connect().await {
                Ok(stream) => {
                    tracing::debug!(member = format!("{id:016x}"), address = self.address, "connected");
                    told = None;
                    insecure = None;
                    let since = Instant::now();
                    let error = self.talk(stream).await;
                    // A connection that served is made again at once; one that broke straight away waits like a failure.
                    pause = if since.elapsed() >= limits::PING_EVERY { Duration::ZERO } else { longer(pause) };
                    tracing::debug!(member = format!("{id:016x}"), ?error, "the connection to a member ended");
                    self.report(PeerReport::Unreachable { id }).await;
                }
                Err(Failure::Refused) => {
                    self.report(PeerReport::ProcessGone { id }).await;
                    pause = longer(pause);
                }
                Err(Failure::Unwanted(answer)) => {
                    if told.replace(answer) != Some(answer) {
                        let reason = answer.reason();
                        tracing::warn!(
                            member = format!("{id:016x}"),
                            address = self.address,
                            "member refuses: {reason}"
                        );
                    }
                    self.report(PeerReport::Unreachable { id }).await;
                    pause = limits::RECONNECT_REFUSED;
                }
                Err(Failure::Other(error)) => {
                    // What TLS says of the other side is a mistake in certificates or configurations: a person must act.
                    let why = Some(error.to_string()).filter(|_| error.kind() == io::ErrorKind::InvalidData);
                    if why.is_some() && insecure != why {
                        tracing::warn!(address = self.address, %error, "no connection to a member\nhint: the members' certificates must be of the authorities in peer_transport_security.trusted_ca_file, and all members need that section");
                        insecure = why;
                    }
                    tracing::debug!(member = format!("{id:016x}"), address = self.address, %error, "no connection");
                    self.report(PeerReport::Unreachable { id }).await;
                    pause = longer(pause);
                }
            }
            self.queue.forget_replaceable();
            if !pause.is_zero() {
                sleep(pause).await;
            }
        }
    }

    async fn connect(&self) -> Result<Stream, Failure> {
        let mut stream =
            transport::connect(&self.address, self.tls.as_ref()).await.map_err(|error| match error.kind() {
                io::ErrorKind::ConnectionRefused => Failure::Refused,
                _ => Failure::Other(error),
            })?;
        let greet = async {
            frame::write_greeting(&mut stream, self.greeting).await?;
            frame::read_answer(&mut stream).await
        };
        match timeout(limits::HANDSHAKE_WITHIN, greet).await {
            Ok(Ok(Answer::Welcome)) => Ok(stream),
            Ok(Ok(answer)) => Err(Failure::Unwanted(answer)),
            Ok(Err(error)) => Err(Failure::Other(error)),
            Err(late) => Err(Failure::Other(late.into())),
        }
    }

    /// Until the connection is gone; why.
    async fn talk(&self, stream: Stream) -> io::Error {
        let (mut from, mut to) = tokio::io::split(stream);
        let mut signs = [0; 64];
        // When the receiver has to have said something; `None` while we have said nothing since it did.
        let mut answer_by: Option<Instant> = None;
        let mut ping_at = Instant::now() + limits::PING_EVERY;
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            tokio::select! {
                read = from.read(&mut signs) => match read {
                    Ok(0) => return io::ErrorKind::UnexpectedEof.into(),
                    Ok(_) => answer_by = None,
                    Err(error) => return error,
                },
                messages = self.queue.take() => {
                    for message in messages {
                        frame::put_message(&message, &mut buffer);
                    }
                }
                () = sleep_until(ping_at) => frame::put_message(&[], &mut buffer),
                () = sleep_until(answer_by.unwrap_or(ping_at)), if answer_by.is_some() => {
                    return io::ErrorKind::TimedOut.into();
                }
            }
            if buffer.is_empty() {
                continue;
            }
            let now = Instant::now();
            ping_at = now + limits::PING_EVERY;
            answer_by.get_or_insert(now + limits::SILENCE_MAX);
            let sending = async {
                to.write_all(&buffer).await?;
                to.flush().await
            };
            match timeout(limits::SILENCE_MAX, sending).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error,
                Err(late) => return late.into(),
            }
            if buffer.capacity() > limits::READ_AHEAD_BYTES {
                buffer = Vec::new();
            }
        }
    }

    async fn report(&self, report: PeerReport) {
        // It fails only when the member is stopping.
        let _ = self.reports.send(report).await;
    }
}

fn longer(pause: Duration) -> Duration {
    (pause * 2).clamp(limits::RECONNECT_MIN, limits::RECONNECT_MAX)
}
