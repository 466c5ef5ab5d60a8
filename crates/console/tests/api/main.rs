//! The REST API from the outside: snapshots in, HTTP answers out, with a store and an agent that the tests play.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod bodies;
mod changes;
mod health;
mod joining;
mod live;
mod openapi;
mod page;
mod redis;
mod secured;
mod slots;
mod switchover;
mod wire;
mod world;
