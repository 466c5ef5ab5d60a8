//! A Sentinel of ours as its clients, its peers and its administrator see it, beside real ones.

mod access;
mod bad_input;
mod beside_real;
mod commands;
mod configuration;
mod mixed_quorum;
mod scripts;
mod support;
mod swap;
mod tls;
