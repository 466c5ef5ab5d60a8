//! etcd's gRPC services, one file each. The JSON gateway calls the same functions.
//!
//! Deliberately only translation: what a request means is decided by the state machine.

mod auth;
mod cluster;
mod kv;
mod lease;
mod maintenance;
mod watch;

pub use lease::keep_alive;
pub use watch::watch;

use crate::api::Api;
use crate::limits::{MESSAGE_BYTES_MAX, STREAM_MESSAGE_BYTES_MAX};
use etcd_api::etcdserverpb::{
    auth_server::AuthServer, cluster_server::ClusterServer, kv_server::KvServer, lease_server::LeaseServer,
    maintenance_server::MaintenanceServer, watch_server::WatchServer,
};
use futures_util::Stream;
use std::pin::Pin;
use tonic::Status;
use tonic::service::Routes;

pub type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Services whose calls are one message long.
pub fn unary_routes(api: &Api) -> axum::Router {
    Routes::new(KvServer::new(api.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX))
        .add_service(ClusterServer::new(api.clone()).max_decoding_message_size(STREAM_MESSAGE_BYTES_MAX))
        .add_service(MaintenanceServer::new(api.clone()).max_decoding_message_size(STREAM_MESSAGE_BYTES_MAX))
        .add_service(AuthServer::new(api.clone()).max_decoding_message_size(STREAM_MESSAGE_BYTES_MAX))
        .into_axum_router()
}

/// Services with calls that go on for as long as the client likes. Their messages are small.
pub fn streaming_routes(api: &Api) -> axum::Router {
    Routes::new(WatchServer::new(api.clone()).max_decoding_message_size(STREAM_MESSAGE_BYTES_MAX))
        .add_service(LeaseServer::new(api.clone()).max_decoding_message_size(STREAM_MESSAGE_BYTES_MAX))
        .into_axum_router()
}
