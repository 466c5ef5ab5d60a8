//! Carries out the long work that decisions begin. One at a time; each ends with done or with why not.

use super::instance::{Instance, Upstream, member_address, tool_options};
use crate::agent::guard_link::GuardLink;
use ha::cluster::Cluster;
use ha::config::StandbyCluster;
use ha::guard::{ServerKind, StopMode, ToGuard};
use ha::postgres::{Job, Source, names_at_start};
use platform::boot_clock;
use postgres::bootstrap::{InitDb, initdb, post_bootstrap};
use postgres::clone::{CloneFrom, CloneProgress};
use postgres::data_directory::Existing;
use postgres::rewind::{RewindFrom, RewindOutcome};
use postgres::slot::slot_name;
use postgres::sql::{SourceState, Timeouts, create_roles, fetch_history, source_state};
use postgres::timeline_numbers;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use types::Timeline;

/// How often a promotion is looked at. PostgreSQL tells nobody when it is over.
const PROMOTION_POLL: Duration = Duration::from_millis(4);
/// A promotion replays what was received but not applied yet, which can be much.
const PROMOTION_LIMIT: Duration = Duration::from_secs(300);
const CHECKPOINT_LIMIT: Duration = Duration::from_secs(600);
const POST_BOOTSTRAP_LIMIT: Duration = Duration::from_secs(600);

pub struct Jobs {
    pub instance: Arc<Instance>,
    pub guard: GuardLink,
    /// How far the clone under way is; told once a second by pg_basebackup, and only while one runs.
    pub cloned: watch::Sender<CloneProgress>,
}

impl Jobs {
    pub async fn run(&self, job: &Job, cluster: &Cluster) -> Result<(), String> {
        match job {
            Job::Initdb => self.initdb().await,
            Job::PostBootstrap => self.post_bootstrap().await,
            Job::Start { upstream, fence } => {
                let standby = fence.is_none().then(|| upstream_of(cluster, upstream.as_ref()));
                self.start(cluster, standby, *fence).await
            }
            Job::Stop { mode } => self.stop(*mode).await,
            Job::Promote { beyond } => self.promote(cluster, *beyond).await,
            Job::Checkpoint => self.instance.slow_sql.checkpoint(CHECKPOINT_LIMIT).await.map_err(text),
            Job::Clone { from } => self.clone_from(cluster, from).await,
            Job::Rejoin { leader } => self.rejoin(cluster, leader).await,
            Job::Survey { remote } => self.survey(remote).await.map(drop),
        }
    }

    async fn initdb(&self) -> Result<(), String> {
        let instance = &self.instance;
        let superuser = instance.accounts().superuser;
        let init = InitDb {
            superuser: superuser.user,
            password: superuser.password,
            options: tool_options(&instance.member.bootstrap.initdb),
        };
        tracing::info!(directory = %instance.settings.data_dir.display(), "initdb makes the data directory");
        initdb(&instance.binaries, &instance.launcher, &instance.settings.data_dir, Existing::Refuse, &init)
            .await
            .map_err(text)
    }

    async fn post_bootstrap(&self) -> Result<(), String> {
        let instance = &self.instance;
        create_roles(&instance.slow_sql, &instance.accounts()).await.map_err(text)?;
        if let Some(command) = &instance.member.bootstrap.post_bootstrap {
            post_bootstrap(&instance.launcher, command, &instance.local_conninfo(), POST_BOOTSTRAP_LIMIT)
                .await
                .map_err(text)?;
        }
        Ok(())
    }

