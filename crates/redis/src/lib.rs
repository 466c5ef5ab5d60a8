//! One redis-server or valkey-server: find it, configure it, ask it how it is, and change what it does.
//!
//! Deliberately no decisions: who is the master is decided in ring 1, and the process belongs to the guard. Nothing here
//! waits without a limit.
//!
//! Invariant: **no server that is started by this crate's configuration takes writes before somebody promotes it**: it
//! starts as a replica, of nobody where there is nobody to follow. And no password leaves through a command line, a
//! log or an error.

mod binary;
mod configuration;
mod directory;
mod error;
mod info;
mod server;
mod settings;

pub use binary::{Binary, Product, VERSION_MIN, Version};
pub use configuration::{FILE_NAME, render};
pub use directory::{prepare, write_configuration};
pub use error::{Error, Result};
pub use info::{ConnectedReplica, Link, Role, Status};
pub use resp::client::{Address, Target, TlsClient, TlsFiles};
pub use server::{Server, offset_of_replica};
pub use settings::{Login, NOBODY, Settings, StartAs, TlsFilePaths};

/// A password: not printed by anything.
pub use resp::Secret;
