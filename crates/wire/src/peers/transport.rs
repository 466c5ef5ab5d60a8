//! Where streams between members come from, plain or under mutual TLS.
//!
//! The invariant: with [`PeerTls`] there is no plain stream in either direction, and both ends have shown a certificate of
//! the authorities before a byte is read.

use super::limits;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tls::{ClientStream, ClientTls, ServerStream, ServerTls, presents_certificate_of};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};

/// Both sides of a member's connections to the others.
#[derive(Clone, Debug)]
pub struct PeerTls {
    /// Must ask for certificates.
    pub server: ServerTls,
    /// Must have one.
    pub client: ClientTls,
}

pub enum Stream {
    Plain(TcpStream),
    /// Large, and there are few.
    Connected(Box<ClientStream<TcpStream>>),
    Accepted(Box<ServerStream<TcpStream>>),
}

impl Stream {
    /// Whether the other end has shown that it is this host, where it has to.
    pub fn is_of(&self, host: &str) -> bool {
        match self {
            // Nobody shows anything; and the host that was connected to has shown it in the handshake.
            Self::Plain(_) | Self::Connected(_) => true,
            Self::Accepted(stream) => presents_certificate_of(stream, host),
        }
    }
}

/// Resolves the name each time: addresses change. An error of kind `ConnectionRefused` means that the host answered; no
/// handshake fails with it.
pub async fn connect(address: &str, tls: Option<&PeerTls>) -> io::Result<Stream> {
    let stream = timeout(limits::CONNECT_WITHIN, TcpStream::connect(address)).await??;
    stream.set_nodelay(true)?;
    let Some(tls) = tls else { return Ok(Stream::Plain(stream)) };
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let secured = tls.client.connect(host, stream, limits::HANDSHAKE_WITHIN).await;
    secured.map(|stream| Stream::Connected(Box::new(stream))).map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => io::Error::other(error),
        _ => error,
    })
}

pub async fn accepted(stream: TcpStream, tls: Option<&PeerTls>) -> io::Result<Stream> {
    stream.set_nodelay(true)?;
    let Some(tls) = tls else { return Ok(Stream::Plain(stream)) };
    Ok(Stream::Accepted(Box::new(tls.server.accept(stream, limits::HANDSHAKE_WITHIN).await?)))
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Connected(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Accepted(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Connected(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Accepted(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Connected(stream) => Pin::new(stream).poll_flush(cx),
            Self::Accepted(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Connected(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Accepted(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
