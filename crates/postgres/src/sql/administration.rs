//! What the agent tells the local server to do.
//!
//! Deliberately without waiting for effects: promotion and reload return when they are on their way. The invariant:
//! repeating a call does no harm.

use super::{Local, Timeouts};
use crate::error::{Error, Result};
use std::time::Duration;
use types::Lsn;

impl Local {
    /// Makes the standby a primary; returns at once. Whether it is one, the next probe says.
    pub async fn promote(&self) -> Result<()> {
        let rows = self.query("the promotion", "select pg_promote(false) where pg_is_in_recovery()", &[]).await?;
        // No row: it is a primary already.
        if rows.first().is_none_or(|row| row.try_get(0).unwrap_or(false)) {
            return Ok(());
        }
        Err(Error::Answer { action: "the promotion", why: "the postmaster could not be signalled".to_owned() })
    }

    /// A checkpoint now, on a connection of its own, so that probes go on meanwhile.
    pub async fn checkpoint(&self, limit: Duration) -> Result<()> {
        let timeouts = Timeouts { statement: limit, ..self.timeouts };
        self.execute_alone("a checkpoint", "checkpoint", timeouts, "").await
    }

    /// Makes the server read its configuration files again.
    pub async fn reload(&self) -> Result<()> {
        self.execute("a reload", "select pg_reload_conf()").await
    }

    /// Returns whether it was made; one that is there stays as it is.
    pub async fn create_physical_slot(&self, name: &str, immediately_reserve: bool) -> Result<bool> {
        let sql = "select pg_create_physical_replication_slot($1, $2) \
                   where not exists (select from pg_replication_slots where slot_name = $1::name)";
        self.query("a new replication slot", sql, &[&name, &immediately_reserve]).await.map(|rows| !rows.is_empty())
    }

    /// Returns whether it was removed; one in use stays.
    pub async fn drop_slot(&self, name: &str) -> Result<bool> {
        let sql = "select pg_drop_replication_slot(slot_name) \
                   from pg_replication_slots where slot_name = $1::name and not active";
        self.query("the removal of a replication slot", sql, &[&name]).await.map(|rows| !rows.is_empty())
    }

    /// Lets a slot that nobody uses keep only the WAL from `position` on. Never backwards.
    pub async fn advance_slot(&self, name: &str, position: Lsn) -> Result<bool> {
        let sql = "select pg_replication_slot_advance(slot_name, $2) from pg_replication_slots \
                   where slot_name = $1::name and not active and restart_lsn < $2";
        let position = tokio_postgres::types::PgLsn::from(position.0);
        self.query("advancing a replication slot", sql, &[&name, &position]).await.map(|rows| !rows.is_empty())
    }

    /// Ends all connections of clients but our own; replication goes on. Returns how many there were.
    pub async fn terminate_clients(&self) -> Result<u64> {
        let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                   where backend_type = 'client backend' and pid <> pg_backend_pid()";
        let rows = self.query("ending client connections", sql, &[]).await?;
        Ok(rows.first().and_then(|row| row.try_get::<_, i64>(0).ok()).unwrap_or(0) as u64)
    }
}
