//! A service of the operating system's own kind, where the program itself has to speak to its manager: Windows.
//!
//! Deliberately nothing of systemd, which is spoken to by its own programs. Elsewhere every function answers that there is
//! no such thing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeService {
    pub name: String,
    pub description: String,
    pub program: PathBuf,
    pub arguments: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NativeState {
    Absent,
    Stopped,
    Running,
    /// Starting or stopping.
    Changing,
}

/// What is done when the service manager asks the service to stop.
#[derive(Clone, Default)]
pub struct StopRequest(Arc<Mutex<Stop>>);

#[derive(Default)]
struct Stop {
    asked: bool,
    then: Option<Box<dyn FnOnce() + Send>>,
}

impl StopRequest {
    /// At once, if it was asked for already.
    pub fn then(&self, act: impl FnOnce() + Send + 'static) {
        let mut stop = self.0.lock().unwrap_or_else(PoisonError::into_inner); // whole at every moment
        if stop.asked {
            drop(stop);
            act();
        } else {
            stop.then = Some(Box::new(act));
        }
    }

    #[cfg_attr(not(windows), expect(dead_code, reason = "called by the Windows service manager"))]
    pub(crate) fn ask(&self) {
        let mut stop = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stop.asked = true;
        let act = stop.then.take();
        drop(stop);
        if let Some(act) = act {
            act();
        }
    }
}

/// What the service does until it is to stop; returns its exit code.
pub type ServiceBody = Box<dyn FnOnce(StopRequest) -> i32 + Send>;

/// Starts with the system, and is started again when it fails.
pub fn install(service: &NativeService) -> io::Result<()> {
    super::os::service_control::install(service)
}

pub fn start(name: &str) -> io::Result<()> {
    super::os::service_control::start(name)
}

/// Asks it to stop, and does not wait until it has.
pub fn stop(name: &str) -> io::Result<()> {
    super::os::service_control::stop(name)
}

pub fn state(name: &str) -> io::Result<NativeState> {
    super::os::service_control::state(name)
}

/// It must be stopped.
pub fn uninstall(name: &str) -> io::Result<()> {
    super::os::service_control::uninstall(name)
}

/// Called by the service manager alone: runs `body` as this service. What the process says on standard error goes to `log`.
pub fn run(name: &str, log: &Path, body: ServiceBody) -> io::Result<()> {
    super::os::service_control::run(name, log, body)
}
