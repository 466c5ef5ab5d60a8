//! `quorate-drill demo`: a cluster to look at, and one fault to watch.

use crate::options::{Drill, EXIT_INTERRUPTED, Output};
use anyhow::Result;
use drill::cluster::{ADMIN, Cluster, ClusterOptions, StoreKind};
use drill::member::ports;
use drill::redis::MASTER;
use drill::redis::scenario::{self as redis, Fault, Way};
use drill::scenario::{BOOTSTRAP_TIME_MAX, Report, Scenario, run as run_scenario};
use std::process::{Command, ExitCode};

/// Ends with `stop`, which is how a demo ends; with a drill, when that is done.
pub async fn run(
    options: ClusterOptions,
    drill: Option<Drill>,
    output: Output,
    stop: impl Future<Output = ()>,
) -> Result<ExitCode> {
    let keep = options.keep;
    eprintln!("starting {} members in {}", options.members, options.directory.display());
    let mut cluster = Cluster::start(options)?;
    let shown = async {
        cluster.wait_whole(BOOTSTRAP_TIME_MAX).await?;
        cluster.wait_redis_whole(BOOTSTRAP_TIME_MAX).await?;
        if output == Output::Table {
            print_table(&cluster);
            print_addresses(&cluster);
        }
        match drill {
            Some(Drill::Host) => drill_host(&mut cluster, output).await?,
            Some(Drill::Redis) => drill_redis(&mut cluster, output).await?,
            None => {
                eprintln!("\nCtrl-C stops everything.");
                std::future::pending::<()>().await;
            }
        }
        Ok(ExitCode::SUCCESS)
    };
    let done = tokio::select! {
        done = shown => done,
        () = stop => Ok(if drill.is_some() { ExitCode::from(EXIT_INTERRUPTED) } else { ExitCode::SUCCESS }),
    };
    eprintln!("stopping");
    if done.is_err() {
        cluster.keep();
        eprintln!("the logs are in {}", cluster.options().directory.display());
    }
    if keep {
        cluster.stop_gently().await;
        eprintln!("the data is kept in {}", cluster.options().directory.display());
    }
    done
}

async fn drill_host(cluster: &mut Cluster, output: Output) -> Result<()> {
    let report = run_scenario(cluster, Scenario::KillHost, &mut |step| eprintln!("{step}")).await?;
    match output {
        Output::Table => {
            println!("\n{}", sentences(&report));
            print_table(cluster);
        }
        Output::Json => println!("{}", serde_json::to_string(&report.outcome)?),
    }
    Ok(())
}

async fn drill_redis(cluster: &mut Cluster, output: Output) -> Result<()> {
    let report = redis::run(cluster, Fault::KillMaster, &mut |step| eprintln!("{step}")).await?;
    match output {
        Output::Table => {
            println!("\n{}", redis_sentences(&report));
            print_table(cluster);
        }
        Output::Json => {
            for (_, outcome) in report.outcomes.iter().filter(|(way, _)| *way == Way::Proxy) {
                println!("{}", serde_json::to_string(outcome)?);
            }
        }
    }
    Ok(())
}

/// The table that `quorate list` prints.
fn print_table(cluster: &Cluster) {
    let Some(member) = cluster.members().first() else { return };
    let quorate = &cluster.options().quorate;
    let listed = Command::new(quorate).arg("-c").arg(&member.config_file).arg("list").status();
    if !listed.is_ok_and(|status| status.success()) {
        eprintln!("`{} -c {} list` failed", quorate.display(), member.config_file.display());
    }
}

