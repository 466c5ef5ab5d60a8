//! Why a command did not do what it was asked for.

use super::{EXIT_FAILED, EXIT_USAGE};
use std::fmt;

#[derive(Debug)]
pub struct Failure {
    /// A name that stays the same when the sentence is improved.
    pub code: &'static str,
    pub message: String,
    pub hint: Option<String>,
    pub exit: i32,
}

impl Failure {
    /// It was tried, and it failed.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, exit: EXIT_FAILED }
    }

    /// Nothing was tried.
    pub fn usage(code: &'static str, message: impl Into<String>) -> Self {
        Self { exit: EXIT_USAGE, ..Self::new(code, message) }
    }

    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error: {} [{}]", self.message, self.code)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  hint: {hint}"))
    }
}

impl std::error::Error for Failure {}

impl From<dcs::DcsError> for Failure {
    fn from(error: dcs::DcsError) -> Self {
        let code = match &error {
            dcs::DcsError::Unreachable { .. } => "cli-store-unreachable",
            dcs::DcsError::OutcomeUnknown { .. } => "cli-outcome-unknown",
            _ => "cli-store",
        };
        Self { hint: error.hint().map(str::to_owned), ..Self::new(code, error.to_string()) }
    }
}

impl From<config::ConfigErrors> for Failure {
    fn from(errors: config::ConfigErrors) -> Self {
        Self::usage("cli-configuration", format!("the configuration cannot be used\n{errors}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new("cli-io", error.to_string())
    }
}
