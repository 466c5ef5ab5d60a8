//! `quorate setup`: a cluster is described, checked, written, started, and watched while its other servers arrive: in a
//! browser, at the terminal, or without questions.
//!
//! Deliberately no rule about clusters (crate `plan`) and nothing about certificates and tokens (`join`). The invariants:
//! nothing is written while anything is wrong with the plan or with this server; whatever is written was shown before; and
//! the page is served on this machine only, to whoever has the address that was printed.

mod arguments;
mod bridge;
mod check;
mod draft;
mod finish;
mod first_plan;
mod machine;
mod preview;
mod progress;
mod terminal;
mod unattended;
mod web;
mod write;

pub use arguments::SetupArguments;

use crate::cli::Failure;
use bridge::Home;
use plan::{Finding, Severity};

/// What every way of setting up needs to know.
#[derive(Clone, Debug)]
pub struct Setting {
    pub home: Home,
    /// The agent runs below this command, instead of as a service.
    pub run: bool,
    pub start: bool,
}

pub fn run(arguments: &SetupArguments) -> i32 {
    let setting = Setting {
        home: Home::at(arguments.directory.as_deref()),
        run: arguments.run,
        start: !arguments.no_start && !arguments.dry_run,
    };
    let done = match (&arguments.from, arguments.terminal) {
        (Some(file), _) => unattended::run(&setting, file, arguments),
        (None, true) => terminal::run(&setting, arguments),
        (None, false) => web::run(&setting, arguments),
    };
    done.unwrap_or_else(|failure| {
        if !failure.message.is_empty() {
            eprintln!("{failure}");
        }
        failure.exit
    })
}

/// The first of the errors; all of them were shown, or are now.
fn refused(findings: &[Finding]) -> Failure {
    let mut errors = findings.iter().filter(|it| it.severity == Severity::Error);
    let Some(first) = errors.next() else { return Failure::usage("setup-refused", "nothing was written") };
    let more = match errors.count() {
        0 => String::new(),
        1 => " (and one problem more)".to_owned(),
        more => format!(" (and {more} problems more)"),
    };
    let place = if first.field.is_empty() { String::new() } else { format!("{}: ", first.field) };
    Failure::usage(first.code, format!("nothing was written: {place}{}{more}", first.message)).hint(first.hint.clone())
}

/// What is to be said, on standard error.
fn say<'a>(findings: impl IntoIterator<Item = &'a Finding>) {
    for finding in findings {
        let word = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        eprintln!("{word}: {finding}");
    }
}
