//! Connections from other members: checked, read, answered with signs of life.

use super::{
    PeerReport, PeersConfig,
    frame::{self, Answer, Greeting},
    limits,
    transport::{self, Stream},
};
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};
use store::{MemberId, PeerMessage};
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub struct Incoming {
    config: PeersConfig,
    reports: mpsc::Sender<PeerReport>,
    tasks: TaskTracker,
    stop: CancellationToken,
    slots: Arc<Semaphore>,
    /// The present connection of each member. A newer one ends the older, so that a restarted member's messages do not mix
    /// with those of its former life.
    present: Mutex<BTreeMap<MemberId, CancellationToken>>,
}

impl Incoming {
    pub fn new(
        config: PeersConfig,
        reports: mpsc::Sender<PeerReport>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let slots = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
        Arc::new(Self { config, reports, tasks, stop, slots, present: Mutex::default() })
    }

    pub async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            tokio::select! {
                (stream, slot) = next(&listener, &self.slots) => {
                    let this = Arc::clone(&self);
                    self.tasks.spawn(async move {
                        tokio::select! {
                            ended = this.serve(stream) => {
                                if let Err(error) = ended {
                                    tracing::debug!(%error, "a connection of a member ended");
                                }
                            }
                            () = this.stop.cancelled() => {}
                        }
                        drop(slot);
                    });
                }
                () = self.stop.cancelled() => return,
            }
        }
    }

    async fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut stream = transport::accepted(stream, self.config.tls.as_ref()).await?;
        let from = timeout(limits::HANDSHAKE_WITHIN, self.greet(&mut stream)).await??;
        let newer = CancellationToken::new();
        {
            let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(older) = present.insert(from, newer.clone()) {
                older.cancel();
            }
        }
        tokio::select! {
            ended = self.listen(from, stream) => ended,
            () = newer.cancelled() => Ok(()),
        }
    }

    async fn greet(&self, stream: &mut Stream) -> io::Result<MemberId> {
        let greeting = frame::read_greeting(stream).await?;
        let answer = match greeting {
            Some(Greeting { from, .. }) if self.judge(greeting) == Answer::Welcome && !self.is_of(stream, from) => {
                Answer::OtherCertificate
            }
            _ => self.judge(greeting),
        };
        frame::write_answer(stream, answer).await?;
        match greeting {
            Some(greeting) if answer == Answer::Welcome => Ok(greeting.from),
            _ => Err(frame::invalid(answer.reason())),
        }
    }

    fn judge(&self, greeting: Option<Greeting>) -> Answer {
        match greeting {
            None => Answer::OtherVersion,
            Some(Greeting { cluster_id, .. }) if cluster_id != self.config.cluster_id => Answer::OtherCluster,
            Some(Greeting { to, .. }) if to != self.config.me => Answer::WrongMember,
            Some(Greeting { from, .. }) if !self.config.others.contains_key(&from) => Answer::UnknownMember,
            Some(_) => Answer::Welcome,
        }
    }

    /// A certificate of the authority alone may be a client's; a member's names its address.
    fn is_of(&self, stream: &Stream, member: MemberId) -> bool {
        let address = self.config.others.get(&member).map_or("", String::as_str);
        stream.is_of(address.rsplit_once(':').map_or(address, |(host, _)| host))
    }

    async fn listen(&self, from: MemberId, stream: Stream) -> io::Result<()> {
        let (read, mut write) = tokio::io::split(stream);
        let mut read = BufReader::new(read);
        let mut answered: Option<Instant> = None;
        loop {
            let bytes = timeout(limits::IDLE_MAX, frame::read_message(&mut read)).await??;
            if answered.is_none_or(|at| at.elapsed() >= limits::ANSWER_EVERY) {
                answered = Some(Instant::now());
                let sign = async {
                    write.write_all(&[0]).await?;
                    write.flush().await
                };
                timeout(limits::SILENCE_MAX, sign).await??;
            }
            if bytes.is_empty() {
                continue;
            }
            let message = PeerMessage::decode(&bytes).map_err(io::Error::other)?;
            if self.reports.send(PeerReport::Received { from, message }).await.is_err() {
                return Ok(());
            }
        }
    }
}

async fn next(listener: &TcpListener, slots: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    loop {
        let Ok(slot) = Arc::clone(slots).acquire_owned().await else {
            // The semaphore is never closed.
            std::future::pending().await
        };
        match listener.accept().await {
            Ok((stream, _)) => return (stream, slot),
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                sleep(limits::ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
}
