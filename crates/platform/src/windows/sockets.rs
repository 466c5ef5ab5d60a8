//! Windows gives up on a silent peer by itself, after five retransmissions, and has no splice.

use std::io;
use std::time::Duration;

pub use std::os::windows::io::AsSocket;

/// Not all of them.
pub const ACCEPTED_INHERITS_OPTIONS: bool = false;
/// A socket belongs to one completion port.
pub const LISTENERS_CAN_BE_SHARED: bool = false;

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
