//! What the doctor says: a code that stays, how bad it is, one sentence, and what to do.

use serde::Serialize;

/// The worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It does not work now, or would not with the next start.
    Error,
    /// It works, and a fault that is likely some day would cost more than it has to.
    Warning,
    /// Worth knowing.
    Hint,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Hint => "hint",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub code: &'static str,
    pub severity: Severity,
    /// A member, `cluster`, or a file.
    pub subject: String,
    pub message: String,
    pub hint: String,
}

impl Finding {
    fn new(severity: Severity, code: &'static str, subject: &str, message: impl Into<String>, hint: &str) -> Self {
        Self { code, severity, subject: subject.to_owned(), message: message.into(), hint: hint.to_owned() }
    }

    pub fn error(code: &'static str, subject: &str, message: impl Into<String>, hint: &str) -> Self {
        Self::new(Severity::Error, code, subject, message, hint)
    }

    pub fn warning(code: &'static str, subject: &str, message: impl Into<String>, hint: &str) -> Self {
        Self::new(Severity::Warning, code, subject, message, hint)
    }

    pub fn hint(code: &'static str, subject: &str, message: impl Into<String>, hint: &str) -> Self {
        Self::new(Severity::Hint, code, subject, message, hint)
    }
}
