//! The processes whose working directory is a given one: every process of PostgreSQL works in its data directory,
//! also those that have lost their postmaster.

use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Pids of all processes that work in `directory`. Those of other users cannot be seen and are left out.
pub fn processes_in(directory: &Path) -> Vec<u32> {
    let Ok(wanted) = std::fs::metadata(directory) else { return Vec::new() };
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            std::fs::metadata(format!("/proc/{pid}/cwd"))
                .is_ok_and(|at| at.dev() == wanted.dev() && at.ino() == wanted.ino())
        })
        .filter(|pid| *pid != std::process::id())
        .collect()
}

/// Kills them; the postmaster first, so that it starts no further ones. Returns how many there were.
pub fn kill_processes_in(directory: &Path) -> usize {
    let pids = processes_in(directory);
    for pid in &pids {
        if let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    pids.len()
}
