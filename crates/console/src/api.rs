//! What the server works with.

use crate::command::{CommandRequest, wake};
use crate::metrics::MetricsSource;
use crate::reply::Reply;
use crate::snapshot::Snapshot;
use crate::store::{Store, Written};
use ha::cluster::{Cluster, StoreWrite};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// The store's own retries end before this; what takes longer is an outage, and the client hears so.
const STORE_WAIT_MAX: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub struct Api {
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    pub commands: mpsc::Sender<CommandRequest>,
    pub store: Arc<dyn Store>,
    /// Counters of the agent and the proxy for `/metrics`.
    pub metrics: Option<MetricsSource>,
}

impl Api {
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.borrow().clone()
    }

    /// The cluster as it is now, for changes that must not be based on an old view.
    pub(crate) async fn load(&self) -> Result<Cluster, Reply> {
        match tokio::time::timeout(STORE_WAIT_MAX, self.store.load()).await {
            Ok(Ok(cluster)) => Ok(cluster),
            Ok(Err(error)) => Err(unavailable(&error.0)),
            Err(_) => Err(unavailable("no answer in time")),
        }
    }

    pub(crate) async fn write(&self, write: StoreWrite) -> Result<Written, Reply> {
        match tokio::time::timeout(STORE_WAIT_MAX, self.store.write(write)).await {
            Ok(Ok(written)) => {
                wake(&self.commands);
                Ok(written)
            }
            Ok(Err(error)) => Err(unavailable(&error.0)),
            Err(_) => Err(unavailable("no answer in time")),
        }
    }
}

fn unavailable(why: &str) -> Reply {
    Reply::text(503, format!("DCS is not accessible: {why}"))
}
