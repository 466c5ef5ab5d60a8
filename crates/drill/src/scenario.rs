//! One fault from beginning to end: a whole cluster, a writer, the fault, recovery, a whole cluster again, the count.

use crate::analysis::{Outcome, Record, split_brain_writes, us_to_ms};
use crate::cluster::Cluster;
use crate::member::{Part, ports};
use crate::writer::{Clock, Pace, Writer, prepare_table, read_back};
use anyhow::{Context, Result, bail};
use std::fmt;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// From nothing to a whole cluster: initdb and two clones on a busy machine.
pub const BOOTSTRAP_TIME_MAX: Duration = Duration::from_secs(180);
/// From a fault to steady writes, and from there to a whole cluster.
const RECOVERY_TIME_MAX: Duration = Duration::from_secs(120);
/// A writer that starts on a whole cluster writes within this.
const WARM_UP_TIME_MAX: Duration = Duration::from_secs(30);
/// Writes before the fault, plus a random part, so that the fault hits the cluster's loops at any phase.
const BEFORE_FAULT: Duration = Duration::from_secs(1);
const RANDOM_PHASE_MS: u64 = 2_000;
/// Writes count as recovered when they went on for this long without a pause of `STEADY_PAUSE_MAX`.
const STEADY: Duration = Duration::from_secs(2);
const STEADY_PAUSE_MAX: Duration = Duration::from_millis(500);
/// How long a member that was frozen is watched after it may move again.
const AFTER_RESUME: Duration = Duration::from_secs(3);
const STORE_LEADER_TIME_MAX: Duration = Duration::from_secs(15);
const POLL_PAUSE: Duration = Duration::from_millis(10);

/// What can happen to the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    /// A planned switchover.
    Switchover,
    /// SIGKILL to the leader's postmaster.
    KillPostmaster,
    /// SIGKILL to the leader's worker.
    KillWorker,
    /// SIGKILL to the leader's guard.
    KillGuard,
    /// SIGKILL to everything on the leader's host at once.
    KillHost,
    /// The same, while the store's leader is there, too.
    KillHostAndStoreLeader,
    /// SIGSTOP to the leader's worker; it goes on after the failover.
    FreezeWorker,
    /// SIGSTOP to the leader's guard.
    FreezeGuard,
    /// SIGSTOP to worker and guard.
    FreezeAgent,
    /// SIGSTOP to everything on the leader's host.
    FreezeHost,
}

impl Scenario {
    /// Its name on the command line and in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Switchover => "switchover",
            Self::KillPostmaster => "kill-postmaster",
            Self::KillWorker => "kill-worker",
            Self::KillGuard => "kill-guard",
            Self::KillHost => "kill-host",
            Self::KillHostAndStoreLeader => "kill-host-and-store-leader",
            Self::FreezeWorker => "freeze-worker",
            Self::FreezeGuard => "freeze-guard",
            Self::FreezeAgent => "freeze-agent",
            Self::FreezeHost => "freeze-host",
        }
    }

    /// Writes have recovered only when another member confirms them. The others may recover in place.
    fn needs_another_leader(self) -> bool {
        match self {
            Self::Switchover
            | Self::KillGuard
            | Self::KillHost
            | Self::KillHostAndStoreLeader
            | Self::FreezeWorker
            | Self::FreezeGuard
            | Self::FreezeAgent
            | Self::FreezeHost => true,
            Self::KillPostmaster | Self::KillWorker => false,
        }
    }

    fn frozen_part(self) -> Option<Part> {
        match self {
            Self::FreezeWorker => Some(Part::Worker),
            Self::FreezeGuard => Some(Part::Guard),
            Self::FreezeAgent => Some(Part::GuardAndWorker),
            Self::FreezeHost => Some(Part::Everything),
            Self::Switchover
            | Self::KillPostmaster
            | Self::KillWorker
            | Self::KillGuard
            | Self::KillHost
            | Self::KillHostAndStoreLeader => None,
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The outcome and what a person wants to know beside it.
#[derive(Clone, Debug)]
pub struct Report {
    pub outcome: Outcome,
    pub old_leader: String,
    pub new_leader: String,
    /// Confirmed through the proxy, over the whole run.
    pub acknowledged: usize,
    /// From the start of the old leader (or the end of the fault) to a whole cluster.
    pub whole_again: Duration,
    /// The first errors the writer saw after the fault.
    pub errors: Vec<String>,
}

/// The fault was not tried: by the time the writers had warmed up, another member led. It happens when the machine stalls
/// for longer than the lease lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderMoved;

impl fmt::Display for LeaderMoved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the leader moved before the fault")
    }
}

impl std::error::Error for LeaderMoved {}