    async fn start(
        &self,
        cluster: &Cluster,
        standby: Option<Upstream>,
        fence: Option<types::Millis>,
    ) -> Result<(), String> {
        self.instance.set_dynamic(&cluster.config()).await;
        if standby.is_some() {
            timeline_numbers::give_back(&self.instance.settings.data_dir).await.map_err(text)?;
        }
        let names = names_at_start(cluster, &cluster.config());
        let written = self.instance.prepare_start(standby, names).await.map_err(text)?;
        for adjustment in &written.effective.adjustments {
            tracing::warn!(
                parameter = adjustment.name,
                given = adjustment.given,
                used = adjustment.used,
                why = adjustment.why
            );
        }
        let before = self.guard.state().sequence;
        let command = self.instance.start_command(&written);
        if !self.guard.send(&ToGuard::Start { server: ServerKind::Postgres, command, fence }) {
            return Err("the guard takes no messages".to_owned());
        }
        let answer = self.guard.wait_for(|state| {
            state.sequence > before && (state.pid.is_some() || state.start_failed.is_some() || state.exited.is_some())
        });
        // However long it takes: a frozen guard that comes back carries out what it was sent, and until then nobody may
        // take PostgreSQL for stopped.
        let state = answer.await.map_err(|_| "the guard is gone".to_owned())?;
        match (state.start_failed, state.pid) {
            (Some(why), None) => Err(why),
            (_, Some(_)) => Ok(()),
            (None, None) => Err(format!("PostgreSQL ended at once ({})", state.exited.unwrap_or_default())),
        }
    }

    /// Ends when every process is gone. An orderly stop that takes too long becomes an immediate one.
    async fn stop(&self, mode: StopMode) -> Result<(), String> {
        if self.guard.state().pid.is_none() {
            return Ok(());
        }
        self.instance.sql.disconnect();
        self.instance.slow_sql.disconnect();
        self.guard.send(&ToGuard::Stop { server: ServerKind::Postgres, mode });
        let gone = || self.guard.wait_for(|state| state.pid.is_none());
        let limit: Duration = self.instance.settings.pg_ctl_timeout.into();
        let ended = if let Ok(ended) = tokio::time::timeout(limit, gone()).await {
            ended
        } else {
            tracing::warn!("PostgreSQL has not stopped in time; it is stopped immediately");
            self.guard.send(&ToGuard::Stop { server: ServerKind::Postgres, mode: StopMode::Kill });
            gone().await
        };
        ended.map(drop).map_err(|_| "the guard is gone".to_owned())
    }

    async fn promote(&self, cluster: &Cluster, beyond: Timeline) -> Result<(), String> {
        let sql = &self.instance.sql;
        let names = names_at_start(cluster, &cluster.config());
        if self.instance.prepare_promotion(names).await.map_err(text)?.changed {
            sql.reload().await.map_err(text)?;
        }
        let own = cluster.members.get(&self.instance.member.name).and_then(|member| member.data.timeline);
        let data_dir = &self.instance.settings.data_dir;
        timeline_numbers::take(&self.instance.launcher, data_dir, own.unwrap_or(Timeline(1)), beyond)
            .await
            .map_err(text)?;
        // The files may have taken their time. Without a fence that stands nothing would end this primary.
        let fenced = self.guard.state().armed.is_some_and(|until| until > boot_clock());
        if !fenced && !cluster.is_paused() {
            timeline_numbers::give_back(data_dir).await.map_err(text)?;
            return Err("the fence has fallen before the promotion".to_owned());
        }
        sql.promote().await.map_err(text)?;
        let deadline = tokio::time::Instant::now() + PROMOTION_LIMIT;
        loop {
            let rows = sql.query("the question whether the promotion is over", "select pg_is_in_recovery()", &[]).await;
            match rows.map_err(text)?.first().map(|row| row.try_get::<_, bool>(0)) {
                Some(Ok(false)) => break,
                _ if tokio::time::Instant::now() >= deadline => {
                    return Err("PostgreSQL has not left recovery in time".to_owned());
                }
                _ => tokio::time::sleep(PROMOTION_POLL).await,
            }
        }
        if self.guard.state().pid.is_none() {
            return Err("PostgreSQL ended during its promotion".to_owned());
        }
        self.after_promotion();
        Ok(())
    }

    /// The files of a primary, and a checkpoint on the new timeline: members that rewind from here need it.
    fn after_promotion(&self) {
        let instance = self.instance.clone();
        tokio::spawn(async move {
            if let Err(error) = instance.set_role(None).await {
                tracing::warn!(%error, "the configuration of a primary was not written");
            }
            let result = match instance.slow_sql.reload().await {
                Ok(()) => instance.slow_sql.checkpoint(CHECKPOINT_LIMIT).await,
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                tracing::warn!(%error, "no checkpoint after the promotion; members that must rewind wait for the next one");
            }
        });
    }

