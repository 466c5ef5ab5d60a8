//! Leases: granting, keeping alive, asking about, revoking.

use super::Answers;
use crate::api::{Api, call_timeout, requires_leader, unexpected_response};
use crate::metrics::Rpc;
use crate::{convert, status};
use etcd_api::etcdserverpb::{self as pb, lease_server};
use futures_util::{Stream, StreamExt, stream};
use kv::{Command, KvError};
use std::time::{Duration, Instant};
use tonic::{Code, Request, Response, Status, Streaming, async_trait};
use types::LeaseId;

#[async_trait]
impl lease_server::Lease for Api {
    type LeaseKeepAliveStream = Answers<pb::LeaseKeepAliveResponse>;

    async fn lease_grant(
        &self,
        request: Request<pb::LeaseGrantRequest>,
    ) -> Result<Response<pb::LeaseGrantResponse>, Status> {
        self.unary(Rpc::LeaseGrant, request, async |request| {
            let ttl = convert::ttl(&request)?;
            let id = (request.id != 0).then_some(LeaseId(request.id));
            match self.propose(Command::LeaseGrant { id, ttl }).await? {
                (header, kv::Response::LeaseGrant { id, ttl }) => Ok(pb::LeaseGrantResponse {
                    header: Some(header),
                    id: id.0,
                    ttl: convert::seconds(ttl),
                    error: String::new(),
                    ttl_ms: convert::milliseconds(ttl),
                }),
                _ => Err(unexpected_response()),
            }
        })
        .await
    }

    async fn lease_revoke(
        &self,
        request: Request<pb::LeaseRevokeRequest>,
    ) -> Result<Response<pb::LeaseRevokeResponse>, Status> {
        self.unary(Rpc::LeaseRevoke, request, async |request| {
            let (header, _) = self.propose(Command::LeaseRevoke { id: LeaseId(request.id) }).await?;
            Ok(pb::LeaseRevokeResponse { header: Some(header) })
        })
        .await
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<pb::LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        if requires_leader(request.metadata()) && !self.has_leader() {
            return Err(status::no_leader());
        }
        let within = call_timeout(request.metadata());
        Ok(Response::new(keep_alive(self.clone(), request.into_inner(), within)))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<pb::LeaseTimeToLiveRequest>,
    ) -> Result<Response<pb::LeaseTimeToLiveResponse>, Status> {
        self.unary(Rpc::LeaseTimeToLive, request, async |request| {
            self.linearizable().await?;
            let id = LeaseId(request.id);
            let now = self.store().store_time();
            let (header, lease) = self.read(|kv| kv.lease_status(id, now));
            let header = Some(header);
            Ok(match lease {
                Some(lease) => pb::LeaseTimeToLiveResponse {
                    header,
                    id: id.0,
                    // Rounded down like etcd: what is left for certain.
                    ttl: (lease.remaining.0 / 1000).cast_signed(),
                    granted_ttl: convert::seconds(lease.granted),
                    keys: if request.keys { lease.keys } else { Vec::new() },
                },
                None => pb::LeaseTimeToLiveResponse { header, id: id.0, ttl: -1, ..Default::default() },
            })
        })
        .await
    }

    async fn lease_leases(
        &self,
        request: Request<pb::LeaseLeasesRequest>,
    ) -> Result<Response<pb::LeaseLeasesResponse>, Status> {
        self.unary(Rpc::LeaseLeases, request, async |_| {
            self.linearizable().await?;
            let (header, leases) = self.read(kv::Kv::leases);
            let leases = leases.into_iter().map(|lease| pb::LeaseStatus { id: lease.0 }).collect();
            Ok(pb::LeaseLeasesResponse { header: Some(header), leases })
        })
        .await
    }
}

/// One answer for each request, in order, until the client or an error ends it. `within`: how long the client listens; what
/// it asked for must not happen after that, when it has drawn its conclusions.
pub fn keep_alive(
    api: Api,
    requests: impl Stream<Item = Result<pb::LeaseKeepAliveRequest, Status>> + Send + 'static,
    within: Option<Duration>,
) -> Answers<pb::LeaseKeepAliveResponse> {
    let stop = api.stop().clone();
    let begun = Instant::now();
    let answers = stream::unfold(Some((api, Box::pin(requests))), move |state| async move {
        let (api, mut requests) = state?;
        match requests.next().await? {
            Ok(request) => {
                let answer =
                    renew(&api, LeaseId(request.id), within.map(|within| within.saturating_sub(begun.elapsed()))).await;
                let next = answer.is_ok().then_some((api, requests));
                Some((answer, next))
            }
            // The client's own end of the call; it does not wait for an answer.
            Err(_) => None,
        }
    });
    Box::pin(answers.take_until(stop.cancelled_owned()))
}

async fn renew(api: &Api, id: LeaseId, within: Option<Duration>) -> Result<pb::LeaseKeepAliveResponse, Status> {
    let started = api.metrics().started(Rpc::LeaseKeepAlive);
    let result = api.propose_within(Command::LeaseKeepAlive { id }, within).await;
    let answer = match result {
        Ok((header, kv::Response::LeaseKeepAlive { id, ttl })) => Ok(pb::LeaseKeepAliveResponse {
            header: Some(header),
            id: id.0,
            ttl: convert::seconds(ttl),
            ttl_ms: convert::milliseconds(ttl),
        }),
        Ok(_) => Err(unexpected_response()),
        // A lease that is gone is an answer, not an error: TTL 0.
        Err(refusal) if refusal.code() == Code::NotFound && refusal.message() == KvError::LeaseNotFound.to_string() => {
            Ok(pb::LeaseKeepAliveResponse { header: Some(api.header()), id: id.0, ttl: 0, ttl_ms: 0 })
        }
        Err(refusal) => Err(refusal),
    };
    started.handled(&answer);
    answer
}
