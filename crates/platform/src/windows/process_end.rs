//! How processes end, and what they cost.

use std::io;
use std::process::{Child, ExitStatus};
use std::time::Duration;

/// Windows has no signals.
pub fn ended_by_signal(_status: ExitStatus) -> Option<i32> {
    None
}

/// Not read on Windows yet.
pub fn cpu_times() -> Option<(Duration, Duration)> {
    None
}

/// Windows has no signals: it is ended.
pub fn ask_to_end(child: &mut Child) -> io::Result<()> {
    child.kill()
}
