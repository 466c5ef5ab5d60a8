//! Where streams between members come from. Mutual TLS belongs here, and nowhere else.

use super::limits;
use std::io;
use tokio::{net::TcpStream, time::timeout};

pub type Stream = TcpStream;

/// Resolves the name each time: addresses change. An error of kind `ConnectionRefused` means that the host answered.
pub async fn connect(address: &str) -> io::Result<Stream> {
    let stream = timeout(limits::CONNECT_WITHIN, TcpStream::connect(address)).await??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

pub fn accepted(stream: TcpStream) -> io::Result<Stream> {
    stream.set_nodelay(true)?;
    Ok(stream)
}
