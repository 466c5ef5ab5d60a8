//! Leases: asked for, kept, given back.
//!
//! All three may be repeated without harm. The invariant: the store names each lease. A grant that named it itself could arrive
//! once more when the lease has ended, and its holder would go on renewing one that has lost its keys.

use crate::{attempt::Link, client::Dcs, convert, error::DcsError};
use etcd_api::etcdserverpb::{LeaseGrantRequest, LeaseKeepAliveRequest, LeaseRevokeRequest, RangeRequest};
use std::time::{Duration, Instant};
use tonic::{Code, Status};
use types::{LeaseId, Millis};

/// A lease as the store has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub id: LeaseId,
    /// What the store granted, which may be more than was asked for. It runs from a moment between sending the request
    /// and receiving the answer; count from the sending.
    pub ttl: Millis,
}

impl Dcs {
    /// A new lease. What becomes of the other copies of a request that was asked of several endpoints runs out unused.
    pub async fn lease_grant(&self, ttl: Millis) -> Result<Lease, DcsError> {
        let message = LeaseGrantRequest { ttl: convert::whole_seconds(ttl), id: 0, ttl_ms: ttl.0 as i64 };
        let answer = self
            .repeatable(|link| async move {
                let request = link.request(message);
                link.lease().lease_grant(request).await.map(tonic::Response::into_inner)
            })
            .await?;
        if !answer.error.is_empty() {
            return Err(DcsError::Refused { code: Code::FailedPrecondition, message: answer.error });
        }
        self.note_contact(answer.header.as_ref());
        let ttl = convert::ttl(answer.ttl, answer.ttl_ms);
        match (answer.id, ttl) {
            (id, Some(ttl)) if id != 0 => Ok(Lease { id: LeaseId(id), ttl }),
            _ => Err(DcsError::BadAnswer { what: "a granted lease without its id or its time to live".to_owned() }),
        }
    }

    /// Renews the lease: the time to live it has again, from the moment of asking. `None`: there is no such lease.
    ///
    /// A short stream per call, not one kept open: both take one round trip, but a stream that is kept is served in
    /// order, so one renewal that waits for a leader would hold up those behind it.
    ///
    /// `within`: after this the caller goes by the lease being over, so nothing that was asked here may renew it later. The
    /// request says so to the store, and goes only to endpoints that were heard lately: where nothing is heard, renewals
    /// that nobody learns of would keep the others waiting.
    pub async fn lease_keep_alive(&self, id: LeaseId, within: Option<Duration>) -> Result<Option<Millis>, DcsError> {
        let limit = self.inner.config.request_timeout;
        let limit = within.map_or(limit, |within| within.min(limit));
        let deadline = Instant::now() + limit;
        let ask = |link: Link| async move {
            if within.is_some() && !link.was_heard_lately {
                link.make_heard().await?;
            }
            keep_alive(&link, id, deadline.saturating_duration_since(Instant::now())).await
        };
        let answer = self.repeatable_within(limit, ask).await;
        let ttl = match answer {
            Ok(Some((ttl, ttl_ms))) => convert::ttl(ttl, ttl_ms),
            Ok(None) | Err(DcsError::LeaseNotFound) => None,
            Err(error) => return Err(error),
        };
        self.note_contact(None);
        Ok(ttl)
    }

    /// Ends the lease and deletes its keys. [`DcsError::LeaseNotFound`] when it has ended already.
    pub async fn lease_revoke(&self, id: LeaseId) -> Result<(), DcsError> {
        let answer = self
            .repeatable(|link| async move {
                let request = link.request(LeaseRevokeRequest { id: id.0 });
                link.lease().lease_revoke(request).await.map(tonic::Response::into_inner)
            })
            .await?;
        self.note_contact(answer.header.as_ref());
        Ok(())
    }
}

/// The answer's TTL in seconds and in milliseconds; `None`: there is no such lease.
async fn keep_alive(link: &Link, id: LeaseId, within: Duration) -> Result<Option<(i64, i64)>, Status> {
    let mut request = link.request(tokio_stream::once(LeaseKeepAliveRequest { id: id.0 }));
    request.set_timeout(within);
    let mut answers = link.lease().lease_keep_alive(request).await?.into_inner();
    let Some(answer) = answers.message().await? else {
        return Err(Status::unavailable("the store closed the stream without an answer"));
    };
    if answer.ttl_ms > 0 {
        return Ok(Some((answer.ttl, answer.ttl_ms)));
    }
    if answer.ttl <= 0 {
        return Ok(None);
    }
    confirm_term(link, answer.header.map_or(0, |header| header.raft_term)).await?;
    Ok(Some((answer.ttl, 0)))
}

/// A real etcd renews leases without asking its quorum. A leader that was cut off goes on doing so until it notices,
/// while the leader after it lets the lease run out earlier than was promised here. A read through the quorum that
/// comes back with the term of the renewal proves that the renewal was made by the rightful leader. (Our own store,
/// known by its milliseconds, writes renewals to the log.)
async fn confirm_term(link: &Link, term: u64) -> Result<(), Status> {
    let request = RangeRequest { key: vec![0], count_only: true, ..RangeRequest::default() };
    let answer = link.kv().range(link.request(request)).await?.into_inner();
    if answer.header.is_some_and(|header| header.raft_term == term) {
        return Ok(());
    }
    Err(Status::unavailable("the store's leader changed while the lease was renewed"))
}
