//! The listener: connections in, bounded in number, size and time.
//!
//! HTTP/1.0 and 1.1, plain or in TLS. What is not HTTP gets 400 (431 for a head that is too large) and is cut off.

use crate::access::Certified;
use crate::service::Service;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tls::{ServerTls, certificate_of};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// Load balancers, monitoring and people of a cluster need a few dozen. Further ones wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 256;
/// Request line and headers; browsers send about 1 KiB.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// For the head of a request, and so also for how long a kept connection may be idle.
pub const HEAD_WAIT_MAX: Duration = Duration::from_secs(10);
/// A client that never reads its answers would hold its place for ever; longer than the longest restart.
pub const CONNECTION_AGE_MAX: Duration = Duration::from_secs(15 * 60);
/// How long answers under way may take when the server stops.
pub const DRAIN_MAX: Duration = Duration::from_secs(2);
/// Accepting fails when the process has no file descriptors left; trying again at once would only burn a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` completes, then lets answers under way finish for [`DRAIN_MAX`].
///
/// With `tls` nobody is answered without it; the service finds [`Certified`] in the requests of whoever has a certificate.
pub async fn serve<S: Service>(
    listener: TcpListener,
    tls: Option<ServerTls>,
    service: S,
    shutdown: impl Future<Output = ()>,
) {
    let service = Arc::new(service);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener, &places, S::NAME) => {
                if let Some((stream, peer, place)) = accepted {
                    let (service, tls, stopping) = (service.clone(), tls.clone(), stopping.clone());
                    connections.spawn(async move {
                        connection(stream, peer, tls, service, stopping).await;
                        drop(place);
                    });
                }
            }
        }
    }
    drop(listener);
    stop.send_replace(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    // What has not finished by then is dropped with the set.
    let _ = tokio::time::timeout(DRAIN_MAX, drained).await;
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    name: &str,
) -> Option<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer.ip(), place)),
        Err(error) => {
            tracing::warn!(%error, "the {name} cannot accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection<S: Service>(
    stream: TcpStream,
    peer: IpAddr,
    tls: Option<ServerTls>,
    answers: Arc<S>,
    mut stopping: watch::Receiver<bool>,
) {
    // Answers are one small packet; waiting to fill it only delays them.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return talk(stream, peer, None, answers, stopping).await };
    let secured = tokio::select! {
        secured = tls.accept(stream, tls::HANDSHAKE_WITHIN) => secured,
        _ = stopping.wait_for(|stop| *stop) => return,
    };
    match secured {
        Ok(stream) => {
            let certified = certificate_of(&stream).map(|certificate| Certified(certificate.into()));
            talk(stream, peer, certified, answers, stopping).await;
        }
        Err(error) => tracing::debug!(%peer, %error, "a connection to the {} was not secured", S::NAME),
    }
}

async fn talk<T, S>(
    stream: T,
    peer: IpAddr,
    certified: Option<Certified>,
    answers: Arc<S>,
    mut stopping: watch::Receiver<bool>,
) where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        let answers = answers.clone();
        if let Some(certified) = certified.clone() {
            request.extensions_mut().insert(certified);
        }
        async move { Ok::<_, Infallible>(answers.respond(peer, request.map(Body::new)).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    tokio::select! {
        result = served.as_mut() => {
            if let Err(error) = result {
                tracing::debug!(%peer, %error, "a connection to the {} ended badly", S::NAME);
            }
            return;
        }
        _ = stopping.wait_for(|stop| *stop) => {}
        () = tokio::time::sleep(CONNECTION_AGE_MAX) => {}
    }
    served.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(DRAIN_MAX, served).await;
}
