//! Asks the local PostgreSQL how it is, when somebody wants to know and once in a while, and turns its answers into
//! what decisions look at.

use super::instance::Instance;
use crate::agent::guard_link::GuardLink;
use ha::postgres::{Running, Standby};
use platform::boot_clock;
use postgres::postmaster::{self, Until};
use postgres::sql::{SqlStatus, WalPosition};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use types::{Lsn, Timeline};

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
    /// By the postmaster of this pid.
    Answered(u32, Box<(SqlStatus, Running)>),
    /// The postmaster lives, but there was no answer.
    Silent { why: String },
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
        // What a server that somebody else started goes by is not known.
        let mut names = NamesInForce::default();
        let mut newest = (0, Timeline::default());
        loop {
            let Some(pid) = self.guard.state().pid else {
                self.instance.sql.disconnect();
                answered = false;
                count = 0;
                if self.guard.wait_for(|state| state.pid.is_some()).await.is_err() {
                    return;
                }
                names = NamesInForce { from_the_start: true, ..NamesInForce::default() };
                continue;
            };
            if !answered {
                // A connection that is refused costs PostgreSQL a process; its pid file says the same for nothing.
                let open = postmaster::wait(&self.instance.settings.data_dir, pid, Until::Ready, INTERVAL);
                let ended = self.guard.wait_for(|state| state.pid != Some(pid));
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
                    let mut running = running(&self.instance, &status);
                    // Once it no longer receives, a standby names the timeline of its last restart point; but it never
                    // leaves one that it was on. The election compares timelines before anything else.
                    newest = (pid, running.timeline.max(if newest.0 == pid { newest.1 } else { Timeline::default() }));
                    running.timeline = newest.1;
                    if !names.look(&self.instance, &status).await {
                        running.synchronous_standby_names.insert_str(0, NOT_IN_FORCE);
                    }
                    Observation::Answered(pid, Box::new((status, running)))
                }
                Err(error) => Observation::Silent { why: error.to_string() },
            };
            if self.results.send(observation).await.is_err() {
                return;
            }
            let (least, pause) = match (answered, names.changing.is_some()) {
                (true, true) => (NAMES_LOOK_PAUSE, NAMES_LOOK_PAUSE),
                (true, false) => (INTERVAL_MIN, INTERVAL),
                (false, _) => (INTERVAL_MIN, INTERVAL_STARTING),
            };
            tokio::time::sleep(least).await;
            let ended = self.guard.wait_for(|state| state.pid.is_none());
            tokio::select! {
                () = tokio::time::sleep(pause.saturating_sub(least)) => {}
                () = self.wanted.notified() => {}
                _ = ended => {}
            }
        }
    }
}

/// Whom commits wait for. A setting is in force when every process goes by it, not when ours shows it: whether to wait
/// at all is told to the others by the checkpointer, which reads no configuration while it hurries through a checkpoint
/// (as after every promotion).
#[derive(Default)]
struct NamesInForce {
    /// This server was started with the setting that the first answer shows.
    from_the_start: bool,
    in_force: String,
    /// Shown, with the number of looks in a row that found the checkpointer idle.
    changing: Option<(String, u32)>,
}

/// Before a setting that is not in force yet: it still says who was chosen, and equals none that is wanted.
const NOT_IN_FORCE: &str = "? ";
const NAMES_LOOK_PAUSE: Duration = Duration::from_millis(30);
/// The signal to read the configuration is sent to all processes within the first pause.
const IDLE_LOOKS: u32 = 3;

impl NamesInForce {
    async fn look(&mut self, instance: &Instance, status: &SqlStatus) -> bool {
        let shown = &status.synchronous_standby_names;
        let from_the_start = std::mem::take(&mut self.from_the_start);
        if status.in_recovery {
            // A standby waits for nobody, and what it goes by changes with its promotion.
            *self = Self::default();
            return true;
        }
        // Not to wait for anybody needs nobody's attention.
        if from_the_start || shown.is_empty() {
            self.in_force.clone_from(shown);
        }
        if *shown == self.in_force {
            self.changing = None;
            return true;
        }
        let before = self.changing.take().filter(|(name, _)| name == shown).map_or(0, |(_, looks)| looks);
        let looks = if checkpointer_is_idle(instance).await { before + 1 } else { 0 };
        if looks >= IDLE_LOOKS {
            self.in_force.clone_from(shown);
            return true;
        }
        self.changing = Some((shown.clone(), looks));
        false
    }
}

async fn checkpointer_is_idle(instance: &Instance) -> bool {
    const IDLE: &str = "select count(*) from pg_stat_activity where backend_type = 'checkpointer' \
                        and wait_event in ('CheckpointerMain', 'CheckpointWriteDelay')";
    let rows = instance.sql.query("the question what the checkpointer does", IDLE, &[]).await;
    rows.is_ok_and(|rows| rows.first().is_some_and(|row| row.try_get::<_, i64>(0).is_ok_and(|count| count > 0)))
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
    let physical = || status.slots.iter().filter(|slot| slot.kind == "physical" && !slot.temporary);
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
        slots: physical().map(|slot| slot.name.clone()).collect(),
        idle_slots: physical().filter(|slot| !slot.active).map(|slot| slot.name.clone()).collect(),
        pending_restart: status.pending_restart.as_ref().is_some_and(|pending| !pending.is_empty()),
        history: if status.in_recovery { Vec::new() } else { instance.history(status.timeline) },
    }
}
