//! Looking after one member: state, fingerprints, handing over the lead.

use super::Answers;
use crate::api::Api;
use crate::fingerprint::fingerprint;
use crate::http::SERVER_VERSION;
use crate::metrics::Rpc;
use crate::status;
use etcd_api::etcdserverpb::{self as pb, maintenance_server};
use tonic::{Request, Response, Status, async_trait};
use types::Revision;

#[async_trait]
impl maintenance_server::Maintenance for Api {
    type SnapshotStream = Answers<pb::SnapshotResponse>;

    /// There are no alarms to raise or clear: a full store refuses growth and takes writes again when there is room.
    async fn alarm(&self, request: Request<pb::AlarmRequest>) -> Result<Response<pb::AlarmResponse>, Status> {
        self.unary(Rpc::Alarm, request, async |_| {
            Ok(pb::AlarmResponse { header: Some(self.header()), alarms: Vec::new() })
        })
        .await
    }

    async fn status(&self, request: Request<pb::StatusRequest>) -> Result<Response<pb::StatusResponse>, Status> {
        self.unary(Rpc::Status, request, async |_| {
            let (header, (size, in_use)) = self.read(|kv| (kv.size_bytes(), kv.data_bytes()));
            let status = self.store().status();
            let errors = if status.leader == 0 { vec![status::NO_LEADER.to_owned()] } else { Vec::new() };
            Ok(pb::StatusResponse {
                header: Some(header),
                version: SERVER_VERSION.to_owned(),
                db_size: size.max(status.db_size).cast_signed(),
                leader: status.leader,
                raft_index: status.raft_index,
                raft_term: status.term,
                raft_applied_index: status.raft_applied,
                errors,
                db_size_in_use: in_use.cast_signed(),
                is_learner: false,
            })
        })
        .await
    }

    /// The data are in memory and the log is cut by itself: there is nothing to do, and so it is done.
    async fn defragment(
        &self,
        request: Request<pb::DefragmentRequest>,
    ) -> Result<Response<pb::DefragmentResponse>, Status> {
        self.unary(Rpc::Defragment, request, async |_| Ok(pb::DefragmentResponse { header: Some(self.header()) })).await
    }

    async fn hash(&self, request: Request<pb::HashRequest>) -> Result<Response<pb::HashResponse>, Status> {
        self.unary(Rpc::Hash, request, async |_| {
            let (header, found) = self.read(|kv| fingerprint(kv, None));
            let found = found.map_err(|error| status::of_kv(&error))?;
            Ok(pb::HashResponse { header: Some(header), hash: found.hash })
        })
        .await
    }

    async fn hash_kv(&self, request: Request<pb::HashKvRequest>) -> Result<Response<pb::HashKvResponse>, Status> {
        self.unary(Rpc::HashKv, request, async |request| {
            let revision = (request.revision > 0).then_some(Revision(request.revision));
            let (header, found) = self.read(|kv| fingerprint(kv, revision));
            let found = found.map_err(|error| status::of_kv(&error))?;
            Ok(pb::HashKvResponse {
                header: Some(header),
                hash: found.hash,
                compact_revision: found.compact_revision.0,
                hash_revision: found.revision.0,
            })
        })
        .await
    }

    /// etcd sends its database file, which only an etcd can read.
    async fn snapshot(&self, _: Request<pb::SnapshotRequest>) -> Result<Response<Self::SnapshotStream>, Status> {
        Err(status::not_served("a snapshot in etcd's file format"))
    }

    async fn move_leader(
        &self,
        request: Request<pb::MoveLeaderRequest>,
    ) -> Result<Response<pb::MoveLeaderResponse>, Status> {
        self.unary(Rpc::MoveLeader, request, async |request| {
            if !self.store().status().is_leader {
                return Err(status::not_leader());
            }
            if !self.store().members().iter().any(|member| member.id == request.target_id) {
                return Err(status::bad_leader_transferee());
            }
            self.store().move_leader(request.target_id).await.map_err(|error| status::of_store(&error))?;
            Ok(pb::MoveLeaderResponse { header: Some(self.header()) })
        })
        .await
    }
}
