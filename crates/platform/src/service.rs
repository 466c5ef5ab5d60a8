//! What a program that runs as a service has to do with its surroundings.

use std::io;

/// Calls this once, on a thread of its own, when the process is asked to end (SIGTERM, SIGINT).
pub fn on_termination(then: impl FnOnce() + Send + 'static) -> io::Result<()> {
    super::os::service::on_termination(then)
}

/// The same for every signal that would end it: also SIGQUIT, and SIGHUP, for a program that has nothing to read again.
pub fn on_every_termination(then: impl FnOnce() + Send + 'static) -> io::Result<()> {
    super::os::service::on_every_termination(then)
}

/// This machine's name; empty when it has none.
pub fn host_name() -> String {
    super::os::service::host_name()
}

/// Raises the limit of open files and sockets as far as it goes; returns what it is now.
pub fn allow_open_files(wanted: u64) -> u64 {
    super::os::service::allow_open_files(wanted)
}

/// Tells systemd, when it has asked to be told; `READY=1` after the start.
pub fn notify_service_manager(state: &str) -> io::Result<()> {
    super::os::service::notify_service_manager(state)
}
