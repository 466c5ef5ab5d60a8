//! `GET /metrics`: the snapshot as Prometheus reads it.
//!
//! Names, types and labels of `patroni_*` are Patroni's, so that dashboards go on working. What the agent counts beyond
//! that comes from a [`MetricsSource`], asked only when somebody asks.

use crate::PATRONI_VERSION;
use crate::redis::{self, RedisSnapshot};
use crate::schedule::epoch_seconds;
use crate::snapshot::{Snapshot, Xlog};
use crate::status::{answers, is_unlocked};
use ha::cluster::{Role, RunState};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;
use types::Lsn;

/// Gives the agent's own metrics (`quorate_*`) at the moment of a scrape. Must not wait for anything.
pub type MetricsSource = Arc<dyn Fn() -> Vec<MetricFamily> + Send + Sync>;

/// All samples of one metric, such as `quorate_decisions_total` with one sample for each reason.
#[derive(Clone, Debug)]
pub struct MetricFamily {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: MetricKind,
    pub samples: Vec<Sample>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    Counter,
    Gauge,
}

/// `scope` and `name` are added to the labels.
#[derive(Clone, Debug)]
pub struct Sample {
    pub labels: Vec<(&'static str, String)>,
    pub value: f64,
}

impl MetricFamily {
    /// A metric without labels of its own.
    pub fn single(name: &'static str, help: &'static str, kind: MetricKind, value: f64) -> Self {
        Self { name, help, kind, samples: vec![Sample { labels: Vec::new(), value }] }
    }
}

pub fn text(snapshot: &Snapshot, redis: Option<&RedisSnapshot>, more: Option<&MetricsSource>, now: Instant) -> String {
    let mut page = Page { text: String::with_capacity(8192), labels: labels(snapshot) };
    patroni(&mut page, snapshot);
    quorate(&mut page, snapshot, now);
    for family in redis.map(|redis| redis::families(redis, now)).unwrap_or_default() {
        page.family(&family);
    }
    for family in more.map(|source| source()).unwrap_or_default() {
        page.family(&family);
    }
    page.text
}

fn patroni(page: &mut Page, snapshot: &Snapshot) {
    let local = &snapshot.local;
    let answers = answers(local.state);
    let is = |flag: bool| f64::from(u8::from(flag));
    let (location, received, replayed, replayed_at, replay_paused) = match &local.xlog {
        Some(Xlog::Primary { location }) if answers => (*location, Lsn(0), Lsn(0), None, false),
        Some(Xlog::Replica { received, replayed, replayed_timestamp, paused }) if answers => {
            (Lsn(0), *received, *replayed, *replayed_timestamp, *paused)
        }
        _ => (Lsn(0), Lsn(0), Lsn(0), None, false),
    };
    let replicates = |how: &str| is(answers && local.replication_state.as_deref() == Some(how));
    page.padded_version();
    page.gauge("patroni_postgres_running", "1 while PostgreSQL runs and answers", is(local.state == RunState::Running));
    let started = epoch_seconds(local.postmaster_start_time.filter(|_| answers));
    page.gauge("patroni_postmaster_start_time", "When the postmaster was started, in seconds since 1970", started);
    page.gauge("patroni_primary", "1 if PostgreSQL is a primary here", is(local.role == Role::Primary));
    page.counter("patroni_xlog_location", "End of the primary's WAL in bytes; 0 on a replica", location.0);
    page.gauge("patroni_standby_leader", "1 on the leader of a standby cluster", is(local.role == Role::StandbyLeader));
    page.gauge("patroni_replica", "1 if PostgreSQL is a replica here", is(local.role == Role::Replica));
    page.gauge("patroni_sync_standby", "1 if commits wait for this replica", is(local.sync_standby));
    page.gauge("patroni_quorum_standby", "1 if commits wait for a quorum with this replica", is(local.quorum_standby));
    page.counter("patroni_xlog_received_location", "WAL received in bytes; 0 on a primary", received.0);
    page.counter("patroni_xlog_replayed_location", "WAL replayed in bytes; 0 on a primary", replayed.0);
    page.gauge(
        "patroni_xlog_replayed_timestamp",
        "Commit time of the last replayed transaction, in seconds since 1970; 0 if there is none",
        epoch_seconds(replayed_at),
    );
    page.gauge("patroni_xlog_paused", "1 while the replay of WAL is paused", is(replay_paused));
    page.gauge("patroni_postgres_streaming", "1 while WAL is streamed from another server", replicates("streaming"));
    page.gauge(
        "patroni_postgres_in_archive_recovery",
        "1 while WAL comes from the archive",
        replicates("in archive recovery"),
    );
    let version = local.server_version.filter(|_| answers).unwrap_or(0);
    page.gauge("patroni_postgres_server_version", "PostgreSQL's version as a number; 0 if unknown", f64::from(version));
    page.gauge(
        "patroni_cluster_unlocked",
        "1 if no member is known to hold the leader lock",
        is(is_unlocked(snapshot)),
    );
    let enabled = snapshot.cluster.config().failsafe_mode;
    let listed = snapshot.cluster.failsafe.as_ref().is_some_and(|listed| listed.value.lists(&snapshot.me));
    page.gauge(
        "patroni_failsafe_mode_is_active",
        "1 while the failsafe mode keeps the primary up",
        is(local.failsafe_is_active),
    );
    page.gauge("patroni_failsafe_mode_enabled", "1 if the failsafe mode is configured", is(enabled));
    page.gauge("patroni_failsafe_member", "1 if this member counts in the failsafe mode", is(listed));
    let timeline = local.timeline.filter(|_| answers).map_or(0, |timeline| timeline.0);
    page.counter("patroni_postgres_timeline", "PostgreSQL's timeline; 0 if unknown", u64::from(timeline));
    page.gauge(
        "patroni_dcs_last_seen",
        "When the store last answered, in seconds since 1970",
        snapshot.dcs_last_seen as f64,
    );
    page.gauge("patroni_pending_restart", "1 if settings wait for a restart of PostgreSQL", is(local.pending_restart));
    page.gauge("patroni_is_paused", "1 during the pause (no automatic failover)", is(local.pause));
    page.gauge(
        "patroni_postgres_state",
        "What PostgreSQL is doing: 0=initdb, 1=initdb_failed, 2=custom_bootstrap, 3=custom_bootstrap_failed, \
         4=creating_replica, 5=running, 6=starting, 7=bootstrap_starting, 8=start_failed, 9=restarting, \
         10=restart_failed, 11=stopping, 12=stopped, 13=stop_failed, 14=crashed, -1=unknown",
        local.state.metric() as f64,
    );
    page.gauge(
        "patroni_failover_priority",
        "Which replica is preferred in an election; 0: never leads",
        local.tags.failover_priority() as f64,
    );
}

fn quorate(page: &mut Page, snapshot: &Snapshot, now: Instant) {
    page.gauge(
        "quorate_last_decision_age_seconds",
        "Time since the last decision",
        now.saturating_duration_since(snapshot.last_decision_at).as_secs_f64(),
    );
    page.gauge("quorate_store_reachable", "1 while the store answers", f64::from(u8::from(snapshot.store_reachable)));
    page.gauge(
        "quorate_leader_lock",
        "1 while this member holds the leader lock and its lease has not run out",
        f64::from(u8::from(snapshot.local.holds_leader_lock(now))),
    );
    page.gauge(
        "quorate_watchdog_failed",
        "1 if a watchdog is required and not armed",
        f64::from(u8::from(snapshot.local.watchdog_failed)),
    );
}

struct Page {
    text: String,
    /// `scope="..",name=".."`
    labels: String,
}

impl Page {
    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.line(name, help, "gauge", &value.to_string());
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.line(name, help, "counter", &value.to_string());
    }

