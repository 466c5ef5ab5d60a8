//! The little the API needs of the store, so that it can be tested without one.

use futures_util::future::BoxFuture;
use ha::cluster::{Cluster, StoreWrite};
use types::Revision;

/// The store did not answer, or not in time. The text says why, for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreUnavailable(pub String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Done { revision: Revision },
    /// What the write expected no longer holds; nothing was changed.
    Refused,
}

/// The store as the API uses it: read everything now, and change one thing if it is still as it was read.
pub trait Store: Send + Sync {
    fn load(&self) -> BoxFuture<'_, Result<Cluster, StoreUnavailable>>;
    fn write(&self, write: StoreWrite) -> BoxFuture<'_, Result<Written, StoreUnavailable>>;
}
