//! The server: one port for gRPC, its JSON gateway, the v2 keys and the plain pages.
//!
//! HTTP/1.1 and HTTP/2 (by prior knowledge, as gRPC clients speak it) are told apart by their first bytes. With TLS nothing
//! is served without it. The invariant: whatever a peer sends or does not send, a connection's memory and the number of connections are bounded,
//! and one connection's end never harms another.

use crate::api::Api;
use crate::limits::{
    CONNECTION_WINDOW_BYTES, CONNECTIONS_MAX, DRAIN_WITHIN, FIRST_BYTE_WITHIN, HANDSHAKE_WITHIN, HEADER_BYTES_MAX,
    HEADERS_MAX, HEADERS_WITHIN, PEER_ANSWERS_WITHIN, PEER_CHECK_EVERY, STREAM_SEND_BUFFER_BYTES, STREAM_WINDOW_BYTES,
    STREAMS_PER_CONNECTION_MAX,
};
use crate::node::StoreHandle;
use crate::{admission, gateway, grpc, http, v2};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use futures_util::future::select_all;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tls::ServerTls;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// After an accept that failed for want of something (file descriptors): time for it to come back.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Waiting for the first byte needs a buffer; larger reads pass it by.
const FIRST_BYTES: usize = 64;

/// Serves the API of this member on all the listeners until `shutdown`. Streams are then ended with etcd's "server
/// stopped", answers under way get a moment to leave.
pub async fn serve(
    listeners: Vec<TcpListener>,
    tls: Option<ServerTls>,
    store: StoreHandle,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    if listeners.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no address to listen on"));
    }
    let stop = CancellationToken::new();
    let router = router(&Api::new(store, stop.clone()));
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            (stream, slot) = accept(&listeners, &slots) => {
                connections.spawn(connection(stream, slot, tls.clone(), router.clone(), stop.clone()));
            }
            // Reaped as they end; their results say nothing that a peer's misbehaviour does not explain.
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listeners);
    stop.cancel();
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(DRAIN_WITHIN, drained).await.is_err() {
        tracing::debug!("connections were cut at shutdown");
    }
    Ok(())
}

/// Everything that is served, by path.
fn router(api: &Api) -> Router {
    let short = Router::new()
        .merge(gateway::routes())
        .merge(v2::routes())
        .merge(http::routes())
        .with_state(api.clone())
        .merge(grpc::unary_routes(api).reset_fallback())
        .layer(middleware::from_fn_with_state(api.clone(), admission::admit));
    // Bodies of streams never end, so they are bounded by message instead.
    short.merge(grpc::streaming_routes(api).reset_fallback()).fallback(not_found)
}

async fn not_found(request: Request) -> Response {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    if content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc")) {
        return Status::unimplemented(format!("unknown method {}", request.uri().path())).into_http();
    }
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

/// The next connection of any listener, when there is room for one.
async fn accept(listeners: &[TcpListener], slots: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    loop {
        let Ok(slot) = Arc::clone(slots).acquire_owned().await else {
            // The semaphore is never closed.
            std::future::pending().await
        };
        let (accepted, _, _) = select_all(listeners.iter().map(|listener| Box::pin(listener.accept()))).await;
        match accepted {
            Ok((stream, _)) => return (stream, slot),
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    _slot: OwnedSemaphorePermit,
    tls: Option<ServerTls>,
    router: Router,
    stop: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let keepalive = socket2::TcpKeepalive::new().with_time(PEER_CHECK_EVERY).with_interval(PEER_ANSWERS_WITHIN);
    let _ = socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive);
    let mut first_byte = [0];
    let peeked = tokio::select! {
        peeked = timeout(FIRST_BYTE_WITHIN, stream.peek(&mut first_byte)) => peeked,
        () = stop.cancelled() => return,
    };
    if !matches!(peeked, Ok(Ok(1))) {
        return;
    }
    let Some(tls) = tls else { return talk(stream, router, stop).await };
    // One that is silent after the handshake would otherwise keep its place: HTTP's own limits begin with its first byte.
    let opening = async {
        let stream = tls.accept(stream, HANDSHAKE_WITHIN).await?;
        let mut stream = BufReader::with_capacity(FIRST_BYTES, stream);
        timeout(FIRST_BYTE_WITHIN, stream.fill_buf()).await??;
        io::Result::Ok(stream)
    };
    tokio::select! {
        opened = opening => match opened {
            Ok(stream) => talk(stream, router, stop).await,
            Err(error) => tracing::debug!(%error, "a connection of a client was not secured"),
        },
        () = stop.cancelled() => {}
    }
}

/// HTTP on a connection.
async fn talk<S>(stream: S, router: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(STREAM_SEND_BUFFER_BYTES)
        .max_header_list_size(HEADER_BYTES_MAX as u32)
        .keep_alive_interval(PEER_CHECK_EVERY)
        .keep_alive_timeout(PEER_ANSWERS_WITHIN);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection ended badly");
    }
}
