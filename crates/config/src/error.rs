//! What is wrong with a configuration: every problem with its place, its key and a stable code.

use crate::Place;
use std::fmt;

/// The kind of a problem. The name stays the same when a sentence is improved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A file cannot be read.
    File,
    /// Not YAML.
    Syntax,
    UnknownKey,
    /// A number is missing where a number belongs, and the like.
    Type,
    /// The right type, outside the accepted values.
    Range,
    Missing,
    /// Two settings exclude each other.
    Conflict,
    /// Patroni or a later version knows it, this version does not.
    Unsupported,
    /// The store's members cannot form a majority sensibly.
    Voters,
    /// The agent sets it itself.
    Reserved,
    /// The same key twice.
    Duplicate,
    /// Accepted, and something to know about.
    Note,
}

impl Code {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "config-file",
            Self::Syntax => "config-syntax",
            Self::UnknownKey => "config-unknown-key",
            Self::Type => "config-type",
            Self::Range => "config-range",
            Self::Missing => "config-missing",
            Self::Conflict => "config-conflict",
            Self::Unsupported => "config-unsupported",
            Self::Voters => "config-voters",
            Self::Reserved => "config-reserved",
            Self::Duplicate => "config-duplicate",
            Self::Note => "config-note",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One problem, or one warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub code: Code,
    pub place: Option<Place>,
    /// Dotted path, such as `postgresql.listen`; empty when it concerns the whole file.
    pub key: String,
    /// One sentence, with the accepted values.
    pub message: String,
    pub hint: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{} [{}]", self.message, self.code)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Everything that is wrong, in the order of the files and their lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Collects while the configuration is read.
#[derive(Debug, Default)]
pub(crate) struct Report {
    errors: Vec<ConfigError>,
    warnings: Vec<ConfigError>,
}

impl Report {
    pub fn error(&mut self, error: ConfigError) {
        self.errors.push(error);
    }

    pub fn warn(&mut self, warning: ConfigError) {
        self.warnings.push(warning);
    }

    pub fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    pub fn take_warnings(&mut self) -> Vec<ConfigError> {
        std::mem::take(&mut self.warnings)
    }

    /// Sorted by line within each file; what has no place comes last.
    pub fn into_errors(mut self) -> ConfigErrors {
        let line = |error: &ConfigError| error.place.as_ref().map_or(u32::MAX, |place| place.line);
        self.errors.sort_by_key(line);
        ConfigErrors(self.errors)
    }

    pub fn finish(self, config: Option<crate::MemberConfig>) -> Result<crate::MemberConfig, ConfigErrors> {
        match config {
            Some(config) if self.errors.is_empty() => Ok(crate::MemberConfig { warnings: self.warnings, ..config }),
            _ => Err(self.into_errors()),
        }
    }
}

/// Makes a problem at a place.
pub(crate) fn problem(code: Code, place: &Place, key: &str, message: impl Into<String>) -> ConfigError {
    ConfigError { code, place: Some(place.clone()), key: key.to_owned(), message: message.into(), hint: None }
}

impl ConfigError {
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}
