//! The JSON gateway: every call of the API as a POST under `/v3/` and `/v3beta/`, for clients without gRPC (Patroni).
//!
//! Answers and errors are those of grpc-gateway 1, which etcd 3.4 and 3.5 have inside. Deliberately no rules of its own:
//! a request is turned into the gRPC message, the gRPC service answers.

use crate::api::Api;
use crate::grpc;
use crate::json::Shapes;
use crate::limits::{JSON_BYTES_MAX, JSON_STREAM_BYTES_MAX, JSON_STREAM_MESSAGES_MAX};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use etcd_api::etcdserverpb::{
    auth_server::Auth, cluster_server::Cluster, kv_server::Kv, lease_server::Lease, maintenance_server::Maintenance,
};
use futures_util::{Stream, StreamExt, stream};
use kv::KvError;
use prost::Message;
use serde::Serialize;
use std::error::Error as _;
use std::iter;
use tonic::{Code, Status};

/// The text, its tree, the message by descriptor and the message itself are in memory at the same time.
const JSON_COPIES: usize = 4;
/// As gRPC metadata in an HTTP header.
const REQUIRES_LEADER: &str = "grpc-metadata-hasleader";

pub fn routes() -> Router<Api> {
    let calls = Router::new()
        .route("/kv/range", unary("KV", "Range", async |api: Api, request| api.range(request).await))
        .route("/kv/put", unary("KV", "Put", async |api: Api, request| api.put(request).await))
        .route("/kv/deleterange", unary("KV", "DeleteRange", async |api: Api, request| api.delete_range(request).await))
        .route("/kv/txn", unary("KV", "Txn", async |api: Api, request| api.txn(request).await))
        .route("/kv/compaction", unary("KV", "Compact", async |api: Api, request| api.compact(request).await))
        .route("/watch", post(watch))
        .route("/lease/grant", unary("Lease", "LeaseGrant", async |api: Api, request| api.lease_grant(request).await))
        .route("/lease/keepalive", post(keep_alive))
        .merge(lease_routes("/lease"))
        .merge(lease_routes("/kv/lease"))
        .merge(cluster_routes())
        .merge(maintenance_routes())
        .merge(auth_routes());
    Router::new().nest("/v3", calls.clone()).nest("/v3beta", calls)
}

/// Before etcd 3.3 these lived under `/kv/lease`, and clients of that age still call them there.
fn lease_routes(at: &str) -> Router<Api> {
    Router::new()
        .route(
            &format!("{at}/revoke"),
            unary("Lease", "LeaseRevoke", async |api: Api, request| api.lease_revoke(request).await),
        )
        .route(
            &format!("{at}/timetolive"),
            unary("Lease", "LeaseTimeToLive", async |api: Api, request| api.lease_time_to_live(request).await),
        )
        .route(
            &format!("{at}/leases"),
            unary("Lease", "LeaseLeases", async |api: Api, request| api.lease_leases(request).await),
        )
}

fn cluster_routes() -> Router<Api> {
    Router::new()
        .route(
            "/cluster/member/add",
            unary("Cluster", "MemberAdd", async |api: Api, request| api.member_add(request).await),
        )
        .route(
            "/cluster/member/remove",
            unary("Cluster", "MemberRemove", async |api: Api, request| api.member_remove(request).await),
        )
        .route(
            "/cluster/member/update",
            unary("Cluster", "MemberUpdate", async |api: Api, request| api.member_update(request).await),
        )
        .route(
            "/cluster/member/promote",
            unary("Cluster", "MemberPromote", async |api: Api, request| api.member_promote(request).await),
        )
        .route(
            "/cluster/member/list",
            unary("Cluster", "MemberList", async |api: Api, request| api.member_list(request).await),
        )
}

fn maintenance_routes() -> Router<Api> {
    Router::new()
        .route("/maintenance/alarm", unary("Maintenance", "Alarm", async |api: Api, request| api.alarm(request).await))
        .route(
            "/maintenance/status",
            unary("Maintenance", "Status", async |api: Api, request| Maintenance::status(&api, request).await),
        )
        .route(
            "/maintenance/defragment",
            unary("Maintenance", "Defragment", async |api: Api, request| api.defragment(request).await),
        )
        .route("/maintenance/hash", unary("Maintenance", "Hash", async |api: Api, request| api.hash(request).await))
        .route(
            "/maintenance/hashkv",
            unary("Maintenance", "HashKV", async |api: Api, request| api.hash_kv(request).await),
        )
        .route(
            "/maintenance/transfer-leadership",
            unary("Maintenance", "MoveLeader", async |api: Api, request| api.move_leader(request).await),
        )
}

fn auth_routes() -> Router<Api> {
    Router::new()
        .route(
            "/auth/authenticate",
            unary("Auth", "Authenticate", async |api: Api, request| api.authenticate(request).await),
        )
        .route("/auth/status", unary("Auth", "AuthStatus", async |api: Api, request| api.auth_status(request).await))
        .route("/auth/enable", unary("Auth", "AuthEnable", async |api: Api, request| api.auth_enable(request).await))
        .route("/auth/disable", unary("Auth", "AuthDisable", async |api: Api, request| api.auth_disable(request).await))
}