    async fn clone_from(&self, cluster: &Cluster, from: &Source) -> Result<(), String> {
        let instance = &self.instance;
        let use_slots = instance.settings.use_slots.unwrap_or(cluster.config().use_slots);
        let (source, slot) = match from {
            Source::Member(name) => {
                let (host, port) = published_address(cluster, name)?;
                let slot = use_slots.then(|| slot_name(instance.member.name.as_str()));
                (instance.clone_source(&host, port), slot)
            }
            Source::Remote(remote) => (instance.remote_replication(remote), remote.primary_slot_name.clone()),
        };
        let existing = if instance.settings.remove_data_directory_on_diverged_timelines {
            Existing::Remove
        } else {
            Existing::MoveAside
        };
        let what = CloneFrom { source, slot, options: tool_options(&instance.settings.basebackup) };
        self.cloned.send_replace(CloneProgress::default());
        tracing::info!(from = %from, "cloning");
        postgres::clone::clone(
            &instance.binaries,
            &instance.launcher,
            &instance.settings.data_dir,
            existing,
            &what,
            &self.cloned,
        )
        .await
        .map_err(text)
    }

    /// Asks who the remote primary is. What is here is only ever brought in line with one of the same system.
    async fn survey(&self, remote: &StandbyCluster) -> Result<SourceState, String> {
        let source = self.instance.remote_questions(remote);
        let state = source_state(&source, Timeouts::default()).await.map_err(text)?;
        let here = self.control().await?.system_identifier;
        if state.system_identifier == here {
            return Ok(state);
        }
        let there = state.system_identifier;
        Err(format!("the remote primary {remote} is of another system (its identifier is {there}, here it is {here})"))
    }

    async fn control(&self) -> Result<postgres::ControlData, String> {
        let instance = &self.instance;
        postgres::ControlData::read(&instance.binaries, &instance.launcher, &instance.settings.data_dir)
            .await
            .map_err(text)
    }

    async fn rejoin(&self, cluster: &Cluster, leader: &Source) -> Result<(), String> {
        let instance = &self.instance;
        let control = self.control().await?;
        let (source, timeline) = match leader {
            Source::Member(name) => {
                let (host, port) = published_address(cluster, name)?;
                let timeline = cluster.members.get(name).and_then(|member| member.data.timeline).unwrap_or_default();
                (instance.rewind_source(&host, port), timeline)
            }
            Source::Remote(remote) => {
                let state = self.survey(remote).await?;
                (instance.remote_questions(remote), state.timeline)
            }
        };
        let history = fetch_history(&source, timeline, Timeouts::default()).await.map_err(text)?;
        if postgres::history::control_diverged(&control, timeline, &history) == postgres::history::Divergence::No {
            tracing::info!("the data directory can follow {leader} as it is");
            return Ok(());
        }
        if !instance.settings.use_pg_rewind.unwrap_or(cluster.config().use_pg_rewind) {
            return Err("the histories differ and use_pg_rewind is off".to_owned());
        }
        if !control.can_be_rewound() {
            return Err("the histories differ and pg_rewind needs wal_log_hints or data checksums".to_owned());
        }
        let what = RewindFrom { source, restore_target_wal: false, options: tool_options(&instance.settings.rewind) };
        let locations = &instance.configuration.locations;
        let outcome = postgres::rewind::rewind(
            &instance.binaries,
            &instance.version,
            &instance.launcher,
            locations,
            &what,
            Timeouts::default(),
        );
        match outcome.await.map_err(text)? {
            RewindOutcome::NotNeeded | RewindOutcome::Done => {
                tracing::info!("the data directory was rewound to follow {leader}");
                Ok(())
            }
            RewindOutcome::SourceNotReady(_) => {
                Err(format!("{leader} has not completed a checkpoint on its timeline yet"))
            }
            RewindOutcome::Failed { why, .. } => Err(why),
        }
    }
}

fn upstream_of(cluster: &Cluster, source: Option<&Source>) -> Upstream {
    source.and_then(|source| Upstream::to(cluster, source)).unwrap_or_default()
}

fn published_address(cluster: &Cluster, name: &types::MemberName) -> Result<(String, u16), String> {
    member_address(cluster, name).ok_or_else(|| format!("{name} has not published its address"))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
