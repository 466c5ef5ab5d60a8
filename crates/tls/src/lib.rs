//! TLS from files: configurations of servers and clients, and what keeps them fresh.
//!
//! Deliberately no sockets of its own, no protocols, and no certificates made (that is `pki`). The invariants: what is in
//! force was read completely and fits together, a file that is damaged or half written changes nothing, and no part of a
//! key is in an error or a log.

mod any_of;
mod anybody;
mod binding;
mod client;
mod error;
mod files;
mod fresh;
mod judged;

mod pinned;
mod server;

pub use binding::server_end_point;
pub use client::{ClientFiles, ClientTls, Trust};
pub use error::TlsError;
pub use files::Lifetime;
pub use fresh::{REFRESH_EVERY, Refresh, keep_fresh};
pub use pinned::pinned_client;
pub use server::{ClientCertificates, ServerFiles, ServerTls, certificate_of, presents_certificate_of};
pub use tokio_rustls::client::TlsStream as ClientStream;
pub use tokio_rustls::server::TlsStream as ServerStream;

use std::time::Duration;

/// A handshake takes a few milliseconds; one that takes longer than this holds a place that others want.
pub const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// The protocols of HTTP, as they are named in the handshake.
pub const HTTP2: &[u8] = b"h2";
pub const HTTP1: &[u8] = b"http/1.1";
