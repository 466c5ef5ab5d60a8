//! One member: its directory, its processes, and the ways to break and mend them.

use crate::etcd::Etcd;
use crate::net::program_in;
use crate::process::{Process, belonging_to};
use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The standard ports; every member has them on its own address.
pub mod ports {
    pub const POSTGRES: u16 = 5432;
    pub const REST: u16 = 8008;
    pub const STORE_CLIENTS: u16 = 2379;
    pub const STORE_PEERS: u16 = 2380;
    pub const PROXY_PRIMARY: u16 = 5000;
    pub const PROXY_REPLICAS: u16 = 5001;
    pub const REDIS: u16 = 6379;
    pub const SENTINEL: u16 = 26379;
    pub const PROXY_REDIS: u16 = 6380;
    pub const CONSOLE: u16 = 8080;

    /// Of every member.
    pub const ALL: [u16; 6] = [POSTGRES, REST, STORE_CLIENTS, STORE_PEERS, PROXY_PRIMARY, PROXY_REPLICAS];
    /// Of a member with Redis, too.
    pub const OF_REDIS: [u16; 3] = [REDIS, SENTINEL, PROXY_REDIS];
}

/// A process that was killed is gone within milliseconds unless the kernel is busy with its disk.
const KILL_TIME_MAX: Duration = Duration::from_secs(10);
const KILL_PAUSE: Duration = Duration::from_millis(1);
/// What is shown of a log when a member does not start.
const LOG_TAIL_BYTES: u64 = 2_000;

/// What a signal goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Worker,
    Guard,
    GuardAndWorker,
    /// Agent, PostgreSQL with all its backends, Redis, and the member's etcd if it has one: what a host that stops would stop.
    Everything,
}

/// See the module.
#[derive(Debug)]
pub struct Member {
    pub name: String,
    pub address: Ipv4Addr,
    pub(crate) namespace: Option<String>,
    pub directory: PathBuf,
    pub config_file: PathBuf,
    pub(crate) quorate: PathBuf,
    pub(crate) guard: Option<Child>,
    /// How the guard that was started last ended. Its number may belong to a stranger from then on.
    pub(crate) ended: Option<ExitStatus>,
    pub(crate) etcd: Option<Etcd>,
}

impl Member {
    pub fn data_dir(&self) -> PathBuf {
        self.directory.join("data")
    }

    pub fn log_file(&self) -> PathBuf {
        self.directory.join("quorate.log")
    }

