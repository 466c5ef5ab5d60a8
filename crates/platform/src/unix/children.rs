//! Children on Linux: the kernel kills the servers when the guard dies, and hands the guard every orphan.

use super::service::NOTIFY_SOCKET;
use crate::child::{ChildEvent, Server, ServerCommand, Signal, WorkerCommand};
use crate::exit::Exit;
use crate::lines::{LINES_MAX, read_lines, spawn_thread, write_lines};
use rustix::process::{self, Pid, WaitOptions, WaitStatus};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{SyncSender, sync_channel};

/// Root's would stay in the environment of the other user, whose libpq then looks for certificates where it may not.
const HOME: &str = "HOME";
/// The program that runs here, which is the worker's, too.
const OWN_PROGRAM: &str = "/proc/self/exe";

pub struct Children {
    events: SyncSender<ChildEvent>,
    worker: Option<Worker>,
    servers: BTreeMap<Server, Pid>,
    /// The server is gone and `TreeGone` is still owed.
    trees_pending: BTreeSet<Server>,
    /// Every session that a redis-server was started in: what it forks stays in it, which tells its orphans from others.
    redis_sessions: BTreeSet<i32>,
    /// The worker is gone; what it had started (a clone, a rewind) must not work on beside its successor's.
    leftovers: bool,
    /// Events found by one look and not yet given out.
    found: Vec<ChildEvent>,
}

struct Worker {
    pid: Pid,
    lines: SyncSender<String>,
}

