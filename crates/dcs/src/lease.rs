//! Leases: asked for, kept, given back.
//!
//! All three may be repeated without harm: a grant names its lease itself, so a second one finds the first.

use crate::{client::Dcs, convert, error::DcsError};
use etcd_api::etcdserverpb::{LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseRevokeRequest};
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

/// The answer's TTL in seconds and in milliseconds.
async fn keep_alive(link: &crate::attempt::Link, id: LeaseId) -> Result<Option<(i64, i64)>, Status> {
    let request = link.request(tokio_stream::once(LeaseKeepAliveRequest { id: id.0 }));
    let mut answers = link.lease().lease_keep_alive(request).await?.into_inner();
    match answers.message().await? {
        Some(answer) => Ok((answer.ttl > 0 || answer.ttl_ms > 0).then_some((answer.ttl, answer.ttl_ms))),
        None => Err(Status::unavailable("the store closed the stream without an answer")),
    }
}
