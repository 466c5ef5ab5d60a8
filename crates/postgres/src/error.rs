//! Everything that can go wrong with one PostgreSQL, with what it printed and what to do about it.
//!
//! One enum for the crate, because callers show these to people and seldom tell them apart. The invariant: no variant
//! carries a password; connection strings are kept out of every text.

use std::{fmt, io, path::PathBuf, time::Duration};
use types::Timeline;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the PostgreSQL program '{program}' was not found (looked in {})", list(.looked_in))]
    BinaryMissing { program: String, looked_in: Vec<PathBuf> },

    #[error("'{}' does not say its version: it printed '{printed}'", .program.display())]
    VersionUnknown { program: PathBuf, printed: String },

    #[error("PostgreSQL {found} is too old: {minimum} is the oldest that is supported")]
    VersionUnsupported { found: String, minimum: u32 },

    #[error("'{}' could not be started: {source}", .program.display())]
    Spawn { program: PathBuf, source: io::Error },

    #[error("{program} failed ({status}): {printed}")]
    Tool { program: String, status: String, printed: String },

    #[error("{program} did not finish within {} s: {printed}", .after.as_secs())]
    ToolTimeout { program: String, after: Duration, printed: String },

    #[error("cannot {action} '{}': {source}", .path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },

    #[error("the data directory '{}' cannot be used: {why}", .path.display())]
    DataDirectory { path: PathBuf, why: String },

    #[error("the setting '{name}' is not usable: {why}")]
    Setting { name: String, why: String },

    #[error("no encrypted connection to PostgreSQL is possible: {source}")]
    Certificates { source: tls::TlsError },

    /// `code` is the server's, empty when it said nothing; see [`Error::is_starting`].
    #[error("no connection to PostgreSQL at {address}: {why}")]
    Connect { address: String, code: String, why: String },

    #[error("PostgreSQL refused {action}: {message}")]
    Sql { action: &'static str, code: String, message: String },

    /// `server_answered`: the server itself ended the statement and goes on; otherwise nothing came back at all.
    #[error("PostgreSQL did not answer {action} within {} ms", .after.as_millis())]
    SqlTimeout { action: &'static str, after: Duration, server_answered: bool },

    #[error("PostgreSQL answered {action} with something unexpected: {why}")]
    Answer { action: &'static str, why: String },

    #[error("the store names timeline {named} and this server is on {own}: too far apart to be passed over")]
    TimelinesApart { own: Timeline, named: Timeline },

    #[error("the postmaster did not become ready within {} s (last state: {last})", .after.as_secs())]
    NotReady { after: Duration, last: String },

    #[error("the postmaster ended before it was ready")]
    PostmasterEnded,
}

impl Error {
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    /// Whether the server is there, but starting, recovering or stopping (cannot_connect_now).
    pub fn is_starting(&self) -> bool {
        matches!(self, Self::Connect { code, .. } if code == "57P03")
    }

    /// Stable, for documentation and for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BinaryMissing { .. } => "postgres-binary-missing",
            Self::VersionUnknown { .. } => "postgres-version-unknown",
            Self::VersionUnsupported { .. } => "postgres-version-unsupported",
            Self::Spawn { .. } => "postgres-tool-not-started",
            Self::Tool { .. } => "postgres-tool-failed",
            Self::ToolTimeout { .. } => "postgres-tool-timeout",
            Self::File { .. } => "postgres-file",
            Self::DataDirectory { .. } => "postgres-data-directory",
            Self::Setting { .. } => "postgres-setting",
            Self::Certificates { .. } => "postgres-certificates",
            Self::Connect { .. } => "postgres-connect",
            Self::Sql { .. } => "postgres-sql",
            Self::SqlTimeout { .. } => "postgres-sql-timeout",
            Self::Answer { .. } => "postgres-answer",
            Self::TimelinesApart { .. } => "postgres-timelines-apart",
            Self::NotReady { .. } => "postgres-not-ready",
            Self::PostmasterEnded => "postgres-ended",
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::BinaryMissing { program, .. } => format!(
                "install PostgreSQL ({}), or say where it is with postgresql.bin_dir",
                if cfg!(windows) {
                    "the installer puts it in C:/Program Files/PostgreSQL"
                } else {
                    package_of(program)
                }
            ),
            Self::VersionUnknown { .. } => "check postgresql.bin_dir and postgresql.bin_name".to_owned(),
            Self::VersionUnsupported { minimum, .. } => {
                format!("install PostgreSQL {minimum} or newer and point postgresql.bin_dir at it")
            }
            Self::Spawn { .. } => "check that the file may be executed by the agent's user".to_owned(),
            Self::Tool { printed, .. } => hint_from(printed).to_owned(),
            Self::ToolTimeout { .. } => "look for a hanging disk or network connection".to_owned(),
            Self::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "give the user that runs the agent access to it".to_owned()
            }
            Self::File { .. } => "check the path and the free space of its disk".to_owned(),
            Self::DataDirectory { .. } => {
                "move it away, or reinitialise this member: quorate reinit SCOPE MEMBER".to_owned()
            }
            Self::Setting { .. } => "correct it in the configuration file, or with: quorate edit-config".to_owned(),
            Self::Certificates { source } => source.hint().to_owned(),
            Self::Connect { why, .. } => hint_from(why).to_owned(),
            Self::Sql { message, .. } => hint_from(message).to_owned(),
            Self::SqlTimeout { .. } => "the server is overloaded, its disk hangs, or it is still recovering".to_owned(),
            Self::Answer { .. } => "this is a defect; please report it with the text above".to_owned(),
            Self::TimelinesApart { .. } => {
                "correct the key 'history' of this cluster in the store, or delete it".to_owned()
            }
            Self::NotReady { .. } | Self::PostmasterEnded => "see the end of PostgreSQL's own log".to_owned(),
        }
    }
}

