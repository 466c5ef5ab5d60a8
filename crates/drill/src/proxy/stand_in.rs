//! The server at the end of each way, and our proxy alone, as processes of their own (`quorate-drill stand-in ...`).
//!
//! The server's protocol: the first byte of a connection says what it does. [`ECHO`]: sends everything back. [`POUR`]: sends
//! without end. [`SWALLOW`]: reads without end.

use anyhow::{Context, Result};
use proxy::{Engine, EngineConfig, ProxyConfig, Routes, Service, Target};
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub const ECHO: u8 = b'E';
pub const POUR: u8 = b'P';
pub const SWALLOW: u8 = b'S';

/// Sockets of ten thousand connections, twice, and some.
pub const OPEN_FILES: u64 = 30_000;
/// As PostgreSQL's and Redis's largest single writes, roughly.
const PIECE_BYTES: usize = 64 * 1024;
const SMALL_BYTES: usize = 1024;
const BACKLOG: u32 = 4096;

/// Serves until it is killed.
pub async fn server(address: SocketAddr) -> Result<()> {
    platform::allow_open_files(OPEN_FILES);
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address).with_context(|| format!("cannot listen on {address}"))?;
    let listener = socket.listen(BACKLOG)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            // A client that leaves in the middle is how every load ends.
            let _ = answer(stream).await;
        });
    }
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut first = [0];
    stream.read_exact(&mut first).await?;
    match first[0] {
        ECHO => {
            let mut buffer = vec![0; SMALL_BYTES];
            loop {
                let length = stream.read(&mut buffer).await?;
                if length == 0 {
                    return Ok(());
                }
                stream.write_all(&buffer[..length]).await?;
            }
        }
        POUR => {
            let buffer = vec![0x2A; PIECE_BYTES];
            loop {
                stream.write_all(&buffer).await?;
            }
        }
        _ => {
            let mut buffer = vec![0; PIECE_BYTES];
            while stream.read(&mut buffer).await? > 0 {}
            Ok(())
        }
    }
}

/// Our proxy, from `listen` to `server`, until it is killed.
pub async fn proxy(listen: SocketAddr, server: SocketAddr) -> Result<()> {
    let engine = Engine::start(EngineConfig::default())?;
    let target = Target { member: "server".to_owned(), address: server.to_string() };
    let (_routes, routes) = watch::channel(Routes { primary: Some(target), ..Routes::default() });
    let config = ProxyConfig { service: Service::Redis, listen_primary: vec![listen], ..ProxyConfig::default() };
    let running = engine.serve(&config, routes, CancellationToken::new())?;
    running.stopped().await;
    Ok(())
}
