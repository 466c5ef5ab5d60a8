//! The API over real sockets: stock clients, Patroni's requests, a real etcd beside ours, and peers that misbehave.

#![allow(clippy::unwrap_used)] // the helpers of tests are tests

mod cluster;
mod etcdctl;
mod lab;
mod lease;
mod malformed;
mod pages;
mod patroni;
mod same_as_etcd;
mod secured;
mod v2;
mod watch;
