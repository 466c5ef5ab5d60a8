//! The REST API from the outside: snapshots in, HTTP answers out, with a store and an agent that the tests play.

mod access;
mod bodies;
mod changes;
mod health;
mod switchover;
mod world;
mod wire;
