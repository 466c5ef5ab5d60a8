//! One plain redis-server, as a child process.

use super::client::{Login, field};
use crate::process::{Process, all};
use anyhow::{Context, Result};
use rustix::process::Signal;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A program that a drill started, with its own directory and its own log in it. Dropping it kills it.
#[derive(Debug)]
pub struct Program {
    name: &'static str,
    directory: PathBuf,
    child: Option<Child>,
}

impl Program {
    pub(crate) fn new(name: &'static str, directory: &Path) -> Self {
        Self { name, directory: directory.to_owned(), child: None }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn log_file(&self) -> PathBuf {
        self.directory.join(format!("{}.log", self.name))
    }

    /// Starts it unless it runs.
    pub(crate) fn start(&mut self, mut command: Command) -> Result<()> {
        if self.is_running()? {
            return Ok(());
        }
        let log = OpenOptions::new().create(true).append(true).open(self.log_file())?;
        let program = command.get_program().to_owned();
        platform::end_with_parent(&mut command);
        let child = command
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0) // Ctrl-C at the terminal is for us; what we started we stop ourselves
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        self.child = Some(child);
        Ok(())
    }

    pub fn is_running(&mut self) -> Result<bool> {
        if let Some(child) = &mut self.child
            && child.try_wait()?.is_some()
        {
            self.child = None; // its number may belong to a stranger from now on
        }
        Ok(self.child.is_some())
    }

    pub fn process(&self) -> Option<Process> {
        let pid = self.child.as_ref()?.id() as i32;
        all().into_iter().find(|process| process.pid == pid)
    }

    /// True when there was something to send it to.
    pub fn signal(&mut self, signal: Signal) -> Result<bool> {
        Ok(self.is_running()? && self.process().is_some_and(|process| process.signal(signal)))
    }

    /// SIGKILL, and gone when this returns.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        if let Some(mut child) = self.child.take() {
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("{} in {} is not killed: {error:#}", self.name, self.directory.display());
        }
    }
}

/// A redis-server that keeps what it was told by CONFIG REWRITE when it starts again.
#[derive(Debug)]
pub struct Server {
    pub address: SocketAddr,
    pub program: Program,
}

impl Server {
    /// Writes the configuration; `master` is whom it follows at its first start.
    pub fn new(directory: &Path, address: SocketAddr, master: Option<SocketAddr>) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let (ip, port) = (address.ip(), address.port());
        let mut text = format!(
            "bind {ip}\nport {port}\ndir {}\ndaemonize no\nprotected-mode no\nsave \"\"\nappendonly yes\n\
             replica-announce-ip {ip}\nrepl-diskless-sync-delay 0\n",
            directory.display()
        );
        if let Some(master) = master {
            writeln!(text, "replicaof {} {}", master.ip(), master.port())?;
        }
        fs::write(directory.join("redis.conf"), text)?;
        Ok(Self { address, program: Program::new("redis", directory) })
    }

    pub fn start(&mut self) -> Result<()> {
        let mut command = Command::new("redis-server");
        command.arg(self.program.directory().join("redis.conf"));
        self.program.start(command).context("the package redis-server has it")
    }

    pub fn login(&self) -> Login {
        Login::open_to_all(self.address)
    }

    /// `INFO replication`.
    pub async fn replication(&self) -> Result<String> {
        self.login().ask_text(&["INFO", "replication"]).await
    }
}

/// What is missing to a master with `replicas` replicas that all have caught up to the stream; `None` when nothing is.
pub(crate) fn why_not_whole_master(replication: &str, replicas: usize) -> Option<String> {
    if field(replication, "role") != Some("master") {
        return Some("it is not a master".to_owned());
    }
    let online =
        (0..).map_while(|n| field(replication, &format!("slave{n}"))).filter(|one| one.contains("state=online"));
    let online = online.count();
    (online != replicas).then(|| format!("{online} of {replicas} replicas are online"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_is_whole_with_all_its_replicas_online() {
        let info = |more: &str| format!("# Replication\r\nrole:master\r\n{more}master_failover_state:no-failover\r\n");
        let one = "slave0:ip=127.0.0.12,port=6379,state=online,offset=14,lag=1\r\n";
        let waiting = "slave1:ip=127.0.0.13,port=6379,state=wait_bgsave,offset=0,lag=0\r\n";
        let two = "slave1:ip=127.0.0.13,port=6379,state=online,offset=14,lag=1\r\n";
        assert_eq!(why_not_whole_master(&info(&format!("{one}{two}")), 2), None);
        for (info, reason) in [
            (info(&format!("{one}{waiting}")), "1 of 2 replicas are online"),
            (info(""), "0 of 2 replicas are online"),
            ("role:slave\r\n".to_owned(), "it is not a master"),
        ] {
            assert_eq!(why_not_whole_master(&info, 2).as_deref(), Some(reason));
        }
    }
}
