//! Where the store is and how long to wait for it.

use ha::cluster::Keys;
use std::{fmt, time::Duration};
use tls::ClientTls;

/// A request that has not been answered after this long has failed.
pub const REQUEST_TIMEOUT_DEFAULT: Duration = Duration::from_secs(1);

/// A connection that takes longer is not worth waiting for: on a local network it takes a millisecond. A TLS handshake
/// has as long again.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_millis(300);
/// When the first endpoint has not answered a repeatable request by now, another is asked as well. Far above a healthy
/// answer (a few milliseconds), far below any lease.
pub(crate) const HEDGE_AFTER: Duration = Duration::from_millis(150);
/// Pauses between attempts when every endpoint failed at once.
pub(crate) const RETRY_PAUSE_MIN: Duration = Duration::from_millis(20);
pub(crate) const RETRY_PAUSE_MAX: Duration = Duration::from_millis(500);
/// An endpoint that answered this long ago is taken to be within hearing: a renewal of the shortest leases, and a pause, ago.
pub(crate) const HEARD_FOR: Duration = Duration::from_millis(400);
/// An endpoint that failed comes last for this long, unless it is found well earlier.
pub(crate) const AVOID_FOR: Duration = Duration::from_secs(10);
/// While the watch is not on the first endpoint, the ones before it are tried this often.
pub(crate) const PROBE_EVERY: Duration = Duration::from_secs(2);
/// A watch that lived this long was a healthy one: the next reconnect is immediate again.
pub(crate) const HEALTHY_AFTER: Duration = Duration::from_secs(1);
/// The store's answers have been ahead of the watch for this long: the watch is in doubt.
pub(crate) const DOUBT_AFTER: Duration = Duration::from_millis(1500);
/// HTTP/2 pings on connections with an open stream (the watch): a silent peer is noticed after the sum of both.
pub(crate) const PING_EVERY: Duration = Duration::from_secs(1);
pub(crate) const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// A scope's keys are kilobytes. The windows only bound what one slow reader may hold.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 512 * 1024;
/// Requests waiting for one connection.
pub(crate) const WAITING_REQUESTS_MAX: usize = 64;
/// The largest answer that is accepted: a range of all keys of a scope.
pub(crate) const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Events of one revision that came in pieces; more than this and the view is loaded anew instead.
pub(crate) const FRAGMENT_EVENTS_MAX: usize = 10_000;

/// Where the store is. `Debug` does not show the password.
#[derive(Clone)]
pub struct DcsConfig {
    /// `host:port` or a URL, the preferred (local) one first. `https://` is TLS.
    pub endpoints: Vec<String>,
    pub keys: Keys,
    /// For a store that demands signing in.
    pub username: Option<String>,
    pub password: Option<String>,
    pub request_timeout: Duration,
    /// For endpoints with `https://`.
    pub tls: Option<ClientTls>,
}

impl DcsConfig {
    pub fn new(endpoints: Vec<String>, keys: Keys) -> Self {
        Self { endpoints, keys, username: None, password: None, request_timeout: REQUEST_TIMEOUT_DEFAULT, tls: None }
    }
}

impl fmt::Debug for DcsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DcsConfig")
            .field("endpoints", &self.endpoints)
            .field("keys", &self.keys)
            .field("username", &self.username)
            .field("request_timeout", &self.request_timeout)
            .finish_non_exhaustive()
    }
}
