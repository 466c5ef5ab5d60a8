//! The three ways, started and stopped.

use super::stand_in::OPEN_FILES;
use crate::process::Process;
use crate::redis::server::Program;
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 3, 11)), 7000);
const QUORATE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 3, 11)), 7001);
const HAPROXY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 3, 11)), 7002);
/// What our proxy leaves to the rest of the worker, and some.
const FILES_KEPT: u64 = 1500;
const START_TIME_MAX: Duration = Duration::from_secs(10);

/// How a client reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    Direct,
    Quorate,
    Haproxy,
}

impl Way {
    pub const ALL: [Self; 3] = [Self::Direct, Self::Quorate, Self::Haproxy];

    pub fn address(self) -> SocketAddr {
        match self {
            Self::Direct => SERVER,
            Self::Quorate => QUORATE,
            Self::Haproxy => HAPROXY,
        }
    }
}

/// The server and the two proxies in front of it.
#[derive(Debug)]
pub struct Ways {
    _directory: tempfile::TempDir,
    _server: Program,
    quorate: Program,
    haproxy: Program,
    pub haproxy_version: String,
    /// What the limit of open files lets each proxy take.
    pub connections_max: usize,
}

impl Ways {
    /// `stand_in`: the program `quorate-drill`.
    pub fn start(stand_in: &Path) -> Result<Self> {
        let files = platform::allow_open_files(OPEN_FILES).min(OPEN_FILES);
        let connections_max = (files.saturating_sub(FILES_KEPT) / 2) as usize;
        let directory = tempfile::tempdir()?;
        let mut server = Program::new("server", directory.path());
        let mut command = Command::new(stand_in);
        command.args(["stand-in", "server"]).arg(SERVER.to_string());
        server.start(command)?;

        let mut quorate = Program::new("quorate", directory.path());
        let mut command = Command::new(stand_in);
        command.args(["stand-in", "proxy"]).arg(QUORATE.to_string()).arg(SERVER.to_string());
        quorate.start(command)?;

        let binary = find_haproxy()?;
        let mut haproxy = Program::new("haproxy", directory.path());
        let file = directory.path().join("haproxy.cfg");
        fs::write(&file, haproxy_config(connections_max))?;
        let mut command = Command::new(&binary);
        command.arg("-db").arg("-f").arg(&file);
        haproxy.start(command)?;

        let version = Command::new(&binary).arg("-v").output().context("haproxy -v")?;
        let version = String::from_utf8_lossy(&version.stdout);
        let version = version.split_whitespace().nth(2).unwrap_or_default();
        let haproxy_version = format!("HAProxy {}", version.split('-').next().unwrap_or(version));
        let mut ways =
            Self { _directory: directory, _server: server, quorate, haproxy, haproxy_version, connections_max };
        for way in Way::ALL {
            ways.wait_for(way)?;
        }
        Ok(ways)
    }

    fn wait_for(&mut self, way: Way) -> Result<()> {
        let start = Instant::now();
        while TcpStream::connect(way.address()).is_err() {
            let programs = [&mut self.quorate, &mut self.haproxy];
            for program in programs {
                if !program.is_running()? {
                    bail!("it has ended: {}", fs::read_to_string(program.log_file()).unwrap_or_default());
                }
            }
            if start.elapsed() > START_TIME_MAX {
                bail!("nobody listens on {}", way.address());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The proxy's process; the straight way has none.
    pub fn process(&self, way: Way) -> Option<Process> {
        match way {
            Way::Direct => None,
            Way::Quorate => self.quorate.process(),
            Way::Haproxy => self.haproxy.process(),
        }
    }
}

/// HAProxy as it is by default, in TCP mode. `maxconn` says for how many connections it makes room in its tables.
fn haproxy_config(connections_max: usize) -> String {
    format!(
        "global\n    maxconn {connections_max}\ndefaults\n    mode tcp\n    timeout connect 5s\n    timeout client 30m\n    timeout server 30m\n\
         listen relay\n    bind {HAPROXY}\n    server server {SERVER}\n"
    )
}

/// Debian keeps it outside of an ordinary user's PATH.
fn find_haproxy() -> Result<PathBuf> {
    let places = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&places)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|directory| directory.join("haproxy"))
        .find(|file| file.is_file())
        .context("there is no haproxy\nhint: ./dev bench proxy installs it")
}
