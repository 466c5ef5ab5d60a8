//! Signing in, as an etcd without authentication answers it. Users and roles are not here yet.

use crate::api::Api;
use crate::status;
use etcd_api::etcdserverpb::{self as pb, auth_server};
use tonic::{Request, Response, Status, async_trait};

#[async_trait]
impl auth_server::Auth for Api {
    async fn auth_enable(&self, _: Request<pb::AuthEnableRequest>) -> Result<Response<pb::AuthEnableResponse>, Status> {
        Err(Status::failed_precondition("etcdserver: root user does not exist"))
    }

    async fn auth_disable(
        &self,
        _: Request<pb::AuthDisableRequest>,
    ) -> Result<Response<pb::AuthDisableResponse>, Status> {
        Ok(Response::new(pb::AuthDisableResponse { header: Some(self.header()) }))
    }

    async fn auth_status(&self, _: Request<pb::AuthStatusRequest>) -> Result<Response<pb::AuthStatusResponse>, Status> {
        Ok(Response::new(pb::AuthStatusResponse { header: Some(self.header()), enabled: false, auth_revision: 1 }))
    }

    /// Clients that are given a password take this refusal as leave to go on without a token.
    async fn authenticate(
        &self,
        _: Request<pb::AuthenticateRequest>,
    ) -> Result<Response<pb::AuthenticateResponse>, Status> {
        Err(status::authentication_is_not_enabled())
    }
}
