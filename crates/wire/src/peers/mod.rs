//! What members say to each other, over plain TCP or mutual TLS ([`transport`] is the only place that makes streams).
//!
//! One connection from each member to each other, used in one direction; the receiver answers with single bytes as signs
//! of life. Deliberately no promises: a message may be lost, and raft sends what matters again. The invariants: queues are
//! bounded, and nothing a stranger sends is believed, panics, or makes memory grow beyond what it really sent.

mod frame;
mod incoming;
mod outgoing;
mod queue;
#[cfg(test)]
mod tests;
mod transport;

use queue::Queue;
use std::{collections::BTreeMap, sync::Arc};
use store::{MemberId, PeerMessage};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
pub use transport::PeerTls;

mod limits {
    use std::time::Duration;

    /// Messages waiting for one member.
    pub const QUEUE_MESSAGES_MAX: usize = 512;
    /// Bytes of them, unless it is a single one.
    pub const QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;
    /// Between two tries to connect: the first comes at once, then it doubles.
    pub const RECONNECT_MIN: Duration = Duration::from_millis(20);
    pub const RECONNECT_MAX: Duration = Duration::from_millis(200);
    /// A member that says it belongs elsewhere is a mistake in a configuration; it will not be gone in a moment.
    pub const RECONNECT_REFUSED: Duration = Duration::from_secs(5);
    pub const CONNECT_WITHIN: Duration = Duration::from_secs(1);
    pub const HANDSHAKE_WITHIN: Duration = Duration::from_secs(3);
    /// When nothing was sent for this long, a sign of life is: a dead connection is noticed before it is needed.
    pub const PING_EVERY: Duration = Duration::from_secs(1);
    /// No sign of life from the receiver for this long, though something was sent: the connection is dead.
    pub const SILENCE_MAX: Duration = Duration::from_secs(3);
    /// Nothing from the sender for this long: the same, seen from the receiver.
    pub const IDLE_MAX: Duration = Duration::from_secs(10);
    /// Signs of life are not sent more often than this.
    pub const ANSWER_EVERY: Duration = Duration::from_millis(500);
    /// Connections accepted at one time, handshakes included. A member needs one from each other.
    pub const CONNECTIONS_MAX: usize = 64;
    /// A buffer grows by at most this much ahead of what has arrived.
    pub const READ_AHEAD_BYTES: usize = 64 * 1024;
    /// After accept failed for want of something (file descriptors).
    pub const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);
}

/// Who we are and whom we talk to.
#[derive(Clone, Debug)]
pub struct PeersConfig {
    pub cluster_id: u64,
    pub me: MemberId,
    /// The others, as `host:port`.
    pub others: BTreeMap<MemberId, String>,
    /// `None`: plain TCP.
    pub tls: Option<PeerTls>,
}

#[derive(Debug)]
pub enum PeerReport {
    Received {
        from: MemberId,
        message: PeerMessage,
    },
    /// What was sent lately may be lost.
    Unreachable {
        id: MemberId,
    },
    /// Its host answers, and nobody listens there.
    ProcessGone {
        id: MemberId,
    },
}

/// The way to all other members.
pub struct Peers {
    queues: BTreeMap<MemberId, Arc<Queue>>,
}

impl Peers {
    /// Spawns on `tasks` until `stop`. Reports wait in their channel; a full one slows the senders down.
    pub fn start(
        config: &PeersConfig,
        listeners: Vec<TcpListener>,
        reports: &mpsc::Sender<PeerReport>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Self {
        let incoming = incoming::Incoming::new(config.clone(), reports.clone(), tasks.clone(), stop.clone());
        for listener in listeners {
            tasks.spawn(Arc::clone(&incoming).accept(listener));
        }
        let mut queues = BTreeMap::new();
        for (&id, address) in &config.others {
            let queue = Arc::new(Queue::default());
            let outgoing = outgoing::Outgoing {
                greeting: frame::Greeting { cluster_id: config.cluster_id, from: config.me, to: id },
                address: address.clone(),
                tls: config.tls.clone(),
                queue: Arc::clone(&queue),
                reports: reports.clone(),
            };
            let stop = stop.clone();
            tasks.spawn(async move {
                tokio::select! {
                    () = outgoing.run() => {}
                    () = stop.cancelled() => {}
                }
            });
            queues.insert(id, queue);
        }
        Self { queues }
    }

    /// This member is alone.
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Never waits: what does not fit pushes the oldest out.
    pub fn send(&self, to: MemberId, message: &PeerMessage) {
        if let Some(queue) = self.queues.get(&to) {
            queue.push(message.encode(), message.is_replaceable());
        }
    }
}
