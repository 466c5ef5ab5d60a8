//! The server's side of connections: listening, reading commands, writing replies.
//!
//! What a command means is in `command`; this is only about bytes and limits.

pub mod client;
pub mod listener;
pub mod session;
pub mod tls;