fn print_addresses(cluster: &Cluster) {
    let (user, password) = (cluster.superuser(), cluster.password());
    let url = |hosts: &str, suffix: &str| format!("postgresql://{user}:{password}@{hosts}/postgres{suffix}");
    let hosts = |port: u16| -> String {
        let all: Vec<String> = cluster.members().iter().map(|member| format!("{}:{port}", member.address)).collect();
        all.join(",")
    };
    println!("\nConnection strings (every member's proxy leads to the same servers)");
    println!("  primary    {}", url(&hosts(ports::PROXY_PRIMARY), ""));
    println!("  replicas   {}", url(&hosts(ports::PROXY_REPLICAS), ""));
    println!("  no proxy   {}", url(&hosts(ports::POSTGRES), "?target_session_attrs=read-write"));
    let sentinels: Vec<String> = cluster.sentinels().iter().map(ToString::to_string).collect();
    println!("\nRedis (every member's proxy leads to the master; or ask Sentinel)");
    if let Some(member) = cluster.members().first() {
        println!("  master     redis://:{password}@{}:{}", member.address, ports::PROXY_REDIS);
    }
    println!("  Sentinel   {}  name {MASTER}; without a password, {password} is Redis's", sentinels.join(","));
    if let Some(member) = cluster.members().first() {
        println!("\nWeb console (every member has one; the REST API asks for the same name and password)");
        println!("  http://{}:{}/   user {ADMIN}, password {password}", member.address, ports::CONSOLE);
    }
    println!("\nMembers");
    for member in cluster.members() {
        let address = member.address;
        println!(
            "  {:<4} PostgreSQL {address}:{}  proxy {address}:{} (primary) {address}:{} (replicas)",
            member.name,
            ports::POSTGRES,
            ports::PROXY_PRIMARY,
            ports::PROXY_REPLICAS
        );
        println!(
            "       Redis      {address}:{}  proxy {address}:{} (master)  Sentinel {address}:{}",
            ports::REDIS,
            ports::PROXY_REDIS,
            ports::SENTINEL
        );
        println!("       console    http://{address}:{}/", ports::CONSOLE);
        println!("       REST API   http://{address}:{}/cluster   /patroni /metrics /history", ports::REST);
        let store = if cluster.options().store == StoreKind::Etcd { "etcd" } else { "store" };
        println!("       {store:<10} http://{address}:{}", ports::STORE_CLIENTS);
        println!("       log        {}", member.log_file().display());
    }
    if let Some(member) = cluster.members().first() {
        println!("\nTry");
        let quorate = cluster.options().quorate.display();
        println!("  {quorate} -c {} explain", member.config_file.display());
        println!("  psql '{}'", url(&format!("{}:{}", member.address, ports::PROXY_PRIMARY), ""));
        let address = member.address;
        println!("  redis-cli -u redis://:{password}@{address}:{} info replication", ports::PROXY_REDIS);
        println!("  redis-cli -h {address} -p {} sentinel master {MASTER}", ports::SENTINEL);
    }
}

fn sentences(report: &Report) -> String {
    let Report { outcome, old_leader, new_leader, acknowledged, whole_again, errors } = report;
    let mut lines = vec![
        format!(
            "Everything of the leader {old_leader} was killed at once: its agent, its store member, PostgreSQL and Redis."
        ),
        format!("Gap without writes: {:.0} ms. {new_leader} is the leader now.", outcome.gap_ms),
        format!("Errors the client saw: {}.", outcome.errors),
    ];
    lines.extend(errors.iter().map(|error| format!("  {error}")));
    lines.push(format!("Acknowledged writes: {acknowledged}; lost: {}.", outcome.acked_lost));
    lines.push(format!(
        "Writes the old leader acknowledged after the new one had begun: {}.",
        outcome.split_brain_writes
    ));
    lines.push(format!(
        "{old_leader} was back as a healthy replica {:.1} s after its start.",
        whole_again.as_secs_f64()
    ));
    lines.join("\n")
}

fn redis_sentences(report: &redis::Report) -> String {
    let redis::Report { outcomes, old_master, new_master, acknowledged, errors, whole_again: _ } = report;
    let mut lines = vec![format!("The Redis master on {old_master} was killed. {new_master} has the master now.")];
    for (way, outcome) in outcomes {
        let client = match way {
            Way::Proxy => "through the proxy of another member",
            Way::Sentinel => "that asks Sentinel",
        };
        lines.push(format!(
            "A client {client}: gap without writes {:.0} ms, {} error{}, {} acknowledged writes lost.",
            outcome.gap_ms,
            outcome.errors,
            if outcome.errors == 1 { "" } else { "s" },
            outcome.acked_lost
        ));
    }
    lines.extend(errors.iter().map(|error| format!("  {error}")));
    lines.push(format!("Acknowledged writes through the proxy: {acknowledged}."));
    if let Some((_, outcome)) = outcomes.first() {
        lines.push(format!(
            "Writes the old master acknowledged after the new one had begun: {}.",
            outcome.split_brain_writes
        ));
    }
    lines.push(format!("{old_master} has a replica again."));
    lines.join("\n")
}
