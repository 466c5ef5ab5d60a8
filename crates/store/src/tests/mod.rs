//! The store as a whole: a few members in one loop with a seed.

mod faults;
mod leases;
mod network;
mod replication;
