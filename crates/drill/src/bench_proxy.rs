//! `quorate-drill bench proxy`: what the way through our proxy costs, beside a straight one and HAProxy's.

use crate::options::Output;
use anyhow::{Context, Result};
use drill::proxy::load::{self, Flow};
use drill::proxy::path::{Way, Ways};
use serde::Serialize;
use std::time::Duration;
use tokio::time::sleep;

/// Clients at the same time, where several are measured. More than processors, as in a web application.
const CLIENTS: usize = 32;
/// Streams at the same time, where several are measured.
const STREAMS: usize = 4;
/// For the memory allocator and the kernel to come to rest.
const SETTLE: Duration = Duration::from_millis(500);

/// What is to be measured.
pub struct Plan {
    pub rounds: usize,
    /// Of each load in each round.
    pub time: Duration,
    pub idle_connections: usize,
    pub output: Output,
}

/// One way's numbers; medians over the rounds.
#[derive(Debug, Serialize)]
struct Cost {
    way: Way,
    system: String,
    /// One client: a round trip of 64 bytes.
    p50_us: f64,
    p99_us: f64,
    /// 32 clients.
    busy_p50_us: f64,
    busy_p99_us: f64,
    round_trips_per_s: f64,
    connections_per_s: f64,
    to_client_gb_per_s: f64,
    to_client_4_streams_gb_per_s: f64,
    to_server_gb_per_s: f64,
    /// Resident memory of the proxy before and with the idle connections; none on the straight way.
    idle_connections: usize,
    rest_mb: Option<f64>,
    idle_mb: Option<f64>,
}

#[derive(Default)]
struct Samples {
    p50: Vec<f64>,
    p99: Vec<f64>,
    busy_p50: Vec<f64>,
    busy_p99: Vec<f64>,
    round_trips: Vec<f64>,
    connections: Vec<f64>,
    to_client: Vec<f64>,
    to_client_many: Vec<f64>,
    to_server: Vec<f64>,
}

pub async fn run(mut plan: Plan) -> Result<()> {
    let ways = Ways::start(&std::env::current_exe()?)?;
    if plan.idle_connections > ways.connections_max {
        plan.idle_connections = ways.connections_max;
        eprintln!("{} idle connections: this machine does not allow enough open files for more", ways.connections_max);
    }
    let mut memory = Vec::new();
    // First, while nothing has grown yet.
    for way in Way::ALL {
        memory.push(idle_memory(&plan, &ways, way).await.with_context(|| format!("{way:?}, idle connections"))?);
    }
    let mut samples: [Samples; Way::ALL.len()] = Default::default();
    for round in 0..plan.rounds {
        eprintln!("round {} of {}", round + 1, plan.rounds);
        measure(&plan, round, &mut samples)?;
    }
    let costs: Vec<Cost> = Way::ALL
        .into_iter()
        .zip(samples)
        .zip(memory)
        .map(|((way, samples), memory)| cost(&plan, &ways, way, samples, memory))
        .collect();
    match plan.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&costs)?),
        Output::Table => print_table(&plan, &costs),
    }
    Ok(())
}

/// Each load once on each way, one directly after the other, so that all ways have the same machine; who is first changes.
fn measure(plan: &Plan, round: usize, samples: &mut [Samples; Way::ALL.len()]) -> Result<()> {
    let order: Vec<usize> = (0..Way::ALL.len()).map(|number| (number + round) % Way::ALL.len()).collect();
    let each = |load: &mut dyn FnMut(usize, Way) -> Result<()>| -> Result<()> {
        order.iter().try_for_each(|at| load(*at, Way::ALL[*at]).with_context(|| format!("{:?}", Way::ALL[*at])))
    };
    each(&mut |at, way| {
        let trips = load::round_trips(way.address(), 1, plan.time)?;
        samples[at].p50.push(trips.percentile(0.5));
        samples[at].p99.push(trips.percentile(0.99));
        Ok(())
    })?;
    each(&mut |at, way| {
        let trips = load::round_trips(way.address(), CLIENTS, plan.time)?;
        samples[at].busy_p50.push(trips.percentile(0.5));
        samples[at].busy_p99.push(trips.percentile(0.99));
        samples[at].round_trips.push(trips.per_second);
        Ok(())
    })?;
    each(&mut |at, way| {
        samples[at].connections.push(load::connections(way.address(), CLIENTS, plan.time)?);
        Ok(())
    })?;
    each(&mut |at, way| {
        samples[at].to_client.push(load::throughput(way.address(), 1, Flow::ToClient, plan.time)?);
        Ok(())
    })?;
    each(&mut |at, way| {
        samples[at].to_client_many.push(load::throughput(way.address(), STREAMS, Flow::ToClient, plan.time)?);
        Ok(())
    })?;
    each(&mut |at, way| {
        samples[at].to_server.push(load::throughput(way.address(), 1, Flow::ToServer, plan.time)?);
        Ok(())
    })
}

