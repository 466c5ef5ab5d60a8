//! One fault of Redis from beginning to end: all whole, writers, the fault, recovery, all whole again, the count.
//!
//! The same for every system, with the same writers: one for each way that its clients have, and one that stays with the old
//! master whatever happens, because it would notice a second writable one.

use super::client::Login;
use super::deployment::Deployment;
use super::writer::{Endpoint, RedisClient, read_back};
use crate::analysis::{Outcome, Record, split_brain_writes, us_to_ms};
use crate::cluster::Cluster;
use crate::scenario::{last_errors, wait_for, wait_for_steady_writes};
use crate::writer::{Clock, Pace, Writer};
use anyhow::{Context, Result};
use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// From a fault to a whole system. The original needs its failover-timeout when a first attempt fails.
pub const RECOVERY_TIME_MAX: Duration = Duration::from_secs(180);
/// A writer that starts on a whole system writes within this.
const WARM_UP_TIME_MAX: Duration = Duration::from_secs(30);
/// Writes before the fault, plus a random part, so that the fault hits the system's loops at any phase.
const BEFORE_FAULT: Duration = Duration::from_secs(1);
const RANDOM_PHASE_MS: u64 = 1_000;
/// How long a host that was frozen is watched after it may move again.
const AFTER_RESUME: Duration = Duration::from_secs(3);

/// What can happen to the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// SIGKILL to the master's redis-server.
    KillMaster,
    /// SIGSTOP to everything on the master's host; it goes on after the failover.
    FreezeHost,
    /// A planned switchover, by `quorate redis switchover` or SENTINEL FAILOVER.
    Switchover,
    /// SIGKILL to everything on the master's host at once.
    KillHost,
}

impl Fault {
    /// Its name on the command line and in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::KillMaster => "kill-master",
            Self::FreezeHost => "freeze-host",
            Self::Switchover => "switchover",
            Self::KillHost => "kill-host",
        }
    }

    /// Writes have recovered only when another server confirms them.
    fn needs_another_master(self) -> bool {
        match self {
            Self::FreezeHost | Self::Switchover | Self::KillHost => true,
            Self::KillMaster => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How a client finds the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Proxy,
    Sentinel,
}

impl Way {
    pub fn name(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Sentinel => "sentinel",
        }
    }
}

/// Something that keeps a Redis master available.
pub trait System {
    /// Waits until all agree on one master that all others follow.
    fn wait_whole(&mut self, patience: Duration) -> impl Future<Output = Result<SocketAddr>>;
    /// How its clients find the master, without using what is on the master's host.
    fn ways(&self, master: SocketAddr) -> Vec<(Way, Endpoint)>;
    fn password(&self) -> Option<String>;
    /// What a person calls this server.
    fn name_of(&self, server: SocketAddr) -> String;
    /// Does it to the master, and returns the moment just before.
    fn inject(&mut self, fault: Fault, master: SocketAddr, clock: Clock) -> impl Future<Output = Result<u64>>;
    /// What is frozen goes on.
    fn resume(&mut self, master: SocketAddr) -> Result<()>;
    /// What was killed starts again.
    fn restart(&mut self, master: SocketAddr) -> Result<()>;
}

/// What one fault cost, and what a person wants to know beside it.
#[derive(Clone, Debug)]
pub struct Report {
    pub outcomes: Vec<(Way, Outcome)>,
    pub old_master: String,
    pub new_master: String,
    /// Confirmed to the first way's writer, over the whole run.
    pub acknowledged: usize,
    /// From the end of the fault (or the start of what was killed) to all whole.
    pub whole_again: Duration,
    /// The first errors that the first way's writer saw after the fault.
    pub errors: Vec<String>,
}

struct Writing {
    way: Option<Way>,
    run: String,
    writer: Writer,
}

struct Written {
    way: Option<Way>,
    record: Record,
    there: HashSet<u64>,
}

/// Runs one fault. `say` is told each step.
pub async fn run(system: &mut impl System, fault: Fault, say: &mut dyn FnMut(&str)) -> Result<Report> {
    let old = system.wait_whole(RECOVERY_TIME_MAX).await?;
    let old_name = system.name_of(old);
    let clock = Clock::start();
    let run = format!("{fault}:{:016x}", fastrand::u64(..));
    let mut writing = Vec::new();
    for (way, endpoint) in system.ways(old) {
        writing.push(start(Some(way), endpoint, system.password(), &run, clock));
    }
    writing.push(start(None, Endpoint::Fixed(old), system.password(), &run, clock));
    wait_for(WARM_UP_TIME_MAX, || writing.iter().all(|one| one.writer.last().is_some()))
        .await
        .with_context(|| format!("no write succeeds: {:?}", writing[0].writer.last_error()))?;
    sleep(BEFORE_FAULT + Duration::from_millis(fastrand::u64(..RANDOM_PHASE_MS))).await;

    say(&format!("writing; now {fault} of the master {old_name}"));
    let old_node = old.to_string();
    let fault_us = system.inject(fault, old, clock).await?;
    let mut recovered = Ok(());
    for one in writing.iter().filter(|one| one.way.is_some()) {
        let steady = wait_for_steady_writes(&one.writer, clock, fault_us, |node| {
            !fault.needs_another_master() || node != old_node
        });
        recovered = recovered.and(steady.await);
    }
    if recovered.is_ok() {
        say("writes go on");
    }
    let mended = Instant::now();
    if fault == Fault::FreezeHost {
        system.resume(old)?;
        sleep(AFTER_RESUME).await;
    }
    let mut records = Vec::new();
    for Writing { way, run, writer } in writing {
        records.push((way, run, writer.stop().await));
    }
    recovered.with_context(|| format!("last errors: {:?}", last_errors(&records[0].2, fault_us)))?;

    system.restart(old)?;
    let new = system.wait_whole(RECOVERY_TIME_MAX).await?;
    let whole_again = mended.elapsed();
    let mut written = Vec::new();
    let server = Login { address: new, password: system.password() };
    for (way, run, record) in records {
        written.push(Written { way, record, there: read_back(&server, &run).await? });
    }
    let outcomes = outcomes(fault, &written, &old_node, fault_us)?;
    let first = &written[0].record;
    let (acknowledged, errors) = (first.acknowledged.len(), last_errors(first, fault_us));
    let new_master = system.name_of(new);
    Ok(Report { outcomes, old_master: old_name, new_master, acknowledged, whole_again, errors })
}

