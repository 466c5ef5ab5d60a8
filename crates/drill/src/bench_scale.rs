//! `quorate-drill bench sentinel-scale`: what one sentinel process costs that watches many masters, ours and the original.

use crate::bench_redis::distribution_version;
use crate::options::Output;
use anyhow::{Context, Result, bail};
use drill::redis::client::field;
use drill::redis::sentinel::{Maker, Sentinel, Timing};
use drill::redis::stub::Stub;
use serde::Serialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::time::sleep;

const SENTINEL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 2, 11)), 26379);
/// From the start to a complete view of 1,000 masters.
const READY_TIME_MAX: Duration = Duration::from_secs(180);
/// After that: what is done once for each new server is over, and INFO was asked everywhere, which happens every ten seconds.
const SETTLE: Duration = Duration::from_secs(12);
const POLL_PAUSE: Duration = Duration::from_millis(100);

/// What is to be measured.
pub struct Plan {
    pub quorate: PathBuf,
    pub masters: Vec<usize>,
    pub replicas: usize,
    pub watched: Duration,
    pub incumbent: bool,
    pub ours: bool,
    pub output: Output,
}

#[derive(Serialize)]
struct Cost {
    system: String,
    masters: usize,
    replicas_each: usize,
    /// Percent of one core.
    cpu_percent: f64,
    rss_mb: f64,
    ready_s: f64,
}

pub async fn run(plan: Plan) -> Result<()> {
    let mut makers = Vec::new();
    if plan.ours {
        makers.push(("quorate sentinel".to_owned(), Maker::Quorate(plan.quorate.clone())));
    }
    if plan.incumbent {
        makers.push((distribution_version()?, Maker::Distribution));
    }
    let mut costs = Vec::new();
    for masters in &plan.masters {
        for (system, maker) in &makers {
            let cost = measure(&plan, system, maker, *masters).await;
            let cost = cost.with_context(|| format!("{system}, {masters} masters"))?;
            eprintln!("{system}: {masters} masters: {:.2} %, {:.1} MB", cost.cpu_percent, cost.rss_mb);
            costs.push(cost);
        }
    }
    match plan.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&costs)?),
        Output::Table => print_table(&plan, &costs),
    }
    Ok(())
}

async fn measure(plan: &Plan, system: &str, maker: &Maker, masters: usize) -> Result<Cost> {
    let stub = Stub::start(masters, plan.replicas).await?;
    let directory = tempfile::tempdir()?;
    let mut sentinel = Sentinel::new(directory.path(), SENTINEL, maker.clone(), &stub.masters, 1, Timing::REFERENCE)?;
    let started = Instant::now();
    sentinel.start()?;
    let ready = wait_ready(&mut sentinel, masters, plan.replicas, started).await?;
    sleep(SETTLE).await;
    let process = sentinel.program.process().context("the sentinel has ended")?;
    let (before_s, start) = (process.processor_s(), Instant::now());
    sleep(plan.watched).await;
    let cpu_percent = (process.processor_s() - before_s) / start.elapsed().as_secs_f64() * 100.0;
    let rss_mb = process.resident_mb();
    // Once more: a sentinel that has given up on its masters in the meantime would be cheap.
    wait_ready(&mut sentinel, masters, plan.replicas, Instant::now()).await?;
    stub.stop().await;
    let two = |number: f64| (number * 100.0).round() / 100.0;
    Ok(Cost {
        system: system.to_owned(),
        masters,
        replicas_each: plan.replicas,
        cpu_percent: two(cpu_percent),
        rss_mb: two(rss_mb),
        ready_s: two(ready.as_secs_f64()),
    })
}

/// Until every master is up and all its replicas are known.
async fn wait_ready(sentinel: &mut Sentinel, masters: usize, replicas: usize, started: Instant) -> Result<Duration> {
    let good = format!(",slaves={replicas},");
    loop {
        let up = match sentinel.login().ask_text(&["INFO", "sentinel"]).await {
            Ok(info) => (0..masters)
                .filter_map(|number| field(&info, &format!("master{number}")))
                .filter(|master| master.contains("status=ok,") && master.contains(&good))
                .count(),
            Err(_) => 0,
        };
        if up == masters {
            return Ok(started.elapsed());
        }
        if !sentinel.program.is_running()? {
            let log = std::fs::read_to_string(sentinel.program.log_file()).unwrap_or_default();
            bail!("the sentinel has ended: {log}");
        }
        if started.elapsed() > READY_TIME_MAX {
            bail!("{up} of {masters} masters are seen after {} s", READY_TIME_MAX.as_secs());
        }
        sleep(POLL_PAUSE).await;
    }
}

fn print_table(plan: &Plan, costs: &[Cost]) {
    println!(
        "{:<22} {:>8} {:>14} {:>10} {:>10} {:>10}",
        "system", "masters", "replicas each", "cpu", "memory", "ready"
    );
    for cost in costs {
        println!(
            "{:<22} {:>8} {:>14} {:>8.2} % {:>7.1} MB {:>8.1} s",
            cost.system, cost.masters, cost.replicas_each, cost.cpu_percent, cost.rss_mb, cost.ready_s
        );
    }
    println!(
        "\nOne sentinel process over {} s, when nothing fails; percent of one core, resident memory. Masters and replicas are\n\
         stand-ins inside this program, which answer as idle redis-servers do, each on an address of its own.",
        plan.watched.as_secs()
    );
}
