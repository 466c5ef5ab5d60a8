//! The client: reading the scope's keys and writing to them.

use crate::{
    attempt::{Account, Failure, attempt},
    config::{DOUBT_AFTER, DcsConfig},
    convert,
    endpoints::Endpoints,
    error::DcsError,
    view::DcsView,
};
use etcd_api::etcdserverpb::ResponseHeader;
use ha::cluster::redis::RedisWrite;
use ha::cluster::{Cluster, EpochClaim, StoreWrite};
use kv::RangeRequest;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use tokio::sync::{Notify, watch};
use types::Revision;

/// What became of a write. In both cases the store has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Carried out; `revision` is the one it made.
    Done { revision: Revision },
    /// What the write expected is not so (any more). Nothing was changed.
    Refused,
}

/// The client. Clones share the connections and the view.
#[derive(Clone)]
pub struct Dcs {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: DcsConfig,
    pub(crate) endpoints: Endpoints,
    pub(crate) account: Account,
    pub(crate) view: watch::Sender<Arc<DcsView>>,
    /// A revision that an answer showed before the view did, and when.
    ahead: Mutex<Option<(Revision, Instant)>>,
    /// They have been for too long: the watch may have gone deaf.
    pub(crate) doubt: Notify,
}

impl Dcs {
    /// Connects to nothing yet, and never blocks.
    pub fn new(config: DcsConfig) -> Self {
        let inner = Inner {
            endpoints: Endpoints::new(&config.endpoints, config.tls.clone()),
            account: Account::new(config.username.clone(), config.password.clone()),
            view: watch::Sender::new(Arc::new(DcsView::empty())),
            ahead: Mutex::new(None),
            doubt: Notify::new(),
            config,
        };
        Self { inner: Arc::new(inner) }
    }

    /// What the background task publishes. Before its first load: an empty view with `generation` 0.
    pub fn watch(&self) -> watch::Receiver<Arc<DcsView>> {
        self.inner.view.subscribe()
    }

    /// When the store's quorum last answered anything.
    pub fn last_contact(&self) -> Instant {
        self.inner.view.borrow().last_contact
    }

    /// The endpoint that is asked first at present.
    pub fn endpoint(&self) -> Option<&str> {
        self.inner.endpoints.best().map(|index| self.inner.endpoints.address(index))
    }

    /// All keys of the scope as the store's quorum has them now.
    pub async fn load(&self) -> Result<Cluster, DcsError> {
        let keys = &self.inner.config.keys;
        let request = convert::range_request(RangeRequest::all(keys.all()));
        let answer = self
            .repeatable(|link| {
                let request = link.request(request.clone());
                async move { link.kv().range(request).await.map(tonic::Response::into_inner) }
            })
            .await?;
        self.note_contact(answer.header.as_ref());
        let header = answer.header.ok_or(DcsError::BadAnswer { what: "a range without a header".to_owned() })?;
        let kvs: Vec<_> = answer.kvs.into_iter().map(convert::key_value).collect();
        Ok(Cluster::from_keys(keys, &kvs, Revision(header.revision)))
    }

    /// Carries out one fenced write. It is sent to another endpoint only when it certainly did not reach the one
    /// before; after [`DcsError::OutcomeUnknown`] only a new view tells what happened.
    pub async fn write(&self, write: &StoreWrite) -> Result<Written, DcsError> {
        self.commit(write.to_txn(&self.inner.config.keys)).await
    }

    /// The same for the keys of a Redis group.
    pub async fn write_redis(&self, group: &str, write: &RedisWrite) -> Result<Written, DcsError> {
        self.commit(write.to_txn(&self.inner.config.keys, group)).await
    }

    /// Claims an epoch of a master for a sentinel.
    pub async fn claim_epoch(&self, claim: &EpochClaim) -> Result<Written, DcsError> {
        self.commit(claim.to_txn(&self.inner.config.keys)).await
    }

    async fn commit(&self, txn: kv::TxnRequest) -> Result<Written, DcsError> {
        let inner = &self.inner;
        let txn = convert::txn_request(txn);
        let call = |link: crate::attempt::Link| {
            let request = link.request(txn.clone());
            async move { link.kv().txn(request).await.map(tonic::Response::into_inner) }
        };
        let deadline = tokio::time::Instant::now() + inner.config.request_timeout;
        let mut why = "no endpoints are configured".to_owned();
        for index in inner.endpoints.order() {
            let endpoint = || inner.endpoints.address(index).to_owned();
            let sending = attempt(&inner.endpoints, &inner.account, index, &call);
            match tokio::time::timeout_at(deadline, sending).await {
                Ok(Ok(answer)) => {
                    inner.endpoints.trust(index);
                    self.note_contact(answer.header.as_ref());
                    let revision = Revision(answer.header.map_or(0, |header| header.revision));
                    return Ok(if answer.succeeded { Written::Done { revision } } else { Written::Refused });
                }
                Ok(Err(Failure::Refused(code, message))) => {
                    self.note_contact(None);
                    return Err(DcsError::refused(code, message));
                }
                Ok(Err(Failure::NotSent(because))) => {
                    inner.endpoints.avoid(index);
                    why = format!("{}: {because}", endpoint());
                }
                Ok(Err(Failure::Unknown(why))) => {
                    inner.endpoints.avoid(index);
                    return Err(DcsError::OutcomeUnknown { endpoint: endpoint(), why });
                }
                Err(_) => {
                    inner.endpoints.avoid(index);
                    inner.endpoints.disconnect(index);
                    let why = format!("no answer within {:?}", inner.config.request_timeout);
                    return Err(DcsError::OutcomeUnknown { endpoint: endpoint(), why });
                }
            }
        }
        Err(DcsError::Unreachable { endpoints: inner.endpoints.addresses(), why })
    }

    /// The store's quorum has answered. Freshens `last_contact` without waking the watchers, and begins to doubt a
    /// watch that stays behind what the answers show.
    pub(crate) fn note_contact(&self, header: Option<&ResponseHeader>) {
        let now = Instant::now();
        let mut seen = Revision(0);
        self.inner.view.send_if_modified(|view| {
            seen = view.cluster.revision;
            Arc::make_mut(view).last_contact = now;
            false
        });
        let Some(header) = header else { return };
        let mut ahead = self.inner.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        if ahead.is_some_and(|(revision, _)| revision <= seen) {
            *ahead = None;
        }
        if header.revision <= seen.0 {
            return;
        }
        let (_, since) = *ahead.get_or_insert((Revision(header.revision), now));
        if now.duration_since(since) > DOUBT_AFTER {
            *ahead = None;
            self.inner.doubt.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{LeaseId, Millis};

    #[test]
    fn requests_can_be_made_from_any_task() {
        fn sendable<T: Send>(_: T) {}
        let dcs = Dcs::new(DcsConfig::new(Vec::new(), ha::cluster::Keys::new(None, &"pg".into())));
        let write = StoreWrite::DeleteFailover { expected: Revision(1) };
        sendable(dcs.load());
        sendable(dcs.write(&write));
        sendable(dcs.lease_grant(Millis(1)));
        sendable(dcs.lease_keep_alive(LeaseId(1), None));
        sendable(dcs.lease_revoke(LeaseId(1)));
        sendable(dcs.members());
        sendable(dcs.status("a:1"));
        sendable(dcs.move_leader(1));
    }
}
