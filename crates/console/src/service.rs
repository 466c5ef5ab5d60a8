//! Something that answers requests: the REST API, or the web console in front of it.

use crate::api::Api;
use axum::body::Body;
use axum::http::{Request, Response};
use std::net::IpAddr;

pub trait Service: Send + Sync + 'static {
    /// For messages in the log.
    const NAME: &'static str;

    fn respond(&self, peer: IpAddr, request: Request<Body>) -> impl Future<Output = Response<Body>> + Send;
}

impl Service for Api {
    const NAME: &'static str = "REST API";

    async fn respond(&self, peer: IpAddr, request: Request<Body>) -> Response<Body> {
        self.answer(peer, request).await
    }
}