/// `run`: the gRPC service's function.
fn unary<Q, A, F>(
    service: &'static str,
    method: &'static str,
    run: impl Fn(Api, tonic::Request<Q>) -> F + Clone + Send + Sync + 'static,
) -> MethodRouter<Api>
where
    Q: Message + Default,
    A: Message,
    F: Future<Output = Result<tonic::Response<A>, Status>> + Send,
{
    let shapes = Shapes::of(service, method);
    post(async move |State(api): State<Api>, headers: HeaderMap, request: Request| {
        let answer = async {
            let shapes = shapes.as_ref().ok_or_else(|| Status::unimplemented(method))?;
            let request = {
                let body = read_body(request, JSON_BYTES_MAX).await?;
                let _held = api.hold_memory(JSON_COPIES * body.len())?;
                with_metadata(&headers, shapes.read(&body)?)
            };
            shapes.write(run(api, request).await?.get_ref())
        };
        match answer.await {
            Ok(json) => json_response(StatusCode::OK, json),
            Err(error) => refuse(&error),
        }
    })
}

async fn watch(State(api): State<Api>, headers: HeaderMap, request: Request) -> Response {
    let with_leader = crate::api::requires_leader(with_metadata(&headers, ()).metadata());
    streaming("Watch", "Watch", request, |requests| grpc::watch(api, requests, with_leader)).await
}

async fn keep_alive(State(api): State<Api>, request: Request) -> Response {
    streaming("Lease", "LeaseKeepAlive", request, |requests| Ok(grpc::keep_alive(api, requests, None))).await
}

/// One line of JSON for each answer. The whole of the requests is read first: these clients send one and listen.
async fn streaming<Q, A, S>(
    service: &'static str,
    method: &'static str,
    request: Request,
    run: impl FnOnce(stream::Iter<std::vec::IntoIter<Result<Q, Status>>>) -> Result<S, Status>,
) -> Response
where
    Q: Message + Default,
    A: Message + 'static,
    S: Stream<Item = Result<A, Status>> + Send + Unpin + 'static,
{
    let opening = async {
        let shapes = Shapes::of(service, method).ok_or_else(|| Status::unimplemented(method))?;
        let body = read_body(request, JSON_STREAM_BYTES_MAX).await?;
        let requests: Vec<Q> = shapes.read_all(&body, JSON_STREAM_MESSAGES_MAX)?;
        let mut answers = run(stream::iter(requests.into_iter().map(Ok).collect::<Vec<_>>()))?;
        // An error before the first answer still gets its own HTTP status.
        let first = answers.next().await.transpose()?;
        Ok::<_, Status>((shapes, first, answers))
    };
    let (shapes, first, answers) = match opening.await {
        Ok(opened) => opened,
        Err(error) => return refuse(&error),
    };
    let lines = stream::iter(first.map(Ok)).chain(answers).map(move |answer| {
        Ok::<_, std::convert::Infallible>(match answer.and_then(|answer| shapes.write(&answer)) {
            Ok(json) => [b"{\"result\":", json.as_slice(), b"}\n"].concat(),
            Err(error) => stream_error_line(&error),
        })
    });
    ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(lines)).into_response()
}

async fn read_body(request: Request, bytes_max: usize) -> Result<Bytes, Status> {
    axum::body::to_bytes(request.into_body(), bytes_max).await.map_err(|error| {
        // Too late or too much for all bodies together says so itself; what is left is too long.
        let mut causes = iter::successors(error.source(), |cause| (*cause).source());
        let reason = causes.find_map(|cause| cause.downcast_ref::<Status>());
        reason.cloned().unwrap_or_else(|| crate::status::of_kv(&KvError::RequestTooLarge))
    })
}

fn with_metadata<Q>(headers: &HeaderMap, request: Q) -> tonic::Request<Q> {
    let mut request = tonic::Request::new(request);
    if headers.get(REQUIRES_LEADER).is_some_and(|value| value == "true") {
        request.metadata_mut().insert("hasleader", tonic::metadata::MetadataValue::from_static("true"));
    }
    request
}

fn json_response(status: StatusCode, json: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], json).into_response()
}

/// Serialises in this order, as etcd does.
#[derive(Serialize)]
struct Refusal<'a> {
    error: &'a str,
    message: &'a str,
    code: i32,
}

fn refuse(error: &Status) -> Response {
    let refusal = Refusal { error: error.message(), message: error.message(), code: error.code() as i32 };
    json_response(http_status(error.code()), serde_json::to_vec(&refusal).unwrap_or_default())
}

#[derive(Serialize)]
struct StreamRefusal<'a> {
    error: StreamRefusalBody<'a>,
}

#[derive(Serialize)]
struct StreamRefusalBody<'a> {
    grpc_code: i32,
    http_code: u16,
    message: &'a str,
    http_status: &'a str,
}

fn stream_error_line(error: &Status) -> Vec<u8> {
    let status = http_status(error.code());
    let refusal = StreamRefusal {
        error: StreamRefusalBody {
            grpc_code: error.code() as i32,
            http_code: status.as_u16(),
            message: error.message(),
            http_status: status.canonical_reason().unwrap_or_default(),
        },
    };
    let mut line = serde_json::to_vec(&refusal).unwrap_or_default();
    line.push(b'\n');
    line
}

/// grpc-gateway 1's table.
fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::Cancelled => StatusCode::REQUEST_TIMEOUT,
        Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::FailedPrecondition => StatusCode::PRECONDITION_FAILED,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
