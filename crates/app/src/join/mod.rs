//! How a server becomes a member: the cluster's authority, one-time tokens, `POST /join` and `quorate join`, bundles to
//! carry by hand, and certificates that are renewed.
//!
//! Deliberately nothing that decides about the cluster: all of it works on a directory, the *home*, and on the plan in it.
//! The invariants: a member's key never leaves the server it was made on, except in a bundle; a token is good once; nothing
//! is told to a server before it has shown a certificate of the authority that the token names; and every file with a
//! secret in it is readable by its owner alone from its first moment on.

mod arguments;
pub mod authority;
mod bundle;
mod client;
mod desk;
mod enrolment;
pub mod home;
mod refresh;
mod renewal;
mod start;
pub mod token;

pub use arguments::{BundleArguments, JoinArguments, TokenArguments};
pub use desk::Desk;
pub use home::Home;
pub use renewal::{Renewal, keep_renewed};
pub use start::{How, start};

use crate::cli::{EXIT_DONE, Failure};

pub fn run_join(arguments: &JoinArguments) -> i32 {
    end(match &arguments.bundle {
        Some(file) => bundle::join(arguments, file),
        None if arguments.refresh => refresh::refresh(&arguments.home),
        None => client::join(arguments),
    })
}

pub fn run_token(arguments: &TokenArguments) -> i32 {
    end(token::run(arguments).map(|()| EXIT_DONE))
}

pub fn run_bundle(arguments: &BundleArguments) -> i32 {
    end(bundle::make(arguments).map(|()| EXIT_DONE))
}

fn end(done: Result<i32, Failure>) -> i32 {
    done.unwrap_or_else(|failure| {
        if !failure.message.is_empty() {
            eprintln!("{failure}");
        }
        failure.exit
    })
}
