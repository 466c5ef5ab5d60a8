//! Role-aware TCP routing: one port leads to the primary, the other to the replicas, whoever they are at the moment.
//!
//! A new connection is held, within bounds, while there is no primary that accepts it, so that clients see a switchover
//! as a slow connect instead of an error. A connection to a member that is no longer primary is cut at once, on both
//! sides, so that nobody goes on talking to a fenced server.
//!
//! Deliberately no knowledge of who decides (it is told through [`Routes`]), no pooling, no TLS (it passes through), and of
//! PostgreSQL's and Redis's protocols only what it takes to tell a client from a scanner (`opening`) and to say "no primary is
//! available" to a client whose hold time is over (`refusal`). One proxy serves one group of servers: PostgreSQL and Redis
//! have one each, on the threads of one [`Engine`].
//!
//! Invariant: no byte is passed between a client of the primary port and a member that the newest [`Routes`] do not
//! name as primary.

mod config;
mod connection;
mod crowd;
mod engine;
mod error;
mod hold;
mod listen;
mod opening;
mod pipes;
mod proxy_protocol;
mod refusal;
mod relay;
mod routes;
mod sockets;
mod statistics;

pub use config::{ProxyConfig, Service};
pub use engine::{Engine, EngineConfig, files_needed};
pub use error::ProxyError;
pub use listen::Proxy;
pub use proxy_protocol::ProxyProtocol;
pub use routes::{Replica, Routes, Target};
pub use statistics::{PortStatistics, ServerStatistics, Statistics};