/// Runs one scenario. `say` is told each step.
pub async fn run(cluster: &mut Cluster, scenario: Scenario, say: &mut dyn FnMut(&str)) -> Result<Report> {
    let view = cluster.wait_whole(RECOVERY_TIME_MAX).await?;
    let old = view.leader().context("there is no leader")?.name.clone();
    let other = view.members.iter().find(|member| member.name != old).context("there is only one member")?.name.clone();
    let through_proxy = cluster.login(cluster.member(&other)?, ports::PROXY_PRIMARY);
    let direct = cluster.login(cluster.member(&old)?, ports::POSTGRES);
    prepare_table(&through_proxy).await?;

    let clock = Clock::start();
    let run = format!("{scenario} {:016x}", fastrand::u64(..));
    let writer = Writer::start(through_proxy.clone(), &run, Pace::default(), clock);
    // It has a session with the old primary that no proxy cuts: it would notice a second writable primary.
    let witness = Writer::start(direct, &format!("{run} direct"), Pace::default(), clock);
    wait_for(WARM_UP_TIME_MAX, || writer.last().is_some() && witness.last().is_some())
        .await
        .with_context(|| format!("no write succeeds: {:?}", writer.last_error()))?;
    sleep(BEFORE_FAULT + Duration::from_millis(fastrand::u64(..RANDOM_PHASE_MS))).await;

    say(&format!("writing through the proxy of {other}; now {scenario} of the leader {old}"));
    let old_node = format!("{}:{}", cluster.member(&old)?.address, ports::POSTGRES);
    if writer.last().is_none_or(|write| write.node != old_node) {
        return Err(LeaderMoved.into());
    }
    let fault_us = inject(cluster, scenario, &old, clock).await?;
    let recovered =
        wait_for_steady_writes(&writer, clock, fault_us, |node| !scenario.needs_another_leader() || node != old_node)
            .await;
    if recovered.is_ok() {
        say("writes go on");
    }

    let mended = Instant::now();
    let old_member = cluster.member_mut(&old)?;
    if let Some(part) = scenario.frozen_part() {
        old_member.resume(part)?;
        sleep(AFTER_RESUME).await;
    }
    let record = writer.stop().await;
    let witnessed = witness.stop().await;
    recovered.with_context(|| format!("last errors: {:?}", last_errors(&record, fault_us)))?;

    let old_member = cluster.member_mut(&old)?;
    if !old_member.is_running()? {
        say(&format!("starting {old} again"));
        old_member.kill()?; // whatever a killed guard left behind
        old_member.start()?;
    }
    let view = cluster.wait_whole(RECOVERY_TIME_MAX).await?;
    let whole_again = mended.elapsed();
    let new_leader = view.leader().map(|leader| leader.name.clone()).unwrap_or_default();

    let rows = read_back(&through_proxy, &run).await?;
    let witnessed_rows = read_back(&through_proxy, &format!("{run} direct")).await?;
    let outcome = Outcome {
        fault: scenario.name().to_owned(),
        gap_ms: us_to_ms(record.gap_us(fault_us).context("no write was confirmed after the fault")?),
        errors: record.errors_after(fault_us),
        acked_lost: record.lost(&rows).len() + witnessed.lost(&witnessed_rows).len(),
        split_brain_writes: split_brain_writes(&[(&record, &rows), (&witnessed, &witnessed_rows)], &old_node, fault_us),
    };
    let errors = last_errors(&record, fault_us);
    Ok(Report { outcome, old_leader: old, new_leader, acknowledged: record.acknowledged.len(), whole_again, errors })
}

/// Does it, and returns the moment just before.
async fn inject(cluster: &mut Cluster, scenario: Scenario, leader: &str, clock: Clock) -> Result<u64> {
    if scenario == Scenario::KillHostAndStoreLeader {
        move_store_leader(cluster, leader).await?;
    }
    let fault_us = clock.now_us();
    let member = cluster.member_mut(leader)?;
    match scenario {
        Scenario::Switchover => cluster.switchover(leader).await?,
        Scenario::KillPostmaster => member.kill_postmaster()?,
        Scenario::KillWorker => member.kill_worker()?,
        Scenario::KillGuard => member.kill_guard()?,
        Scenario::KillHost | Scenario::KillHostAndStoreLeader => drop(member.kill()?),
        Scenario::FreezeWorker => member.freeze(Part::Worker)?,
        Scenario::FreezeGuard => member.freeze(Part::Guard)?,
        Scenario::FreezeAgent => member.freeze(Part::GuardAndWorker)?,
        Scenario::FreezeHost => member.freeze(Part::Everything)?,
    }
    Ok(fault_us)
}

/// The store's leader likes to be where the PostgreSQL leader is not; so it is moved just before the fault.
async fn move_store_leader(cluster: &Cluster, to: &str) -> Result<()> {
    let deadline = Instant::now() + STORE_LEADER_TIME_MAX;
    loop {
        let failure = match cluster.move_store_leader_to(cluster.member(to)?).await {
            Ok(true) => return Ok(()),
            Ok(false) => anyhow::anyhow!("it is still elsewhere"),
            Err(error) => error,
        };
        if Instant::now() > deadline {
            return Err(failure.context(format!("the store's leader cannot be moved to {to}")));
        }
        sleep(POLL_PAUSE).await;
    }
}

/// Waits until writes are confirmed without pauses by a server that counts.
pub(crate) async fn wait_for_steady_writes(
    writer: &Writer,
    clock: Clock,
    fault_us: u64,
    counts: impl Fn(&str) -> bool,
) -> Result<()> {
    let mut steady_since: Option<Instant> = None;
    wait_for(RECOVERY_TIME_MAX, || {
        let steady = writer.last().is_some_and(|write| {
            write.at_us > fault_us
                && clock.now_us().saturating_sub(write.at_us) < STEADY_PAUSE_MAX.as_micros() as u64
                && counts(&write.node)
        });
        if !steady {
            steady_since = None;
            return false;
        }
        steady_since.get_or_insert_with(Instant::now).elapsed() >= STEADY
    })
    .await
    .context("writes did not recover")
}

pub(crate) async fn wait_for(patience: Duration, mut condition: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + patience;
    while !condition() {
        if Instant::now() > deadline {
            bail!("not within {} s", patience.as_secs());
        }
        sleep(POLL_PAUSE).await;
    }
    Ok(())
}

pub(crate) fn last_errors(record: &Record, fault_us: u64) -> Vec<String> {
    const SHOWN: usize = 3;
    let after = record.failed.iter().filter(|failed| failed.at_us > fault_us);
    after.take(SHOWN).map(|failed| format!("{:?}: {}", failed.stage, failed.text)).collect()
}
