//! `quorate-drill bench pgbouncer`: many switchovers under pgbench, and what its transactions noticed.

use crate::options::Output;
use anyhow::{Context, Result, bail};
use drill::cluster::{Cluster, ClusterOptions};
use drill::pgbench::Report;
use drill::pool_scenario::{Asked, Handover, Pools, hand_over, plans};
use drill::scenario::BOOTSTRAP_TIME_MAX;
use serde::Serialize;

/// Everything that one way of connecting noticed.
#[derive(Serialize)]
struct Summary {
    way: &'static str,
    switchovers: usize,
    transactions: usize,
    failed_transactions: u64,
    aborted_clients: usize,
    pause_ms_median: f64,
    pause_ms_max: f64,
    longest_transaction_ms: f64,
}

/// Fails when a transaction through a PgBouncer has failed.
pub async fn run(mut options: ClusterOptions, runs: u32, output: Output) -> Result<()> {
    eprintln!("this takes about {} min", (15 + runs * 9).div_ceil(60));
    let directory = options.directory.with_extension("pgbouncer");
    let plans = plans(&mut options, &directory);
    let mut cluster = Cluster::start(options)?;
    let pools = Pools::start(&plans, &cluster)?;
    cluster.wait_whole(BOOTSTRAP_TIME_MAX).await?;
    let mut done: Vec<Handover> = Vec::new();
    for number in 1..=runs {
        let handover = hand_over(&mut cluster, &pools, &format!("run{number}"), Asked::ToSwitchOver, true).await;
        let handover = handover.with_context(|| format!("switchover {number}"))?;
        let Handover { old_leader, new_leader, through_proxy, through_include, .. } = &handover;
        let failures = through_proxy.failed + through_include.failed;
        let aborted = through_proxy.aborted_clients + through_include.aborted_clients;
        eprintln!(
            "{number}/{runs}: {old_leader} -> {new_leader}: pause {:.0} ms and {:.0} ms, {failures} failed transactions, \
             {aborted} aborted clients",
            through_proxy.longest_pause_ms, through_include.longest_pause_ms,
        );
        for error in through_proxy.errors.iter().chain(&through_include.errors) {
            eprintln!("  {error}");
        }
        if let Some(without) = &handover.without_pool
            && !without.only_the_connected_failed()
        {
            bail!("somebody failed who was not connected to the old primary: {without:?}");
        }
        done.push(handover);
    }
    let ways = [
        ("PgBouncer to the proxy", reports(&done, |one| Some(&one.through_proxy))),
        ("PgBouncer to the primary (include file)", reports(&done, |one| Some(&one.through_include))),
        (
            "the proxy, a connection for each transaction",
            reports(&done, |one| one.without_pool.as_ref().map(|without| &without.report)),
        ),
    ];
    let summaries: Vec<Summary> = ways.into_iter().map(|(way, reports)| summarize(way, &reports)).collect();
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&summaries)?),
        Output::Table => print_table(&summaries),
    }
    let _ = std::fs::remove_dir(&directory);
    if summaries[..2].iter().any(|one| one.failed_transactions > 0 || one.aborted_clients > 0) {
        bail!("transactions through PgBouncer have failed");
    }
    Ok(())
}

fn reports<'a>(done: &'a [Handover], which: impl Fn(&'a Handover) -> Option<&'a Report>) -> Vec<&'a Report> {
    done.iter().filter_map(which).collect()
}

fn summarize(way: &'static str, reports: &[&Report]) -> Summary {
    let mut pauses: Vec<f64> = reports.iter().map(|report| report.longest_pause_ms).collect();
    pauses.sort_by(f64::total_cmp);
    let longest = reports.iter().map(|report| report.longest_transaction_ms);
    Summary {
        way,
        switchovers: reports.len(),
        transactions: reports.iter().map(|report| report.transactions).sum(),
        failed_transactions: reports.iter().map(|report| report.failed).sum(),
        aborted_clients: reports.iter().map(|report| report.aborted_clients).sum(),
        pause_ms_median: pauses.get(pauses.len() / 2).copied().unwrap_or_default(),
        pause_ms_max: pauses.last().copied().unwrap_or_default(),
        longest_transaction_ms: longest.fold(0.0, f64::max),
    }
}

fn print_table(summaries: &[Summary]) {
    println!(
        "{:<45} {:>3} {:>12} {:>7} {:>8} {:>12} {:>11} {:>15}",
        "pgbench through", "n", "transactions", "failed", "aborted", "pause median", "pause max", "transaction max"
    );
    for one in summaries {
        println!(
            "{:<45} {:>3} {:>12} {:>7} {:>8} {:>9.0} ms {:>8.0} ms {:>12.0} ms",
            one.way,
            one.switchovers,
            one.transactions,
            one.failed_transactions,
            one.aborted_clients,
            one.pause_ms_median,
            one.pause_ms_max,
            one.longest_transaction_ms
        );
    }
}
