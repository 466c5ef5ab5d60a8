//! The cluster as the agent sees it: a typed, watched view of the scope's keys, and fenced writes to them, through an
//! etcd v3 client that talks to our own store and to a real etcd alike.
//!
//! Deliberately no meaning: what the keys say and which write is allowed stands in `ha`. The invariants: a write whose
//! outcome is unknown is never sent a second time, and the published view never goes back to an older revision.

mod attempt;
mod client;
mod config;
mod convert;
mod endpoints;
mod error;
mod follow;
mod hedge;
mod lease;
mod members;
mod session;
mod single;
mod view;

pub use client::{Dcs, Written};
pub use config::DcsConfig;
pub use error::DcsError;
pub use follow::Following;
pub use lease::Lease;
pub use members::{EndpointStatus, StoreMember};
pub use tonic::Code;
pub use view::DcsView;
