//! `quorate`: one binary per server. The command line decides which of its parts runs.

mod agent;
mod certificates;
mod cli;
mod failover_ip;
mod firewall;
mod guard;
mod join;
mod manual;
mod sentinel_program;
mod service;
mod setup;
mod startup;
mod vip_program;
mod vip_setup;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::path::PathBuf;
use tracing_subscriber::EnvFilter;

/// Keeps PostgreSQL and Redis available
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
    /// Run this server's member: the guard, and under it the worker, PostgreSQL and Redis
    Agent {
        /// The member's configuration: any patroni.yml, with the sections store:, proxy:, redis: and sentinel: if wanted
        config: PathBuf,
    },
    /// The agent's worker; started by the guard
    #[command(hide = true)]
    Worker { config: PathBuf },
    /// Run a Redis Sentinel alone, as redis-sentinel does: from its configuration file, and with its options
    Sentinel {
        /// sentinel.conf, which is also where the state is kept
        config: PathBuf,
        /// Only check the file; stands in front of other options
        #[arg(long)]
        check: bool,
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
    /// Set up a cluster on its first server: in the browser, at the terminal, or without questions
    Setup(setup::SetupArguments),
    /// Run this member's agent as a service of the operating system
    #[command(subcommand)]
    Service(service::ServiceCommand),
    /// Make this server a member of a cluster, with a token from its first server
    Join(join::JoinArguments),
    /// Make a one-time token that lets a server join as a member of the plan
    Token(join::TokenArguments),
    /// Pack everything that a member needs into one file, to carry it there by hand
    Bundle(join::BundleArguments),
    /// Print the rules that let those in who have to reach this member, for the system's firewall; or apply them
    Firewall(firewall::FirewallArguments),
    /// Print what makes a shell complete quorate's commands
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a directory
    Man {
        /// Where to; it is made if it does not exist
        directory: PathBuf,
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
    let arguments = match Arguments::from_arg_matches(&command_line().get_matches()) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    let code = match arguments.command {
        Command::Agent { config } => startup::agent(&config),
        Command::Worker { config } => worker(&config),
        Command::Sentinel { config, check: true, options } => sentinel_program::check(&config, &options),
        Command::Sentinel { config, check: false, options } => sentinel_program::run(&config, &options),
        Command::Vip { arguments } => vip_program::run_with_file(arguments),
        Command::Setup(arguments) => setup::run(&arguments),
        Command::Service(command) => service::run(command),
        Command::Join(arguments) => join::run_join(&arguments),
        Command::Token(arguments) => join::run_token(&arguments),
        Command::Bundle(arguments) => join::run_bundle(&arguments),
        Command::Firewall(arguments) => firewall::run(&arguments),
        Command::Completions { shell } => manual::completions(shell, command_line()),
        Command::Man { directory } => manual::pages(&directory, command_line()),
        Command::Client(command) => client(arguments.global, command),
    };
    std::process::exit(code);
}

/// Commands that ask no cluster.
const WITHOUT_CLUSTER: [&str; 11] =
    ["agent", "sentinel", "vip", "setup", "service", "join", "token", "bundle", "firewall", "completions", "man"];

/// What the command line's commands have in common says nothing to those that run something.
fn command_line() -> clap::Command {
    let mut command = Arguments::command();
    // Now every command has its own copy of them.
    command.build();
    for name in WITHOUT_CLUSTER {
        command = command.mut_subcommand(name, without_global);
    }
    command
}

fn without_global(command: clap::Command) -> clap::Command {
    let hidden = |argument: clap::Arg| if argument.is_global_set() { argument.hide(true) } else { argument };
    command.mut_args(hidden).mut_subcommands(without_global)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn help(name: &str) -> String {
        let mut command = command_line();
        command.find_subcommand_mut(name).unwrap().render_help().to_string()
    }

    #[test]
    fn what_runs_a_server_does_not_offer_the_options_of_the_command_line() {
        for name in WITHOUT_CLUSTER {
            assert!(!help(name).contains("--dcs-url") && !help(name).contains("--config-file"), "{}", help(name));
        }
        assert!(help("list").contains("--dcs-url"));
        assert!(help("sentinel").contains("--check"));
    }

    #[test]
    fn a_sentinels_options_are_told_from_ours() {
        let parsed = |words: &[&str]| {
            let matches = command_line().get_matches_from([&["quorate", "sentinel"], words].concat());
            match Arguments::from_arg_matches(&matches).unwrap().command {
                Command::Sentinel { check, options, .. } => (check, options),
                Command::Agent { .. }
                | Command::Worker { .. }
                | Command::Vip { .. }
                | Command::Setup(_)
                | Command::Service(_)
                | Command::Join(_)
                | Command::Token(_)
                | Command::Bundle(_)
                | Command::Firewall(_)
                | Command::Completions { .. }
                | Command::Man { .. }
                | Command::Client(_) => unreachable!(),
            }
        };
        assert_eq!(parsed(&["f.conf", "--check"]), (true, vec![]));
        assert_eq!(parsed(&["--check", "f.conf"]), (true, vec![]));
        assert_eq!(parsed(&["f.conf", "--port", "5000"]), (false, vec!["--port".to_owned(), "5000".to_owned()]));
        assert!(parsed(&["f.conf", "--check", "--port", "5000"]).0);
    }
}
