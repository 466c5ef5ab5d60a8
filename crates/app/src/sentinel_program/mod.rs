//! A Sentinel alone: `quorate sentinel FILE`, and this program under the name of `redis-sentinel`.
//!
//! Behaves as that program does where scripts and service managers can tell: arguments, exit codes, log lines, pid file,
//! signals, systemd's notification.

mod log;

use sentinel::{Handle, Settings, StateFile, ToSentinel};
use std::path::Path;

/// The names under which this program is a Sentinel and nothing else.
const NAMES: [&str; 2] = ["redis-sentinel", "valkey-sentinel"];

/// Files and sockets besides those for servers and clients: ports, the log, the state file, scripts.
const OPEN_FILES: u64 = 64;
/// For each master: two connections to it and to each of a handful of replicas.
const OPEN_FILES_PER_MASTER: u64 = 12;

const EXIT_REFUSED: i32 = 1;

pub fn is_its_name() -> bool {
    let Some(name) = std::env::args_os().next() else { return false };
    let stem = Path::new(&name).file_stem().map(|stem| stem.to_string_lossy().to_ascii_lowercase());
    stem.is_some_and(|stem| NAMES.contains(&stem.as_str()))
}

/// As `redis-sentinel`: arguments from the process.
pub fn run_as_program() -> i32 {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    match arguments.first().map(String::as_str) {
        Some("-v" | "--version") => {
            println!(
                "Redis server v=7.2.4 sha=00000000:0 malloc=system bits={} quorate={}",
                usize::BITS,
                env!("CARGO_PKG_VERSION")
            );
            0
        }
        Some("-h" | "--help") => {
            println!(
                "Usage: redis-sentinel FILE [OPTIONS]\n\nFILE is sentinel.conf; an option such as --port 5000 stands for the line 'port 5000'."
            );
            0
        }
        Some(file) if !file.starts_with("--") => run(Path::new(file), &arguments[1..]),
        Some(_) | None => {
            eprintln!("Sentinel needs config file on disk to save state.  Exiting...");
            EXIT_REFUSED
        }
    }
}

/// Says whether a Sentinel would start with this file, and starts none.
pub fn check(file: &Path, options: &[String]) -> i32 {
    match read(file, options) {
        Ok(settings) => {
            let masters = settings.configuration.masters.len();
            let plural = if masters == 1 { "" } else { "s" };
            println!("{}: a Sentinel can start with it ({masters} master{plural})", file.display());
            0
        }
        Err(text) => {
            eprintln!("{text}");
            EXIT_REFUSED
        }
    }
}

pub fn run(file: &Path, options: &[String]) -> i32 {
    let settings = match read(file, options) {
        Ok(settings) => settings,
        Err(text) => {
            eprintln!("\n*** FATAL CONFIG FILE ERROR ***\n{text}");
            return EXIT_REFUSED;
        }
    };
    platform::set_process_name("redis-sentinel");
    if let Err(error) = log::begin(settings.server.log_file.clone()) {
        let path = settings.server.log_file.unwrap_or_default();
        eprintln!(
            "\n*** FATAL CONFIG FILE ERROR ***\nCan't open the log file {}: {error}\nhint: the user that runs this must be able to write it",
            path.display()
        );
        return EXIT_REFUSED;
    }
    let pid_file = settings.server.pid_file.clone();
    match start(settings) {
        Ok(handle) => {
            if let Some(path) = &pid_file
                && let Err(error) = std::fs::write(path, format!("{}\n", std::process::id()))
            {
                tracing::warn!("Failed to write PID file {}: {error}", path.display());
            }
            let code = handle.wait();
            tracing::warn!("Sentinel is now ready to exit, bye bye...");
            if let Some(path) = &pid_file {
                // Somebody may have removed it already.
                let _ = std::fs::remove_file(path);
            }
            code
        }
        Err(text) => {
            tracing::warn!("{text}");
            EXIT_REFUSED
        }
    }
}

fn read(file: &Path, options: &[String]) -> Result<Settings, String> {
    // Before `dir` changes what a relative path means.
    let path = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let mut settings = Settings::from_file(&path, options).map_err(|error| error.to_string())?;
    if settings.server.daemonize {
        return Err("daemonize yes: this program does not put itself into the background\nhint: let the service manager start it, or add: --daemonize no".to_owned());
    }
    match &settings.state {
        StateFile::Main(path) if !platform::is_writable(path) => {
            return Err(format!(
                "Sentinel config file {} is not writable. Exiting...\nhint: it keeps its state there; give it to the user that runs this, or use 'sentinel state-config-file PATH'",
                path.display()
            ));
        }
        StateFile::Main(_) | StateFile::Separate(_) => {}
    }
    if let Some(directory) = &settings.server.directory {
        std::env::set_current_dir(directory)
            .map_err(|error| format!("Can't chdir to '{}': {error}", directory.display()))?;
    }
    settings.server.directory = std::env::current_dir().ok().or(settings.server.directory);
    Ok(settings)
}

fn start(settings: Settings) -> Result<Handle, String> {
    let masters = settings.configuration.masters.len() as u64;
    let wanted = OPEN_FILES + OPEN_FILES_PER_MASTER * masters + settings.server.clients_max as u64;
    let limit = platform::allow_open_files(wanted);
    if limit < wanted {
        tracing::warn!("the limit of open files is {limit}; for many masters or clients raise it (ulimit -n {wanted})");
    }
    let port = if settings.server.port == 0 { settings.server.tls.port } else { settings.server.port };
    let handle = sentinel::start(settings, None).map_err(|error| error.to_string())?;
    let sender = handle.sender();
    platform::on_termination(move || {
        tracing::warn!("Received a signal, scheduling shutdown...");
        // When it is full, the Sentinel hangs, and a second signal is the user's business.
        let _ = sender.try_send(ToSentinel::Shutdown);
    })
    .map_err(|error| format!("signals cannot be received: {error}"))?;
    tracing::info!("Running mode=sentinel, port={port}.");
    if let Err(error) = platform::notify_service_manager("STATUS=Ready to accept connections\nREADY=1\n") {
        tracing::warn!("systemd could not be notified: {error}");
    }
    Ok(handle)
}
