//! Finding and signalling the processes of one member.
//!
//! A member's processes are: its guard (which we started), everything below it, and PostgreSQL, Redis or our own processes that
//! lost their parent but work in the member's directory (PostgreSQL and Redis always do: their data directories are there). A shell
//! or an editor that a person opened there is not touched.

use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The kernel counts processor time in these, on every architecture Linux has today.
const TICKS_PER_SECOND: f64 = 100.0;

/// What `/proc` says about one process.
#[derive(Clone, Debug)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    /// The program's name as the kernel keeps it (15 bytes); a changed title does not change it.
    pub name: String,
    /// A dead process that its parent has not buried yet. It holds nothing any more.
    pub is_zombie: bool,
    directory: Option<PathBuf>,
}

impl Process {
    fn read(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // pid (name) state parent ...; the name may contain anything, also parentheses.
        let (before, after) = stat.rsplit_once(") ")?;
        let mut fields = after.split(' ');
        let is_zombie = matches!(fields.next()?, "Z" | "X");
        let parent = fields.next()?.parse().ok()?;
        let name = before.split_once('(')?.1.to_owned();
        let directory = fs::read_link(format!("/proc/{pid}/cwd")).ok();
        Some(Self { pid, parent, name, is_zombie, directory })
    }

    /// The command line; empty for one that has just ended.
    pub fn arguments(&self) -> Vec<String> {
        let line = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    }

    /// Processor time used so far, in seconds; nothing of a process that is gone.
    pub fn processor_s(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let after_name = stat.rsplit_once(") ").map_or("", |(_, after)| after);
        // After pid and name: utime and stime are the twelfth and thirteenth field.
        let ticks = after_name.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
        ticks.sum::<u64>() as f64 / TICKS_PER_SECOND
    }

    /// Resident memory in megabytes; nothing of a process that is gone.
    pub fn resident_mb(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<f64>().map_or(0.0, |kb| kb / 1024.0)
    }

    fn is_ours_by_place(&self, directory: &Path) -> bool {
        let known = ["postgres", "pg_", "initdb", "redis-", "valkey-", "quorate", "etcd"];
        let known = known.iter().any(|start| self.name.starts_with(start));
        known && self.directory.as_deref().is_some_and(|place| place.starts_with(directory))
    }

    /// Sends a signal; false when the process is gone.
    pub fn signal(&self, signal: Signal) -> bool {
        Pid::from_raw(self.pid).is_some_and(|pid| kill_process(pid, signal).is_ok())
    }
}

/// All processes that live now.
pub fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Process::read)
        .filter(|process| !process.is_zombie)
        .collect()
}

/// The living processes below `roots` (these included) and those that belong to `directory`, parents before children.
pub fn belonging_to(roots: &[u32], directory: &Path) -> Vec<Process> {
    let myself = std::process::id() as i32;
    let mut rest = all();
    rest.retain(|process| process.pid != myself);
    let mut found: Vec<Process> = Vec::new();
    let mut pids: HashSet<i32> = roots.iter().map(|pid| *pid as i32).collect();
    loop {
        let (more, other): (Vec<_>, Vec<_>) = rest.into_iter().partition(|process| {
            pids.contains(&process.pid) || pids.contains(&process.parent) || process.is_ours_by_place(directory)
        });
        if more.is_empty() {
            return found;
        }
        pids.extend(more.iter().map(|process| process.pid));
        found.extend(more);
        rest = other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn descendants_are_found_and_a_stranger_in_the_directory_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).current_dir(directory.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
            command.spawn().unwrap()
        };
        // Both wait for their input; the first one has a child that does.
        let mut root = shell("cat; :");
        let mut stranger = shell("read line");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let found = loop {
            let found = belonging_to(&[root.id()], directory.path());
            if found.iter().any(|process| process.name == "cat") || std::time::Instant::now() > deadline {
                break found;
            }
            std::thread::yield_now();
        };
        let names: Vec<&str> = found.iter().map(|process| process.name.as_str()).collect();
        assert_eq!(names, ["sh", "cat"]);
        assert_eq!(found[0].pid, root.id() as i32);
        for process in &found {
            assert!(process.signal(Signal::KILL));
        }
        root.wait().unwrap();
        drop(stranger.stdin.take());
        stranger.wait().unwrap();
    }
}