/// The best known advice for what PostgreSQL printed.
fn hint_from(printed: &str) -> &'static str {
    const MADE_OUT: &str = "the server's certificate must be made out to its address; or use sslmode: verify-ca";
    const KNOWN: &[(&str, &str)] = &[
        ("no pg_hba.conf entry", "add a line for this user and address to postgresql.pg_hba"),
        ("password authentication failed", "make postgresql.authentication the same on every member"),
        ("does not exist and is not", "create it, or correct the name"),
        ("UnknownIssuer", "sslrootcert must be the authority that signed the server's certificate"),
        ("NotValidForName", MADE_OUT),
        ("not valid for name", MADE_OUT),
        ("does not support TLS", "set ssl: on in postgresql.parameters there, or another sslmode"),
        ("Connection refused", "start PostgreSQL there, or correct the address"),
        ("could not connect", "check the address, the port and the firewall"),
        ("No space left on device", "free some disk space"),
        ("cannot be run as root", "run the agent as an ordinary user, or name one for PostgreSQL"),
        ("could not find previous WAL record", "the WAL needed is gone; set restore_command or clone the member anew"),
        ("must be superuser", "use the superuser, or grant the functions pg_rewind needs"),
        ("permission denied", "grant the missing right, or correct the owner of the file"),
        ("invalid locale name", "install the locale, or choose another in bootstrap.initdb"),
        ("is not empty", "empty the directory, or choose another data_dir"),
        ("all replication slots are in use", "raise max_replication_slots"),
        ("max_wal_senders", "raise max_wal_senders"),
        ("too many clients", "raise max_connections, or superuser_reserved_connections"),
    ];
    KNOWN.iter().find(|(text, _)| printed.contains(text)).map_or("see the text above and PostgreSQL's own log", |k| k.1)
}

fn package_of(program: &str) -> &'static str {
    match program {
        "psql" | "pg_basebackup" => "Debian and Ubuntu: apt install postgresql-client; Red Hat: dnf install postgresql",
        _ => "Debian and Ubuntu: apt install postgresql; Red Hat: dnf install postgresql-server",
    }
}

fn list(paths: &[PathBuf]) -> String {
    struct Shown<'a>(&'a [PathBuf]);
    impl fmt::Display for Shown<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            for (index, path) in self.0.iter().enumerate() {
                write!(f, "{}{}", if index > 0 { ", " } else { "" }, path.display())?;
            }
            Ok(())
        }
    }
    if paths.is_empty() { "PATH".to_owned() } else { Shown(paths).to_string() }
}
