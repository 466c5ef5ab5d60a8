//! What a program that runs as a service has to do with its surroundings.

use std::io;
use std::time::Duration;

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

/// How many files and sockets this process may have open; `None`: not limited by a number.
pub fn open_files_limit() -> Option<u64> {
    super::os::service::open_files_limit()
}

/// Tells systemd, when it has asked to be told; `READY=1` after the start.
pub fn notify_service_manager(state: &str) -> io::Result<()> {
    ServiceManager::find().tell(state)
}

/// After how long without a sign of life systemd ends this service, as the environment says. Also right in a child of the
/// process that gives the signs, which is how the worker knows.
pub fn watchdog_timeout() -> Option<Duration> {
    let micros: u64 = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    (micros > 0).then(|| Duration::from_micros(micros))
}

/// systemd, when it is there and wants to be told. Telling it never waits.
pub struct ServiceManager {
    inner: Option<super::os::service::Notifications>,
}

impl ServiceManager {
    pub fn find() -> Self {
        Self { inner: super::os::service::Notifications::open().ok().flatten() }
    }

    /// How often at least this process must say `WATCHDOG=1`; `None`: nobody waits for it.
    pub fn watchdog(&self) -> Option<Duration> {
        self.inner.as_ref()?;
        let meant_for_us = match std::env::var("WATCHDOG_PID") {
            Ok(pid) => pid.parse() == Ok(std::process::id()),
            Err(_) => true,
        };
        watchdog_timeout().filter(|_| meant_for_us)
    }

    pub fn tell(&self, state: &str) -> io::Result<()> {
        self.inner.as_ref().map_or(Ok(()), |notifications| notifications.send(state))
    }
}
