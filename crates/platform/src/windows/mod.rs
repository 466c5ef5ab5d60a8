//! Windows.

pub mod addresses;
pub mod children;
pub mod files;
mod job;
pub mod memory;
pub mod process_end;
pub mod processes_in;
pub mod service;
pub mod service_control;
pub mod sockets;
mod spawn;
mod token;
pub mod user;

use types::Millis;

pub fn boot_clock() -> Millis {
    // SAFETY: takes nothing and cannot fail. It counts time asleep.
    Millis(unsafe { windows_sys::Win32::System::SystemInformation::GetTickCount64() })
}

/// Not asked on Windows yet.
pub fn clock_is_kept() -> Option<bool> {
    None
}

/// Windows shows the program's own name.
pub fn set_process_name(_name: &str) {}

/// Windows cannot become another program: this one waits, and ends as the other does.
pub fn become_program(mut command: std::process::Command) -> std::io::Result<i32> {
    Ok(command.status()?.code().unwrap_or(1))
}
