//! What `pg_control` says about a data directory, as pg_controldata prints it.
//!
//! Deliberately through PostgreSQL's own tool: the file's layout changes with every major version. The invariant: a
//! value is either what the tool printed or an error, never a guess.

use crate::{
    binaries::Binaries,
    error::{Error, Result},
    run::{Launcher, Tool},
};
use std::{collections::BTreeMap, path::Path, time::Duration};
use types::{Lsn, SystemId, Timeline};

/// It reads one page; longer means that the disk hangs.
const CONTROLDATA_TIMEOUT: Duration = Duration::from_secs(30);

/// "Database cluster state", as of the last time PostgreSQL wrote it: a crashed primary still says `InProduction`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterState {
    StartingUp,
    ShutDown,
    ShutDownInRecovery,
    ShuttingDown,
    InCrashRecovery,
    InArchiveRecovery,
    InProduction,
    Unrecognized,
}

impl ClusterState {
    fn parse(text: &str) -> Self {
        match text {
            "starting up" => Self::StartingUp,
            "shut down" => Self::ShutDown,
            "shut down in recovery" => Self::ShutDownInRecovery,
            "shutting down" => Self::ShuttingDown,
            "in crash recovery" => Self::InCrashRecovery,
            "in archive recovery" => Self::InArchiveRecovery,
            "in production" => Self::InProduction,
            _ => Self::Unrecognized,
        }
    }

    /// Whether the server was stopped in order, as a primary or as a standby.
    pub fn is_clean(self) -> bool {
        matches!(self, Self::ShutDown | Self::ShutDownInRecovery)
    }

    /// Whether the server was a standby when it last ran.
    pub fn was_standby(self) -> bool {
        matches!(self, Self::ShutDownInRecovery | Self::InArchiveRecovery)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlData {
    pub system_identifier: SystemId,
    pub state: ClusterState,
    /// Start of the latest checkpoint record; of a cleanly stopped primary, of its shutdown checkpoint.
    pub checkpoint: Lsn,
    pub redo: Lsn,
    pub timeline: Timeline,
    /// How far a standby must replay before it is consistent; none for a primary.
    pub min_recovery: Option<(Lsn, Timeline)>,
    pub wal_log_hints: bool,
    pub data_checksums: bool,
    pub wal_segment_bytes: u64,
    /// A standby must not be started with less of these than its primary had: name and value.
    pub standby_minimum: BTreeMap<&'static str, u64>,
}

impl ControlData {
    /// pg_rewind needs one of the two.
    pub fn can_be_rewound(&self) -> bool {
        self.wal_log_hints || self.data_checksums
    }

    /// The newest position this data directory is known to have reached without reading its WAL, and its timeline.
    pub fn reached(&self) -> (Timeline, Lsn) {
        match self.min_recovery {
            Some((lsn, timeline)) if timeline >= self.timeline && lsn > self.checkpoint => (timeline, lsn),
            _ => (self.timeline, self.checkpoint),
        }
    }

    pub fn parse(printed: &str) -> Result<Self, String> {
        let fields: BTreeMap<&str, &str> = printed
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim(), value.trim()))
            .collect();
        let text = |name: &str| fields.get(name).copied().ok_or_else(|| format!("pg_controldata printed no '{name}'"));
        let number = |name: &str| text(name)?.parse::<u64>().map_err(|_| format!("'{name}' is not a number"));
        let lsn = |name: &str| text(name)?.parse::<Lsn>().map_err(|error| format!("'{name}': {error}"));
        let timeline = |name: &str| {
            let value = number(name)?;
            u32::try_from(value).map(Timeline).map_err(|_| format!("'{name}' is not a timeline"))
        };
        let standby_minimum = [
            ("max_connections", "max_connections setting"),
            ("max_worker_processes", "max_worker_processes setting"),
            ("max_wal_senders", "max_wal_senders setting"),
            ("max_prepared_transactions", "max_prepared_xacts setting"),
            ("max_locks_per_transaction", "max_locks_per_xact setting"),
        ];
        let min_recovery = lsn("Minimum recovery ending location")?;
        let min_recovery_timeline = timeline("Min recovery ending loc's timeline")?;
        let system_identifier = number("Database system identifier")?;
        Ok(Self {
            system_identifier: SystemId::new(system_identifier.to_string()),
            state: ClusterState::parse(text("Database cluster state")?),
            checkpoint: lsn("Latest checkpoint location")?,
            redo: lsn("Latest checkpoint's REDO location")?,
            timeline: timeline("Latest checkpoint's TimeLineID")?,
            min_recovery: (min_recovery > Lsn(0)).then_some((min_recovery, min_recovery_timeline)),
            wal_log_hints: text("wal_log_hints setting")? == "on",
            data_checksums: number("Data page checksum version")? > 0,
            wal_segment_bytes: number("Bytes per WAL segment")?,
            standby_minimum: standby_minimum
                .into_iter()
                .map(|(setting, field)| Ok((setting, number(field)?)))
                .collect::<Result<_, String>>()?,
        })
    }

