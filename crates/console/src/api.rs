//! What the server works with.

use crate::command::{CommandRequest, wake};
use crate::drill::{Drill, Turn};
use crate::failsafe::FailsafePromises;
use crate::joining::Joining;
use crate::live::Listeners;
use crate::members::Peers;
use crate::metrics::MetricsSource;
use crate::overview::StoreSource;
use crate::recorder::Recorder;
use crate::redis::RedisApi;
use crate::reply::Reply;
use crate::snapshot::Snapshot;
use crate::store::Store;
use dcs::{DcsError, Written};
use ha::cluster::redis::RedisWrite;
use ha::cluster::{Cluster, StoreWrite};
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Something else that explains itself.
pub type ExplanationSource = Arc<dyn Fn() -> serde_json::Value + Send + Sync>;

#[derive(Clone)]
pub struct Api {
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    pub commands: mpsc::Sender<CommandRequest>,
    pub store: Arc<dyn Store>,
    /// `None`: this member has no Redis.
    pub redis: Option<RedisApi>,
    /// `None`: this member has no virtual addresses.
    pub vips: Option<ExplanationSource>,
    /// Counters of the agent and the proxy for `/metrics`.
    pub metrics: Option<MetricsSource>,
    pub extras: Extras,
}

/// What people look at, beyond Patroni's API. Each part may be missing.
#[derive(Clone, Default)]
pub struct Extras {
    pub store: Option<StoreSource>,
    pub peers: Option<Arc<dyn Peers>>,
    pub connection_strings: Option<ConnectionStrings>,
    pub drill: Option<Arc<dyn Drill>>,
    /// Set only where nothing is answered without TLS.
    pub joining: Option<Arc<dyn Joining>>,
    /// `None`: this member has no server, and takes no leader key.
    pub failsafe: Option<FailsafePromises>,
    pub recorder: Recorder,
    pub listeners: Listeners,
    pub turn: Turn,
}

/// What `quorate dsn` would print for this cluster.
pub type ConnectionStrings = Arc<dyn Fn(&Cluster) -> Vec<ConnectionString> + Send + Sync>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectionString {
    /// `postgresql` or `redis`.
    pub server: &'static str,
    /// `primary`, `replica` or `master`.
    pub role: &'static str,
    /// What the client connects to: `members`, `proxy`, `sentinel` or `vip`.
    pub via: &'static str,
    /// As `quorate dsn --style` calls it.
    pub style: String,
    pub text: String,
}

impl Api {
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.borrow().clone()
    }

    /// The cluster as it is now, for changes that must not be based on an old view.
    pub(crate) async fn load(&self) -> Result<Cluster, Reply> {
        self.store.load().await.map_err(|error| unavailable(&error))
    }

    /// `None`: written or not, nobody knows. Whoever goes on reads first.
    pub(crate) async fn write(&self, write: StoreWrite) -> Result<Option<Written>, Reply> {
        let written = known(self.store.write(write).await)?;
        wake(&self.commands);
        Ok(written)
    }

    /// The same for a Redis group, whose decisions see the store's watch.
    pub(crate) async fn write_redis(&self, group: &str, write: RedisWrite) -> Result<Option<Written>, Reply> {
        known(self.store.write_redis(group, write).await)
    }
}

fn known(result: Result<Written, DcsError>) -> Result<Option<Written>, Reply> {
    match result {
        Ok(written) => Ok(Some(written)),
        Err(DcsError::OutcomeUnknown { endpoint, why }) => {
            tracing::warn!(endpoint, why, "the store did not say whether a change was made");
            Ok(None)
        }
        Err(error) => Err(unavailable(&error)),
    }
}

fn unavailable(error: &DcsError) -> Reply {
    Reply::text(503, format!("DCS is not accessible: {error}"))
}

/// For changes that are not safe to begin a second time.
pub(crate) fn outcome_unknown() -> Reply {
    Reply::text(503, "the store did not say whether the change was made; look before you try again")
}