    /// Starts the agent (and etcd, when the member has one), unless they run.
    pub fn start(&mut self) -> Result<()> {
        if let Some(etcd) = &mut self.etcd {
            etcd.start()?;
        }
        if self.is_running()? {
            return Ok(());
        }
        let log = OpenOptions::new().create(true).append(true).open(self.log_file())?;
        let mut command = match &self.namespace {
            Some(namespace) => program_in(namespace, &self.quorate),
            None => Command::new(&self.quorate),
        };
        // Whatever becomes of us: a demo that is killed leaves nothing that keeps the next one from its ports.
        platform::end_with_parent(&mut command);
        let guard = command
            .arg("agent")
            .arg(&self.config_file)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0) // Ctrl-C at the terminal is for us; we stop the members ourselves
            .spawn()
            .with_context(|| format!("cannot start {}", self.quorate.display()))?;
        self.guard = Some(guard);
        self.ended = None;
        Ok(())
    }

    /// Whether the process that was started last lives.
    pub fn is_running(&mut self) -> Result<bool> {
        self.exit_status()?;
        Ok(self.guard.is_some())
    }

    /// How the process that was started last ended, if it did.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        if let Some(guard) = &mut self.guard
            && let Some(status) = guard.try_wait()?
        {
            self.ended = Some(status);
            self.guard = None;
        }
        Ok(self.ended)
    }

    /// The end of the member's log.
    pub fn log_tail(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = fs::File::open(self.log_file())?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_else(|error| format!("(its log cannot be read: {error})"))
    }

    /// Every living process of the member.
    pub fn processes(&self) -> Vec<Process> {
        let roots: Vec<u32> = self.guard.iter().map(Child::id).chain(self.etcd.as_ref().and_then(Etcd::pid)).collect();
        belonging_to(&roots, &self.directory)
    }

    pub fn guard(&self) -> Option<Process> {
        let pid = self.guard.as_ref()?.id() as i32;
        self.processes().into_iter().find(|process| process.pid == pid)
    }

    pub fn worker(&self) -> Option<Process> {
        self.processes().into_iter().find(|process| self.is_worker(process))
    }

    fn is_worker(&self, process: &Process) -> bool {
        Some(process.pid) != self.guard.as_ref().map(|guard| guard.id() as i32)
            && process.name.starts_with("quorate")
            && process.arguments().iter().any(|word| word == "worker")
    }

    pub fn postmaster(&self) -> Option<Process> {
        let text = fs::read_to_string(self.data_dir().join("postmaster.pid")).ok()?;
        let pid: i32 = text.lines().next()?.trim().parse().ok()?;
        self.processes().into_iter().find(|process| process.pid == pid && process.name == "postgres")
    }

    pub fn redis(&self) -> Option<Process> {
        // Its name in `ps` may change; what the kernel keeps does not. A fork that saves data to disk has the same one.
        let is_server = |name: &str| name.starts_with("redis-server") || name.starts_with("valkey-server");
        self.processes().into_iter().find(|process| is_server(&process.name))
    }

    /// SIGKILL to every process at once, as if the host had lost its power. Returns how many there were.
    pub fn kill(&mut self) -> Result<usize> {
        let deadline = Instant::now() + KILL_TIME_MAX;
        let mut killed = BTreeSet::new();
        loop {
            // Again and again: a process may have forked between the look and the signal.
            let mut left = self.processes();
            // First whoever would tell the others that the rest is dying.
            left.sort_by_key(|process| !self.is_worker(process));
            self.bury()?;
            // The kernel reports a process as dead while the last of its threads still ends; only then it can be buried.
            if left.is_empty() && self.guard.is_none() && self.etcd.as_ref().is_none_or(|etcd| etcd.pid().is_none()) {
                break;
            }
            killed.extend(left.iter().filter(|process| process.signal(Signal::KILL)).map(|process| process.pid));
            if Instant::now() > deadline {
                bail!("{} processes of {} do not die", left.len(), self.name);
            }
            std::thread::sleep(KILL_PAUSE);
        }
        Ok(killed.len())
    }

    fn bury(&mut self) -> Result<()> {
        self.exit_status()?;
        if let Some(etcd) = &mut self.etcd {
            etcd.bury()?;
        }
        Ok(())
    }

    /// SIGKILL to PostgreSQL's main process only.
    pub fn kill_postmaster(&self) -> Result<()> {
        self.signal_one("postmaster", self.postmaster(), Signal::KILL)
    }

    /// SIGKILL to redis-server only.
    pub fn kill_redis(&self) -> Result<()> {
        self.signal_one("redis-server", self.redis(), Signal::KILL)
    }

    /// SIGKILL to the member's etcd, which it must have. `start` starts it again.
    pub fn kill_etcd(&mut self) -> Result<()> {
        let pid = self.etcd.as_ref().and_then(Etcd::pid).map(|pid| pid as i32);
        let process = self.processes().into_iter().find(|process| Some(process.pid) == pid);
        self.signal_one("etcd", process, Signal::KILL)
    }

    pub fn kill_worker(&self) -> Result<()> {
        self.signal_one("worker", self.worker(), Signal::KILL)
    }

    pub fn kill_guard(&self) -> Result<()> {
        self.signal_one("guard", self.guard(), Signal::KILL)
    }

    /// SIGSTOP: the processes keep memory, sockets and locks, and do nothing.
    pub fn freeze(&self, part: Part) -> Result<()> {
        self.signal(part, Signal::STOP)
    }

    /// SIGCONT.
    pub fn resume(&self, part: Part) -> Result<()> {
        self.signal(part, Signal::CONT)
    }

    fn signal(&self, part: Part, signal: Signal) -> Result<()> {
        match part {
            Part::Worker => self.signal_one("worker", self.worker(), signal),
            Part::Guard => self.signal_one("guard", self.guard(), signal),
            Part::GuardAndWorker => {
                let (guard, worker) = (self.guard(), self.worker());
                self.signal_one("guard", guard, signal)?;
                self.signal_one("worker", worker, signal)
            }
            Part::Everything => {
                for process in self.processes() {
                    process.signal(signal);
                }
                Ok(())
            }
        }
    }

    fn signal_one(&self, what: &str, process: Option<Process>, signal: Signal) -> Result<()> {
        match process {
            Some(process) if process.signal(signal) => Ok(()),
            _ => bail!("{} has no {what} to send a signal to", self.name),
        }
    }

    /// Asks the agent to end (SIGTERM), without waiting for it.
    pub fn ask_to_stop(&self) {
        if let Some(guard) = self.guard() {
            guard.signal(Signal::TERM);
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("{error:#}");
        }
    }
}
