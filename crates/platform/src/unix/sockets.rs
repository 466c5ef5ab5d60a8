//! Connecting without waiting, TCP_USER_TIMEOUT, and pipes for splice(2).

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

pub use std::os::fd::AsFd as AsSocket;

pub const ACCEPTED_INHERITS_OPTIONS: bool = true;
pub const LISTENERS_CAN_BE_SHARED: bool = true;

pub fn socket_for(address: SocketAddr) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    Ok(socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?.into())
}

pub fn begin_to_connect(socket: &TcpStream, address: SocketAddr) -> io::Result<bool> {
    match connect(socket, &address) {
        Ok(()) => Ok(true),
        Err(Errno::INPROGRESS) => Ok(socket.peer_addr().is_ok()),
        Err(error) => Err(error.into()),
    }
}

pub fn speak_at_once(socket: &impl AsSocket) -> io::Result<()> {
    Ok(sockopt::set_tcp_quickack(socket, false)?)
}

pub fn set_user_timeout(socket: &impl AsSocket, timeout: Duration) -> io::Result<()> {
    let millis = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    Ok(sockopt::set_tcp_user_timeout(socket, millis)?)
}

pub fn user_timeout(socket: &impl AsSocket) -> io::Result<Option<Duration>> {
    let millis = sockopt::tcp_user_timeout(socket)?;
    Ok(Some(Duration::from_millis(u64::from(millis))))
}

#[derive(Debug)]
pub struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipe {
    pub fn new(capacity: usize) -> io::Result<(Self, usize)> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A user who has many pipes gets small ones. They work, too.
        let granted = fcntl_setpipe_size(&write, capacity).or_else(|_| fcntl_getpipe_size(&write))?;
        Ok((Self { read, write }, granted))
    }

    pub fn fill(&self, from: &impl AsSocket, bytes: usize) -> io::Result<usize> {
        splice(from, &self.write, bytes)
    }

    pub fn drain(&self, to: &impl AsSocket, bytes: usize) -> io::Result<usize> {
        splice(&self.read, to, bytes)
    }
}

fn splice(from: &impl AsSocket, to: &impl AsSocket, bytes: usize) -> io::Result<usize> {
    loop {
        match rustix::pipe::splice(from, None, to, None, bytes, SpliceFlags::MOVE | SpliceFlags::NONBLOCK) {
            Err(Errno::INTR) => {}
            done => return Ok(done?),
        }
    }
}
