//! pgbench as a client: transactions of several statements, and what became of each of them.

use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// Rows tell how many transactions were really committed.
const CREATE_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS drill_transactions (run text, at timestamptz DEFAULT clock_timestamp())";
/// Between two transactions of a client, in milliseconds: many clients, and yet a machine that has time for the cluster.
const THINK_MS: u32 = 5;

/// Transactions in a second of a client that connects for each of them.
const RATE_OF_EACH: u32 = 4;

/// What pgbench does.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub clients: u32,
    pub seconds: u32,
    /// A connection of its own for each transaction.
    pub connect_each_time: bool,
}

/// What became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Confirmed.
    pub transactions: usize,
    /// Those that pgbench counts as failed.
    pub failed: u64,
    /// Clients that pgbench gave up after an error; it does not connect again.
    pub aborted_clients: usize,
    /// The longest time in which no client's transaction was confirmed.
    pub longest_pause_ms: f64,
    /// The longest time that one transaction took.
    pub longest_transaction_ms: f64,
    /// What it complained about.
    pub errors: Vec<String>,
}

/// A pgbench that runs; it ends when this is dropped.
#[derive(Debug)]
pub struct Pgbench {
    child: Child,
    directory: tempfile::TempDir,
}

/// Makes the table that pgbench writes to.
pub async fn prepare(config: &tokio_postgres::Config) -> Result<()> {
    let client = crate::writer::connect(config).await.context("cannot connect to make the table")?;
    client.batch_execute(CREATE_TABLE).await.context("cannot make the table")
}

/// How many transactions of this run are in the table.
pub async fn committed(config: &tokio_postgres::Config, run: &str) -> Result<usize> {
    let client = crate::writer::connect(config).await?;
    let question = "SELECT count(*) FROM drill_transactions WHERE run = $1";
    Ok(client.query_one(question, &[&run]).await?.get::<_, i64>(0) as usize)
}

impl Pgbench {
    /// `run` names the transactions; letters and digits.
    pub fn start(host: &str, port: u16, database: &str, password: &str, run: &str, load: Load) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let think = if load.connect_each_time { String::new() } else { format!("\\sleep {THINK_MS} ms\n") };
        let script = format!(
            "BEGIN;\nINSERT INTO drill_transactions (run) VALUES ('{run}');\nSELECT pg_is_in_recovery();\nCOMMIT;\n{think}"
        );
        std::fs::write(directory.path().join("script.sql"), script)?;
        let mut command = Command::new(program()?);
        command.args(["--no-vacuum", "--log", "--log-prefix=log", "--protocol=simple", "--file=script.sql"]);
        command.args([format!("--client={}", load.clients), format!("--time={}", load.seconds)]);
        if load.connect_each_time {
            // Slowly: most of the clients are not connected at any one moment. And one that waits for its connection must
            // not keep another one waiting, which is why each has a thread.
            let (rate, jobs) = (load.clients * RATE_OF_EACH, load.clients);
            command.args(["--connect".to_owned(), format!("--rate={rate}"), format!("--jobs={jobs}")]);
        }
        command.args(["-h", host, "-p", &port.to_string(), "-U", "postgres", database]).env("PGPASSWORD", password);
        command.current_dir(directory.path()).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().context("cannot start pgbench")?;
        Ok(Self { child, directory })
    }

    /// Waits for its end.
    pub async fn report(self) -> Result<Report> {
        let output = self.child.wait_with_output().await?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let moments = moments(self.directory.path())?;
        if moments.is_empty() {
            bail!("pgbench did nothing: {err}");
        }
        let failed = out.lines().find_map(|line| line.strip_prefix("number of failed transactions: "));
        let failed = failed.and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or_default();
        let errors: Vec<String> =
            err.lines().filter(|line| line.contains("error") || line.contains("aborted")).map(str::to_owned).collect();
        let longest_pause = moments.windows(2).map(|two| two[1].0.saturating_sub(two[0].0)).max().unwrap_or_default();
        let longest_transaction = moments.iter().map(|(_, took)| *took).max().unwrap_or_default();
        Ok(Report {
            transactions: moments.len(),
            failed,
            aborted_clients: errors.iter().filter(|line| line.contains("aborted")).count(),
            longest_pause_ms: longest_pause.as_secs_f64() * 1000.0,
            longest_transaction_ms: longest_transaction.as_secs_f64() * 1000.0,
            errors,
        })
    }
}

/// The end of each transaction and how long it took, in order of time.
fn moments(directory: &Path) -> Result<Vec<(Duration, Duration)>> {
    let mut moments = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log.")) {
            moments.extend(std::fs::read_to_string(path)?.lines().filter_map(moment));
        }
    }
    moments.sort_unstable();
    Ok(moments)
}

/// pgbench's log: client, number, microseconds it took, script, and when it ended in seconds and microseconds.
fn moment(line: &str) -> Option<(Duration, Duration)> {
    let fields: Vec<u64> = line.split(' ').take(6).map(str::parse).collect::<Result<_, _>>().ok()?;
    let [_, _, took, _, seconds, microseconds] = fields[..] else { return None };
    Some((Duration::from_secs(seconds) + Duration::from_micros(microseconds), Duration::from_micros(took)))
}

/// The newest that the distribution has.
fn program() -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|entry| entry.path().join("bin/pgbench")).filter(|path| path.is_file());
    found.max().context("there is no pgbench\nhint: the package postgresql has it, ./dev installs it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_pgbenchs_log_is_read() {
        let expected = (Duration::new(1_175_850_568, 995_598_000), Duration::from_micros(2241));
        assert_eq!(moment("0 199 2241 0 1175850568 995598"), Some(expected));
        assert_eq!(moment("0 199 2241 0 1175850568 995598 57"), Some(expected));
        assert_eq!(moment("0 199 failed 0 1175850568 995598"), None);
    }
}
