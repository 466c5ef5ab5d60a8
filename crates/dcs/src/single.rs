//! One key by itself, for programs that know nothing of scopes: read it, and wait for it to change.

use crate::{attempt::link, client::Dcs, convert, error::DcsError};
use etcd_api::etcdserverpb::{WatchCreateRequest, WatchRequest, watch_request::RequestUnion};
use kv::{KeyRange, RangeRequest};
use tokio::time::timeout;
use types::Revision;

impl Dcs {
    /// The key's value as the store's quorum has it now, and the store's revision at that time.
    pub async fn read_key(&self, key: &[u8]) -> Result<(Option<Vec<u8>>, Revision), DcsError> {
        let request = convert::range_request(RangeRequest::all(KeyRange::One(key.to_vec())));
        let answer = self
            .repeatable(|link| {
                let request = link.request(request.clone());
                async move { link.kv().range(request).await.map(tonic::Response::into_inner) }
            })
            .await?;
        let revision = Revision(answer.header.map_or(0, |header| header.revision));
        Ok((answer.kvs.into_iter().next().map(|found| found.value), revision))
    }

    /// Ends when the key may have changed after this revision, or when that can no longer be told. Whoever waits reads it
    /// again either way, and from time to time without this: a watch can be deaf.
    pub async fn key_changed(&self, key: &[u8], after: Revision) {
        let inner = &self.inner;
        let Some(index) = inner.endpoints.best() else { return };
        let opening = async {
            let link = link(&inner.endpoints, &inner.account, index).await.ok()?;
            let create =
                WatchCreateRequest { key: key.to_vec(), start_revision: after.0 + 1, ..WatchCreateRequest::default() };
            let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
            // The request's side of the stream stays open: closing it would end the watch.
            let requests = tokio_stream::StreamExt::chain(tokio_stream::once(create), tokio_stream::pending());
            link.watch().watch(link.request(requests)).await.ok().map(tonic::Response::into_inner)
        };
        let Ok(Some(mut answers)) = timeout(inner.config.request_timeout, opening).await else {
            return inner.endpoints.avoid(index);
        };
        loop {
            match answers.message().await {
                // The confirmation of the watch itself.
                Ok(Some(answer)) if answer.events.is_empty() && !answer.canceled => {}
                Ok(Some(_)) => return,
                Ok(None) | Err(_) => {
                    inner.endpoints.disconnect(index);
                    return inner.endpoints.avoid(index);
                }
            }
        }
    }
}
