//! `quorate-drill bench redis`: each fault of Redis many times; on request the distribution's Sentinel beside ours.

use crate::bench::print_table;
use crate::options::Output;
use anyhow::{Context, Result};
use drill::analysis::{Outcome, Series};
use drill::cluster::{Cluster, ClusterOptions};
use drill::redis::deployment::{Deployment, DeploymentOptions};
use drill::redis::scenario::{Fault, RECOVERY_TIME_MAX, Report, System, run as run_fault};
use drill::redis::sentinel::{Maker, Timing};
use drill::scenario::BOOTSTRAP_TIME_MAX;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

const OURS: &str = "quorate";
/// The original's servers, apart from those of a demo.
const INCUMBENT_FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 11);
/// For the estimate: one run of ours and one of the original, which notices a new state every ten seconds.
const ONE_RUN: Duration = Duration::from_secs(8);
const ONE_INCUMBENT_RUN: Duration = Duration::from_secs(25);

/// What is to be measured.
pub struct Plan {
    pub cluster: ClusterOptions,
    /// Of each fault.
    pub runs: u32,
    pub faults: Vec<Fault>,
    /// Runs of each fault and each setting of the original; 0: it is not measured.
    pub incumbent_runs: u32,
    /// Our own sentinels in the original's place, with the same settings.
    pub swapped_in: bool,
    pub output: Output,
}

/// Prints what was measured also when a run fails, and then fails.
///
/// The systems are measured one after the other, never at the same time: they would share the machine's cores.
pub async fn run(plan: Plan) -> Result<()> {
    let faults = plan.faults.len() as u32;
    let settings = Timing::ALL.len() as u32 * (1 + u32::from(plan.swapped_in));
    let time = ONE_RUN * faults * plan.runs + ONE_INCUMBENT_RUN * faults * plan.incumbent_runs * settings;
    eprintln!("this takes about {} min", time.as_secs().div_ceil(60));
    let mut series = Vec::new();
    let mut done = measure_ours(&plan, &mut series).await;
    if plan.incumbent_runs > 0 && done.is_ok() {
        done = measure_incumbents(&plan, &mut series).await;
    }
    series.sort_by_key(|one| plan.faults.iter().position(|fault| fault.name() == one.scenario));
    match plan.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&series)?),
        Output::Table => print_table(&series),
    }
    done
}

async fn measure_ours(plan: &Plan, series: &mut Vec<Series>) -> Result<()> {
    if plan.runs == 0 {
        return Ok(());
    }
    let mut cluster = Cluster::start(plan.cluster.clone())?;
    let mut done = cluster.wait_whole(BOOTSTRAP_TIME_MAX).await.map(drop);
    if done.is_ok() {
        done = measure(&mut cluster, OURS, plan.runs, &plan.faults, series).await;
    }
    if done.is_err() {
        cluster.keep();
        eprintln!("the logs are in {}", cluster.options().directory.display());
    }
    done
}

async fn measure_incumbents(plan: &Plan, series: &mut Vec<Series>) -> Result<()> {
    let version = distribution_version()?;
    let ours = Maker::Quorate(plan.cluster.quorate.clone());
    let mut makers = vec![(version, Maker::Distribution)];
    if plan.swapped_in {
        makers.push(("quorate sentinel".to_owned(), ours));
    }
    for (name, maker) in makers {
        for timing in Timing::ALL {
            let system = format!("{name} {} ms", timing.down_after_ms);
            let mut deployment = Deployment::start(&DeploymentOptions {
                directory: std::env::temp_dir().join(format!("quorate-bench-redis-{}", std::process::id())),
                first_address: INCUMBENT_FIRST_ADDRESS,
                makers: [maker.clone(), maker.clone(), maker.clone()],
                timing,
            })?;
            System::wait_whole(&mut deployment, RECOVERY_TIME_MAX).await?;
            measure(&mut deployment, &system, plan.incumbent_runs, &plan.faults, series).await?;
        }
    }
    Ok(())
}

/// Adds one series for each fault and each way that the system's clients have.
async fn measure(
    system: &mut impl System,
    name: &str,
    runs: u32,
    faults: &[Fault],
    series: &mut Vec<Series>,
) -> Result<()> {
    for &fault in faults {
        let mut by_way: Vec<(String, Vec<Outcome>)> = Vec::new();
        let mut failure = None;
        for number in 1..=runs {
            match run_fault(system, fault, &mut |_| {}).await.with_context(|| format!("{fault}, run {number}")) {
                Ok(report) => note(&report, &format!("{fault} {number}/{runs}: {name}"), &mut by_way),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        for (way, outcomes) in &by_way {
            series.extend(Series::summarize(fault.name(), &format!("{name}, {way}"), false, outcomes));
        }
        if let Some(failure) = failure {
            return Err(failure); // the system is in an unknown state; further numbers would measure that
        }
    }
    Ok(())
}

fn note(report: &Report, what: &str, by_way: &mut Vec<(String, Vec<Outcome>)>) {
    for (way, outcome) in &report.outcomes {
        let Outcome { gap_ms, errors, acked_lost, split_brain_writes, .. } = outcome;
        eprintln!(
            "{what}, {}: gap {gap_ms} ms, {errors} errors, {acked_lost} lost, {split_brain_writes} split-brain writes, \
             {} -> {}",
            way.name(),
            report.old_master,
            report.new_master
        );
        match by_way.iter_mut().find(|(name, _)| name == way.name()) {
            Some((_, outcomes)) => outcomes.push(outcome.clone()),
            None => by_way.push((way.name().to_owned(), vec![outcome.clone()])),
        }
    }
}

/// `redis-sentinel 7.0.15`.
pub fn distribution_version() -> Result<String> {
    let output = Command::new("redis-sentinel").arg("--version").output();
    let output = output.context("cannot start redis-sentinel\nhint: the package redis-sentinel has it")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or("of an unknown version");
    Ok(format!("redis-sentinel {version}"))
}
