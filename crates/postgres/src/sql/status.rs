//! All about the local server in one round trip.
//!
//! Deliberately raw: no roles, no opinion on lag. The invariant: all values of a [`SqlStatus`] belong to one statement
//! that saw the server either in recovery or not.

use super::Local;
use crate::{
    error::{Error, Result},
    parameters::PendingRestart,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use types::{Lsn, SystemId, Timeline};

const PROBE: &str = include_str!("status.sql");

/// What the server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlStatus {
    pub in_recovery: bool,
    pub system_identifier: SystemId,
    /// As `server_version_num`: 150018.
    pub server_version: u32,
    /// "2026-11-23 02:47:42.123456+00:00", Patroni's form.
    pub postmaster_start_time: String,
    /// A primary's timeline; a standby's received one while it streams, else the one it last recovered.
    pub timeline: Timeline,
    /// The timeline in pg_control. A new primary's lags behind until its first checkpoint is complete, and until then
    /// pg_rewind from it does not work.
    pub checkpoint_timeline: Timeline,
    pub position: WalPosition,
    pub receiver: Option<Receiver>,
    pub synchronous_standby_names: String,
    pub restore_command: String,
    pub replication: Vec<ReplicationRow>,
    pub slots: Vec<SlotRow>,
    /// The present values of [`crate::parameters::COMMAND_LINE`].
    pub running: BTreeMap<String, String>,
    /// Parameters from the files that wait for a restart; `None` when the probe was not asked for them.
    pub pending_restart: Option<Vec<PendingRestart>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WalPosition {
    Primary {
        insert: Lsn,
        flush: Lsn,
    },
    Standby {
        /// Flushed to disk by the receiver since the server started; none before it first streamed.
        receive: Option<Lsn>,
        replay: Option<Lsn>,
        /// Commit time of the last replayed transaction.
        replay_timestamp: Option<String>,
        replay_paused: bool,
    },
}

impl WalPosition {
    /// How far this server's WAL certainly reaches.
    pub fn end(&self) -> Lsn {
        match self {
            Self::Primary { flush, .. } => *flush,
            Self::Standby { receive, replay, .. } => receive.max(replay).as_ref().copied().unwrap_or_default(),
        }
    }
}

/// A row of pg_stat_wal_receiver.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Receiver {
    pub pid: i32,
    pub status: String,
    pub timeline: Option<Timeline>,
    pub flushed_lsn: Option<Lsn>,
    pub latest_end_lsn: Option<Lsn>,
    pub slot_name: Option<String>,
    pub sender_host: Option<String>,
    pub sender_port: Option<u16>,
}

impl Receiver {
    pub fn is_streaming(&self) -> bool {
        self.status == "streaming"
    }
}

/// A row of pg_stat_replication.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ReplicationRow {
    pub pid: i32,
    pub usename: Option<String>,
    #[serde(default)]
    pub application_name: Option<String>,
    pub client_addr: Option<String>,
    pub state: Option<String>,
    /// async, potential, sync or quorum.
    pub sync_state: Option<String>,
    pub sync_priority: Option<i32>,
    pub sent_lsn: Option<Lsn>,
    pub write_lsn: Option<Lsn>,
    pub flush_lsn: Option<Lsn>,
    pub replay_lsn: Option<Lsn>,
}

/// A row of pg_replication_slots.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SlotRow {
    pub name: String,
    /// physical or logical.
    #[serde(rename = "type")]
    pub kind: String,
    pub active: bool,
    pub temporary: bool,
    pub database: Option<String>,
    pub plugin: Option<String>,
    pub restart_lsn: Option<Lsn>,
    pub confirmed_flush_lsn: Option<Lsn>,
    /// reserved, extended, unreserved or lost; none while it holds nothing.
    pub wal_status: Option<String>,
}

/// The statement's answer as it comes.
#[derive(Deserialize)]
struct Answer {
    in_recovery: bool,
    system_identifier: String,
    server_version: u32,
    postmaster_start_time: String,
    checkpoint_timeline: Timeline,
    recovery_timeline: Timeline,
    write_timeline: Option<String>,
    insert_lsn: Option<Lsn>,
    flush_lsn: Option<Lsn>,
    receive_lsn: Option<Lsn>,
    replay_lsn: Option<Lsn>,
    replay_timestamp: Option<String>,
    replay_paused: bool,
    receiver: Option<Receiver>,
    synchronous_standby_names: String,
    restore_command: String,
    replication: Vec<ReplicationRow>,
    slots: Vec<SlotRow>,
    running: BTreeMap<String, String>,
    pending_restart: Option<Vec<Pending>>,
}

#[derive(Deserialize)]
struct Pending {
    name: String,
    old_value: String,
    new_value: Option<String>,
}

impl Local {
    /// One round trip (the first on a connection: two). `with_pending_restart` makes the server walk through all its
    /// settings, about half a millisecond of its time; nothing in there changes but by a reload or a restart.
    pub async fn probe(&self, with_pending_restart: bool) -> Result<SqlStatus> {
        const ACTION: &str = "the question for its status";
        let session = self.session().await?;
        let work = async {
            let statement = session.probe.get_or_try_init(|| session.client.prepare(PROBE)).await?;
            session.client.query_one(statement, &[&with_pending_restart]).await?.try_get::<_, String>(0)
        };
        let json = self.limited(ACTION, &session, work).await?;
        SqlStatus::parse(&json).map_err(|why| Error::Answer { action: ACTION, why })
    }
}

impl SqlStatus {
    fn parse(json: &str) -> Result<Self, String> {
        let answer: Answer = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let missing = || "a position is missing".to_owned();
        let position = if answer.in_recovery {
            WalPosition::Standby {
                receive: answer.receive_lsn,
                replay: answer.replay_lsn,
                replay_timestamp: answer.replay_timestamp,
                replay_paused: answer.replay_paused,
            }
        } else {
            let (insert, flush) = answer.insert_lsn.zip(answer.flush_lsn).ok_or_else(missing)?;
            WalPosition::Primary { insert, flush }
        };
        let write_timeline = match answer.write_timeline {
            Some(hex) => Some(Timeline(u32::from_str_radix(&hex, 16).map_err(|error| error.to_string())?)),
            None => None,
        };
        let received = answer.receiver.as_ref().and_then(|receiver| receiver.timeline).filter(|tli| tli.0 > 0);
        let recovered = answer.checkpoint_timeline.max(answer.recovery_timeline);
        let pending_restart = answer.pending_restart.map(|rows| {
            let pending = |row: Pending| PendingRestart {
                name: row.name,
                old_value: row.old_value,
                new_value: row.new_value.unwrap_or_default(),
            };
            rows.into_iter().map(pending).collect()
        });
        Ok(Self {
            in_recovery: answer.in_recovery,
            system_identifier: SystemId::new(answer.system_identifier),
            server_version: answer.server_version,
            postmaster_start_time: answer.postmaster_start_time,
            timeline: write_timeline.or(received).unwrap_or(recovered),
            checkpoint_timeline: answer.checkpoint_timeline,
            position,
            receiver: answer.receiver,
            synchronous_standby_names: answer.synchronous_standby_names,
            restore_command: answer.restore_command,
            replication: answer.replication,
            slots: answer.slots,
            running: answer.running,
            pending_restart,
        })
    }

    /// Whether WAL arrives from another server.
    pub fn is_streaming(&self) -> bool {
        self.receiver.as_ref().is_some_and(Receiver::is_streaming)
    }
}
