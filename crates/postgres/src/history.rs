//! Timeline history files: where each timeline branched off its parent.
//!
//! Deliberately only reading and comparing. The invariant: [`parse`] never fails; a line it does not understand ends
//! no history, exactly as PostgreSQL's own reader skips comments.

use crate::controldata::ControlData;
use std::{io, path::Path};
use types::{Lsn, Timeline};

/// A cluster that promoted once a minute for a year would still fit.
const HISTORY_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// One ancestor: `timeline` ended at `switch`, for `reason` (PostgreSQL's words, such as "no recovery target specified").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    pub timeline: Timeline,
    pub switch: Lsn,
    pub reason: String,
}

/// "00000003.history"; timeline 1 has none.
pub fn file_name(timeline: Timeline) -> String {
    format!("{:08X}.history", timeline.0)
}

/// Reads a history file: "TLI<tab>LSN<tab>reason" for each ancestor, oldest first.
pub fn parse(text: &str) -> Vec<Branch> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().splitn(3, char::is_whitespace);
            let timeline = Timeline(fields.next()?.parse().ok()?);
            let switch = fields.next()?.parse().ok()?;
            Some(Branch { timeline, switch, reason: fields.next().unwrap_or("").trim().to_owned() })
        })
        .collect()
}

/// The history of `timeline` from a data directory's own `pg_wal`; empty for timeline 1.
pub fn read_local(data_dir: &Path, timeline: Timeline) -> io::Result<Vec<Branch>> {
    use io::Read as _;
    if timeline.0 <= 1 {
        return Ok(Vec::new());
    }
    let mut text = Vec::new();
    let file = std::fs::File::open(data_dir.join("pg_wal").join(file_name(timeline)))?;
    file.take(HISTORY_BYTES_MAX).read_to_end(&mut text)?;
    Ok(parse(&String::from_utf8_lossy(&text)))
}

/// Whether a server whose WAL ends at `local_lsn` on `local_timeline` has anything that the leader, on
/// `leader_timeline` with `leader_history`, never had. Such a server needs pg_rewind; any other may simply follow.
///
/// `local_lsn` is the end of the local WAL: for a server that was shut down as a primary, the end of its shutdown
/// checkpoint record, not the start.
pub fn diverged(
    local_timeline: Timeline,
    local_lsn: Lsn,
    leader_timeline: Timeline,
    leader_history: &[Branch],
) -> bool {
    if local_timeline == leader_timeline {
        return false; // one timeline has one history; who is ahead is another question
    }
    match leader_history.iter().find(|branch| branch.timeline == local_timeline) {
        Some(branch) => local_lsn > branch.switch,
        None => true, // not an ancestor of the leader at all
    }
}

/// Whether a stopped server must be rewound before it can follow the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// It may simply follow.
    No,
    Yes,
    /// It crashed as a primary, so where its WAL ends is not known without recovery. pg_rewind finds out by itself.
    Unknown,
}

/// The same question for a stopped server, from its `pg_control` alone.
pub fn control_diverged(control: &ControlData, leader_timeline: Timeline, leader_history: &[Branch]) -> Divergence {
    if control.state.was_standby() {
        // What a standby received but never replayed does no harm: recovery follows the leader's history instead.
        let (timeline, replayed) = control.reached();
        let diverged = diverged(timeline, replayed, leader_timeline, leader_history);
        return if diverged { Divergence::Yes } else { Divergence::No };
    }
    let crashed_or = |answer| if control.state.is_clean() { answer } else { Divergence::Unknown };
    if control.timeline == leader_timeline {
        // Stopped in order: it has at most what it sent. Crashed: it may have more than the leader of its own timeline.
        return crashed_or(Divergence::No);
    }
    match leader_history.iter().find(|branch| branch.timeline == control.timeline) {
        None => Divergence::Yes,
        // The position is the start of the last checkpoint's record; switch points lie between records, so a record
        // that starts before the switch also ends before it.
        Some(branch) if control.checkpoint >= branch.switch => Divergence::Yes,
        Some(_) => crashed_or(Divergence::No),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "1\t0/5000148\tno recovery target specified\n\n# a comment\n2\t16/B374D848\tbefore 2026-11-23 02:47:42+00\n3\t17/0\n";

    #[test]
    fn a_history_file_is_read() {
        let branch = |timeline, switch, reason: &str| Branch {
            timeline: Timeline(timeline),
            switch: Lsn(switch),
            reason: reason.to_owned(),
        };
        assert_eq!(
            parse(TEXT),
            [
                branch(1, 0x500_0148, "no recovery target specified"),
                branch(2, 0x16_B374_D848, "before 2026-11-23 02:47:42+00"),
                branch(3, 0x17_0000_0000, ""),
            ]
        );
        assert_eq!(parse("rubbish\n1 2 3\n-1\t0/0\tx\n\u{0}"), []);
        assert_eq!(file_name(Timeline(26)), "0000001A.history");
    }

    #[test]
    fn a_server_diverged_when_it_has_wal_the_leader_never_had() {
        let history = parse(TEXT);
        for (timeline, lsn, expected) in [
            (1, 0x500_0147, false),
            (1, 0x500_0148, false),
            (1, 0x500_0149, true),
            (2, 0x16_B374_D848, false),
            (2, 0x16_B374_D849, true),
            (4, u64::MAX, false),
            (5, 0, true),
        ] {
            assert_eq!(diverged(Timeline(timeline), Lsn(lsn), Timeline(4), &history), expected, "{timeline} {lsn:x}");
        }
    }

    #[test]
    fn a_stopped_server_is_judged_by_its_control_file() -> Result<(), String> {
        use crate::controldata::{ClusterState, tests::SAMPLE};
        let history = parse(TEXT);
        let mut control = ControlData::parse(SAMPLE)?;
        let switch = history[0].switch;
        for (state, checkpoint, leader, expected) in [
            (ClusterState::ShutDown, Lsn(switch.0 - 0x78), 4, Divergence::No),
            (ClusterState::ShutDown, switch, 4, Divergence::Yes),
            (ClusterState::ShutDown, switch, 1, Divergence::No),
            (ClusterState::InProduction, Lsn(switch.0 - 0x78), 4, Divergence::Unknown),
            (ClusterState::InProduction, switch, 4, Divergence::Yes),
            (ClusterState::InProduction, switch, 1, Divergence::Unknown),
            (ClusterState::ShutDownInRecovery, switch, 4, Divergence::No),
            (ClusterState::InArchiveRecovery, Lsn(switch.0 + 1), 4, Divergence::Yes),
        ] {
            (control.state, control.checkpoint) = (state, checkpoint);
            assert_eq!(control_diverged(&control, Timeline(leader), &history), expected, "{state:?} {checkpoint}");
        }
        (control.state, control.timeline) = (ClusterState::InProduction, Timeline(9));
        assert_eq!(control_diverged(&control, Timeline(4), &history), Divergence::Yes);
        Ok(())
    }

    #[test]
    fn local_history_comes_from_pg_wal() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        std::fs::create_dir(dir.path().join("pg_wal"))?;
        std::fs::write(dir.path().join("pg_wal/00000004.history"), TEXT)?;
        assert_eq!(read_local(dir.path(), Timeline(4))?.len(), 3);
        assert_eq!(read_local(dir.path(), Timeline(1))?, []);
        assert!(read_local(dir.path(), Timeline(3)).is_err());
        Ok(())
    }
}
