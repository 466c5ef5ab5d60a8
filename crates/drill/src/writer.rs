//! A client that writes one number every few milliseconds and remembers what was confirmed, when, and by whom.
//!
//! It behaves as a plain application does: one connection, and on any error a new one. It never repeats a write under
//! the same number, so a number is there exactly when its write was carried out. To PostgreSQL it writes rows, here; to
//! Redis the members of a set (`drill::redis::client`).

use crate::analysis::{Acknowledged, Failed, Record, Stage};
use anyhow::{Context, Result};
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_postgres::{Config, NoTls, Statement};

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS drill_writes (\
     run text, number bigint, at timestamptz DEFAULT clock_timestamp(), PRIMARY KEY (run, number))";
const INSERT: &str = "INSERT INTO drill_writes (run, number) VALUES ($1, $2)";
const WHO_ANSWERS: &str = "SELECT host(inet_server_addr()), inet_server_port()";
const READ_BACK: &str = "SELECT number FROM drill_writes WHERE run = $1";

/// More is not remembered; at 200 writes a second this is more than an hour.
const REMEMBERED_MAX: usize = 1_000_000;

/// How fast and how patient.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From the start of one write to the start of the next.
    pub interval: Duration,
    /// From an error to the next attempt to connect.
    pub retry: Duration,
    /// An ordinary client's patience: longer than a failover should take, so that a connection that a proxy holds is
    /// not given up and counted as an error.
    pub connect_timeout: Duration,
    pub write_timeout: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(5),
            retry: Duration::from_millis(10),
            connect_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(10),
        }
    }
}

/// The one clock of a drill.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn now_us(self) -> u64 {
        self.0.elapsed().as_micros() as u64
    }
}

/// A kind of server to write to.
pub trait Client: Send + 'static {
    type Session: Session;

    /// A new connection to whoever takes writes now.
    fn open(&mut self) -> impl Future<Output = Result<Self::Session, String>> + Send;

    /// Ends, with the reason, when the client is told by somebody else that its connection is not the right one any more.
    fn moved(&mut self, _session_node: &str) -> impl Future<Output = String> + Send {
        std::future::pending()
    }
}

/// A connection.
pub trait Session: Send {
    /// The server that answers, as `address:port`.
    fn node(&self) -> &str;

    /// Writes the number, once, as one of `run`.
    fn write(&mut self, run: &str, number: u64) -> impl Future<Output = Result<(), String>> + Send;
}

/// Where and as whom to connect to PostgreSQL.
pub fn login(host: IpAddr, port: u16, password: &str) -> Config {
    let mut config = Config::new();
    config.hostaddr(host).port(port).user("postgres").password(password).dbname("postgres");
    config.application_name("quorate-drill");
    config
}

/// Connects; the connection ends when the client is dropped.
pub async fn connect(config: &Config) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(async move {
        // Its error comes out of the client's next call, too.
        let _ = connection.await;
    });
    Ok(client)
}

/// Makes the table that writers write to.
pub async fn prepare_table(config: &Config) -> Result<()> {
    let client = connect(config).await.context("cannot connect to make the table")?;
    client.batch_execute(CREATE_TABLE).await.context("cannot make the table")
}

/// The numbers of a run that are in the table.
pub async fn read_back(config: &Config, run: &str) -> Result<HashSet<u64>> {
    let client = connect(config).await.context("cannot connect to read the writes back")?;
    let rows = client.query(READ_BACK, &[&run]).await.context("cannot read the writes back")?;
    Ok(rows.iter().map(|row| row.get::<_, i64>(0) as u64).collect())
}

/// A writer that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Writer {
    run: String,
    record: Arc<Mutex<Record>>,
    task: tokio::task::JoinHandle<()>,
}

impl Writer {
    /// `run` must be unique on the server.
    pub fn start(client: impl Client, run: &str, pace: Pace, clock: Clock) -> Self {
        let record = Arc::<Mutex<Record>>::default();
        let task = tokio::spawn(write(client, run.to_owned(), pace, clock, record.clone()));
        Self { run: run.to_owned(), record, task }
    }

    pub fn run(&self) -> &str {
        &self.run
    }

    /// The last confirmed write.
    pub fn last(&self) -> Option<Acknowledged> {
        lock(&self.record).acknowledged.last().cloned()
    }

    /// The text of the last error, for saying why nothing happens.
    pub fn last_error(&self) -> Option<String> {
        lock(&self.record).failed.last().map(|failed| failed.text.clone())
    }

    /// A write that is under way is given up: neither confirmed nor failed.
    pub async fn stop(mut self) -> Record {
        self.task.abort();
        let _ = (&mut self.task).await;
        std::mem::take(&mut lock(&self.record))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection to PostgreSQL.
#[derive(Debug)]
pub struct PostgresSession {
    client: tokio_postgres::Client,
    insert: Statement,
    node: String,
}

impl Client for Config {
    type Session = PostgresSession;

    async fn open(&mut self) -> Result<PostgresSession, String> {
        open(self).await.map_err(|error| describe(&error))
    }
}

async fn open(config: &Config) -> Result<PostgresSession, tokio_postgres::Error> {
    let client = connect(config).await?;
    let row = client.query_one(WHO_ANSWERS, &[]).await?;
    let node = format!("{}:{}", row.get::<_, &str>(0), row.get::<_, i32>(1));
    let insert = client.prepare(INSERT).await?;
    Ok(PostgresSession { client, insert, node })
}

impl Session for PostgresSession {
    fn node(&self) -> &str {
        &self.node
    }

    async fn write(&mut self, run: &str, number: u64) -> Result<(), String> {
        let done = self.client.execute(&self.insert, &[&run, &(number as i64)]).await;
        done.map(drop).map_err(|error| describe(&error))
    }
}

fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(answer) => format!("{} {}", answer.code().code(), answer.message()),
        None => std::error::Error::source(error).map_or(error.to_string(), |cause| format!("{error}: {cause}")),
    }
}

async fn write(mut client: impl Client, run: String, pace: Pace, clock: Clock, record: Arc<Mutex<Record>>) {
    let fail = |stage, text| {
        let mut record = lock(&record);
        if record.failed.len() < REMEMBERED_MAX {
            record.failed.push(Failed { at_us: clock.now_us(), stage, text });
        }
    };
    let mut number = 0;
    loop {
        let mut session = match in_time(pace.connect_timeout, client.open()).await {
            Ok(session) => session,
            Err(text) => {
                fail(Stage::Connect, text);
                sleep(pace.retry).await;
                continue;
            }
        };
        let node = session.node().to_owned();
        loop {
            number += 1;
            let (start, sent_us) = (Instant::now(), clock.now_us());
            let attempt = tokio::select! {
                biased; // what was confirmed counts, whatever else is heard
                done = in_time(pace.write_timeout, session.write(&run, number)) => done,
                reason = client.moved(&node) => Err(reason),
            };
            match attempt {
                Ok(()) => {
                    let mut record = lock(&record);
                    if record.acknowledged.len() < REMEMBERED_MAX {
                        let node = node.clone();
                        record.acknowledged.push(Acknowledged { number, sent_us, at_us: clock.now_us(), node });
                    }
                }
                Err(text) => {
                    fail(Stage::Write, text);
                    break;
                }
            }
            sleep_until(start + pace.interval).await;
        }
        drop(session);
        sleep(pace.retry).await;
    }
}

async fn in_time<T>(patience: Duration, what: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    timeout(patience, what).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}
