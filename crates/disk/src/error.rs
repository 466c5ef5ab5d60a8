//! What can go wrong with a data directory, and what a person can do about it.

use std::io;
use thiserror::Error;

#[derive(Debug, Error)]
pub enum DiskError {
    /// Nothing of this write counts; it may be tried again later.
    #[error("no space left for {file}")]
    StorageFull { file: String },
    /// The process must end: what is on disk is unknown, and asking again would get a wrong answer.
    #[error("{file} could not be synced to disk: {source}")]
    SyncFailed { file: String, source: io::Error },
    #[error("cannot {action} {file}: {source}")]
    Io { action: &'static str, file: String, source: io::Error },
    #[error("{file} is damaged at byte {offset}: {reason}")]
    Damaged { file: String, offset: u64, reason: String },
    #[error("{file} is missing")]
    Missing { file: String },
    #[error("{directory} belongs to {found}, not to {expected}")]
    OtherIdentity { directory: String, found: String, expected: String },
    #[error("{directory} is in use by another process")]
    InUse { directory: String },
    #[error("{file} was written by a newer version (format {found}, this version knows {known})")]
    NewerFormat { file: String, found: u32, known: u32 },
    #[error("a write of {bytes} bytes is more than the log takes at once")]
    TooLarge { bytes: usize },
}

impl DiskError {
    /// Whether the same write may succeed later, and the process goes on until then.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::StorageFull { .. })
    }

    /// One sentence for a person.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::StorageFull { .. } => "make room on this file system; writing resumes by itself",
            Self::SyncFailed { .. } => {
                "check the disk (dmesg, smartctl); the member goes on where it was when it starts again"
            }
            Self::Io { .. } => "check the path, its owner and permissions",
            Self::Damaged { .. } | Self::Missing { .. } => {
                "move the data directory away and start again: the member gets its data from the others"
            }
            Self::OtherIdentity { .. } => {
                "correct the configured name, members or data directory; a directory that is no longer needed can be moved away"
            }
            Self::InUse { .. } => "stop the other process, or give this member a data directory of its own",
            Self::NewerFormat { .. } => "start the newer version again, or move the data directory away",
            Self::TooLarge { .. } => "this is a defect of the program; please report it",
        }
    }

    pub(crate) fn io(action: &'static str, file: String) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::StorageFull { file },
            _ => Self::Io { action, file, source },
        }
    }

    pub(crate) fn sync(file: String) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::SyncFailed { file, source }
    }
}