    /// Runs pg_controldata. Safe while the server runs; the answer may then be a checkpoint old.
    pub async fn read(binaries: &Binaries, launcher: &Launcher, data_dir: &Path) -> Result<Self> {
        let output = Tool::new(&binaries.pg_controldata)
            .arg("-D")
            .arg(data_dir)
            .plain_messages()
            .timeout(CONTROLDATA_TIMEOUT)
            .run(launcher)
            .await?;
        let damaged = |why| Error::DataDirectory { path: data_dir.to_owned(), why };
        // It goes on after a bad checksum and prints what it found, which then is worth nothing.
        if let Some(warning) = output.stdout.lines().find(|line| line.contains("WARNING")) {
            return Err(damaged(format!("pg_control is damaged ({warning})")));
        }
        Self::parse(&output.stdout).map_err(damaged)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub const SAMPLE: &str = include_str!("../tests/samples/pg_controldata_15.txt");

    #[test]
    fn pg_controldata_is_read() -> Result<(), String> {
        let control = ControlData::parse(SAMPLE)?;
        assert_eq!(control.system_identifier, SystemId::from("7711193139521538641"));
        assert_eq!(control.state, ClusterState::ShutDown);
        assert!(control.state.is_clean() && !control.state.was_standby());
        assert_eq!((control.checkpoint, control.redo), (Lsn(0x174_14F8), Lsn(0x174_14F8)));
        assert_eq!(control.timeline, Timeline(1));
        assert_eq!(control.min_recovery, None);
        assert!(control.can_be_rewound() && control.data_checksums && !control.wal_log_hints);
        assert_eq!(control.wal_segment_bytes, 16 * 1024 * 1024);
        assert_eq!(control.standby_minimum["max_connections"], 100);
        assert_eq!(control.standby_minimum["max_prepared_transactions"], 0);
        Ok(())
    }

    #[test]
    fn a_standby_has_a_point_of_consistency() -> Result<(), String> {
        let text = SAMPLE
            .replace("shut down", "in archive recovery")
            .replace("location:     0/0", "location:     0/5000060")
            .replace("timeline:   0", "timeline:   2");
        let control = ControlData::parse(&text)?;
        assert_eq!(control.min_recovery, Some((Lsn(0x500_0060), Timeline(2))));
        assert_eq!(control.reached(), (Timeline(2), Lsn(0x500_0060)));
        assert!(control.state.was_standby() && !control.state.is_clean());
        Ok(())
    }

    #[test]
    fn a_damaged_answer_is_an_error_that_names_the_field() {
        for line in SAMPLE.lines().filter(|line| line.contains("checkpoint location") || line.contains("WAL segment")) {
            let name = line.split(':').next().unwrap_or_default();
            for changed in [SAMPLE.replace(line, ""), SAMPLE.replace(line, &format!("{name}: x"))] {
                assert!(ControlData::parse(&changed).is_err_and(|why| why.contains(name)), "{name}");
            }
        }
        assert!(ControlData::parse("").is_err());
    }
}
