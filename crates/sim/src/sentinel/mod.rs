//! Sentinels in a simulated world: several real state machines, the Redis servers they watch, a network that fails, disks that
//! fill up, processes that freeze and crash; and an oracle that looks at it.
//!
//! Deliberately its own small world beside the one for PostgreSQL: no agents and no raft, because Sentinel needs neither. The
//! invariant: one seed sets everything, so every run can be replayed, event by event.
//!
//! The map: `world` (the agenda), `process` (a Sentinel and the driver around it), `redis` (the servers' model), `wire`
//! (connections between them), `faults`, `oracle` (what must hold), `mutant` (rules broken on purpose), `run` (seed after
//! seed).

pub mod faults;
pub mod mutant;
pub mod oracle;
pub mod process;
pub mod redis;
pub mod run;
pub mod setup;
pub mod wire;
pub mod world;
