//! `quorate-drill bench failover`: each fault many times, and the statistics.

use crate::options::Output;
use anyhow::{Context, Result};
use drill::analysis::{Outcome, Series};
use drill::cluster::{Cluster, ClusterOptions};
use drill::scenario::{BOOTSTRAP_TIME_MAX, Scenario, run as run_scenario};

/// What the results call the system that was measured.
const SYSTEM: &str = "quorate";

/// Prints what was measured also when a run fails, and then fails.
pub async fn run(options: ClusterOptions, n: u32, scenarios: &[Scenario], output: Output) -> Result<()> {
    let mut cluster = Cluster::start(options)?;
    let mut series = Vec::new();
    let mut failure = cluster.wait_whole(BOOTSTRAP_TIME_MAX).await.err();
    for &scenario in scenarios {
        if failure.is_some() {
            break; // the cluster is in an unknown state; further numbers would measure that
        }
        let mut outcomes: Vec<Outcome> = Vec::new();
        for number in 1..=n {
            let run = run_scenario(&mut cluster, scenario, &mut |_| {}).await;
            match run.with_context(|| format!("{scenario}, run {number}")) {
                Ok(report) => {
                    let Outcome { gap_ms, errors, acked_lost, split_brain_writes, .. } = &report.outcome;
                    eprintln!(
                        "{scenario} {number}/{n}: gap {gap_ms} ms, {errors} errors, {acked_lost} lost, \
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
        series.extend(Series::summarize(scenario.name(), SYSTEM, &outcomes));
    }
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&series)?),
        Output::Table => print_table(&series),
    }
    let Some(failure) = failure else { return Ok(()) };
    cluster.keep();
    eprintln!("the logs are in {}", cluster.options().directory.display());
    Err(failure)
}

fn print_table(series: &[Series]) {
    println!(
        "{:<27} {:<9} {:>3} {:>10} {:>10} {:>10} {:>6} {:>12}",
        "scenario", "system", "n", "gap min", "median", "max", "lost", "split-brain"
    );
    for Series { scenario, system, n, gap_ms_min, gap_ms_median, gap_ms_max, acked_lost, split_brain_writes } in series
    {
        println!(
            "{scenario:<27} {system:<9} {n:>3} {gap_ms_min:>7.1} ms {gap_ms_median:>7.1} ms {gap_ms_max:>7.1} ms \
             {acked_lost:>6} {split_brain_writes:>12}"
        );
    }
}
