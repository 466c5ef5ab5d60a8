//! Windows gives up on a silent peer by itself, after five retransmissions, and has no splice.

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub use std::os::windows::io::AsSocket;

/// Not all of them.
pub const ACCEPTED_INHERITS_OPTIONS: bool = false;
/// A socket belongs to one completion port.
pub const LISTENERS_CAN_BE_SHARED: bool = false;

pub fn socket_for(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

pub fn begin_to_connect(socket: &TcpStream, address: SocketAddr) -> io::Result<bool> {
    match SockRef::from(socket).connect(&address.into()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

pub fn speak_at_once(_socket: &impl AsSocket) -> io::Result<()> {
    Ok(())
}

pub fn set_user_timeout(_socket: &impl AsSocket, _timeout: Duration) -> io::Result<()> {
    Ok(())
}

pub fn user_timeout(_socket: &impl AsSocket) -> io::Result<Option<Duration>> {
    Ok(None)
}

#[derive(Debug)]
pub struct Pipe;

impl Pipe {
    pub fn new(_capacity: usize) -> io::Result<(Self, usize)> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn fill(&self, _from: &impl AsSocket, _bytes: usize) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn drain(&self, _to: &impl AsSocket, _bytes: usize) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
