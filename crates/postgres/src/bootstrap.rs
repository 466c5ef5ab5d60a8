//! Makes a new, empty cluster.
//!
//! Deliberately not the race for who may: that is decided elsewhere. The invariants: the superuser's password is
//! never on a command line; an initdb that was interrupted leaves no directory that looks valid.

use crate::{
    Secret,
    binaries::Binaries,
    conninfo::{Conninfo, secret_file},
    data_directory::{self, Existing},
    durable::blocking,
    error::{Error, Result},
    options::{self, ToolOption},
    run::{Launcher, Tool},
};
use std::{path::Path, time::Duration};

/// Two seconds as a rule; a slow disk under load needs a minute.
const INITDB_TIMEOUT: Duration = Duration::from_secs(600);
/// Set by the agent.
const RESERVED: [&str; 7] = ["pgdata", "username", "pwfile", "pwprompt", "sync-only", "show", "version"];

/// What initdb is told.
#[derive(Clone, Debug)]
pub struct InitDb {
    pub superuser: String,
    pub password: Option<Secret>,
    /// `bootstrap.initdb`.
    pub options: Vec<ToolOption>,
}

/// Makes a data directory where there is none, or replaces what is there as `existing` says. Afterwards the caller
/// writes the configuration, has the server started and creates the users (see [`crate::sql::create_roles`]).
pub async fn initdb(
    binaries: &Binaries,
    launcher: &Launcher,
    data_dir: &Path,
    existing: Existing,
    init: &InitDb,
) -> Result<()> {
    let mut args = options::to_args("initdb", &init.options, &RESERVED)?;
    // Without a word on it, initdb lets every local user in as superuser.
    let chosen = |name: &str| args.iter().any(|arg| arg.to_string_lossy().starts_with(name));
    if init.password.is_some() && !chosen("--auth") {
        args.extend(["--auth-local=scram-sha-256".into(), "--auth-host=scram-sha-256".into()]);
    }
    if init.password.as_ref().is_some_and(|password| password.expose().contains(['\n', '\r', '\0'])) {
        let why = "a password with a line break cannot be given to initdb".to_owned();
        return Err(Error::Setting { name: "postgresql.authentication.superuser.password".to_owned(), why });
    }
    let password_file = match &init.password {
        Some(password) => Some(secret_file(launcher, password.expose())?),
        None => None,
    };
    if let Some(file) = &password_file {
        let mut arg = std::ffi::OsString::from("--pwfile=");
        arg.push(file.path());
        args.push(arg);
    }
    let unfinished = data_directory::begin(launcher, data_dir, existing).await?;
    let made = Tool::new(&binaries.initdb)
        .arg("-D")
        .arg(&unfinished)
        .arg(format!("--username={}", init.superuser))
        .arg("--no-instructions")
        .args(args)
        .timeout(INITDB_TIMEOUT)
        .run(launcher)
        .await;
    blocking(move || {
        drop(password_file);
        Ok(())
    })
    .await?;
    if let Err(error) = made {
        data_directory::abandon(data_dir).await?;
        return Err(error);
    }
    data_directory::finish(data_dir).await
}

/// Runs `bootstrap.post_bootstrap` with the connection string as its last argument, as Patroni does. The password is
/// in the file that PGPASSFILE names.
pub async fn post_bootstrap(launcher: &Launcher, command: &str, server: &Conninfo, limit: Duration) -> Result<()> {
    let refuse = |why: &str| Error::Setting { name: "bootstrap.post_bootstrap".to_owned(), why: why.to_owned() };
    let words = options::split_command(command).ok_or_else(|| refuse("a quote is not closed"))?;
    let (program, args) = words.split_first().ok_or_else(|| refuse("it is empty"))?;
    let pgpass = server.temporary_pgpass(launcher)?;
    let mut tool = Tool::new(program).args(args).arg(server.keywords(None)).timeout(limit);
    if let Some(file) = &pgpass {
        tool = tool.env("PGPASSFILE", file.path());
    }
    // The script's own statements must not wait for replicas that do not exist yet.
    tool.env("PGOPTIONS", "-c synchronous_commit=local").run(launcher).await.map(|_| ())
}
