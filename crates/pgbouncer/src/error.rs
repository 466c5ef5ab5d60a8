//! What goes wrong with a PgBouncer.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("it cannot be reached at {place}: {why}")]
    Connect { place: String, why: String },
    #[error("it did not answer within {seconds} s")]
    Silent { seconds: u64 },
    #[error("{command}: {why}")]
    Refused { command: String, why: String },
    #[error("password_file {}: {why}", path.display())]
    PasswordFile { path: PathBuf, why: std::io::Error },
    #[error("include_file {}: {why}", path.display())]
    IncludeFile { path: PathBuf, why: std::io::Error },
}

/// The words of the server where there are any, without the library's in front.
pub(crate) fn words(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(answer) => answer.message().to_owned(),
        None => std::error::Error::source(error).map_or(error.to_string(), |cause| format!("{error}: {cause}")),
    }
}
