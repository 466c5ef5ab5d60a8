//! SQL to PostgreSQL: one lasting connection to the local server, short ones to others.
//!
//! Deliberately only what the agent needs. The invariants: every statement has a time limit on both sides; a
//! connection that exceeded it is given up, so that a hung server holds no more than one of ours per attempt; and no
//! statement of ours waits for a synchronous standby, except where a drill stands for a client.

mod administration;
mod encryption;
mod remote;
mod roles;
mod status;

pub use encryption::needed_certificates;
pub use remote::{Committer, SourceState, fetch_history, source_state};
pub use roles::{Account, Accounts, create_roles};
pub use status::{Receiver, ReplicationRow, SlotRow, SqlStatus, WalPosition};

use crate::{
    Secret,
    conninfo::Conninfo,
    error::{Error, Result},
};
use encryption::{Encryption, Failure};
use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio_postgres::{Client, Row, Statement, types::ToSql};

/// The server ends a statement by itself first; this much later we no longer wait for it to say so.
const ANSWER_MARGIN: Duration = Duration::from_millis(500);

/// How to reach the local server as superuser.
#[derive(Clone, Debug)]
pub struct LocalAddress {
    /// An address, or on Unix the directory of the socket.
    pub host: String,
    pub port: u16,
}

impl LocalAddress {
    /// `listen` is `listen_addresses`; `socket_dir`, when the configuration wants sockets, comes first.
    pub fn new(listen: &str, port: u16, socket_dir: Option<&PathBuf>) -> Self {
        let socket = socket_dir.filter(|_| cfg!(unix)).map(|dir| dir.to_string_lossy().into_owned());
        let host = socket.unwrap_or_else(|| {
            match listen.split(',').map(str::trim).find(|host| !host.is_empty()).unwrap_or("localhost") {
                "*" | "0.0.0.0" => "127.0.0.1".to_owned(),
                "::" => "::1".to_owned(),
                other => other.to_owned(),
            }
        });
        Self { host, port }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    pub connect: Duration,
    pub statement: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        // A healthy local server answers in a millisecond; one under heavy load in some hundreds.
        Self { connect: Duration::from_secs(2), statement: Duration::from_secs(3) }
    }
}

/// A connection with the task that moves its bytes; both end together.
pub(crate) struct Session {
    client: Client,
    probe: tokio::sync::OnceCell<Statement>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The local server. Cheap to keep; connects when first used and again after every loss.
pub struct Local {
    server: Conninfo,
    timeouts: Timeouts,
    session: Mutex<Option<Arc<Session>>>,
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Local({})", self.server.address())
    }
}

impl Local {
    pub fn new(address: &LocalAddress, superuser: &str, password: Option<Secret>, timeouts: Timeouts) -> Self {
        let server = Conninfo {
            host: address.host.clone(),
            port: address.port,
            user: superuser.to_owned(),
            password,
            ..Conninfo::default()
        };
        Self { server, timeouts, session: Mutex::new(None) }
    }

    /// With libpq's parameters, and the name that the server's certificate has where that is not the address.
    #[must_use]
    pub fn with(mut self, options: BTreeMap<String, String>, name: &str) -> Self {
        self.server.options = options;
        self.server.answered_by = vec![name.to_owned()];
        self
    }

    /// Rows of one statement on the lasting connection.
    pub async fn query(&self, action: &'static str, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        let session = self.session().await?;
        self.limited(action, &session, session.client.query(sql, values)).await
    }

    /// Runs statements without values or results.
    pub async fn execute(&self, action: &'static str, sql: &str) -> Result<()> {
        let session = self.session().await?;
        self.limited(action, &session, session.client.batch_execute(sql)).await
    }

    /// The same on a connection of its own, whose settings are `options` ("-c name=value").
    pub(crate) async fn execute_alone(
        &self,
        action: &'static str,
        sql: &str,
        timeouts: Timeouts,
        options: &str,
    ) -> Result<()> {
        let session = connect(&self.server, timeouts, options).await?;
        limited(action, timeouts.statement, session.client.batch_execute(sql)).await
    }

