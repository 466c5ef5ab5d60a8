//! The store on the network: etcd's v3 API over gRPC and JSON, its v2 keys, and the members' talk among themselves.
//!
//! Deliberately no decisions: what a request means is `kv`'s business, who leads is `store`'s. Here are sockets, formats
//! and bounds. The invariant: nothing a peer sends makes this process fall over or grow without limit.

mod admission;
mod api;
mod convert;
mod fingerprint;
mod gateway;
mod grpc;
mod http;
mod json;
mod limits;
mod metrics;
pub mod node;
mod peers;
mod serve;
mod status;
mod v2;

pub use serve::serve;
