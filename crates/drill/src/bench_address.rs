//! `quorate-drill bench address`: a client at the virtual IP and one at the proxy, while the leader's cables are cut.

use crate::options::Output;
use anyhow::{Context, Result, bail};
use drill::address_scenario::{CLIENT, Fault, Outcome, network, prepare, run as run_fault};
use drill::cluster::{Cluster, ClusterOptions};
use drill::net::{Network, enter};
use drill::scenario::BOOTSTRAP_TIME_MAX;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// The third octet of the addresses; the namespaces are nobody else's.
const RANGE: u8 = 42;

#[derive(Serialize)]
struct Summary {
    fault: Fault,
    n: usize,
    vip_ms_median: Option<f64>,
    vip_ms_max: Option<f64>,
    proxy_ms_median: f64,
    proxy_ms_max: f64,
    acked_lost: usize,
    split_brain_writes: usize,
    held_twice: usize,
    spoke_again: usize,
    frames: usize,
}

/// Fails when two hosts had the address.
pub async fn run(options: ClusterOptions, runs: u32, faults: Vec<Fault>, output: Output) -> Result<()> {
    eprintln!("this takes about {} min", 1 + runs * faults.len() as u32 * 8 / 60);
    let measured = OnClient::start(options, runs, faults.clone())?.measured().await?;
    let summaries: Vec<Summary> = faults.into_iter().map(|fault| summarize(fault, &measured)).collect();
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&summaries)?),
        Output::Table => print_table(&summaries),
    }
    if summaries.iter().any(|one| one.held_twice + one.spoke_again + one.acked_lost + one.split_brain_writes > 0) {
        bail!("two hosts had the address, or confirmed writes are lost");
    }
    Ok(())
}

/// The thread that is on the client's host, with its runtime. Dropping this ends the cluster and removes the network.
struct OnClient {
    stop: CancellationToken,
    result: Option<oneshot::Receiver<Result<Vec<Outcome>>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl OnClient {
    fn start(mut options: ClusterOptions, runs: u32, faults: Vec<Fault>) -> Result<Self> {
        let stop = CancellationToken::new();
        let (done, result) = oneshot::channel();
        let stopped = stop.clone();
        let work = move || {
            let outcomes = network("qbench", RANGE).and_then(|network| {
                prepare(&mut options, &network);
                let namespace = network.host(CLIENT)?.namespace.clone();
                enter(&namespace)?;
                let on_client = move || enter(&namespace).unwrap_or_else(|error| panic!("{error:#}"));
                let mut runtime = tokio::runtime::Builder::new_multi_thread();
                runtime.worker_threads(2).on_thread_start(on_client).enable_all().build()?.block_on(async {
                    tokio::select! {
                        outcomes = measure(options, &network, runs, &faults) => outcomes,
                        () = stopped.cancelled() => bail!("interrupted"),
                    }
                })
            });
            let _ = done.send(outcomes);
        };
        let thread = std::thread::Builder::new().name("client".to_owned()).spawn(work)?;
        Ok(Self { stop, result: Some(result), thread: Some(thread) })
    }

    async fn measured(mut self) -> Result<Vec<Outcome>> {
        self.result.take().context("measured twice")?.await.context("the measurement broke")?
    }
}

impl Drop for OnClient {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn measure(options: ClusterOptions, network: &Network, runs: u32, faults: &[Fault]) -> Result<Vec<Outcome>> {
    let mut cluster = Cluster::start(options)?;
    cluster.wait_whole(BOOTSTRAP_TIME_MAX).await?;
    let mut outcomes = Vec::new();
    for number in 1..=runs {
        for fault in faults.iter().copied() {
            let name = fault.name();
            let outcome = run_fault(&mut cluster, network, fault, &format!("{name} {number}")).await;
            let outcome = outcome.with_context(|| format!("{name}, run {number}"))?;
            let vip = outcome.through_vip_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0} ms"));
            eprintln!(
                "{name} {number}/{runs}: {vip} through the virtual IP, {:.0} ms through the proxy",
                outcome.through_proxy_ms
            );
            outcomes.push(outcome);
        }
    }
    Ok(outcomes)
}

fn summarize(fault: Fault, measured: &[Outcome]) -> Summary {
    let of: Vec<&Outcome> = measured.iter().filter(|outcome| outcome.fault == fault).collect();
    let sorted = |number: &dyn Fn(&Outcome) -> Option<f64>| {
        let mut numbers: Vec<f64> = of.iter().filter_map(|outcome| number(outcome)).collect();
        numbers.sort_by(f64::total_cmp);
        numbers
    };
    let (vip, proxy) = (sorted(&|one| one.through_vip_ms), sorted(&|one| Some(one.through_proxy_ms)));
    let sum = |number: &dyn Fn(&Outcome) -> usize| of.iter().map(|outcome| number(outcome)).sum();
    Summary {
        fault,
        n: of.len(),
        vip_ms_median: vip.get(vip.len() / 2).copied(),
        vip_ms_max: vip.last().copied(),
        proxy_ms_median: proxy.get(proxy.len() / 2).copied().unwrap_or_default(),
        proxy_ms_max: proxy.last().copied().unwrap_or_default(),
        acked_lost: sum(&|one| one.acked_lost),
        split_brain_writes: sum(&|one| one.split_brain_writes),
        held_twice: sum(&|one| one.held_twice),
        spoke_again: sum(&|one| one.spoke_again),
        frames: sum(&|one| one.frames),
    }
}

fn print_table(summaries: &[Summary]) {
    println!(
        "{:<24} {:>3} {:>10} {:>10} {:>12} {:>12} {:>5} {:>11} {:>9} {:>11} {:>7}",
        "the leader's host",
        "n",
        "VIP median",
        "VIP max",
        "proxy median",
        "proxy max",
        "lost",
        "split-brain",
        "two hosts",
        "spoke again",
        "frames"
    );
    let ms = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0} ms"));
    for one in summaries {
        println!(
            "{:<24} {:>3} {:>10} {:>10} {:>12} {:>12} {:>5} {:>11} {:>9} {:>11} {:>7}",
            one.fault.name(),
            one.n,
            ms(one.vip_ms_median),
            ms(one.vip_ms_max),
            ms(Some(one.proxy_ms_median)),
            ms(Some(one.proxy_ms_max)),
            one.acked_lost,
            one.split_brain_writes,
            one.held_twice,
            one.spoke_again,
            one.frames
        );
    }
    println!(
        "\nLongest time without a confirmed write, of a client on the same network at the virtual IP and of one at another member's proxy. Synchronous\n\
         replication. `two hosts`: pairs of hosts that had the address at the same time; `spoke again`: hosts that sent a frame as the address after\n\
         another one did, of all frames that a capture on the switch has."
    );
}