impl Children {
    pub fn new(events: SyncSender<ChildEvent>) -> io::Result<Self> {
        // Backends that lose their postmaster become our children, so that none can escape.
        process::set_child_subreaper(Some(process::getpid()))?;
        let mut signals = Signals::new([SIGCHLD, SIGTERM, SIGINT, SIGHUP])?;
        let sender = events.clone();
        spawn_thread("signals", move || {
            for signal in signals.forever() {
                let event = match signal {
                    SIGCHLD => ChildEvent::Look,
                    SIGHUP => ChildEvent::Reload,
                    _ => ChildEvent::Terminate,
                };
                if sender.send(event).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self {
            events,
            worker: None,
            servers: BTreeMap::new(),
            trees_pending: BTreeSet::new(),
            redis_sessions: BTreeSet::new(),
            leftovers: false,
            found: Vec::new(),
        })
    }

    pub fn start_worker(&mut self, command: &WorkerCommand) -> io::Result<()> {
        // Another user may be unable to walk to the program (it may lie in root's home); this link needs no walk.
        let program = if command.run_as.is_some() { Path::new(OWN_PROGRAM) } else { &command.program };
        let mut worker = Command::new(program);
        worker.arg0(&command.program);
        worker.args(&command.arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        worker.env_remove(NOTIFY_SOCKET);
        if let Some(user) = &command.run_as {
            worker.uid(user.uid).gid(user.gid).env_remove(HOME);
        }
        // Its own group: Ctrl-C reaches the guard alone, which then stops everything in order.
        worker.process_group(0);
        let mut child = worker.spawn()?;
        let pid = pid_of(child.id())?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the worker has no pipes"));
        };
        let (lines, to_write) = sync_channel(LINES_MAX);
        spawn_thread("to-worker", move || write_lines(stdin, &to_write))?;
        let sender = self.events.clone();
        spawn_thread("from-worker", move || read_lines(stdout, &sender))?;
        self.worker = Some(Worker { pid, lines });
        Ok(())
    }

    pub fn tell_worker(&mut self, line: &str) {
        if let Some(worker) = &self.worker {
            let _ = worker.lines.try_send(line.to_owned());
        }
    }

    pub fn start_server(&mut self, server: Server, command: &ServerCommand) -> io::Result<u32> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&command.log_file)?;
        if let Some(user) = &command.run_as {
            crate::give_to(&command.log_file, user)?;
        }
        let mut program = Command::new(&command.program);
        program
            .args(&command.arguments)
            .env_remove(NOTIFY_SOCKET)
            .envs(command.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&command.working_directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        if let Some(user) = &command.run_as {
            program.uid(user.uid).gid(user.gid).env_remove(HOME);
        }
        end_with_parent(&mut program);
        // SAFETY: the closure runs between fork and exec and makes only system calls that are allowed there.
        unsafe {
            program.pre_exec(|| process::setsid().map(drop).map_err(io::Error::from));
        }
        let child = program.spawn()?;
        let pid = pid_of(child.id())?;
        self.servers.insert(server, pid);
        self.trees_pending.remove(&server);
        if server == Server::Redis {
            // Those of which nobody is left are forgotten.
            let sessions: BTreeSet<i32> = self.orphans().into_iter().filter_map(session_of).collect();
            self.redis_sessions.retain(|session| sessions.contains(session));
            self.redis_sessions.insert(pid.as_raw_nonzero().get());
        }
        Ok(child.id())
    }

    pub fn signal_server(&mut self, server: Server, signal: Signal) {
        let Some(pid) = self.servers.get(&server) else { return };
        let signal = match (server, signal) {
            (_, Signal::Smart) | (Server::Redis, Signal::Fast) => process::Signal::TERM,
            (Server::Postgres, Signal::Fast) => process::Signal::INT,
            (Server::Postgres, Signal::Immediate) => process::Signal::QUIT,
            (Server::Redis, Signal::Immediate) => process::Signal::KILL,
        };
        let _ = process::kill_process(*pid, signal);
    }

    pub fn kill_tree(&mut self, server: Server) {
        let mut doomed: Vec<Pid> = Vec::new();
        if let Some(pid) = self.servers.get(&server) {
            // The first process first: it must not start another.
            let _ = process::kill_process(*pid, process::Signal::KILL);
            doomed.extend(children_of(*pid));
        } else {
            self.trees_pending.insert(server);
        }
        doomed.extend(self.orphans_of(server));
        for pid in doomed {
            let _ = process::kill_process(pid, process::Signal::KILL);
        }
        let _ = self.events.try_send(ChildEvent::Look);
    }

    pub fn release_servers(&mut self) {
        self.servers.clear();
    }

    /// Takes up every child that ended. Called after each `Look`.
    pub fn look(&mut self) -> Option<ChildEvent> {
        while let Ok(Some((pid, status))) = process::wait(WaitOptions::NOHANG) {
            if self.worker.as_ref().is_some_and(|worker| worker.pid == pid) {
                self.worker = None;
                self.leftovers = true;
                self.found.push(ChildEvent::WorkerExited(describe(status)));
            } else if let Some(server) = self.server_of(pid) {
                self.servers.remove(&server);
                self.trees_pending.insert(server);
                self.found.push(ChildEvent::ServerExited(server, describe(status).to_string()));
            }
        }
        if self.leftovers {
            // Again with each of their ends, because a child's child comes to us only then.
            let orphans = self.orphans_of(Server::Postgres);
            self.leftovers = !orphans.is_empty();
            for pid in orphans {
                let _ = process::kill_process(pid, process::Signal::KILL);
            }
        }
        for server in self.trees_pending.clone() {
            let orphans = self.orphans_of(server);
            if orphans.is_empty() {
                self.trees_pending.remove(&server);
                if server == Server::Redis {
                    // Their numbers may become those of somebody else's sessions.
                    self.redis_sessions.clear();
                }
                self.found.push(ChildEvent::TreeGone(server));
            }
            for pid in orphans {
                let _ = process::kill_process(pid, process::Signal::KILL);
            }
        }
        if self.found.is_empty() {
            return None;
        }
        let event = self.found.remove(0);
        if !self.found.is_empty() {
            let _ = self.events.try_send(ChildEvent::Look);
        }
        Some(event)
    }

    fn server_of(&self, pid: Pid) -> Option<Server> {
        self.servers.iter().find(|(_, known)| **known == pid).map(|(server, _)| *server)
    }

    /// Our direct children that are neither worker nor server: what one of them left behind.
    fn orphans(&self) -> Vec<Pid> {
        let mine =
            |pid: &Pid| self.server_of(*pid).is_some() || self.worker.as_ref().is_some_and(|worker| worker.pid == *pid);
        children_of(process::getpid()).into_iter().filter(|pid| !mine(pid)).collect()
    }

    /// What is not Redis's is PostgreSQL's (each backend has a session of its own) or the worker's, which may be killed
    /// and waited for together.
    fn orphans_of(&self, server: Server) -> Vec<Pid> {
        let mut orphans = self.orphans();
        orphans.retain(|pid| {
            let of_redis = session_of(*pid).is_some_and(|session| self.redis_sessions.contains(&session));
            of_redis == (server == Server::Redis)
        });
        orphans
    }
}

/// What is started with this command is killed when the thread that starts it ends, however that comes about.
pub fn end_with_parent(command: &mut Command) {
    let parent = process::getpid();
    // SAFETY: the closure runs between fork and exec and makes only system calls that are allowed there.
    unsafe {
        command.pre_exec(move || {
            // After a change of user, which would clear it.
            process::set_parent_process_death_signal(Some(process::Signal::KILL))?;
            if process::getppid() == Some(parent) {
                Ok(())
            } else {
                // It died before the line above took effect.
                Err(io::Error::from(rustix::io::Errno::SRCH))
            }
        });
    }
}

fn session_of(pid: Pid) -> Option<i32> {
    process::getsid(Some(pid)).ok().map(|session| session.as_raw_nonzero().get())
}

fn pid_of(id: u32) -> io::Result<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw).ok_or_else(|| io::Error::other("the kernel gave no process id"))
}

/// Direct children, from the kernel's own list where it keeps one, else from every process's parent.
fn children_of(parent: Pid) -> Vec<Pid> {
    let parent_id = parent.as_raw_nonzero().get();
    let tasks = std::fs::read_dir(format!("/proc/{parent_id}/task"));
    let mut listed = Vec::new();
    let mut complete = tasks.is_ok();
    for task in tasks.into_iter().flatten().flatten() {
        match std::fs::read_to_string(task.path().join("children")) {
            Ok(text) => listed.extend(text.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?))),
            Err(_) => complete = false,
        }
    }
    if complete { listed } else { children_by_scan(parent_id) }
}

fn children_by_scan(parent: i32) -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            // "pid (name) state ppid": the name may contain anything, so look behind its last parenthesis.
            std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
                stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok()) == Some(parent)
            })
        })
        .filter_map(Pid::from_raw)
        .collect()
}

fn describe(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unknown("unknown status".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::{Duration, Instant};

    #[test]
    fn what_was_started_ends_with_who_started_it() {
        let start = || {
            let mut command = Command::new("cat");
            end_with_parent(&mut command);
            command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()
        };
        let mut child = thread::spawn(start).join().unwrap().unwrap();
        // With its input open it would wait for ever.
        let input = child.stdin.take();
        let deadline = Instant::now() + Duration::from_secs(10);
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it lives on");
            thread::yield_now();
        };
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
        drop(input);
    }
}
