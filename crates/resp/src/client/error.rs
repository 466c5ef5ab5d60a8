//! Why a server could not be asked.

use crate::error::ProtocolError;
use std::io;

/// What went wrong below the level of replies. An error *reply* is a value, not one of these, except for AUTH.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The host is there and says that nobody listens.
    #[error("connection refused")]
    Refused,
    #[error("no answer in time")]
    Timeout,
    /// The server has closed the connection, or an earlier error has made it useless.
    #[error("connection closed")]
    Closed,
    /// The server's error reply to AUTH.
    #[error("authentication failed: {0}")]
    Auth(String),
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    #[error("TLS: {0}")]
    Tls(String),
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::Timeout,
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Io(error),
        }
    }
}
