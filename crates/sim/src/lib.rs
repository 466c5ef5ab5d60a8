//! A whole cluster in one thread: real decisions, guard, leases, store and log, in a simulated world of clocks, networks,
//! disks, processes, PostgreSQL and Redis, under faults and under the eyes of an oracle.
//!
//! Deliberately no rule of the product: what is right is decided in `ha` and `store`, what is wrong is seen in `oracle`.
//! The invariant: one seed sets everything, so every run can be replayed, event by event.
//!
//! The map: `world` (the agenda), `clock`, `network`, `disk`, `postgres` and `redis` (the models), `store` (the real one, driven),
//! `remote` (the primary that a standby cluster follows), `guard` and `worker` (the processes around the real decisions), `service` (processes come and go), `clients`, `faults`,
//! `operator`, `oracle` and `convergence` (what must hold), `mutant` (rules broken on purpose), `run` (seed after seed). Sentinels have a
//! world of their own, `sentinel`.

pub mod cards;
pub mod clients;
pub mod clock;
mod convergence;
pub mod disk;
pub mod faults;
pub mod guard;
pub mod mutant;
pub mod network;
pub mod operator;
pub mod oracle;
pub mod postgres;
pub mod random;
pub mod redis;
pub mod remote;
pub mod run;
pub mod sentinel;
mod service;
pub mod setup;
pub mod store;
pub mod trace;
pub mod worker;
pub mod world;
