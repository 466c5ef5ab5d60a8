//! The store's own members: who they are, which of them leads, and moving that lead.

use crate::{
    attempt::{Failure, attempt},
    client::Dcs,
    error::DcsError,
};
use etcd_api::etcdserverpb::{MemberListRequest, MoveLeaderRequest, StatusRequest};
use tonic::{Code, Response};
use types::Revision;

/// One member of the store (not of the PostgreSQL cluster).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreMember {
    pub id: u64,
    /// Empty until it has started for the first time.
    pub name: String,
    pub peer_urls: Vec<String>,
    pub client_urls: Vec<String>,
    pub is_learner: bool,
}

/// What one endpoint says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointStatus {
    pub member_id: u64,
    /// The store's leader; `None`: this member knows of none.
    pub leader: Option<u64>,
    pub raft_term: u64,
    pub raft_index: u64,
    pub revision: Revision,
    pub version: String,
    pub is_learner: bool,
    pub db_size_bytes: i64,
}

impl Dcs {
    pub async fn members(&self) -> Result<Vec<StoreMember>, DcsError> {
        let answer = self
            .repeatable(|link| async move {
                let request = link.local_request(MemberListRequest { linearizable: false });
                link.cluster().member_list(request).await.map(Response::into_inner)
            })
            .await?;
        let member = |member: etcd_api::etcdserverpb::Member| StoreMember {
            id: member.id,
            name: member.name,
            peer_urls: member.peer_ur_ls,
            client_urls: member.client_ur_ls,
            is_learner: member.is_learner,
        };
        Ok(answer.members.into_iter().map(member).collect())
    }

    /// Asks exactly this endpoint, which must be one of the configured ones.
    pub async fn status(&self, endpoint: &str) -> Result<EndpointStatus, DcsError> {
        let inner = &self.inner;
        let index = inner.endpoints.find(endpoint).ok_or_else(|| DcsError::NoSuchEndpoint {
            endpoint: endpoint.to_owned(),
            known: inner.endpoints.addresses(),
        })?;
        let call = |link: crate::attempt::Link| async move {
            link.maintenance().status(link.local_request(StatusRequest {})).await.map(Response::into_inner)
        };
        let asking = attempt(&inner.endpoints, &inner.account, index, &call);
        let answer = tokio::time::timeout(inner.config.request_timeout, asking).await;
        let failed = |why: String| DcsError::Unreachable { endpoints: vec![endpoint.to_owned()], why };
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(Failure::Refused(code, message))) => return Err(DcsError::refused(code, message)),
            Ok(Err(Failure::NotSent(why) | Failure::Unknown(why))) => return Err(failed(why)),
            Err(_) => return Err(failed(format!("no answer within {:?}", inner.config.request_timeout))),
        };
        let header = answer.header.unwrap_or_default();
        Ok(EndpointStatus {
            member_id: header.member_id,
            leader: (answer.leader != 0).then_some(answer.leader),
            raft_term: answer.raft_term,
            raft_index: answer.raft_index,
            revision: Revision(header.revision),
            version: answer.version,
            is_learner: answer.is_learner,
            db_size_bytes: answer.db_size,
        })
    }

    /// Asks the store's leader to hand over to the member `to`. Only the leader can, so the endpoints are asked in
    /// turn until one does not say that it is not.
    pub async fn move_leader(&self, to: u64) -> Result<(), DcsError> {
        let inner = &self.inner;
        let call = |link: crate::attempt::Link| async move {
            link.maintenance().move_leader(link.request(MoveLeaderRequest { target_id: to })).await
        };
        let deadline = tokio::time::Instant::now() + inner.config.request_timeout;
        let mut failure = Failure::NotSent("no endpoints are configured".to_owned());
        for index in inner.endpoints.order() {
            let asking = attempt(&inner.endpoints, &inner.account, index, &call);
            match tokio::time::timeout_at(deadline, asking).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(Failure::Refused(code, message))) if !message.contains("not leader") => {
                    return Err(DcsError::refused(code, message));
                }
                Ok(Err(other)) => failure = other,
                Err(_) => {
                    let why = format!("no answer within {:?}", inner.config.request_timeout);
                    return Err(DcsError::OutcomeUnknown { endpoint: inner.endpoints.address(index).to_owned(), why });
                }
            }
        }
        match failure {
            Failure::Refused(..) => Err(DcsError::Refused {
                code: Code::FailedPrecondition,
                message: "none of the configured endpoints is the store's leader".to_owned(),
            }),
            Failure::NotSent(why) | Failure::Unknown(why) => {
                Err(DcsError::Unreachable { endpoints: inner.endpoints.addresses(), why })
            }
        }
    }
}
