//! `quorate`: one binary per server. The command line decides which of its parts runs.

mod agent;
mod cli;
mod guard;
mod sentinel_program;
mod startup;
mod vip_program;
mod vip_setup;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use tracing_subscriber::EnvFilter;

/// Keeps PostgreSQL available
#[derive(Parser)]
#[command(name = "quorate", disable_version_flag = true, arg_required_else_help = true)]
struct Arguments {
    #[command(flatten)]
    global: cli::GlobalArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run this server's member: the guard, and under it the worker and PostgreSQL
    Agent {
        /// The member's configuration: any patroni.yml, with the sections store: and proxy: if wanted
        config: PathBuf,
    },
    /// The agent's worker; started by the guard
    #[command(hide = true)]
    Worker { config: PathBuf },
    /// Run a Redis Sentinel alone, from its own configuration file; takes the options of redis-sentinel after it
    Sentinel {
        /// sentinel.conf, which is also where the state is kept
        config: PathBuf,
        /// As `--port 5000` or `--sentinel monitor NAME IP PORT QUORUM`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Hold a virtual IP address while a key in an etcd, or Patroni's REST API, says so; takes vip-manager's options
    #[command(disable_help_flag = true)]
    Vip {
        /// vip-manager's configuration file, and settings as `--ip 10.0.0.42` or `--trigger-value pg1`; --help lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FILE")]
        arguments: Vec<String>,
    },
    #[command(flatten)]
    Client(cli::CliCommand),
}

fn main() {
    if sentinel_program::is_its_name() {
        std::process::exit(sentinel_program::run_as_program());
    }
    if vip_program::is_its_name() {
        std::process::exit(vip_program::run_as_program());
    }
    let arguments = Arguments::parse();
    let code = match arguments.command {
        Command::Agent { config } => startup::agent(&config),
        Command::Worker { config } => worker(&config),
        Command::Sentinel { config, options } => sentinel_program::run(&config, &options),
        Command::Vip { arguments } => vip_program::run_with_file(arguments),
        Command::Client(command) => client(arguments.global, command),
    };
    std::process::exit(code);
}

fn client(global: cli::GlobalArguments, command: cli::CliCommand) -> i32 {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(cli::run(global, command)),
        Err(error) => {
            eprintln!("quorate: {error}");
            cli::EXIT_FAILED
        }
    }
}

fn worker(config: &std::path::Path) -> i32 {
    platform::set_process_name("quorate");
    // Standard output belongs to the guard.
    let filter = EnvFilter::try_from_env("QUORATE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    match agent::run(config) {
        agent::WorkerEnd::Finished => 0,
        agent::WorkerEnd::Failed(error) => {
            tracing::error!("{error:#}");
            cli::EXIT_FAILED
        }
        agent::WorkerEnd::Fatal(error) => {
            eprintln!("quorate: {error:#}");
            guard::EXIT_FATAL
        }
    }
}