    /// 4.1.4 becomes 040104, leading zero included, as Patroni writes it.
    fn padded_version(&mut self) {
        let parts: Vec<String> = PATRONI_VERSION.split('.').map(|part| format!("{part:0>2}")).collect();
        let digits = parts.concat();
        self.line("patroni_version", "Version of Patroni that this API follows", "gauge", &digits);
    }

    fn line(&mut self, name: &str, help: &str, kind: &str, value: &str) {
        let labels = &self.labels;
        // Writing to a String cannot fail.
        let _ = write!(self.text, "# HELP {name} {help}.\n# TYPE {name} {kind}\n{name}{{{labels}}} {value}\n");
    }

    fn family(&mut self, family: &MetricFamily) {
        let kind = match family.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
        };
        let name = family.name;
        let _ = write!(self.text, "# HELP {name} {}.\n# TYPE {name} {kind}\n", family.help);
        for sample in &family.samples {
            let _ = write!(self.text, "{name}{{{}", self.labels);
            for (label, value) in &sample.labels {
                let _ = write!(self.text, ",{label}=\"{}\"", escaped(value));
            }
            let _ = writeln!(self.text, "}} {}", sample.value);
        }
    }
}

fn labels(snapshot: &Snapshot) -> String {
    format!("scope=\"{}\",name=\"{}\"", escaped(snapshot.scope.as_str()), escaped(snapshot.me.as_str()))
}

fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}
