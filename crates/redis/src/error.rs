//! Everything that can go wrong with one Redis, and what to do about it.
//!
//! The invariant: no variant carries a password.

use crate::binary::{Product, Version};
use resp::client::ClientError;
use std::path::PathBuf;
use std::{fmt, io};

const PASSWORD_HINT: &str = "make redis.authentication the same on every member; if the password was changed by hand \
                             (CONFIG SET requirepass, ACL SETUSER), change it back";

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no Redis server program was found (redis-server, valkey-server or memurai; looked in {})", Places(.looked_in))]
    BinaryMissing { looked_in: Vec<PathBuf> },

    #[error("'{}' does not say its version: it printed '{printed}'", .program.display())]
    VersionUnknown { program: PathBuf, printed: String },

    #[error("{product} {found} is too old: {minimum} is the oldest that is supported")]
    VersionUnsupported { product: Product, found: Version, minimum: Version },

    #[error("'{}' could not be started: {source}", .program.display())]
    Spawn { program: PathBuf, source: io::Error },

    #[error("cannot {action} '{}': {source}", .path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },

    #[error("no answer from Redis at {address} to {action}: {source}")]
    Client { address: String, action: &'static str, source: ClientError },

    /// An error reply; Redis's own text.
    #[error("Redis refused {action}: {message}")]
    Refused { action: &'static str, message: String },

    #[error("Redis answered {action} with something unexpected: {why}")]
    Answer { action: &'static str, why: String },

    #[error("the TLS files of Redis cannot be used: {source}")]
    Tls { source: ClientError },
}

impl Error {
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    /// Nobody listens where the server should: it is gone, or not there yet.
    pub fn is_refused_connection(&self) -> bool {
        matches!(self, Self::Client { source: ClientError::Refused, .. })
    }

    /// The server lives: it has answered, if only with an error.
    pub fn is_an_answer(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Answer { .. } | Self::Client { source: ClientError::Auth(_), .. })
    }

    /// Stable, for documentation and for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BinaryMissing { .. } => "redis-binary-missing",
            Self::VersionUnknown { .. } => "redis-version-unknown",
            Self::VersionUnsupported { .. } => "redis-version-unsupported",
            Self::Spawn { .. } => "redis-not-started",
            Self::File { .. } => "redis-file",
            Self::Client { .. } => "redis-connect",
            Self::Refused { .. } => "redis-refused",
            Self::Answer { .. } => "redis-answer",
            Self::Tls { .. } => "redis-tls",
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::BinaryMissing { .. } if cfg!(windows) => {
                "install Memurai or Valkey, or name the program in redis.binary".to_owned()
            }
            Self::BinaryMissing { .. } => "install it (Debian and Ubuntu: apt install redis-server or valkey-server; \
                 Red Hat: dnf install redis or valkey), or name the program in redis.binary"
                .to_owned(),
            Self::VersionUnknown { .. } => "check redis.binary and redis.bin_dir".to_owned(),
            Self::VersionUnsupported { minimum, .. } => {
                format!("install {minimum} or newer, and name the program in redis.binary")
            }
            Self::Spawn { .. } => "check that the file may be executed by the agent's user".to_owned(),
            Self::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "give the user that runs the agent access to it".to_owned()
            }
            Self::File { .. } => "check the path and the free space of its disk".to_owned(),
            Self::Client { source: ClientError::Auth(_), .. } => PASSWORD_HINT.to_owned(),
            Self::Refused { message, .. } if message.starts_with("NOAUTH") || message.starts_with("WRONGPASS") => {
                PASSWORD_HINT.to_owned()
            }
            Self::Refused { message, .. } if message.starts_with("NOPERM") => {
                "the user in redis.authentication must be allowed every command".to_owned()
            }
            Self::Client { .. } | Self::Refused { .. } => "see Redis's own log, beside its data directory".to_owned(),
            Self::Answer { .. } => "this is a defect; please report it with the text above".to_owned(),
            Self::Tls { .. } => "check redis.tls: three PEM files that the agent's user may read".to_owned(),
        }
    }
}

struct Places<'a>(&'a [PathBuf]);

impl fmt::Display for Places<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, path) in self.0.iter().enumerate() {
            write!(f, "{}{}", if index > 0 { ", " } else { "" }, path.display())?;
        }
        Ok(())
    }
}
