//! Copies another member's data directory with pg_basebackup.
//!
//! Deliberately not the choice of the source, nor the configuration afterwards. The invariant: the copy takes its place only when
//! it is complete and on disk; dropping the future ends the copy and leaves a directory marked as unfinished.

use crate::{
    binaries::Binaries,
    conninfo::Conninfo,
    data_directory::{self, Existing},
    error::Result,
    options::{self, ToolOption},
    run::{Launcher, Tool},
};
use std::path::Path;
use tokio::sync::watch;

/// Set by the agent. As Patroni's list, and where the copy goes.
const RESERVED: [&str; 14] = [
    "pgdata",
    "format",
    "wal-method",
    "xlog-method",
    "gzip",
    "compress",
    "version",
    "dbname",
    "host",
    "port",
    "username",
    "password",
    "slot",
    "write-recovery-conf",
];
/// A progress line is short; more without an end is not one.
const PROGRESS_LINE_BYTES_MAX: usize = 1024;

/// `total` is what the source estimated at the beginning and may be exceeded; zero: not known yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CloneProgress {
    pub bytes_done: u64,
    pub bytes_total: u64,
}

impl CloneProgress {
    /// `None`: not known yet. The estimate may be exceeded; more than everything is not said.
    pub fn percent(self) -> Option<u8> {
        let done = self.bytes_done.min(self.bytes_total);
        done.saturating_mul(100).checked_div(self.bytes_total).map(|percent| percent as u8)
    }
}

/// What to copy.
#[derive(Clone, Debug)]
pub struct CloneFrom {
    pub source: Conninfo,
    /// An existing physical slot on the source that keeps the WAL from now on; without it a temporary one is used.
    pub slot: Option<String>,
    /// `postgresql.basebackup`.
    pub options: Vec<ToolOption>,
}

/// Makes `data_dir` a copy of the source, replacing what is there as `existing` says.
pub async fn clone(
    binaries: &Binaries,
    launcher: &Launcher,
    data_dir: &Path,
    existing: Existing,
    what: &CloneFrom,
    progress: &watch::Sender<CloneProgress>,
) -> Result<()> {
    let args = options::to_args("basebackup", &what.options, &RESERVED)?;
    let pgpass = what.source.temporary_pgpass(launcher)?;
    let unfinished = data_directory::begin(launcher, data_dir, existing).await?;
    let mut tool = Tool::new(&binaries.pg_basebackup)
        .arg("-D")
        .arg(&unfinished)
        .args(["--format=plain", "--wal-method=stream", "--progress", "--no-password"])
        .arg(format!("--dbname={}", what.source.keywords_for_tool()))
        .plain_messages();
    if !what.options.iter().any(|option| option.to_arg().starts_with("--checkpoint=")) {
        tool = tool.arg("--checkpoint=fast");
    }
    if let Some(slot) = &what.slot {
        tool = tool.arg(format!("--slot={slot}"));
    }
    if let Some(file) = &pgpass {
        tool = tool.env("PGPASSFILE", file.path());
    }
    let mut line = String::new();
    let mut on_stderr = |text: &str| {
        for character in text.chars() {
            if matches!(character, '\n' | '\r') {
                if let Some(now) = parse_progress(&line) {
                    progress.send_replace(now);
                }
                line.clear();
            } else if line.len() < PROGRESS_LINE_BYTES_MAX {
                line.push(character);
            }
        }
    };
    let output = tool.args(args).output(launcher, &mut on_stderr).await;
    let copied = output.and_then(|mut output| {
        output.stderr = without_progress(&output.stderr);
        output.check("pg_basebackup")
    });
    if let Err(error) = copied {
        data_directory::abandon(data_dir).await?;
        return Err(error);
    }
    data_directory::finish(data_dir).await
}

/// Reads "  12345/67890 kB (18%), 0/1 tablespace (...)".
fn parse_progress(line: &str) -> Option<CloneProgress> {
    let (numbers, _) = line.split_once(" kB")?;
    let (done, total) = numbers.trim().split_once('/')?;
    let bytes = |kilobytes: &str| kilobytes.trim().parse::<u64>().ok()?.checked_mul(1024);
    Some(CloneProgress { bytes_done: bytes(done)?, bytes_total: bytes(total)? })
}

fn without_progress(printed: &str) -> String {
    let lines = printed.split(['\n', '\r']).filter(|line| parse_progress(line).is_none());
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_an_estimate_is_at_most_everything() {
        for (bytes_done, bytes_total, expected) in
            [(0, 0, None), (0, 7, Some(0)), (3, 7, Some(42)), (7, 7, Some(100)), (9, 7, Some(100)), (9, 0, None)]
        {
            assert_eq!(CloneProgress { bytes_done, bytes_total }.percent(), expected, "{bytes_done} of {bytes_total}");
        }
    }

    #[test]
    fn progress_lines_are_told_from_messages() {
        for (line, expected) in [
            ("    0/22877 kB (0%), 0/1 tablespace (.../base/1/2601              )", Some((0, 22877))),
            ("22887/22887 kB (100%), 1/1 tablespace", Some((22887, 22887))),
            ("pg_basebackup: error: could not connect", None),
            ("99999999999999999999/1 kB", None),
            ("", None),
        ] {
            let expected =
                expected.map(|(done, total)| CloneProgress { bytes_done: done * 1024, bytes_total: total * 1024 });
            assert_eq!(parse_progress(line), expected, "{line}");
        }
        assert_eq!(
            without_progress("1/2 kB (50%)\r2/2 kB (100%)\npg_basebackup: error: x"),
            "pg_basebackup: error: x\n"
        );
    }
}
