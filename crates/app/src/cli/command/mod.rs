//! One file for each command.

mod changes;
mod configuration;
mod dsn;
mod edit;
mod explain;
mod haproxy;
mod leadership;
mod members;
mod pause;
mod redis;
mod show;
mod through_store;
mod version;

pub use dsn::connection_strings;

use super::arguments::{CliCommand, GlobalArguments};
use super::context::Context;
use super::failure::Failure;
use super::{doctor, screen, support};

pub async fn run(global: &GlobalArguments, command: CliCommand) -> Result<(), Failure> {
    // The version alone needs no cluster and no configuration.
    if let CliCommand::Version(arguments) = &command
        && arguments.cluster.is_none()
    {
        return version::own();
    }
    // These two are for when something is wrong, which may be the configuration.
    if let CliCommand::Doctor(arguments) = &command {
        return doctor::doctor(global, arguments).await;
    }
    if let CliCommand::Support(arguments) = &command {
        return support::support(global, arguments).await;
    }
    let context = Context::new(global)?;
    match command {
        CliCommand::Doctor(_) | CliCommand::Support(_) => Ok(()),
        CliCommand::List(arguments) => show::list(&context, arguments).await,
        CliCommand::Topology(arguments) => show::topology(&context, arguments).await,
        CliCommand::Watch(arguments) => screen::watch(&context, arguments).await,
        CliCommand::History(arguments) => show::history(&context, arguments).await,
        CliCommand::Switchover(arguments) => leadership::switchover(&context, arguments).await,
        CliCommand::Failover(arguments) => leadership::failover(&context, arguments).await,
        CliCommand::Restart(arguments) => members::restart(&context, arguments).await,
        CliCommand::Reload(arguments) => members::reload(&context, arguments).await,
        CliCommand::Reinit(arguments) => members::reinit(&context, arguments).await,
        CliCommand::Flush(arguments) => members::flush(&context, arguments).await,
        CliCommand::Pause(arguments) => pause::toggle(&context, arguments, true).await,
        CliCommand::Resume(arguments) => pause::toggle(&context, arguments, false).await,
        CliCommand::ShowConfig(arguments) => configuration::show(&context, arguments).await,
        CliCommand::EditConfig(arguments) => configuration::edit(&context, arguments).await,
        CliCommand::Explain(arguments) => explain::explain(&context, arguments).await,
        CliCommand::Redis(command) => redis::run(&context, command).await,
        CliCommand::Version(arguments) => version::of_members(&context, arguments).await,
        CliCommand::Dsn(arguments) => dsn::dsn(&context, arguments).await,
        CliCommand::HaproxyConfig(arguments) => haproxy::config(&context, arguments).await,
    }
}
