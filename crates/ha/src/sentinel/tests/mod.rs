//! Scripts: a Sentinel among pretended servers and peers, and what it says and does then.

mod admin;
mod configuration;
mod failovers;
mod native;
mod rig;
mod scripts;
mod watching;
mod whatever_comes;
