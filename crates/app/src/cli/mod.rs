//! The command line for people and scripts: `patronictl`'s commands, options and tables.
//!
//! Deliberately a client like any other: it reads the store's keys and asks the members' REST API, and knows nothing of
//! a local agent. The invariants: data goes to standard output and everything else to standard error, a question is
//! asked only on a terminal, and the exit code tells whether what was asked for has happened.

mod api;
mod arguments;
pub mod ask;
mod command;
mod context;
mod doctor;
mod examine;
mod failure;
mod local_time;
mod output;
mod places;
mod render;
mod screen;
mod support;
mod watch;

pub use arguments::{CliCommand, DsnVia, GlobalArguments};
pub use command::connection_strings;
pub use failure::Failure;
pub use output::emit;
pub use places::find as find_configuration;

/// Done, and it is so.
pub const EXIT_DONE: i32 = 0;
/// It was tried, and it did not happen; or it is not known whether it did.
pub const EXIT_FAILED: i32 = 1;
/// Nothing was tried: a wrong option, a wrong configuration, or no confirmation.
pub const EXIT_USAGE: i32 = 2;

/// Carries out one command and returns the exit code. What went wrong is on standard error by then.
pub async fn run(global: GlobalArguments, command: CliCommand) -> i32 {
    match command::run(&global, command).await {
        Ok(()) => EXIT_DONE,
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("{failure}");
            }
            failure.exit
        }
    }
}
