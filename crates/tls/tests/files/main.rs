//! Files in, connections out: what is refused and how it is said, who gets in, and what a new certificate changes.

#![allow(clippy::unwrap_used)] // the helpers of tests are tests

mod connections;
mod directory;
mod refused;
