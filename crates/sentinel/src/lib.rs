//! A Sentinel as a server: what `ha::sentinel` decides, carried out on sockets, files and processes; and its port 26379,
//! where clients ask and other Sentinels vote.
//!
//! The map: `file` (the configuration file), `acl` (users), `command` (what clients can say), `server` (their connections),
//! `driver` (connections to Redis servers and peers, saving, scripts, names), `world` (all of it together), `handle` (how the
//! rest of the program starts and tells it things).
//!
//! Deliberately no decisions about masters; those are in ring 1. The invariants: **what a client is told to be saved is on
//! the disk**, and no client, master or peer can make it grow without bound.

// `word` and `words`, `run_id` and `run`: told apart well enough.
#![allow(clippy::similar_names)]

pub mod acl;
pub mod command;
pub mod file;

mod driver;
mod handle;
mod server;
mod world;

pub use file::{FileError, ServerSettings, Settings, StateFile};
pub use handle::{FromSentinel, Handle, StartError, ToSentinel, start};
