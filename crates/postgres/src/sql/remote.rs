//! Short questions to another member's server: may it be rewound from, and what is its timeline's history.
//!
//! Deliberately without connections that are kept: these questions are rare. The invariant: a connection lasts for one
//! question, or for one drill.

use super::{Session, Timeouts, connect, limited};
use crate::{
    conninfo::Conninfo,
    error::Result,
    history::{self, Branch},
};
use types::{SystemId, Timeline};

/// What pg_rewind depends on in its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceState {
    pub in_recovery: bool,
    pub system_identifier: SystemId,
    /// The timeline it writes; for a standby the one in its control file.
    pub timeline: Timeline,
    /// The timeline in its control file, which is all that pg_rewind looks at.
    pub checkpoint_timeline: Timeline,
}

impl SourceState {
    /// A server that was promoted, but has not completed a checkpoint since, makes pg_rewind believe that there is
    /// nothing to do.
    pub fn is_ready(&self) -> bool {
        !self.in_recovery && self.timeline == self.checkpoint_timeline
    }
}

pub async fn source_state(source: &Conninfo, timeouts: Timeouts) -> Result<SourceState> {
    const SQL: &str = "select pg_is_in_recovery(), (select system_identifier::text from pg_control_system()), \
        (select timeline_id::bigint from pg_control_checkpoint()), \
        case when not pg_is_in_recovery() then substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) end";
    let action = "the question for its timeline";
    let session = connect(source, timeouts, "").await?;
    let work = async {
        let row = session.client.query_one(SQL, &[]).await?;
        Ok((
            row.try_get(0)?,
            row.try_get::<_, String>(1)?,
            row.try_get::<_, i64>(2)?,
            row.try_get::<_, Option<String>>(3)?,
        ))
    };
    let (in_recovery, system_identifier, checkpoint, writes) = limited(action, timeouts.statement, work).await?;
    let checkpoint_timeline = Timeline(checkpoint as u32);
    let writes = writes.and_then(|hex| u32::from_str_radix(&hex, 16).ok()).map(Timeline);
    Ok(SourceState {
        in_recovery,
        system_identifier: SystemId::new(system_identifier),
        timeline: writes.unwrap_or(checkpoint_timeline),
        checkpoint_timeline,
    })
}

/// The history of `timeline`, read on the server that is on it. Needs the superuser or the rewind user.
pub async fn fetch_history(source: &Conninfo, timeline: Timeline, timeouts: Timeouts) -> Result<Vec<Branch>> {
    if timeline.0 <= 1 {
        return Ok(Vec::new());
    }
    let path = format!("pg_wal/{}", history::file_name(timeline));
    let session = connect(source, timeouts, "").await?;
    let work = async {
        let row = session.client.query_one("select pg_read_binary_file($1)", &[&path]).await?;
        row.try_get::<_, Vec<u8>>(0)
    };
    let text = limited("the question for a timeline's history", timeouts.statement, work).await?;
    Ok(history::parse(&String::from_utf8_lossy(&text)))
}

/// Commits one small record after another, as a client does that has nothing else to say: what a switchover costs it, it costs
/// everybody. The record is a message in the write-ahead log; no table is written.
pub struct Committer {
    session: Session,
    timeouts: Timeouts,
}

impl Committer {
    pub async fn connect(server: &Conninfo, timeouts: Timeouts) -> Result<Self> {
        // The one statement of ours that does wait for a synchronous standby, because a client's commit would.
        let session = connect(server, timeouts, "-c synchronous_commit=on").await?;
        Ok(Self { session, timeouts })
    }

    pub async fn commit(&self) -> Result<()> {
        const SQL: &str = "select pg_logical_emit_message(true, 'quorate', 'drill')";
        limited("a commit", self.timeouts.statement, self.session.client.batch_execute(SQL)).await
    }
}
