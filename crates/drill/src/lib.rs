//! Drills: a cluster of real processes, a fault, a client that counts what it cost.
//!
//! Starts members of the real `quorate` binary on loopback addresses, breaks them in the ways hardware and operating
//! systems do, and measures from outside, as a client would. Used by `quorate-drill` (demo and benchmark) and by the
//! end-to-end tests. Deliberately no knowledge of how the cluster decides: it uses the configuration file, the REST API,
//! PostgreSQL's and Redis's protocols and signals, nothing else.
//!
//! Invariant: a process that a drill started does not outlive it, and it signals no process but those.
//!
//! Linux only, because of `/proc` and because there every address in 127.0.0.0/8 exists; on other systems only
//! [`analysis`] is there.

#[cfg(target_os = "linux")]
pub mod address_scenario;
pub mod analysis;
#[cfg(target_os = "linux")]
pub mod certificates;
#[cfg(target_os = "linux")]
pub mod cluster;
#[cfg(target_os = "linux")]
pub mod eavesdrop;
#[cfg(target_os = "linux")]
pub mod etcd;
#[cfg(target_os = "linux")]
pub mod health;
#[cfg(target_os = "linux")]
pub mod idle;
#[cfg(target_os = "linux")]
mod listening;
#[cfg(target_os = "linux")]
pub mod member;
#[cfg(target_os = "linux")]
mod member_config;
#[cfg(target_os = "linux")]
pub mod net;
#[cfg(target_os = "linux")]
pub mod pgbench;
#[cfg(target_os = "linux")]
pub mod pgbouncer;
#[cfg(target_os = "linux")]
pub mod pool_scenario;
#[cfg(target_os = "linux")]
pub mod process;
#[cfg(target_os = "linux")]
pub mod proxy;
#[cfg(target_os = "linux")]
pub mod redis;
#[cfg(target_os = "linux")]
pub mod scenario;
#[cfg(target_os = "linux")]
pub mod writer;
