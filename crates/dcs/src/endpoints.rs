//! The store's addresses: which one to ask next, and one connection to each.
//!
//! Deliberately no requests. The rule is "the first that has not failed lately": everything goes to the preferred
//! endpoint, moves away when it fails, and comes back when it is found well again or its time is over.

use crate::config::{
    AVOID_FOR, CONNECT_TIMEOUT, CONNECTION_WINDOW_BYTES, HEARD_FOR, PING_EVERY, PING_TIMEOUT, STREAM_WINDOW_BYTES,
    WAITING_REQUESTS_MAX,
};
use hyper_util::rt::TokioIo;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tls::{ClientStream, ClientTls};
use tokio::{
    net::TcpStream,
    sync::Notify,
    time::{Instant, timeout},
};
use tonic::transport::{self, Channel, Uri};
use tower::service_fn;

pub(crate) struct Endpoints {
    list: Vec<Endpoint>,
    tls: Option<ClientTls>,
    /// An endpoint has just begun to be avoided: whoever sits on it may want to leave.
    pub(crate) moved: Notify,
}

struct Endpoint {
    address: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    channel: Option<Channel>,
    /// Comes last until then.
    avoid_until: Option<Instant>,
    heard_at: Option<Instant>,
}

impl Endpoints {
    pub(crate) fn new(addresses: &[String], tls: Option<ClientTls>) -> Self {
        let endpoint = |address: &String| Endpoint { address: address.clone(), state: Mutex::default() };
        Self { list: addresses.iter().map(endpoint).collect(), tls, moved: Notify::new() }
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        self.list.iter().map(|endpoint| endpoint.address.clone()).collect()
    }

    pub(crate) fn address(&self, index: usize) -> &str {
        self.list.get(index).map_or("", |endpoint| endpoint.address.as_str())
    }

    pub(crate) fn find(&self, address: &str) -> Option<usize> {
        self.list.iter().position(|endpoint| endpoint.address == address)
    }

    /// All endpoints, the one to ask first at the front: those in good standing in their configured order, then the
    /// others, the one whose failure is longest ago first.
    pub(crate) fn order(&self) -> Vec<usize> {
        self.order_at(Instant::now())
    }

    fn order_at(&self, now: Instant) -> Vec<usize> {
        let mut order: Vec<_> = (0..self.list.len()).collect();
        order.sort_by_key(|&index| self.list[index].state().avoid_until.filter(|until| *until > now));
        order
    }

    pub(crate) fn best(&self) -> Option<usize> {
        self.order().first().copied()
    }

    /// It failed: others come first for a while.
    pub(crate) fn avoid(&self, index: usize) {
        self.avoid_at(index, Instant::now());
    }

    fn avoid_at(&self, index: usize, now: Instant) {
        if let Some(endpoint) = self.list.get(index) {
            endpoint.state().avoid_until = Some(now + AVOID_FOR);
            self.moved.notify_one();
        }
    }

    /// It answered: it is as good as any.
    pub(crate) fn trust(&self, index: usize) {
        if let Some(endpoint) = self.list.get(index) {
            endpoint.state().avoid_until = None;
        }
    }

    /// It answered something.
    pub(crate) fn heard(&self, index: usize) {
        if let Some(endpoint) = self.list.get(index) {
            endpoint.state().heard_at = Some(Instant::now());
        }
    }

    pub(crate) fn was_heard_lately(&self, index: usize) -> bool {
        let heard_at = self.list.get(index).and_then(|endpoint| endpoint.state().heard_at);
        heard_at.is_some_and(|at| at.elapsed() < HEARD_FOR)
    }

    /// The next request makes a new connection. Requests under way on the old one are not disturbed.
    pub(crate) fn disconnect(&self, index: usize) {
        if let Some(endpoint) = self.list.get(index) {
            endpoint.state().channel = None;
        }
    }

    /// The connection to this endpoint, made now if there is none. An error means that nothing was sent.
    pub(crate) async fn channel(&self, index: usize) -> Result<Channel, String> {
        let endpoint = self.list.get(index).ok_or("no endpoints are configured")?;
        if let Some(channel) = endpoint.state().channel.clone() {
            return Ok(channel);
        }
        // The outer limit covers what the inner one does not: looking up the name.
        let limit = if is_secured(&endpoint.address) { 2 * CONNECT_TIMEOUT } else { CONNECT_TIMEOUT };
        let connecting = timeout(limit, connect(&endpoint.address, self.tls.as_ref()));
        let channel = connecting.await.map_err(|_| format!("no connection within {limit:?}"))??;
        // Two may have connected at the same time; the second replaces the first, which ends with its last request.
        endpoint.state().channel = Some(channel.clone());
        Ok(channel)
    }
}

impl Endpoint {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where an etcd listens when the URL does not say.
const ETCD_PORT: u16 = 2379;
const SECURED: &str = "https://";

fn is_secured(address: &str) -> bool {
    address.starts_with(SECURED)
}

async fn connect(address: &str, tls: Option<&ClientTls>) -> Result<Channel, String> {
    let secured = is_secured(address);
    let bare = address.strip_prefix(SECURED).or_else(|| address.strip_prefix("http://")).unwrap_or(address);
    let url = if secured { address.to_owned() } else { format!("http://{bare}") };
    let endpoint = transport::Endpoint::from_shared(url)
        .map_err(|_| format!("'{address}' is not an address; expected host:port"))?
        .connect_timeout(if secured { 2 * CONNECT_TIMEOUT } else { CONNECT_TIMEOUT })
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        // Only a connection with an open stream (the watch) is pinged; the others cost nothing at rest.
        .keep_alive_while_idle(false)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .buffer_size(WAITING_REQUESTS_MAX);
    let channel = if secured {
        let tls = tls.cloned().ok_or("TLS is wanted, and no certificates are configured for it")?;
        let connector = service_fn(move |url: Uri| {
            let tls = tls.clone();
            async move { secured_stream(&url, &tls).await.map(TokioIo::new) }
        });
        endpoint.connect_with_connector(connector).await
    } else {
        endpoint.connect().await
    };
    channel.map_err(|error| crate::attempt::innermost(&error))
}

/// With whatever certificates are in force at this moment.
async fn secured_stream(url: &Uri, tls: &ClientTls) -> io::Result<ClientStream<TcpStream>> {
    let (host, port) = (url.host().unwrap_or_default(), url.port_u16().unwrap_or(ETCD_PORT));
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect((bare, port))).await??;
    stream.set_nodelay(true)?;
    tls.connect(bare, stream, CONNECT_TIMEOUT).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_endpoint_that_has_not_failed_lately_comes_first() {
        let endpoints = Endpoints::new(&["a:1".into(), "b:1".into(), "c:1".into()], None);
        let now = Instant::now();
        assert_eq!(endpoints.order_at(now), [0, 1, 2]);
        endpoints.avoid_at(0, now);
        assert_eq!(endpoints.order_at(now), [1, 2, 0]);
        let later = now + AVOID_FOR / 2;
        endpoints.avoid_at(1, later);
        assert_eq!(endpoints.order_at(later), [2, 0, 1]);
        assert_eq!(endpoints.order_at(now + AVOID_FOR), [0, 2, 1], "its time is over");
        endpoints.trust(1);
        assert_eq!(endpoints.order_at(now + AVOID_FOR), [0, 1, 2]);
    }
}
