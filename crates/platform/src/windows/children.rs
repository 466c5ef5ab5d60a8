//! Children on Windows: each server runs in a job object that the kernel ends together with the guard.
//!
//! The worker has a job of its own, which does not end with the guard: a worker that outlives its guard gives the lease up.

use super::job::Job;
use super::spawn::{self, Process, Program};
use crate::child::{ChildEvent, Server, ServerCommand, Signal, WorkerCommand};
use crate::lines::{LINES_MAX, read_lines, spawn_thread, write_lines};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::windows::io::{AsHandle, OwnedHandle};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};
use windows_sys::Win32::System::Threading::{CREATE_NEW_PROCESS_GROUP, CREATE_NO_WINDOW};

/// The kernel ends a process within a few milliseconds.
const TREE_LOOK: Duration = Duration::from_millis(2);
/// `pg_ctl` gives a postmaster as long to take a signal.
const SIGNAL_PATIENCE: Duration = Duration::from_secs(1);
const SIGNAL_AGAIN: Duration = Duration::from_millis(5);

pub struct Children {
    events: SyncSender<ChildEvent>,
    worker: Option<SyncSender<String>>,
    servers: BTreeMap<Server, Running>,
}

struct Running {
    job: Arc<Job>,
    pid: u32,
}

impl Children {
    pub fn new(events: SyncSender<ChildEvent>) -> io::Result<Self> {
        let sender = events.clone();
        super::service::on_console_end(move || drop(sender.send(ChildEvent::Terminate)))?;
        Ok(Self { events, worker: None, servers: BTreeMap::new() })
    }

    pub fn start_worker(&mut self, command: &WorkerCommand) -> io::Result<()> {
        let (input, to_worker) = io::pipe()?;
        let (from_worker, output) = io::pipe()?;
        let errors = io::stderr().as_handle().try_clone_to_owned().or_else(|_| nothing())?;
        let job = Job::new()?;
        let worker = spawn::start(
            Program {
                program: &command.program,
                arguments: &command.arguments,
                environment: &[],
                directory: None,
                streams: [input.into(), output.into(), errors],
                // Ctrl-C reaches the guard alone, which then stops everything in order.
                flags: CREATE_NEW_PROCESS_GROUP,
            },
            &job,
        )?;
        let (lines, to_write) = sync_channel(LINES_MAX);
        spawn_thread("to-worker", move || write_lines(to_worker, &to_write))?;
        let sender = self.events.clone();
        spawn_thread("from-worker", move || read_lines(from_worker, &sender))?;
        let sender = self.events.clone();
        spawn_thread("worker", move || {
            let exit = worker.wait();
            // What it had started (a clone, a rewind) must not work on beside its successor's.
            job.terminate();
            let _ = sender.send(ChildEvent::WorkerExited(exit));
        })?;
        self.worker = Some(lines);
        Ok(())
    }

    pub fn tell_worker(&mut self, line: &str) {
        if let Some(worker) = &self.worker {
            let _ = worker.try_send(line.to_owned());
        }
    }

    pub fn start_server(&mut self, server: Server, command: &ServerCommand) -> io::Result<u32> {
        let log = OpenOptions::new().create(true).append(true).open(&command.log_file)?;
        let job = Arc::new(Job::that_ends_with_us()?);
        let process = spawn::start(
            Program {
                program: &command.program,
                arguments: &command.arguments,
                environment: &command.environment,
                directory: Some(&command.working_directory),
                streams: [nothing()?, log.try_clone()?.into(), log.into()],
                // A console that nobody sees: no Ctrl-C of ours reaches it, and what it starts opens no window.
                flags: CREATE_NO_WINDOW,
            },
            &job,
        )?;
        let pid = process.id;
        self.servers.insert(server, Running { job: job.clone(), pid });
        let sender = self.events.clone();
        spawn_thread("server", move || follow(server, &process, &job, &sender))?;
        Ok(pid)
    }

    pub fn signal_server(&mut self, server: Server, signal: Signal) {
        let Some(Running { job, pid }) = self.servers.get(&server) else { return };
        if server == Server::Redis {
            // Nothing like SIGTERM reaches a program without a console. The worker asks Redis itself to save and end, over
            // its own protocol; what is still there then is ended.
            return job.terminate();
        }
        let pid = *pid;
        // The postmaster may be slow to answer, and the guard waits for nobody.
        let _ = spawn_thread("signal", move || send_signal(pid, signal));
    }

    pub fn kill_tree(&mut self, server: Server) {
        match self.servers.get(&server) {
            Some(running) if running.job.processes().is_ok_and(|count| count > 0) => running.job.terminate(),
            Some(_) | None => {
                let _ = self.events.try_send(ChildEvent::TreeGone(server));
            }
        }
    }

    pub fn release_servers(&mut self) {
        // The job objects end their processes with us; leaving a server behind is not possible on Windows yet.
    }

    pub fn look(&mut self) -> Option<ChildEvent> {
        None
    }
}

/// Waits for the server's end, and for that of everything it started.
fn follow(server: Server, process: &Process, job: &Job, events: &SyncSender<ChildEvent>) {
    let exit = process.wait();
    job.terminate();
    let _ = events.send(ChildEvent::ServerExited(server, exit.to_string()));
    // A job that cannot be asked is one whose processes are not known to be gone.
    while !job.processes().is_ok_and(|count| count == 0) {
        thread::sleep(TREE_LOOK);
    }
    let _ = events.send(ChildEvent::TreeGone(server));
}

/// As `pg_ctl kill` does: a postmaster on Windows takes the number of a signal from a pipe with its process id in the name
/// (`pgkill` in PostgreSQL's `src/port/kill.c`), and answers with the same.
fn send_signal(pid: u32, signal: Signal) {
    let number: u8 = match signal {
        Signal::Smart => 15,
        Signal::Fast => 2,
        Signal::Immediate => 3,
    };
    let pipe = format!(r"\\.\pipe\pgsignal_{pid}");
    let deadline = Instant::now() + SIGNAL_PATIENCE;
    loop {
        let sent = OpenOptions::new().read(true).write(true).open(&pipe).and_then(|mut pipe| {
            pipe.write_all(&[number])?;
            pipe.read_exact(&mut [0])
        });
        // It is busy with another signal, has only begun to start, or is gone, which the guard hears of from elsewhere.
        if sent.is_ok() || Instant::now() >= deadline {
            return;
        }
        thread::sleep(SIGNAL_AGAIN);
    }
}

fn nothing() -> io::Result<OwnedHandle> {
    File::open("NUL").map(OwnedHandle::from)
}
