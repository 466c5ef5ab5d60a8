//! Children on Windows: each server runs in a job object that the kernel ends together with the guard.

use crate::child::{ChildEvent, Server, ServerCommand, Signal, WorkerCommand};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::os::windows::io::AsRawHandle;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use windows_sys::Win32::Foundation::{CloseHandle, HANDLE};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation, SetInformationJobObject,
    TerminateJobObject,
};

/// Lines that may wait for the worker; see the Linux side.
const LINES_MAX: usize = 256;

/// Owns a job object: closing its last handle ends every process in it.
struct Job(HANDLE);

impl Job {
    fn new() -> io::Result<Self> {
        // SAFETY: no security attributes and no name are both allowed to be null.
        let job = unsafe { CreateJobObjectW(std::ptr::null(), std::ptr::null()) };
        if job.is_null() {
            return Err(io::Error::last_os_error());
        }
        let job = Self(job);
        // SAFETY: the structure is plain data for which all zeros are valid.
        let mut limits: JOBOBJECT_EXTENDED_LIMIT_INFORMATION = unsafe { std::mem::zeroed() };
        limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
        let size = u32::try_from(size_of::<JOBOBJECT_EXTENDED_LIMIT_INFORMATION>()).unwrap_or(0);
        // SAFETY: the handle is valid and the pointer and size describe `limits`.
        let ok = unsafe {
            SetInformationJobObject(job.0, JobObjectExtendedLimitInformation, (&raw const limits).cast(), size)
        };
        if ok == 0 { Err(io::Error::last_os_error()) } else { Ok(job) }
    }

    fn assign(&self, process: HANDLE) -> io::Result<()> {
        // SAFETY: both handles are valid for the call.
        let ok = unsafe { AssignProcessToJobObject(self.0, process) };
        if ok == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn terminate(&self) {
        // SAFETY: the handle is valid.
        unsafe { TerminateJobObject(self.0, 1) };
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and is closed once.
        unsafe { CloseHandle(self.0) };
    }
}

pub struct Children {
    events: SyncSender<ChildEvent>,
    worker: Option<SyncSender<String>>,
    servers: BTreeMap<Server, Running>,
}

struct Running {
    job: Job,
    /// `pg_ctl` beside `postgres.exe`: signals to a postmaster go through `pg_ctl kill`.
    pg_ctl: std::path::PathBuf,
    pid: u32,
}

impl Children {
    pub fn new(events: SyncSender<ChildEvent>) -> io::Result<Self> {
        Ok(Self { events, worker: None, servers: BTreeMap::new() })
    }

    pub fn start_worker(&mut self, command: &WorkerCommand) -> io::Result<()> {
        let mut child = Command::new(&command.program)
            .args(&command.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the worker has no pipes"));
        };
        let (lines, to_write): (_, Receiver<String>) = sync_channel(LINES_MAX);
        thread::spawn(move || {
            while let Ok(line) = to_write.recv() {
                if writeln!(stdin, "{line}").and_then(|()| stdin.flush()).is_err() {
                    return;
                }
            }
        });
        let sender = self.events.clone();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(ChildEvent::WorkerSaid(line)).is_err() {
                    return;
                }
            }
        });
        let sender = self.events.clone();
        thread::spawn(move || {
            let status = child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
            let _ = sender.send(ChildEvent::WorkerExited(status));
        });
        self.worker = Some(lines);
        Ok(())
    }

    pub fn tell_worker(&mut self, line: &str) {
        if let Some(worker) = &self.worker {
            let _ = worker.try_send(line.to_owned());
        }
    }

    pub fn start_server(&mut self, server: Server, command: &ServerCommand) -> io::Result<u32> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&command.log_file)?;
        let job = Job::new()?;
        let mut child = Command::new(&command.program)
            .args(&command.arguments)
            .envs(command.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&command.working_directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        if let Err(error) = job.assign(child.as_raw_handle().cast()) {
            let _ = child.kill();
            return Err(error);
        }
        let pid = child.id();
        let sender = self.events.clone();
        thread::spawn(move || {
            let status = child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
            let _ = sender.send(ChildEvent::ServerExited(server, status));
        });
        self.servers.insert(server, Running { job, pg_ctl: command.program.with_file_name("pg_ctl.exe"), pid });
        Ok(pid)
    }

    pub fn signal_server(&mut self, server: Server, signal: Signal) {
        let Some(Running { job, pg_ctl, pid }) = self.servers.get(&server) else { return };
        if server == Server::Redis {
            // Nothing like SIGTERM reaches a program without a console. The worker asks Redis itself to save and end, over
            // its own protocol; what is still there then is ended.
            return job.terminate();
        }
        let name = match signal {
            Signal::Smart => "TERM",
            Signal::Fast => "INT",
            Signal::Immediate => "QUIT",
        };
        let _ = Command::new(pg_ctl)
            .args(["kill", name, &pid.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
    }

    pub fn kill_tree(&mut self, server: Server) {
        if let Some(running) = self.servers.remove(&server) {
            running.job.terminate();
        }
        let _ = self.events.try_send(ChildEvent::TreeGone(server));
    }

    pub fn release_servers(&mut self) {
        // The job objects end their processes with us; leaving a server behind is not possible on Windows yet.
    }

    pub fn look(&mut self) -> Option<ChildEvent> {
        None
    }
}
