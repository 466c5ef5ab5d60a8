//! One PostgreSQL server on this machine: found, configured, probed, cloned, rewound, promoted.
//!
//! Deliberately no decisions: nothing here knows who should lead, and nothing here retries on its own. The postmaster
//! itself is never started or killed here either; [`postmaster`] builds its command line for the guard, which owns it.
//! The invariant: a function that fails says what PostgreSQL printed, and a data directory that an interrupted
//! operation made unusable is recognisable as such by [`data_directory::state`] ever after.

pub mod binaries;
pub mod bootstrap;
pub mod clone;
pub mod configuration;
pub mod conninfo;
pub mod controldata;
pub mod data_directory;
mod durable;
pub mod error;
pub mod history;
pub mod options;
pub mod parameters;
pub mod postmaster;
pub mod rewind;
pub mod run;
pub mod slot;
pub mod sql;
pub mod timeline_numbers;

pub use binaries::{Binaries, Version};
pub use configuration::{Configuration, Role, Settings, Standby};
pub use conninfo::Conninfo;
pub use controldata::{ClusterState, ControlData};
pub use data_directory::DataDirectoryState;
pub use error::{Error, Result};
pub use run::Launcher;
pub use types::Secret;
