//! Ports: opening them, with patience for a predecessor that is only just going.

use anyhow::{Context, anyhow};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::Instant;

/// A port that the previous worker held may be free only a moment later.
const BIND_PATIENCE: Duration = Duration::from_secs(5);
const BIND_PAUSE: Duration = Duration::from_millis(50);

pub async fn bind(address: &str) -> anyhow::Result<TcpListener> {
    patiently(|| TcpListener::bind(address)).await.map_err(|error| anyhow!("cannot listen on {address}: {error}"))
}

/// Tries again until it works or has failed for too long.
pub async fn patiently<T, E, F: Future<Output = Result<T, E>>>(mut attempt: impl FnMut() -> F) -> Result<T, E> {
    let deadline = Instant::now() + BIND_PATIENCE;
    loop {
        match attempt().await {
            Err(_) if Instant::now() < deadline => tokio::time::sleep(BIND_PAUSE).await,
            result => return result,
        }
    }
}

/// What `host` means as an address to listen on. `key` is named when it is none.
pub async fn addresses(key: &str, host: &str, port: u16) -> anyhow::Result<Vec<SocketAddr>> {
    let host = if host == "*" { "0.0.0.0" } else { host };
    let found = tokio::net::lookup_host((host, port)).await.with_context(|| format!("{key}: {host}"))?;
    Ok(found.take(1).collect())
}