async fn idle_memory(plan: &Plan, ways: &Ways, way: Way) -> Result<Option<(f64, f64)>> {
    let Some(process) = ways.process(way) else { return Ok(None) };
    let rest = process.resident_mb();
    let streams = load::idle(way.address(), plan.idle_connections)?;
    sleep(SETTLE).await;
    let idle = process.resident_mb();
    load::hang_up_all(streams)?;
    sleep(SETTLE).await;
    Ok(Some((rest, idle)))
}

fn cost(plan: &Plan, ways: &Ways, way: Way, samples: Samples, memory: Option<(f64, f64)>) -> Cost {
    let system = match way {
        Way::Direct => "straight".to_owned(),
        Way::Quorate => "Quorate".to_owned(),
        Way::Haproxy => ways.haproxy_version.clone(),
    };
    Cost {
        way,
        system,
        p50_us: median(samples.p50),
        p99_us: median(samples.p99),
        busy_p50_us: median(samples.busy_p50),
        busy_p99_us: median(samples.busy_p99),
        round_trips_per_s: median(samples.round_trips),
        connections_per_s: median(samples.connections),
        to_client_gb_per_s: median(samples.to_client),
        to_client_4_streams_gb_per_s: median(samples.to_client_many),
        to_server_gb_per_s: median(samples.to_server),
        idle_connections: plan.idle_connections,
        rest_mb: memory.map(|(rest, _)| two(rest)),
        idle_mb: memory.map(|(_, idle)| two(idle)),
    }
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    two(samples.get(samples.len() / 2).copied().unwrap_or_default())
}

fn two(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

fn print_table(plan: &Plan, costs: &[Cost]) {
    let row = |name: &str, number: &dyn Fn(&Cost) -> String| {
        let cells: Vec<String> = costs.iter().map(|cost| format!("{:>16}", number(cost))).collect();
        println!("{name:<44}{}", cells.concat());
    };
    row("", &|cost| cost.system.clone());
    row("round trip, 1 client, p50", &|cost| format!("{:.1} us", cost.p50_us));
    row("round trip, 1 client, p99", &|cost| format!("{:.1} us", cost.p99_us));
    row(&format!("round trip, {CLIENTS} clients, p50"), &|cost| format!("{:.0} us", cost.busy_p50_us));
    row(&format!("round trip, {CLIENTS} clients, p99"), &|cost| format!("{:.0} us", cost.busy_p99_us));
    row(&format!("round trips per second, {CLIENTS} clients"), &|cost| format!("{:.0}", cost.round_trips_per_s));
    row(&format!("new connections per second, {CLIENTS} clients"), &|cost| format!("{:.0}", cost.connections_per_s));
    row("to the client, 1 stream", &|cost| format!("{:.2} GB/s", cost.to_client_gb_per_s));
    row(&format!("to the client, {STREAMS} streams"), &|cost| format!("{:.2} GB/s", cost.to_client_4_streams_gb_per_s));
    row("to the server, 1 stream", &|cost| format!("{:.2} GB/s", cost.to_server_gb_per_s));
    let memory = |mb: Option<f64>| mb.map_or_else(String::new, |mb| format!("{mb:.1} MB"));
    row("resident memory at rest", &|cost| memory(cost.rest_mb));
    row(&format!("with {} idle connections", plan.idle_connections), &|cost| memory(cost.idle_mb));
    println!(
        "\nMedians of {} rounds of {:.1} s each, the ways one directly after the other. Clients, proxies and the server, which answers with \
         what\nit gets (messages of 64 bytes), share this machine. Both proxies with their defaults; HAProxy in TCP mode.",
        plan.rounds,
        plan.time.as_secs_f64()
    );
}
