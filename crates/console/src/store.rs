//! The little the API needs of the store, so that it can be tested without one.

use dcs::{Dcs, DcsError, Written};
use futures_util::future::BoxFuture;
use ha::cluster::redis::RedisWrite;
use ha::cluster::{Cluster, StoreWrite};

/// The store as the API uses it: read everything now, and change one thing if it is still as it was read. Both answer
/// in bounded time.
pub trait Store: Send + Sync {
    fn load(&self) -> BoxFuture<'_, Result<Cluster, DcsError>>;
    fn write(&self, write: StoreWrite) -> BoxFuture<'_, Result<Written, DcsError>>;
    fn write_redis(&self, group: &str, write: RedisWrite) -> BoxFuture<'_, Result<Written, DcsError>>;
}

impl Store for Dcs {
    fn load(&self) -> BoxFuture<'_, Result<Cluster, DcsError>> {
        Box::pin(self.load())
    }

    fn write(&self, write: StoreWrite) -> BoxFuture<'_, Result<Written, DcsError>> {
        Box::pin(async move { self.write(&write).await })
    }

    fn write_redis(&self, group: &str, write: RedisWrite) -> BoxFuture<'_, Result<Written, DcsError>> {
        let group = group.to_owned();
        Box::pin(async move { self.write_redis(&group, &write).await })
    }
}
