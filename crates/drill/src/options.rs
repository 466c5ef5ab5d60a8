//! The command line.

use crate::incumbents::{Incumbents, Profile};
use crate::{bench, bench_address, bench_idle, bench_pools, bench_proxy, bench_redis, bench_scale, demo};
use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use drill::address_scenario::Fault as AddressFault;
use drill::cluster::{ClusterOptions, RedisParts, StoreKind};
use drill::proxy::stand_in;
use drill::redis::scenario::Fault;
use drill::scenario::Scenario;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// As a shell reports a program that was ended by Ctrl-C.
pub const EXIT_INTERRUPTED: u8 = 130;

/// Starts a cluster of real processes on this machine, breaks it, and measures what a client notices.
#[derive(Debug, Parser)]
#[command(name = "quorate-drill", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Three members that stay until Ctrl-C.
    Demo {
        #[command(flatten)]
        place: Place,
        /// Break something while a client writes, and report [default: everything of the leader's host, killed at once]
        #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "host")]
        drill: Option<Drill>,
        /// How the drill's result is printed.
        #[arg(short, long, value_enum, default_value = "table")]
        output: Output,
    },
    /// Measures.
    Bench {
        #[command(subcommand)]
        what: Bench,
    },
    /// A part of `bench proxy` in a process of its own.
    #[command(hide = true)]
    StandIn {
        #[command(subcommand)]
        what: StandIn,
    },
}

#[derive(Debug, Subcommand)]
enum StandIn {
    Server { address: SocketAddr },
    Proxy { listen: SocketAddr, server: SocketAddr },
}

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Drill {
    /// Everything on the host of PostgreSQL's leader is killed at once.
    Host,
    /// The Redis master is killed.
    Redis,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Time without writes, for each fault.
    Failover {
        #[command(flatten)]
        place: Place,
        /// Runs of each scenario.
        #[arg(short, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
        n: u32,
        /// Which faults, separated by commas.
        #[arg(long, value_enum, value_delimiter = ',', default_values_t = [
            Scenario::Switchover,
            Scenario::KillPostmaster,
            Scenario::KillHost,
            Scenario::KillHostAndStoreLeader,
            Scenario::FreezeWorker,
        ])]
        scenarios: Vec<Scenario>,
        #[command(flatten)]
        beside: Beside,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Output,
    },
    /// Time without writes to Redis, for each fault.
    Redis {
        #[command(flatten)]
        place: Place,
        /// Runs of each fault; 0 with --incumbents measures those alone.
        #[arg(short, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=RUNS_MAX))]
        n: u32,
        /// Which faults, separated by commas.
        #[arg(long, value_enum, value_delimiter = ',', default_values_t = [
            Fault::KillMaster, Fault::FreezeHost, Fault::Switchover,
        ])]
        scenarios: Vec<Fault>,
        /// Also measure the distribution's redis-sentinel, with down-after-milliseconds 5000 and 1000.
        #[arg(long)]
        incumbents: bool,
        /// Runs of each fault and setting for redis-sentinel [default: as many as ours]
        #[arg(long, value_name = "N", requires = "incumbents", value_parser = clap::value_parser!(u32).range(1..=RUNS_MAX))]
        incumbent_runs: Option<u32>,
        /// No sentinels on the members; their clients use the proxy only.
        #[arg(long)]
        proxy_only: bool,
        /// And our own sentinel in its place, with the same settings and servers that nobody supervises.
        #[arg(long, requires = "incumbents")]
        swapped_in: bool,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Output,
    },
    /// Switchovers as the clients of a PgBouncer notice them.
    Pgbouncer {
        #[command(flatten)]
        place: Place,
        /// Switchovers.
        #[arg(short, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=RUNS_MAX))]
        n: u32,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Output,
    },
    /// The virtual IP and the proxy, while the cables of the leader's host are cut. Needs root.
    Address {
        #[command(flatten)]
        place: Place,
        /// Runs of each fault.
        #[arg(short, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=RUNS_MAX))]
        n: u32,
        /// Which faults, separated by commas.
        #[arg(long, value_enum, value_delimiter = ',', default_values_t = AddressFault::ALL)]
        scenarios: Vec<AddressFault>,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Output,
    },
    /// Memory and processor time of members when nothing happens.
    Idle {
        #[command(flatten)]
        place: Place,
        /// How long is measured.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
        seconds: u64,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Output,
    },
    /// What the way through our proxy costs, beside a straight one and one through HAProxy.
    Proxy {
        /// Rounds; the medians are reported.
        #[arg(short, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
        n: u32,
        /// How long each load lasts, of six for each way and round.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
        seconds: u64,
        /// How many idle connections the memory is measured with.
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        idle: u32,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Output,
    },
    /// What one sentinel process costs, beside the distribution's.
    SentinelScale {
        /// How many masters, separated by commas.
        #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 1000],
            value_parser = clap::value_parser!(u32).range(1..=SCALE_MAX))]
        masters: Vec<u32>,
        /// Of each master.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=10))]
        replicas: u32,
        /// How long is measured.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
        seconds: u64,
        /// Only one of the two.
        #[arg(long, value_enum)]
        only: Option<Maker>,
        /// The quorate binary [default: beside this program]
        #[arg(long)]
        quorate: Option<PathBuf>,
        #[arg(short, long, value_enum, default_value = "table")]
        output: Output,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Maker {
    Quorate,
    Distribution,
}

