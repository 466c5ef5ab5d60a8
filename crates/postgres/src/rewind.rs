//! Takes a former primary back to the point where the leader's history left its own, with pg_rewind.
//!
//! Deliberately not the decision whether to (see [`crate::history`]), nor the standby's configuration afterwards. The
//! invariants: a rewind from a server whose control file is behind is refused, because pg_rewind would call it
//! unnecessary; a directory in which pg_rewind stopped half-way is marked as unusable.

use crate::{
    binaries::{Binaries, Version},
    configuration::Locations,
    conninfo::Conninfo,
    data_directory,
    durable::{self, blocking},
    error::{Error, Result},
    options::{self, ToolOption},
    run::{Launcher, Output, Tool, last_lines},
    sql::{SourceState, Timeouts, source_state},
};

/// Set by the agent. As Patroni's list.
const RESERVED: [&str; 10] = [
    "target-pgdata",
    "source-pgdata",
    "source-server",
    "write-recovery-conf",
    "dry-run",
    "restore-target-wal",
    "config-file",
    "no-ensure-shutdown",
    "version",
    "help",
];
/// From this version on pg_rewind can be told where postgresql.conf is.
const CONFIG_FILE_SINCE: u32 = 15;

#[derive(Clone, Debug)]
pub struct RewindFrom {
    /// The leader, as superuser or rewind user, with a database name.
    pub source: Conninfo,
    /// Whether the written configuration has a `restore_command` that may fetch missing WAL.
    pub restore_target_wal: bool,
    /// `postgresql.rewind`.
    pub options: Vec<ToolOption>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RewindOutcome {
    /// Nothing to take back: the server may follow the leader as it is.
    NotNeeded,
    /// The server may follow the leader now.
    Done,
    /// Nothing was changed; possible as soon as the source is a primary that completed a checkpoint on its timeline.
    SourceNotReady(SourceState),
    /// `damaged`: only a new clone helps. Otherwise the directory is as it was, apart from finished crash recovery.
    Failed { why: String, damaged: bool },
}

/// Rewinds a stopped server. pg_rewind itself lets a crashed one recover first.
pub async fn rewind(
    binaries: &Binaries,
    version: &Version,
    launcher: &Launcher,
    locations: &Locations,
    what: &RewindFrom,
    timeouts: Timeouts,
) -> Result<RewindOutcome> {
    let args = options::to_args("rewind", &what.options, &RESERVED)?;
    let source = source_state(&what.source, timeouts).await?;
    if !source.is_ready() {
        return Ok(RewindOutcome::SourceNotReady(source));
    }
    let pgpass = what.source.temporary_pgpass(launcher)?;
    let data_dir = locations.data_dir.clone();
    blocking(move || {
        // The recovery that pg_rewind starts runs in single-user mode, which refuses to be a standby.
        for signal in ["standby.signal", "recovery.signal"] {
            durable::remove(&data_dir.join(signal))?;
        }
        data_directory::set_marker(&data_dir)
    })
    .await?;

    let mut tool = Tool::new(&binaries.pg_rewind)
        .arg("-D")
        .arg(&locations.data_dir)
        .arg(format!("--source-server={}", what.source.keywords_for_tool()))
        .arg("--progress")
        .plain_messages();
    if what.restore_target_wal {
        tool = tool.arg("--restore-target-wal");
    }
    if locations.config_dir.is_some() && version.major >= CONFIG_FILE_SINCE {
        let mut arg = std::ffi::OsString::from("--config-file=");
        arg.push(locations.config_file());
        tool = tool.arg(arg);
    }
    if let Some(file) = &pgpass {
        tool = tool.env("PGPASSFILE", file.path());
    }
    let outcome = match tool.args(args).output(launcher, &mut |_| {}).await {
        Ok(output) => outcome(&output),
        Err(error @ Error::Spawn { .. }) => {
            unmark(locations).await?;
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    if !matches!(outcome, RewindOutcome::Failed { damaged: true, .. }) {
        unmark(locations).await?;
    }
    Ok(outcome)
}

async fn unmark(locations: &Locations) -> Result<()> {
    let data_dir = locations.data_dir.clone();
    blocking(move || data_directory::remove_marker(&data_dir)).await
}

fn outcome(output: &Output) -> RewindOutcome {
    let printed = format!("{}\n{}", output.stdout, output.stderr);
    if !output.success {
        // With --progress it says this right before it changes the first file.
        let damaged = printed.to_lowercase().contains("need to copy");
        let progress = |line: &&str| !line.contains(" kB (");
        let kept: Vec<&str> = printed.split(['\n', '\r']).filter(progress).collect();
        return RewindOutcome::Failed { why: last_lines(&kept.join("\n")), damaged };
    }
    if printed.contains("no rewind required") { RewindOutcome::NotNeeded } else { RewindOutcome::Done }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pg_rewinds_words_decide_the_outcome() {
        let output = |success, stderr: &str| Output {
            success,
            status: String::new(),
            stdout: String::new(),
            stderr: stderr.to_owned(),
        };
        let not_needed = "pg_rewind: connected to server\npg_rewind: no rewind required\n";
        assert_eq!(outcome(&output(true, not_needed)), RewindOutcome::NotNeeded);
        let done = "pg_rewind: need to copy 53 MB (total source directory size is 70 MB)\n\
                    54563/54563 kB (100%) copied\npg_rewind: Done!\n";
        assert_eq!(outcome(&output(true, done)), RewindOutcome::Done);
        let early = "pg_rewind: error: could not find previous WAL record at 0/3000028\n";
        let failed = RewindOutcome::Failed { why: early.trim().to_owned(), damaged: false };
        assert_eq!(outcome(&output(false, early)), failed);
        let late = "pg_rewind: Need to copy 53 MB\n1/54563 kB (0%) copied\rpg_rewind: fatal: gone\n";
        let why = "pg_rewind: Need to copy 53 MB; pg_rewind: fatal: gone".to_owned();
        assert_eq!(outcome(&output(false, late)), RewindOutcome::Failed { why, damaged: true });
    }
}
