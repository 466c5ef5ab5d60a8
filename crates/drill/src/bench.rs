//! `quorate-drill bench failover`: each fault many times, and the statistics; on request Patroni's beside ours.

use crate::incumbents::Incumbents;
use crate::options::Output;
use anyhow::{Context, Result};
use drill::analysis::{Outcome, Series};
use drill::cluster::{Cluster, ClusterOptions};
use drill::scenario::{BOOTSTRAP_TIME_MAX, Scenario, run as run_scenario};
use std::time::Duration;

/// What the results call our own system.
const SYSTEM: &str = "quorate";
/// For the estimate: from nothing to a whole cluster, and one run from a whole cluster to a whole cluster.
const UP_AND_DOWN: Duration = Duration::from_secs(15);
const ONE_RUN: Duration = Duration::from_secs(8);

/// What is to be measured.
pub struct Plan {
    pub cluster: ClusterOptions,
    /// Of each scenario.
    pub runs: u32,
    pub scenarios: Vec<Scenario>,
    pub incumbents: Option<Incumbents>,
    pub output: Output,
}

/// Prints what was measured also when a run fails, and then fails.
///
/// The systems are measured one after the other, never at the same time: they would share the machine's cores.
pub async fn run(plan: Plan) -> Result<()> {
    let Plan { cluster, runs, scenarios, incumbents, output } = plan;
    print_estimate(runs, &scenarios, incumbents.as_ref());
    // First, so that what cannot be installed is known before the long part begins.
    let version = match &incumbents {
        Some(incumbents) => incumbents.set_up().await?,
        None => String::new(),
    };
    let mut series = Vec::new();
    let mut done = measure_ours(cluster, runs, &scenarios, &mut series).await;
    if let (Some(incumbents), Ok(())) = (&incumbents, &done) {
        done = incumbents.measure(&version, &scenarios, &mut series).await;
    }
    // The systems of one scenario below each other; the sort is stable.
    series.sort_by_key(|one| scenarios.iter().position(|scenario| scenario.name() == one.scenario));
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&series)?),
        Output::Table => print_table(&series),
    }
    done
}

async fn measure_ours(
    options: ClusterOptions,
    runs: u32,
    scenarios: &[Scenario],
    series: &mut Vec<Series>,
) -> Result<()> {
    let synchronous = options.synchronous;
    let mut cluster = Cluster::start(options)?;
    let mut failure = cluster.wait_whole(BOOTSTRAP_TIME_MAX).await.err();
    for &scenario in scenarios {
        if failure.is_some() {
            break; // the cluster is in an unknown state; further numbers would measure that
        }
        let mut outcomes: Vec<Outcome> = Vec::new();
        for number in 1..=runs {
            let run = run_scenario(&mut cluster, scenario, &mut |_| {}).await;
            match run.with_context(|| format!("{scenario}, run {number}")) {
                Ok(report) => {
                    let Outcome { gap_ms, errors, acked_lost, split_brain_writes, .. } = &report.outcome;
                    eprintln!(
                        "{scenario} {number}/{runs}: {SYSTEM}: gap {gap_ms} ms, {errors} errors, {acked_lost} lost, \
                         {split_brain_writes} split-brain writes, {} -> {}",
                        report.old_leader, report.new_leader
                    );
                    outcomes.push(report.outcome);
                }
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        series.extend(Series::summarize(scenario.name(), SYSTEM, synchronous, &outcomes));
    }
    let Some(failure) = failure else { return Ok(()) };
    cluster.keep();
    eprintln!("the logs are in {}", cluster.options().directory.display());
    Err(failure)
}

fn print_estimate(runs: u32, scenarios: &[Scenario], incumbents: Option<&Incumbents>) {
    let minutes = |time: Duration| time.as_secs().div_ceil(60);
    let ours = UP_AND_DOWN + ONE_RUN * (scenarios.len() as u32).saturating_mul(runs);
    match incumbents {
        None => eprintln!("this takes about {} min", minutes(ours)),
        Some(incumbents) => {
            let theirs = incumbents.estimate(scenarios);
            eprintln!(
                "this takes about {} min: {} for quorate, {} for Patroni; \
                 the first time up to 10 more, to install Patroni and to build what measures it",
                minutes(ours + theirs),
                minutes(ours),
                minutes(theirs)
            );
        }
    }
}

pub fn print_table(series: &[Series]) {
    let width = series.iter().map(|one| one.system.len()).max().unwrap_or_default().max(SYSTEM.len());
    println!(
        "{:<27} {:<width$} {:>3} {:>11} {:>11} {:>11} {:>6} {:>12}",
        "scenario", "system", "n", "gap min", "median", "max", "lost", "split-brain"
    );
    let mut above = "";
    for one in series {
        let scenario = if one.scenario == above { "" } else { &one.scenario };
        above = &one.scenario;
        println!(
            "{scenario:<27} {:<width$} {:>3} {:>8.1} ms {:>8.1} ms {:>8.1} ms {:>6} {:>12}",
            one.system,
            one.n,
            one.gap_ms_min,
            one.gap_ms_median,
            one.gap_ms_max,
            one.acked_lost,
            one.split_brain_writes
        );
    }
    if let Some(one) = series.first() {
        println!("\nReplication: {}.", if one.synchronous { "synchronous" } else { "asynchronous (the default)" });
    }
}
