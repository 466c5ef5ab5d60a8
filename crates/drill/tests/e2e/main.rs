//! End to end: real PostgreSQL and Redis, the real `quorate` binary, three members on loopback addresses, real faults.
//!
//! One file for each thing a user would check by hand. Safety is asserted strictly: acknowledged writes that are lost,
//! and writes that an old primary acknowledged. Times are asserted loosely, because the machine that runs this may stall;
//! `./dev bench failover` measures them.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed step of the test's own world is a failed test")]

mod bad_input;
mod bootstrap;
mod connection_strings;
mod console;
mod failsafe;
mod faults;
mod firewall;
mod haproxy;
mod hostile_clients;
mod idle;
mod joining;
mod operations;
mod operators;
mod pgbouncer;
mod postgresql_18;
mod proxy;
mod redis_bad_input;
mod redis_clients;
mod redis_faults;
mod redis_mixed;
mod redis_support;
mod redis_trouble;
mod rejoin;
mod screen;
mod secured;
mod service;
mod setup;
mod standby_cluster;
mod stock_tools;
mod support;
mod vip_program;
mod virtual_ip;
mod watch;
