//! What the watch publishes.

use ha::cluster::Cluster;
use std::time::Instant;

/// The cluster as last seen. Held in an `Arc`: cheap to keep, never changed behind a reader's back.
#[derive(Clone, Debug)]
pub struct DcsView {
    /// Complete and consistent at `cluster.revision`.
    pub cluster: Cluster,
    /// When the store's quorum last answered anything. Refreshed without waking the watchers, so borrow the view anew
    /// to see it grow. Before the first answer: when the client was made.
    pub last_contact: Instant,
    /// Changes are being followed right now. `false`: the view is as old as the last contact or older.
    pub connected: bool,
    /// How often the view was loaded from scratch; 0 before the first time.
    pub generation: u64,
}

impl DcsView {
    pub(crate) fn empty() -> Self {
        Self { cluster: Cluster::default(), last_contact: Instant::now(), connected: false, generation: 0 }
    }
}
