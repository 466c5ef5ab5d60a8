//! The service on Windows, through its own service manager.

use super::arguments::NameArgument;
use crate::cli::Failure;
use crate::startup;
use platform::service_control::{self, NativeService, NativeState};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// As long as PostgreSQL's last checkpoint may take.
const STOP_PATIENCE: Duration = Duration::from_secs(300);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

pub fn service(name: &str, program: PathBuf, config: &Path) -> NativeService {
    let words = ["service", "run", "--name", name];
    let mut arguments: Vec<String> = words.map(str::to_owned).into();
    arguments.push(config.display().to_string());
    NativeService {
        name: name.to_owned(),
        description: "Quorate keeps PostgreSQL and Redis available".to_owned(),
        program,
        arguments,
    }
}

/// What would be installed, for people.
pub fn text(service: &NativeService) -> String {
    format!(
        "service: {}\nstarts: with the system, and again after a failure\nprogram: {}\narguments: {}\nlog: {}\n",
        service.name,
        service.program.display(),
        service.arguments.join(" "),
        log_file(Path::new(service.arguments.last().map_or("", String::as_str))).display(),
    )
}

pub fn install(service: &NativeService) -> Result<String, Failure> {
    match state(&service.name)? {
        NativeState::Absent => {}
        NativeState::Stopped | NativeState::Running | NativeState::Changing => {
            return Err(Failure::usage("cli-service-foreign", format!("there is a service {} already", service.name))
                .hint("remove it with: quorate service uninstall; or choose another name with --name"));
        }
    }
    service_control::install(service).map_err(|error| cannot("install", &service.name, &error))?;
    Ok(format!("the service {} is installed and starts with the system", service.name))
}

pub fn start(name: &str) -> Result<(), Failure> {
    must_be_there(name)?;
    service_control::start(name).map_err(|error| cannot("start", name, &error))
}

pub fn stop(name: &str) -> Result<(), Failure> {
    if must_be_there(name)? == NativeState::Stopped {
        return Ok(());
    }
    service_control::stop(name).map_err(|error| cannot("stop", name, &error))?;
    let begun = Instant::now();
    while state(name)? != NativeState::Stopped {
        if begun.elapsed() > STOP_PATIENCE {
            return Err(Failure::new("cli-timeout", format!("the service {name} is still stopping")));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}

/// Whether it runs, and a sentence about it.
pub fn status(name: &str) -> Result<(bool, String), Failure> {
    let state = must_be_there(name)?;
    let word = match state {
        NativeState::Running => "running",
        NativeState::Changing => "starting or stopping",
        NativeState::Stopped | NativeState::Absent => "stopped",
    };
    Ok((state == NativeState::Running, format!("{name} is {word}")))
}

pub fn uninstall(name: &str) -> Result<(), Failure> {
    stop(name)?;
    service_control::uninstall(name).map_err(|error| cannot("remove", name, &error))
}

/// The service itself. Returns the exit code of a start that failed.
pub fn run(arguments: &NameArgument, config: &Path) -> i32 {
    let path = config.to_owned();
    let body: service_control::ServiceBody = Box::new(move |stop| match startup::prepare(&path) {
        Ok(guard) => {
            let terminator = guard.terminator();
            stop.then(move || terminator.terminate());
            guard.run()
        }
        Err(code) => code,
    });
    match service_control::run(&arguments.name, &log_file(config), body) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("quorate: this is started by the service manager alone ({error})\nhint: quorate service start");
            1
        }
    }
}

/// Beside the configuration.
fn log_file(config: &Path) -> PathBuf {
    config.with_extension("log")
}

fn must_be_there(name: &str) -> Result<NativeState, Failure> {
    match state(name)? {
        NativeState::Absent => Err(Failure::usage("cli-service-absent", format!("there is no service {name}"))
            .hint("make it with: quorate service install FILE")),
        state @ (NativeState::Stopped | NativeState::Running | NativeState::Changing) => Ok(state),
    }
}

fn state(name: &str) -> Result<NativeState, Failure> {
    service_control::state(name).map_err(|error| cannot("look at", name, &error))
}

fn cannot(what: &str, name: &str, error: &std::io::Error) -> Failure {
    Failure::new("cli-service", format!("cannot {what} the service {name}: {error}")).hint("run it as an administrator")
}
