//! One watch on one endpoint, from the first event after the view until something ends it.

use crate::{
    attempt::{Link, link},
    client::Dcs,
    config::{FRAGMENT_EVENTS_MAX, PROBE_EVERY},
    convert,
    error::DcsError,
    follow::Tracked,
};
use etcd_api::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse, watch_request::RequestUnion};
use kv::{Event, RangeRequest};
use tokio::time::{sleep, timeout};
use tonic::{Status, Streaming};

/// Why a session is over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The endpoint failed: go on elsewhere from the same revision.
    Broken(String),
    /// What comes next cannot be followed (compacted away, another history): load anew.
    Unfollowable,
    /// Another endpoint is to be preferred now.
    Better,
    /// Changes were missed; they have been taken up by loading.
    Deaf,
}

impl Dcs {
    pub(crate) async fn session(&self, index: usize, tracked: &mut Tracked) -> End {
        let mut answers = match timeout(self.inner.config.request_timeout, self.open(index, tracked)).await {
            Ok(Ok(answers)) => answers,
            Ok(Err(why)) => return End::Broken(why),
            Err(_) => return End::Broken("no answer to the request for a watch".to_owned()),
        };
        let mut pieces: Vec<Event> = Vec::new();
        let better = self.probe_until_better(index);
        tokio::pin!(better);
        loop {
            tokio::select! {
                biased;
                answer = answers.message() => {
                    let answer = match answer {
                        Ok(Some(answer)) => answer,
                        Ok(None) => return End::Broken("the store closed the watch".to_owned()),
                        Err(status) => return End::Broken(self.why_ended(index, &status)),
                    };
                    let behind = answer.header.as_ref().is_some_and(|it| it.revision < tracked.cluster.revision.0);
                    if answer.created && behind {
                        // This member may only be late. Or the store was made anew, and this watch would wait for long.
                        match self.load_newer(tracked).await {
                            Ok(_) => {}
                            Err(DcsError::WentBack { .. }) => return End::Unfollowable,
                            Err(error) => return End::Broken(error.to_string()),
                        }
                    }
                    if let Some(end) = self.take_up(answer, &mut pieces, tracked) {
                        return end;
                    }
                }
                () = self.inner.endpoints.moved.notified() => {
                    if self.inner.endpoints.best() != Some(index) {
                        return End::Better;
                    }
                }
                () = &mut better, if index != 0 => return End::Better,
                () = self.inner.doubt.notified() => {
                    if self.reload_if_deaf(tracked).await {
                        return End::Deaf;
                    }
                }
            }
        }
    }

    /// The stream, once the store has confirmed the watch.
    async fn open(&self, index: usize, tracked: &Tracked) -> Result<Streaming<WatchResponse>, String> {
        let inner = &self.inner;
        let link = link(&inner.endpoints, &inner.account, index).await.map_err(|failure| failure.why().to_owned())?;
        let (key, range_end) = convert::range_to_wire(inner.config.keys.all());
        let create = WatchCreateRequest {
            key,
            range_end,
            start_revision: tracked.cluster.revision.0 + 1,
            ..WatchCreateRequest::default()
        };
        let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        // The request's side of the stream stays open: closing it would end the watch.
        let requests = tokio_stream::StreamExt::chain(tokio_stream::once(create), tokio_stream::pending());
        let answers = link.watch().watch(link.request(requests)).await;
        answers.map(tonic::Response::into_inner).map_err(|status| self.why_ended(index, &status))
    }

    fn why_ended(&self, index: usize, status: &Status) -> String {
        if std::error::Error::source(status).is_some() {
            self.inner.endpoints.disconnect(index);
        }
        crate::attempt::classify(status).why().to_owned()
    }

    fn take_up(&self, answer: WatchResponse, pieces: &mut Vec<Event>, tracked: &mut Tracked) -> Option<End> {
        if answer.canceled {
            if answer.compact_revision > 0 {
                return Some(End::Unfollowable);
            }
            // The reason may be a token that is not known any more.
            self.inner.account.forget_token();
            return Some(End::Broken(answer.cancel_reason));
        }
        if answer.created && !tracked.connected {
            tracked.connected();
            self.publish(tracked);
        }
        pieces.extend(answer.events.into_iter().filter_map(convert::event));
        if pieces.len() > FRAGMENT_EVENTS_MAX {
            return Some(End::Unfollowable);
        }
        if !answer.fragment && tracked.apply(&self.inner.config.keys, pieces.drain(..)) {
            self.publish(tracked);
        }
        None
    }

    /// Loads, and says whether the watch has missed anything. If not, the view is only known to be newer.
    async fn reload_if_deaf(&self, tracked: &mut Tracked) -> bool {
        let Ok(loaded) = self.load().await else { return false };
        if loaded.revision <= tracked.cluster.revision {
            return false;
        }
        let seen = std::mem::replace(&mut tracked.cluster.revision, loaded.revision);
        if tracked.cluster == loaded {
            self.publish_quietly(tracked);
            return false;
        }
        tracing::warn!(%seen, loaded = %loaded.revision, "the store's watch missed changes; opening another");
        tracked.replace(loaded);
        self.publish(tracked);
        true
    }

    /// Returns when an endpoint before this one in the configuration works again.
    async fn probe_until_better(&self, index: usize) {
        loop {
            sleep(PROBE_EVERY).await;
            for earlier in 0..index {
                if self.probe(earlier).await {
                    self.inner.endpoints.trust(earlier);
                    return;
                }
            }
        }
    }

    /// Can this endpoint read through the quorum?
    async fn probe(&self, index: usize) -> bool {
        let inner = &self.inner;
        let mut request = RangeRequest::all(inner.config.keys.all());
        request.count_only = true;
        let request = convert::range_request(request);
        let call = |link: Link| {
            let request = link.request(request.clone());
            async move { link.kv().range(request).await }
        };
        let probing = crate::attempt::attempt(&inner.endpoints, &inner.account, index, &call);
        let answered = matches!(timeout(inner.config.request_timeout, probing).await, Ok(Ok(_)));
        if !answered {
            inner.endpoints.disconnect(index);
        }
        answered
    }
}
