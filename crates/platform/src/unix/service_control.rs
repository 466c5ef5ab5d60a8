//! There is no service manager that a program speaks to itself; systemd has its own programs.

use crate::service_control::{NativeService, NativeState, ServiceBody};
use std::io;
use std::path::Path;

fn unsupported<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "services are systemd's on this system"))
}

pub fn install(_service: &NativeService) -> io::Result<()> {
    unsupported()
}

pub fn start(_name: &str) -> io::Result<()> {
    unsupported()
}

pub fn stop(_name: &str) -> io::Result<()> {
    unsupported()
}

pub fn state(_name: &str) -> io::Result<NativeState> {
    unsupported()
}

pub fn uninstall(_name: &str) -> io::Result<()> {
    unsupported()
}

pub fn run(_name: &str, _log: &Path, _body: ServiceBody) -> io::Result<()> {
    unsupported()
}
