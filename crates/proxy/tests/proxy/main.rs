//! The proxy between real sockets. The "servers" answer each line with their own name, so that a test sees where a
//! connection leads.

#![allow(clippy::unwrap_used, reason = "a failed step of the test's own world is a failed test")]
#![allow(clippy::wildcard_imports, reason = "the world is the prelude of these tests")]

mod balancers;
mod crowds;
mod holding;
mod hostile;
mod life;
mod refusals;
mod relaying;
mod roles;
mod world;