    /// Gives up the present connection; the next call makes a new one.
    pub fn disconnect(&self) {
        self.slot().take();
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<Session>>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner) // what it guards is whole at every moment
    }

    async fn session(&self) -> Result<Arc<Session>> {
        if let Some(session) = self.slot().as_ref().filter(|session| !session.client.is_closed()) {
            return Ok(session.clone());
        }
        let session = Arc::new(connect(&self.server, self.timeouts, "").await?);
        *self.slot() = Some(session.clone());
        Ok(session)
    }

    async fn limited<T>(
        &self,
        action: &'static str,
        session: &Arc<Session>,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T> {
        let result = limited(action, self.timeouts.statement, work).await;
        if matches!(result, Err(Error::SqlTimeout { server_answered: false, .. })) {
            let mut slot = self.slot();
            if slot.as_ref().is_some_and(|current| Arc::ptr_eq(current, session)) {
                slot.take();
            }
        }
        result
    }
}

/// Sets what every connection of ours needs, whatever the server's own defaults say.
fn configure(mut config: tokio_postgres::Config, timeouts: Timeouts, more: &str) -> tokio_postgres::Config {
    let options = format!(
        "-c statement_timeout={} -c search_path=pg_catalog -c synchronous_commit=local \
         -c default_transaction_read_only=off {more}",
        timeouts.statement.as_millis()
    );
    config.options(options);
    config.connect_timeout(timeouts.connect);
    config
}

async fn connect(server: &Conninfo, timeouts: Timeouts, more: &str) -> Result<Session> {
    let config = configure(server.to_tokio(), timeouts, more);
    let encryption = Encryption::of(server)?;
    let failed = |Failure { code, why }| Error::Connect { address: server.address(), code, why };
    // The library's own limit covers only the network's part, not a server that accepts and then hangs.
    let in_time = tokio::time::timeout(timeouts.connect, encryption.connect(&config)).await;
    let late =
        |_| Failure { code: String::new(), why: format!("no answer within {} ms", timeouts.connect.as_millis()) };
    let (client, task) = in_time.map_err(late).flatten().map_err(failed)?;
    Ok(Session { client, probe: tokio::sync::OnceCell::new(), task })
}

async fn limited<T>(
    action: &'static str,
    limit: Duration,
    work: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T> {
    match tokio::time::timeout(limit + ANSWER_MARGIN, work).await {
        Ok(result) => result.map_err(|error| sql_error(action, limit, &error)),
        Err(_) => Err(Error::SqlTimeout { action, after: limit + ANSWER_MARGIN, server_answered: false }),
    }
}

fn sql_error(action: &'static str, limit: Duration, error: &tokio_postgres::Error) -> Error {
    let code = code(error);
    match code {
        // query_canceled, here by statement_timeout
        "57014" => Error::SqlTimeout { action, after: limit, server_answered: true },
        _ => Error::Sql { action, code: code.to_owned(), message: describe(error) },
    }
}

fn code(error: &tokio_postgres::Error) -> &str {
    error.code().map_or("", tokio_postgres::error::SqlState::code)
}

/// The library prints "db error"; what the server said is inside.
fn describe(error: &tokio_postgres::Error) -> String {
    use std::error::Error as _;
    if let Some(server) = error.as_db_error() {
        let more = [server.detail(), server.hint()].into_iter().flatten().map(|text| format!(" ({text})"));
        return format!("{}: {}{}", server.severity(), server.message(), more.collect::<String>());
    }
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_server_is_reached_where_it_listens() {
        let socket = PathBuf::from("/run/postgresql");
        for (listen, socket, host) in [
            ("127.0.0.11", None, "127.0.0.11"),
            ("*", None, "127.0.0.1"),
            ("0.0.0.0", None, "127.0.0.1"),
            ("::", None, "::1"),
            (" node1 , localhost", None, "node1"),
            ("", None, "localhost"),
            ("*", Some(&socket), if cfg!(unix) { "/run/postgresql" } else { "127.0.0.1" }),
        ] {
            assert_eq!(LocalAddress::new(listen, 5432, socket).host, host, "{listen}");
        }
    }
}
