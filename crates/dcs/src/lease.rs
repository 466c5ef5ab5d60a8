//! Leases: asked for, kept, given back.
//!
//! All three may be repeated without harm: a grant names its lease itself, so a second one finds the first.

use crate::{attempt::Link, client::Dcs, convert, error::DcsError};
use etcd_api::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseRevokeRequest, RangeRequest,
};
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
    /// A new lease; without an `id` one is picked. If a lease of this `id` exists it is renewed and keeps its own time
    /// to live, which the answer then shows.
    pub async fn lease_grant(&self, ttl: Millis, id: Option<LeaseId>) -> Result<Lease, DcsError> {
        let id = id.unwrap_or_else(|| LeaseId(fastrand::i64(1..)));
        let message = LeaseGrantRequest { ttl: convert::whole_seconds(ttl), id: id.0, ttl_ms: ttl.0 as i64 };
        let answer = self
            .repeatable(|link| {
                let request = link.request(message);
                async move {
                    match link.lease().lease_grant(request).await {
                        Err(status) if status.message().contains("lease already exists") => {
                            let (ttl, ttl_ms) = keep_alive(&link, id).await?.ok_or(status)?;
                            Ok(LeaseGrantResponse { id: id.0, ttl, ttl_ms, ..LeaseGrantResponse::default() })
                        }
                        granted => granted.map(tonic::Response::into_inner),
                    }
                }
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
    pub async fn lease_keep_alive(&self, id: LeaseId) -> Result<Option<Millis>, DcsError> {
        let answer = self.repeatable(|link| async move { keep_alive(&link, id).await }).await;
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
async fn keep_alive(link: &Link, id: LeaseId) -> Result<Option<(i64, i64)>, Status> {
    let request = link.request(tokio_stream::once(LeaseKeepAliveRequest { id: id.0 }));
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