const RUNS_MAX: i64 = 1000;
/// More masters than this, and the stand-ins themselves need more than this machine has.
const SCALE_MAX: i64 = 10_000;

/// What is measured beside ours.
#[derive(Debug, Args)]
struct Beside {
    /// Also measure Patroni with etcd and HAProxy on this machine, by the same faults. Needs root.
    #[arg(long, requires = "incumbent_driver")]
    incumbents: bool,
    /// Runs of each scenario for Patroni [default: as many as ours]
    #[arg(long, value_name = "N", requires = "incumbents", value_parser = clap::value_parser!(u32).range(1..=1000))]
    incumbent_runs: Option<u32>,
    /// Patroni's settings
    #[arg(long, value_enum, default_value = "tuned")]
    incumbent_profile: Profile,
    /// The program that installs, starts, breaks and stops Patroni; ./dev says which.
    #[arg(long, value_name = "FILE", hide = true)]
    incumbent_driver: Option<PathBuf>,
}

impl Beside {
    fn incumbents(self, runs: u32, synchronous: bool) -> Option<Incumbents> {
        let driver = self.incumbent_driver.filter(|_| self.incumbents)?;
        let runs = self.incumbent_runs.unwrap_or(runs);
        Some(Incumbents { driver, runs, profile: self.incumbent_profile, synchronous })
    }
}

/// Where and with what the members run.
#[derive(Debug, Args)]
struct Place {
    /// The quorate binary [default: beside this program]
    #[arg(long)]
    quorate: Option<PathBuf>,
    /// Keep the data in this directory, and take it up again when it is there.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Synchronous replication.
    #[arg(long)]
    sync: bool,
    /// A real etcd beside each member instead of the store that is built in.
    #[arg(long)]
    etcd: bool,
    /// The first member's address; the others follow.
    #[arg(long, default_value = "127.0.0.11", value_name = "ADDRESS")]
    first_address: Ipv4Addr,
    /// Where PostgreSQL's programs are [default: the agent looks for them]
    #[arg(long, value_name = "DIR")]
    postgres_bin: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Table,
    Json,
}

/// The program that is shown and measured.
fn quorate(given: Option<PathBuf>) -> Result<PathBuf> {
    let quorate = match given {
        Some(path) => std::path::absolute(path)?,
        None => std::env::current_exe()?.with_file_name("quorate"),
    };
    if !quorate.is_file() {
        anyhow::bail!("there is no program {}\nhint: build it, or say where it is with --quorate", quorate.display());
    }
    Ok(quorate)
}

