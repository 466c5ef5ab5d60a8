//! `quorate service`: this member's agent as a service of the operating system.
//!
//! Deliberately no decisions about the cluster, and nothing that touches data: what is installed can be removed again,
//! and what was there before stays. The invariant: a service is only made of a configuration that the agent would accept.

mod arguments;
mod systemd;
mod unit;
mod windows;

pub use arguments::ServiceCommand;

use crate::cli::{EXIT_DONE, EXIT_FAILED, Failure};
use arguments::{InstallArguments, NameArgument};
use config::MemberConfig;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use systemd::Systemd;
use unit::Unit;

pub fn run(command: ServiceCommand) -> i32 {
    let done = match command {
        ServiceCommand::Install(arguments) => install(&arguments),
        ServiceCommand::Start(arguments) => start(&arguments),
        ServiceCommand::Stop(arguments) => stop(&arguments),
        ServiceCommand::Status(arguments) => status(&arguments),
        ServiceCommand::Uninstall(arguments) => uninstall(&arguments),
        ServiceCommand::Run(arguments) => {
            return match config_file(&arguments.service) {
                Ok(config) => windows::run(&arguments.service, &config),
                Err(failure) => fail(&failure),
            };
        }
    };
    done.unwrap_or_else(|failure| fail(&failure))
}

fn fail(failure: &Failure) -> i32 {
    eprintln!("{failure}");
    failure.exit
}

/// Every directory that holds something of the member's, with what it is.
pub fn data_directories(member: &MemberConfig) -> Vec<(&'static str, PathBuf)> {
    let mut directories = Vec::new();
    directories.extend(member.store.as_ref().map(|it| ("the store", it.data_dir.clone())));
    directories.extend(member.postgresql.as_ref().map(|it| ("PostgreSQL", it.data_dir.clone())));
    directories.extend(member.redis.as_ref().map(|it| ("Redis", it.data_dir.clone())));
    directories
}

fn install(arguments: &InstallArguments) -> Result<i32, Failure> {
    let name = &arguments.service.name;
    let config = config_file(&arguments.service)?;
    let member = load(&config)?;
    for warning in &member.warnings {
        eprintln!("warning: {warning}");
    }
    let program = std::env::current_exe()?;
    let said = if cfg!(windows) {
        let service = windows::service(name, program, &config);
        if arguments.print {
            print!("{}", windows::text(&service));
            return Ok(EXIT_DONE);
        }
        windows::install(&service)?
    } else {
        let unit = Unit::of(program, config, &member);
        if arguments.print {
            print!("{}", unit::text(&unit));
            return Ok(EXIT_DONE);
        }
        Systemd::of_this_machine().install(name, &unit)?
    };
    eprintln!("{said}\n  hint: start it now with: quorate service start{}", option(name));
    Ok(EXIT_DONE)
}

/// Whether this system has a service manager that runs.
pub fn is_possible() -> bool {
    cfg!(windows) || Systemd::of_this_machine().runs()
}

/// Under its usual name. Returns the exit code.
pub fn install_and_start(config: &Path) -> Result<i32, Failure> {
    let service = NameArgument { name: arguments::NAME_DEFAULT.to_owned(), config: Some(config.to_owned()) };
    install(&InstallArguments { service: service.clone(), print: false })?;
    start(&service)
}

fn start(arguments: &NameArgument) -> Result<i32, Failure> {
    let name = &arguments.name;
    if cfg!(windows) {
        windows::start(name)?;
    } else {
        Systemd::of_this_machine().start(name)?;
    }
    eprintln!("{name} is started");
    Ok(EXIT_DONE)
}

fn stop(arguments: &NameArgument) -> Result<i32, Failure> {
    let name = &arguments.name;
    if cfg!(windows) {
        windows::stop(name)?;
    } else {
        Systemd::of_this_machine().stop(name)?;
    }
    eprintln!("{name} is stopped");
    Ok(EXIT_DONE)
}

fn status(arguments: &NameArgument) -> Result<i32, Failure> {
    let name = &arguments.name;
    let (active, sentence) = if cfg!(windows) {
        windows::status(name)?
    } else {
        let status = Systemd::of_this_machine().status(name)?;
        (status.active, status.sentence)
    };
    println!("{sentence}");
    Ok(if active { EXIT_DONE } else { EXIT_FAILED })
}

fn uninstall(arguments: &NameArgument) -> Result<i32, Failure> {
    let name = &arguments.name;
    if cfg!(windows) {
        windows::uninstall(name)?;
    } else {
        Systemd::of_this_machine().uninstall(name)?;
    }
    eprintln!("{name} is removed");
    eprintln!("{}", what_stays(config_file(arguments).ok().as_deref()));
    Ok(EXIT_DONE)
}

/// Nothing of the data goes with the service; said with the places, where the configuration tells them.
fn what_stays(config: Option<&Path>) -> String {
    let member = config.and_then(|config| Some((config, load(config).ok()?)));
    let Some((config, member)) = member else {
        return "Nothing else was removed: configuration and data are where they were".to_owned();
    };
    let mut text = format!("Nothing else was removed. There still are:\n  the configuration in {}", config.display());
    for (what, directory) in data_directories(&member) {
        let _ = write!(text, "\n  the data of {what} in {}", directory.display());
    }
    text
}

fn load(config: &Path) -> Result<MemberConfig, Failure> {
    config::load(config, &BTreeMap::new()).map_err(Failure::from)
}

/// Whole, because a service starts in a directory of its own.
fn config_file(arguments: &NameArgument) -> Result<PathBuf, Failure> {
    let env: BTreeMap<String, String> = std::env::vars().collect();
    let found = crate::cli::find_configuration(arguments.config.as_deref(), &env).ok_or_else(|| {
        Failure::usage("cli-configuration", "no configuration was named, and there is none in the usual places")
            .hint("quorate service install FILE")
    })?;
    let whole = if cfg!(windows) { std::path::absolute(&found) } else { found.canonicalize() };
    whole.map_err(|error| {
        Failure::usage("cli-file", format!("{} cannot be found: {error}", found.display()))
            .hint("name the member's configuration")
    })
}

fn option(name: &str) -> String {
    if name == arguments::NAME_DEFAULT { String::new() } else { format!(" --name {name}") }
}
