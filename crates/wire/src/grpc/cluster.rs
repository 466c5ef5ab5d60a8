//! Who the members are. Changing them is the setup's work, not this API's.

use crate::api::Api;
use crate::metrics::Rpc;
use crate::node::Member;
use crate::status;
use etcd_api::etcdserverpb::{self as pb, cluster_server};
use tonic::{Request, Response, Status, async_trait};

const CHANGING_MEMBERS: &str = "changing the members";

#[async_trait]
impl cluster_server::Cluster for Api {
    async fn member_list(
        &self,
        request: Request<pb::MemberListRequest>,
    ) -> Result<Response<pb::MemberListResponse>, Status> {
        self.unary(Rpc::MemberList, request, async |_| {
            // Without a barrier, also when asked for one: the members are configured, and a client that looks for
            // another member because this one is cut off must get its answer.
            let members = self.store().members().into_iter().map(member).collect();
            Ok(pb::MemberListResponse { header: Some(self.header()), members })
        })
        .await
    }

    async fn member_add(&self, _: Request<pb::MemberAddRequest>) -> Result<Response<pb::MemberAddResponse>, Status> {
        Err(status::not_served(CHANGING_MEMBERS))
    }

    async fn member_remove(
        &self,
        _: Request<pb::MemberRemoveRequest>,
    ) -> Result<Response<pb::MemberRemoveResponse>, Status> {
        Err(status::not_served(CHANGING_MEMBERS))
    }

    async fn member_update(
        &self,
        _: Request<pb::MemberUpdateRequest>,
    ) -> Result<Response<pb::MemberUpdateResponse>, Status> {
        Err(status::not_served(CHANGING_MEMBERS))
    }

    async fn member_promote(
        &self,
        _: Request<pb::MemberPromoteRequest>,
    ) -> Result<Response<pb::MemberPromoteResponse>, Status> {
        Err(status::not_served(CHANGING_MEMBERS))
    }
}

fn member(member: Member) -> pb::Member {
    pb::Member {
        id: member.id,
        name: member.name,
        peer_ur_ls: member.peer_urls,
        client_ur_ls: member.client_urls,
        is_learner: false,
    }
}