impl Place {
    fn cluster_options(self) -> Result<ClusterOptions> {
        let quorate = quorate(self.quorate)?;
        let unique = format!("quorate-demo-{}", std::process::id());
        let directory = self.keep.clone().unwrap_or_else(|| std::env::temp_dir().join(unique));
        let mut options = ClusterOptions::new(quorate, directory);
        options.keep = self.keep.is_some();
        options.synchronous = self.sync;
        options.store = if self.etcd { StoreKind::Etcd } else { StoreKind::Embedded };
        options.first_address = self.first_address;
        options.postgres_bin = self.postgres_bin;
        Ok(options)
    }
}

pub fn main() -> ExitCode {
    let command = CommandLine::parse().command;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let done = runtime.context("cannot start").and_then(|runtime| runtime.block_on(run(command)));
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A signal drops the command wherever it is; its cluster goes with it.
async fn run(command: Command) -> Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let stop = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    };
    match command {
        Command::Demo { place, drill, output } => {
            let mut cluster = place.cluster_options()?;
            cluster.redis = RedisParts::ServerAndSentinel;
            cluster.console = true;
            demo::run(cluster, drill, output, stop).await
        }
        Command::StandIn { what } => {
            let stand_in = async {
                match what {
                    StandIn::Server { address } => stand_in::server(address).await,
                    StandIn::Proxy { listen, server } => stand_in::proxy(listen, server).await,
                }
            };
            tokio::select! {
                done = stand_in => done.map(|()| ExitCode::SUCCESS),
                () = stop => Ok(ExitCode::SUCCESS),
            }
        }
        Command::Bench { what } => {
            let benchmark = async {
                match what {
                    Bench::Failover { place, n, scenarios, beside, output } => {
                        let incumbents = beside.incumbents(n, place.sync);
                        let cluster = place.cluster_options()?;
                        bench::run(bench::Plan { cluster, runs: n, scenarios, incumbents, output }).await
                    }
                    Bench::Redis {
                        place,
                        n,
                        scenarios,
                        incumbents,
                        incumbent_runs,
                        proxy_only,
                        swapped_in,
                        output,
                    } => {
                        let mut cluster = place.cluster_options()?;
                        cluster.redis = if proxy_only { RedisParts::Server } else { RedisParts::ServerAndSentinel };
                        let incumbent_runs = if incumbents { incumbent_runs.unwrap_or(n) } else { 0 };
                        let faults = scenarios;
                        let plan = bench_redis::Plan { cluster, runs: n, faults, incumbent_runs, swapped_in, output };
                        bench_redis::run(plan).await
                    }
                    Bench::Pgbouncer { place, n, output } => {
                        bench_pools::run(place.cluster_options()?, n, output).await
                    }
                    Bench::Address { place, n, scenarios, output } => {
                        bench_address::run(place.cluster_options()?, n, scenarios, output).await
                    }
                    Bench::Idle { place, seconds, output } => {
                        bench_idle::run(place.cluster_options()?, Duration::from_secs(seconds), output).await
                    }
                    Bench::Proxy { n, seconds, idle, output } => {
                        let plan = bench_proxy::Plan {
                            rounds: n as usize,
                            time: Duration::from_secs(seconds),
                            idle_connections: idle as usize,
                            output,
                        };
                        bench_proxy::run(plan).await
                    }
                    Bench::SentinelScale { masters, replicas, seconds, only, quorate: given, output } => {
                        let plan = bench_scale::Plan {
                            quorate: quorate(given)?,
                            masters: masters.into_iter().map(|number| number as usize).collect(),
                            replicas: replicas as usize,
                            watched: Duration::from_secs(seconds),
                            ours: only != Some(Maker::Distribution),
                            incumbent: only != Some(Maker::Quorate),
                            output,
                        };
                        bench_scale::run(plan).await
                    }
                }
            };
            tokio::select! {
                done = benchmark => done.map(|()| ExitCode::SUCCESS),
                () = stop => Ok(ExitCode::from(EXIT_INTERRUPTED)),
            }
        }
    }
}
