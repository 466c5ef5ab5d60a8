//! What is to be said about a plan: a problem or a remark, at its field.

use serde::Serialize;
use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is written.
    Error,
    /// It works, and a person should know.
    Warning,
    Note,
}

/// One problem, or one remark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stays the same when the sentence is improved.
    pub code: &'static str,
    /// A path in `cluster.yaml`, such as `members[1].address`; empty when it concerns the whole plan.
    pub field: String,
    pub severity: Severity,
    /// One sentence.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl Finding {
    pub fn new(
        severity: Severity,
        code: &'static str,
        field: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { code, field: field.into(), severity, message: message.into(), hint: hint.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        write!(f, "{} [{}]", self.message, self.code)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, "\nhint: {}", self.hint) }
    }
}

/// Whether anything forbids to go on.
pub fn has_errors(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}
