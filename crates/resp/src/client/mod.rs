//! An asynchronous client: one connection to one server, with or without TLS.
//!
//! It connects, says who it is, sends and receives. It deliberately does not reconnect, retry or pool: a caller that
//! promotes and fences servers must know that two answers came from one connection.
//!
//! Invariant: a connection that has lost track of which reply belongs to which command is never used again.

mod connection;
mod error;
mod target;
mod tls;
mod verifier;

pub use connection::{Connection, Receiver, Sender};
pub use error::ClientError;
pub use target::{Address, Target};
pub use tls::{TlsClient, TlsFiles};
