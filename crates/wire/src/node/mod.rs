//! One member of the store, running: the driver around [`store::Store`].
//!
//! One task owns the order of things (events in, effects out); a thread of its own writes to disk, so that no fsync ever
//! stops the task; [`crate::peers`] talks to the others. Deliberately no decisions: those are the store's. The invariants:
//! one event is handled at a time, effects are carried out in their order, and every request is answered, if only by its
//! timeout.

mod disk_thread;
mod driver;
mod handle;
mod identity;
#[cfg(test)]
mod tests;

pub use handle::{AppliedBatch, Header, NodeStatus, StoreHandle};
pub use identity::{cluster_id, member_id};
pub use store::Member;

pub use crate::peers::PeerTls;
use crate::peers::{Peers, PeersConfig};
use disk::{DiskError, DiskLog, Identity, RealDirectory};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant, SystemTime},
};
use store::{OpenError, Store, StoreConfig};
use thiserror::Error;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use types::Millis;

pub(crate) mod limits {
    use std::time::Duration;

    /// Requests on their way to the task; the store has its own bound for those it works on.
    pub const REQUESTS_WAITING_MAX: usize = 1_024;
    /// Messages of other members on their way to the task; more wait in their connections.
    pub const REPORTS_WAITING_MAX: usize = 64;
    /// Writes on their way to disk. Before it is reached the task stops taking requests and messages.
    pub const WRITES_WAITING_MAX: usize = 1_024;
    /// Kept free for what ticks cause while the disk hangs: a few writes, not one for each tick.
    pub const WRITES_RESERVED: usize = 256;
    /// Writes put into one fsync.
    pub const WRITE_BATCH_BYTES: usize = 8 * 1024 * 1024;
    /// A full disk is tried again this often.
    pub const FULL_DISK_RETRY: Duration = Duration::from_millis(250);
    /// A write that takes longer than this makes a leader hand over: its own callers wait for its disk.
    pub const DISK_STALL: Duration = Duration::from_secs(2);
    /// Batches of changes kept for a watcher; one that is further behind reads the history.
    pub const BATCHES_KEPT: usize = 64;
    /// Above the store's own timeout, which answers first unless the task is gone.
    pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);
    /// A leader that stops hands over first, for at most this long.
    pub const HANDOVER_WITHIN: Duration = Duration::from_millis(500);
    /// The disk finishes what it has, for at most this long.
    pub const STOP_WITHIN: Duration = Duration::from_secs(5);
}

/// One member, as its configuration describes it.
#[derive(Debug)]
pub struct NodeConfig {
    pub name: String,
    /// The same on all members of a cluster. With the members' names it makes the cluster's id.
    pub cluster_token: String,
    /// All members, this one included. Fixed for the life of the cluster.
    pub members: Vec<NodeMember>,
    pub data_dir: PathBuf,
    /// Where the others reach this member; bound by the caller, so that a port in use is found before anything starts.
    pub peer_listeners: Vec<TcpListener>,
    /// How the members talk to each other; the same on all of them. `None`: plain TCP.
    pub peer_tls: Option<PeerTls>,
}

#[derive(Clone, Debug)]
pub struct NodeMember {
    pub name: String,
    /// `http://host:port`, or `https` where the members talk TLS; the first one is used.
    pub peer_urls: Vec<String>,
    pub client_urls: Vec<String>,
}

/// Why a member does not start, or had to stop.
#[derive(Debug, Error)]
pub enum NodeError {
    #[error("'{name}' is not among the members ({members})")]
    NotAMember { name: String, members: String },
    #[error("peer URL '{url}' of member '{name}' is not of the form {scheme}://host:port")]
    BadPeerUrl { name: String, url: String, scheme: &'static str },
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl NodeError {
    /// One sentence for a person.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotAMember { .. } => "the member's name must be in the list of members, which is the same everywhere",
            Self::BadPeerUrl { .. } => "write it like http://10.0.0.11:2380, or with https where the members talk TLS",
            Self::Disk(error) => error.hint(),
            Self::Open(_) => "move the data directory away and start again: the member gets its data from the others",
            Self::Thread(_) => "check the limits on processes and memory",
        }
    }
}

