//! Linux.

pub mod addresses;
pub mod children;
pub mod files;
pub mod memory;
pub mod process_end;
pub mod processes_in;
pub mod service;
pub mod service_control;
pub mod sockets;
pub mod user;

use rustix::time::{ClockId, clock_gettime};
use types::Millis;

pub fn boot_clock() -> Millis {
    let now = clock_gettime(ClockId::Boottime);
    Millis(u64::try_from(now.tv_sec).unwrap_or(0) * 1000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000)
}

/// The kernel knows whether a program disciplines its clock.
pub fn clock_is_kept() -> Option<bool> {
    // SAFETY: `timex` is plain data for which all zeros are valid; with `modes` of zero the call only reads.
    let state = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        libc::adjtimex(&raw mut timex)
    };
    (state >= 0).then_some(state != libc::TIME_ERROR)
}

/// The name that `ps` and `top` show. Without it, a program that was started through a link has the link's.
pub fn set_process_name(name: &str) {
    // Only a name: nothing depends on it.
    let _ = std::fs::write("/proc/self/comm", name);
}

/// This process becomes another program, so that nothing of its own command line stays behind. Returns only when that fails.
pub fn become_program(mut command: std::process::Command) -> std::io::Result<i32> {
    Err(std::os::unix::process::CommandExt::exec(&mut command))
}
