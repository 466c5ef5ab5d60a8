//! What people have today: three redis-servers, three sentinels, quorum 2.

use super::MASTER;
use super::sentinel::{Maker, Sentinel, Timing};
use super::server::{Server, why_not_whole_master};
use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub const REDIS_PORT: u16 = 6379;
pub const SENTINEL_PORT: u16 = 26379;
const SERVERS: usize = 3;
const QUORUM: usize = 2;
const POLL_PAUSE: Duration = Duration::from_millis(50);

/// What to start.
#[derive(Clone, Debug)]
pub struct DeploymentOptions {
    /// Everything is kept below it, and it is removed in the end.
    pub directory: PathBuf,
    /// The first server's address; the others follow.
    pub first_address: Ipv4Addr,
    /// One for each server.
    pub makers: [Maker; SERVERS],
    pub timing: Timing,
}

/// One server with its sentinel: what fails together.
#[derive(Debug)]
pub struct Host {
    pub server: Server,
    pub sentinel: Sentinel,
}

/// Dropping it kills everything.
#[derive(Debug)]
pub struct Deployment {
    directory: PathBuf,
    pub hosts: Vec<Host>,
}

impl Deployment {
    pub fn start(options: &DeploymentOptions) -> Result<Self> {
        let addresses: Vec<Ipv4Addr> =
            (0..SERVERS as u32).map(|index| Ipv4Addr::from(u32::from(options.first_address) + index)).collect();
        for address in &addresses {
            for port in [REDIS_PORT, SENTINEL_PORT] {
                TcpListener::bind((*address, port)).with_context(|| format!("{address}:{port} cannot be used"))?;
            }
        }
        let first = SocketAddr::from((addresses[0], REDIS_PORT));
        let mut deployment = Self { directory: options.directory.clone(), hosts: Vec::new() };
        for (index, address) in addresses.into_iter().enumerate() {
            let directory = options.directory.join(format!("r{}", index + 1));
            let server = SocketAddr::from((address, REDIS_PORT));
            let sentinel = SocketAddr::from((address, SENTINEL_PORT));
            let masters = [(MASTER.to_owned(), first)];
            let maker = options.makers[index].clone();
            let mut host = Host {
                server: Server::new(&directory.join("redis"), server, (index > 0).then_some(first))?,
                sentinel: Sentinel::new(
                    &directory.join("sentinel"),
                    sentinel,
                    maker,
                    &masters,
                    QUORUM,
                    options.timing,
                )?,
            };
            host.server.start()?;
            host.sentinel.start()?;
            deployment.hosts.push(host);
        }
        Ok(deployment)
    }

    pub fn sentinels(&self) -> Vec<SocketAddr> {
        self.hosts.iter().map(|host| host.sentinel.address).collect()
    }

    /// The host of this server.
    pub fn host_of(&mut self, server: SocketAddr) -> Result<&mut Host> {
        let found = self.hosts.iter_mut().find(|host| host.server.address == server);
        found.with_context(|| format!("there is no server {server}"))
    }

    /// Waits until all agree on one master that all others replicate. Returns it.
    pub async fn wait_whole(&self, patience: Duration) -> Result<SocketAddr> {
        let deadline = Instant::now() + patience;
        loop {
            let missing = match self.whole_master().await {
                Ok(Ok(master)) => return Ok(master),
                Ok(Err(missing)) => missing,
                Err(error) => format!("{error:#}"),
            };
            if Instant::now() > deadline {
                bail!("Redis is not whole after {} s: {missing}", patience.as_secs());
            }
            tokio::time::sleep(POLL_PAUSE).await;
        }
    }

    /// The master of a whole deployment, or what is missing.
    async fn whole_master(&self) -> Result<Result<SocketAddr, String>> {
        let master = self.hosts[0].sentinel.master().await?;
        for host in &self.hosts {
            let missing = host.sentinel.why_not_whole(master, SERVERS - 1).await?;
            if let Some(missing) = missing {
                return Ok(Err(missing));
            }
            if host.sentinel.is_in_tilt().await? {
                return Ok(Err(format!("the sentinel {} is in TILT", host.sentinel.address)));
            }
        }
        let server =
            self.hosts.iter().find(|host| host.server.address == master).context("a stranger is the master")?;
        Ok(match why_not_whole_master(&server.server.replication().await?, SERVERS - 1) {
            None => Ok(master),
            Some(missing) => Err(format!("{master}: {missing}")),
        })
    }

    /// Starts what was killed and lets go on what was frozen.
    pub fn mend(&mut self) -> Result<()> {
        for Host { server, sentinel } in &mut self.hosts {
            server.program.signal(Signal::CONT)?;
            sentinel.program.signal(Signal::CONT)?;
            server.start()?;
            sentinel.start()?;
        }
        Ok(())
    }

    /// Leaves the logs where they are.
    pub fn log_files(&self) -> Vec<PathBuf> {
        self.hosts.iter().flat_map(|host| [host.server.program.log_file(), host.sentinel.program.log_file()]).collect()
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        self.hosts.clear(); // each kills its processes
        if std::thread::panicking() {
            eprintln!("the logs of the failed drill are in {}", self.directory.display());
        } else if let Err(error) = std::fs::remove_dir_all(&self.directory) {
            eprintln!("cannot remove {}: {error}", self.directory.display());
        }
    }
}
