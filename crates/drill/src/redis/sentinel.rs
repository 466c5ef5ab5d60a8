//! One sentinel as a child process: the distribution's, or ours in its place, with the same configuration file.

use super::MASTER;
use super::client::{Login, entry, field, texts};
use super::server::Program;
use anyhow::{Context, Result};
use resp::Value;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Who made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Maker {
    /// `redis-sentinel` from the distribution.
    Distribution,
    /// `quorate sentinel`; the path of the program.
    Quorate(PathBuf),
}

/// The two settings that people change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    pub down_after_ms: u64,
    pub failover_timeout_ms: u64,
}

impl Timing {
    /// What the reference set-up has.
    pub const REFERENCE: Self = Self { down_after_ms: 5_000, failover_timeout_ms: 45_000 };
    /// About as fast as the original can be set without failing over for nothing.
    pub const FAST: Self = Self { down_after_ms: 1_000, failover_timeout_ms: 10_000 };
    pub const ALL: [Self; 2] = [Self::REFERENCE, Self::FAST];
}

/// See the module.
#[derive(Debug)]
pub struct Sentinel {
    pub address: SocketAddr,
    pub maker: Maker,
    pub program: Program,
}

impl Sentinel {
    /// Writes the configuration. `masters` are names with addresses.
    pub fn new(
        directory: &Path,
        address: SocketAddr,
        maker: Maker,
        masters: &[(String, SocketAddr)],
        quorum: usize,
        timing: Timing,
    ) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let (ip, port) = (address.ip(), address.port());
        let mut text = format!(
            "bind {ip}\nport {port}\ndir {}\ndaemonize no\nprotected-mode no\nsentinel announce-ip {ip}\n",
            directory.display()
        );
        for (name, master) in masters {
            let Timing { down_after_ms, failover_timeout_ms } = timing;
            write!(
                text,
                "sentinel monitor {name} {} {} {quorum}\nsentinel down-after-milliseconds {name} {down_after_ms}\n\
                 sentinel failover-timeout {name} {failover_timeout_ms}\nsentinel parallel-syncs {name} 1\n",
                master.ip(),
                master.port()
            )?;
        }
        fs::write(directory.join("sentinel.conf"), text)?;
        Ok(Self { address, maker, program: Program::new("sentinel", directory) })
    }

    pub fn config_file(&self) -> PathBuf {
        self.program.directory().join("sentinel.conf")
    }

    pub fn start(&mut self) -> Result<()> {
        let mut command = match &self.maker {
            Maker::Distribution => Command::new("redis-sentinel"),
            Maker::Quorate(program) => {
                let mut command = Command::new(program);
                command.arg("sentinel");
                command
            }
        };
        command.arg(self.config_file());
        self.program.start(command).context("the package redis-sentinel has the distribution's")
    }

    /// Stops it and starts another maker's program with the file that this one leaves.
    pub fn swap(&mut self, maker: Maker) -> Result<()> {
        self.program.stop()?;
        self.maker = maker;
        self.start()
    }

    pub fn login(&self) -> Login {
        Login::open_to_all(self.address)
    }

    pub async fn ask(&self, command: &[&str]) -> Result<Value> {
        self.login().ask(command).await
    }

    /// The master's address as it tells clients.
    pub async fn master(&self) -> Result<SocketAddr> {
        master_address(&self.login(), MASTER).await
    }

    /// For 30 s after it was frozen it neither votes nor fails over. A fault in that time would find one sentinel less than
    /// people have.
    pub(crate) async fn is_in_tilt(&self) -> Result<bool> {
        Ok(says_tilt(&self.login().ask_text(&["INFO", "sentinel"]).await?))
    }

    /// What is missing to a quiet, complete view; `None` when nothing is.
    pub(crate) async fn why_not_whole(&self, master: SocketAddr, replicas: usize) -> Result<Option<String>> {
        why_not_whole(&self.login(), master, replicas).await
    }
}

fn says_tilt(info: &str) -> bool {
    field(info, "sentinel_tilt") != Some("0")
}

/// What a sentinel tells clients about a master.
pub async fn master_address(sentinel: &Login, master: &str) -> Result<SocketAddr> {
    let answer = sentinel.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", master]).await?;
    let [host, port] = &texts(&answer)[..] else {
        anyhow::bail!("{} does not know {master}: {answer:?}", sentinel.address);
    };
    Ok(SocketAddr::new(host.parse()?, port.parse()?))
}

/// What a sentinel's view lacks: it names `master`, sees it up, its replicas up, and enough sentinels for a failover.
pub(crate) async fn why_not_whole(sentinel: &Login, master: SocketAddr, replicas: usize) -> Result<Option<String>> {
    let says = format!("the sentinel {} says", sentinel.address);
    let named = master_address(sentinel, MASTER).await?;
    if named != master {
        return Ok(Some(format!("{says} that {named} is the master")));
    }
    let state = sentinel.ask(&["SENTINEL", "MASTER", MASTER]).await?;
    let flags = entry(&state, "flags").unwrap_or_default();
    if flags != "master" {
        return Ok(Some(format!("{says} that the master is {flags}")));
    }
    let seen = sentinel.ask(&["SENTINEL", "REPLICAS", MASTER]).await?;
    let seen = seen.as_array().unwrap_or_default().iter();
    let good = seen.filter(|one| entry(one, "flags").as_deref() == Some("slave")).count();
    if good != replicas {
        return Ok(Some(format!("{says} that {good} of {replicas} replicas are up")));
    }
    if let Err(error) = sentinel.ask(&["SENTINEL", "CKQUORUM", MASTER]).await {
        return Ok(Some(format!("{says}: {error:#}")));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentinel_that_was_frozen_says_that_it_is_in_tilt() {
        let info = |tilt: &str| format!("# Sentinel\r\nsentinel_masters:1\r\n{tilt}sentinel_running_scripts:0\r\n");
        let calm = info("sentinel_tilt:0\r\nsentinel_tilt_since_seconds:-1\r\n");
        let tilted = info("sentinel_tilt:1\r\nsentinel_tilt_since_seconds:4\r\n");
        for (info, expected) in [(calm, false), (tilted, true), (info(""), true)] {
            assert_eq!(says_tilt(&info), expected, "{info}");
        }
    }
}
