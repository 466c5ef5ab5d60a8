//! `quorate-drill bench idle`: memory and processor time of members at rest, with PostgreSQL alone and with everything.

use crate::options::Output;
use anyhow::Result;
use drill::cluster::{Cluster, ClusterOptions, RedisParts};
use drill::idle::{Idle, watch};
use drill::scenario::BOOTSTRAP_TIME_MAX;
use serde::Serialize;
use std::time::Duration;

/// From a whole cluster until nothing that its start set going is left: the agent lets its start's code go after 20 s.
const SETTLED: Duration = Duration::from_secs(25);

#[derive(Serialize)]
struct Measured {
    roles: &'static str,
    #[serde(flatten)]
    idle: Idle,
}

pub async fn run(options: ClusterOptions, watched: Duration, output: Output) -> Result<()> {
    eprintln!("this takes about {} min", (2 * (watched + SETTLED).as_secs() + 60).div_ceil(60));
    let everything = ClusterOptions { redis: RedisParts::ServerAndSentinel, console: true, ..options.clone() };
    let mut measured = Vec::new();
    for (roles, options) in [("store, PostgreSQL, proxy", options), ("and Redis, Sentinel, console", everything)] {
        let mut cluster = Cluster::start(options)?;
        cluster.wait_whole(BOOTSTRAP_TIME_MAX).await?;
        tokio::time::sleep(SETTLED).await;
        let members = watch(&cluster, watched).await?;
        measured.extend(members.into_iter().map(|idle| Measured { roles, idle }));
        cluster.stop_gently().await;
    }
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&measured)?),
        Output::Table => print_table(&measured, watched),
    }
    Ok(())
}

fn print_table(measured: &[Measured], watched: Duration) {
    println!("{:<29} {:<7} {:>10} {:>10} {:>10} {:>10}", "roles", "member", "worker", "guard", "together", "of a core");
    for Measured { roles, idle } in measured {
        println!(
            "{roles:<29} {:<7} {:>7.1} MB {:>7.1} MB {:>7.1} MB {:>8.2} %",
            idle.member,
            idle.worker_mb,
            idle.guard_mb,
            idle.memory_mb(),
            idle.processor_percent
        );
    }
    println!(
        "\nResident memory of the agent's two processes, without the servers, and what they took of one core in {} s. Both map the same program\n\
         file, and what they share of it is counted twice.",
        watched.as_secs()
    );
}
