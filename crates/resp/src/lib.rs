//! Redis's wire protocol, RESP2 and RESP3: one codec for both sides, and a small asynchronous client.
//!
//! Deliberately no knowledge of commands: what `PING` means is for others. No connection pool and no automatic
//! reconnection either, because who talks to a server that may be fenced must know which connection said what.
//!
//! Invariant: **what a peer sends is bounded before it is buffered.** A header that announces more than [`Limits`]
//! allow is an error at once, before the bytes it announces arrive.

pub mod client;
mod encode;
mod error;
mod inline;
mod limits;
mod line;
mod reply;
mod request;
mod value;

pub use encode::{encode, encode_command};
pub use error::ProtocolError;
pub use inline::split_arguments;
pub use limits::Limits;
pub use reply::ReplyDecoder;
pub use request::RequestDecoder;
pub use types::Secret;
pub use value::{Protocol, Value};