/// Opens the data directory, starts the member, returns before it knows a leader.
pub async fn start(config: NodeConfig) -> Result<StoreHandle, NodeError> {
    let members: Vec<Member> = config
        .members
        .iter()
        .map(|member| Member {
            id: member_id(&config.cluster_token, &member.name),
            name: member.name.clone(),
            peer_urls: member.peer_urls.clone(),
            client_urls: member.client_urls.clone(),
        })
        .collect();
    let me = member_id(&config.cluster_token, &config.name);
    if !members.iter().any(|member| member.id == me) {
        let members = members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(NodeError::NotAMember { name: config.name, members });
    }
    let cluster_id = cluster_id(&config.cluster_token, members.iter().map(|member| member.id));
    let scheme = if config.peer_tls.is_some() { "https" } else { "http" };
    let mut peers = PeersConfig { cluster_id, me, others: BTreeMap::new(), tls: config.peer_tls };
    for member in members.iter().filter(|member| member.id != me) {
        peers.others.insert(member.id, peer_address(member, scheme)?);
    }

    let identity = Identity { cluster_id, member_id: me };
    let data_dir = config.data_dir;
    let opening = tokio::task::spawn_blocking(move || {
        DiskLog::open(RealDirectory::open(&data_dir)?, identity, wall_clock_micros())
    });
    let opened = opening.await.map_err(|error| NodeError::Thread(std::io::Error::other(error)))??;
    if opened.cut_bytes > 0 {
        tracing::info!(bytes = opened.cut_bytes, "the last write before the stop was incomplete and is undone");
    }
    // Different on every member and in every run; nothing secret hangs on it.
    let seed = me ^ opened.run.rotate_left(32);
    let store_config = StoreConfig::new(me, members.clone(), opened.run, seed);
    let clock = Instant::now();
    let store = Store::open(store_config, opened.persisted, Millis::ZERO)?;
    let store = Arc::new(RwLock::new(store));

    let tasks = TaskTracker::new();
    let stop = CancellationToken::new();
    let (reports_in, reports) = mpsc::channel(limits::REPORTS_WAITING_MAX);
    let (requests_in, requests) = mpsc::channel(limits::REQUESTS_WAITING_MAX);
    let disk = disk_thread::start(opened.log).map_err(NodeError::Thread)?;
    let peers = Peers::start(&peers, config.peer_listeners, &reports_in, &tasks, &stop);
    let (handle, outlets) = handle::new(handle::Parts {
        store: Arc::clone(&store),
        name: config.name,
        members,
        cluster_id,
        clock,
        requests: requests_in,
        tasks: tasks.clone(),
        stop: stop.clone(),
    });
    let driver = driver::Driver::new(store, clock, peers, disk, outlets, stop);
    tasks.spawn(driver.run(requests, reports));
    tasks.close();
    Ok(handle)
}

/// `host:port` of the first peer URL.
fn peer_address(member: &Member, scheme: &'static str) -> Result<String, NodeError> {
    let url = member.peer_urls.first().map_or("", String::as_str);
    let rest =
        url.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://")).map(|rest| rest.trim_end_matches('/'));
    rest.filter(|rest| {
        rest.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    })
    .map(str::to_owned)
    .ok_or_else(|| NodeError::BadPeerUrl { name: member.name.clone(), url: url.to_owned(), scheme })
}

fn wall_clock_micros() -> u64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since_epoch.as_micros()).unwrap_or(0)
}

fn elapsed(clock: Instant) -> Millis {
    Millis(u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX))
}

/// A reader that panicked cannot have broken what it only read.
fn read_lock(store: &RwLock<Store>) -> std::sync::RwLockReadGuard<'_, Store> {
    store.read().unwrap_or_else(PoisonError::into_inner)
}