fn start(way: Option<Way>, endpoint: Endpoint, password: Option<String>, run: &str, clock: Clock) -> Writing {
    let run = format!("{run}:{}", way.map_or("direct", Way::name));
    let writer = Writer::start(RedisClient::new(endpoint, password), &run, Pace::default(), clock);
    Writing { way, run, writer }
}

/// One for each way. What the writer that stayed with the old master lost is in each of them.
fn outcomes(fault: Fault, written: &[Written], old_node: &str, fault_us: u64) -> Result<Vec<(Way, Outcome)>> {
    let all: Vec<(&Record, &HashSet<u64>)> = written.iter().map(|one| (&one.record, &one.there)).collect();
    let lost = |one: &Written| one.record.lost(&one.there).len();
    let lost_direct: usize = written.iter().filter(|one| one.way.is_none()).map(lost).sum();
    let mut outcomes = Vec::new();
    for one in written {
        let Some(way) = one.way else { continue };
        let gap_us = one.record.gap_us(fault_us).context("no write was confirmed after the fault")?;
        let outcome = Outcome {
            fault: fault.name().to_owned(),
            gap_ms: us_to_ms(gap_us),
            errors: one.record.errors_after(fault_us),
            acked_lost: lost(one) + lost_direct,
            split_brain_writes: split_brain_writes(&all, old_node, fault_us),
        };
        outcomes.push((way, outcome));
    }
    Ok(outcomes)
}

/// `SENTINEL FAILOVER`, asked again while the sentinel has reasons to refuse. Returns the moment before the accepted one.
async fn ask_for_failover(sentinel: &Login, clock: Clock) -> Result<u64> {
    let deadline = Instant::now() + RECOVERY_TIME_MAX;
    loop {
        let before_us = clock.now_us();
        let Err(refusal) = sentinel.ask(&["SENTINEL", "FAILOVER", super::MASTER]).await else { return Ok(before_us) };
        if Instant::now() > deadline {
            return Err(refusal.context("the planned switchover is refused"));
        }
        sleep(Duration::from_secs(1)).await;
    }
}

impl System for Deployment {
    async fn wait_whole(&mut self, patience: Duration) -> Result<SocketAddr> {
        Deployment::wait_whole(self, patience).await
    }

    fn ways(&self, _master: SocketAddr) -> Vec<(Way, Endpoint)> {
        vec![(Way::Sentinel, Endpoint::Sentinels(self.sentinels()))]
    }

    fn password(&self) -> Option<String> {
        None
    }

    fn name_of(&self, server: SocketAddr) -> String {
        server.ip().to_string()
    }

    async fn inject(&mut self, fault: Fault, master: SocketAddr, clock: Clock) -> Result<u64> {
        use rustix::process::Signal;
        let other = self.hosts.iter().find(|host| host.server.address != master).context("there is no other host")?;
        let other = other.sentinel.login();
        let host = self.host_of(master)?;
        let before_us = clock.now_us();
        match fault {
            Fault::KillMaster => host.server.program.kill()?,
            Fault::KillHost => {
                host.server.program.kill()?;
                host.sentinel.program.kill()?;
            }
            Fault::FreezeHost => {
                host.server.program.signal(Signal::STOP)?;
                host.sentinel.program.signal(Signal::STOP)?;
            }
            Fault::Switchover => return ask_for_failover(&other, clock).await,
        }
        Ok(before_us)
    }

    fn resume(&mut self, _master: SocketAddr) -> Result<()> {
        self.mend()
    }

    fn restart(&mut self, _master: SocketAddr) -> Result<()> {
        self.mend()
    }
}

impl System for Cluster {
    async fn wait_whole(&mut self, patience: Duration) -> Result<SocketAddr> {
        self.wait_redis_whole(patience).await
    }

    fn ways(&self, master: SocketAddr) -> Vec<(Way, Endpoint)> {
        self.redis_ways(master)
    }

    fn password(&self) -> Option<String> {
        Some(Cluster::password(self).to_owned())
    }

    fn name_of(&self, server: SocketAddr) -> String {
        self.redis_member(server).map_or_else(|_| server.to_string(), |member| member.name.clone())
    }

    async fn inject(&mut self, fault: Fault, master: SocketAddr, clock: Clock) -> Result<u64> {
        self.inject_redis(fault, master, clock).await
    }

    fn resume(&mut self, master: SocketAddr) -> Result<()> {
        self.redis_member(master)?.resume(crate::member::Part::Everything)
    }

    fn restart(&mut self, master: SocketAddr) -> Result<()> {
        self.restart_redis_member(master)
    }
}
