//! Limits and the service manager: Windows has neither in this form.

use std::io;

/// Nothing asks a Windows program to end by a signal; its console is the caller's business.
pub fn on_termination(_then: impl FnOnce() + Send + 'static) -> io::Result<()> {
    Ok(())
}

pub fn on_every_termination(_then: impl FnOnce() + Send + 'static) -> io::Result<()> {
    Ok(())
}

pub fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

/// Windows does not limit sockets by a number per process.
pub fn allow_open_files(wanted: u64) -> u64 {
    wanted
}

pub fn open_files_limit() -> Option<u64> {
    None
}

/// The service control manager is told in another way (`service_control`).
pub struct Notifications;

impl Notifications {
    pub fn open() -> io::Result<Option<Self>> {
        Ok(None)
    }

    pub fn send(&self, _state: &str) -> io::Result<()> {
        Ok(())
    }
}
