//! Asks the local PostgreSQL how it is, when somebody wants to know and once in a while, and turns its answers into
//! what decisions look at.

use super::guard_link::GuardLink;
use super::instance::Instance;
use ha::postgres::{Running, Standby};
use platform::boot_clock;
use postgres::postmaster::{self, Until};
use postgres::sql::{SqlStatus, WalPosition};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use types::Lsn;

/// Between questions when nothing happens.
const INTERVAL: Duration = Duration::from_secs(1);
/// While PostgreSQL starts.
const INTERVAL_STARTING: Duration = Duration::from_millis(15);
/// Questions do not follow each other faster than this, however often somebody asks for one.
const INTERVAL_MIN: Duration = Duration::from_millis(10);
/// Settings that wait for a restart are looked for with every so manieth question, and when the files have changed.
const PENDING_EVERY: u32 = 10;

#[derive(Clone, Debug)]
pub enum Observation {
    Answered(Box<(SqlStatus, Running)>),
    /// The postmaster lives, but there was no answer.
    Silent {
        why: String,
    },
}

pub struct Observer {
    pub instance: Arc<Instance>,
    pub guard: GuardLink,
    pub wanted: Arc<Notify>,
    pub results: mpsc::Sender<Observation>,
}

impl Observer {
    pub async fn run(self) {
        let mut answered = false;
        let mut count = 0u32;
        let mut pending = Vec::new();
        loop {
            let Some(pid) = self.guard.state().postmaster else {
                self.instance.sql.disconnect();
                answered = false;
                count = 0;
                if self.guard.wait_for(|state| state.postmaster.is_some()).await.is_err() {
                    return;
                }
                continue;
            };
            if !answered {
                // A connection that is refused costs PostgreSQL a process; its pid file says the same for nothing.
                let open = postmaster::wait(&self.instance.settings.data_dir, pid, Until::Ready, INTERVAL);
                let ended = self.guard.wait_for(|state| state.postmaster != Some(pid));
                tokio::select! {
                    _ = open => {}
                    _ = ended => continue,
                }
            }
            let looks = &self.instance.pending_looks;
            let changed = looks.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
            let with_pending = changed || count.is_multiple_of(PENDING_EVERY);
            let observation = match self.instance.sql.probe(with_pending).await {
                Ok(mut status) => {
                    answered = true;
                    count = count.wrapping_add(1);
                    match &status.pending_restart {
                        Some(found) => pending.clone_from(found),
                        None => status.pending_restart = Some(pending.clone()),
                    }
                    let running = running(&self.instance, &status);
                    Observation::Answered(Box::new((status, running)))
                }
                Err(error) => Observation::Silent { why: error.to_string() },
            };
            if self.results.send(observation).await.is_err() {
                return;
            }
            let pause = if answered { INTERVAL } else { INTERVAL_STARTING };
            tokio::time::sleep(INTERVAL_MIN).await;
            let ended = self.guard.wait_for(|state| state.postmaster.is_none());
            tokio::select! {
                () = tokio::time::sleep(pause.saturating_sub(INTERVAL_MIN)) => {}
                () = self.wanted.notified() => {}
                _ = ended => {}
            }
        }
    }
}

fn running(instance: &Instance, status: &SqlStatus) -> Running {
    let (write, receive, replay) = match &status.position {
        WalPosition::Primary { flush, .. } => (*flush, None, None),
        WalPosition::Standby { receive, replay, .. } => (Lsn(0), *receive, *replay),
    };
    let standbys = status.replication.iter().map(|row| Standby {
        name: row.application_name.clone().unwrap_or_default(),
        streaming: row.state.as_deref() == Some("streaming"),
        synchronous: matches!(row.sync_state.as_deref(), Some("sync" | "quorum")),
        flush: row.flush_lsn.unwrap_or_default(),
        replay: row.replay_lsn.unwrap_or_default(),
    });
    Running {
        observed_at: boot_clock(),
        in_recovery: status.in_recovery,
        timeline: status.timeline,
        write,
        receive,
        replay,
        streaming: status.is_streaming(),
        standbys: standbys.collect(),
        synchronous_standby_names: status.synchronous_standby_names.clone(),
        slots: status
            .slots
            .iter()
            .filter(|slot| slot.kind == "physical" && !slot.temporary)
            .map(|slot| slot.name.clone())
            .collect(),
        pending_restart: status.pending_restart.as_ref().is_some_and(|pending| !pending.is_empty()),
        history: if status.in_recovery { Vec::new() } else { instance.history(status.timeline) },
    }
}
