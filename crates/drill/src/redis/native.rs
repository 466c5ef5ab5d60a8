//! Redis on the members of a [`Cluster`]: where it is, whether it is whole, and how it is broken.

use super::client::{Login, field};
use super::scenario::{Fault, Way};
use super::sentinel::why_not_whole;
use super::server::why_not_whole_master;
use super::writer::Endpoint;
use crate::cluster::{Cluster, RedisParts};
use crate::member::{Member, Part, ports};
use crate::writer::Clock;
use anyhow::{Context, Result, bail};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

const POLL_PAUSE: Duration = Duration::from_millis(50);

impl Cluster {
    pub fn redis_address(member: &Member) -> SocketAddr {
        SocketAddr::from((member.address, ports::REDIS))
    }

    pub fn redis_login(&self, member: &Member, port: u16) -> Login {
        Login { address: SocketAddr::from((member.address, port)), password: Some(self.password().to_owned()) }
    }

    /// The sentinels of the cluster let everybody in: they tell addresses.
    pub fn sentinel_login(member: &Member) -> Login {
        Login::open_to_all(SocketAddr::from((member.address, ports::SENTINEL)))
    }

    pub fn sentinels(&self) -> Vec<SocketAddr> {
        self.members().iter().map(|member| Self::sentinel_login(member).address).collect()
    }

    /// The member whose redis-server has this address.
    pub fn redis_member(&self, server: SocketAddr) -> Result<&Member> {
        let found = self.members().iter().find(|member| Self::redis_address(member) == server);
        found.with_context(|| format!("no member has {server}"))
    }

    /// Waits until one member's Redis is the master, all others follow it, and every sentinel says the same.
    pub async fn wait_redis_whole(&mut self, patience: Duration) -> Result<SocketAddr> {
        let deadline = Instant::now() + patience;
        loop {
            let missing = match self.redis_whole_master().await {
                Ok(Ok(master)) => return Ok(master),
                Ok(Err(missing)) => missing,
                Err(error) => format!("{error:#}"),
            };
            for member in self.members_mut() {
                if let Some(status) = member.exit_status()? {
                    bail!("{} ended ({status}). The end of its log:\n{}", member.name, member.log_tail());
                }
            }
            if Instant::now() > deadline {
                bail!("Redis is not whole after {} s: {missing}", patience.as_secs());
            }
            tokio::time::sleep(POLL_PAUSE).await;
        }
    }

    async fn redis_whole_master(&self) -> Result<Result<SocketAddr, String>> {
        let mut states = Vec::new();
        for member in self.members() {
            states.push(self.redis_login(member, ports::REDIS).ask_text(&["INFO", "replication"]).await?);
        }
        let states = || self.members().iter().zip(&states);
        let mut masters = states().filter(|(_, info)| field(info, "role") == Some("master"));
        let (Some((master, info)), None) = (masters.next(), masters.next()) else {
            return Ok(Err("there is not exactly one master".to_owned()));
        };
        let (address, replicas) = (Self::redis_address(master), self.members().len() - 1);
        if let Some(missing) = why_not_whole_master(info, replicas) {
            return Ok(Err(format!("{}: {missing}", master.name)));
        }
        for (member, info) in states().filter(|(member, _)| member.name != master.name) {
            if let Some(missing) = why_not_following(info, address) {
                return Ok(Err(format!("{}: {missing}", member.name)));
            }
        }
        for member in self.members() {
            if self.options().redis == RedisParts::ServerAndSentinel
                && let Some(missing) = why_not_whole(&Self::sentinel_login(member), address, replicas).await?
            {
                return Ok(Err(missing));
            }
            // The new master's proxy may know it later than the others.
            let proxied = self.redis_login(member, ports::PROXY_REDIS).ask_text(&["CLIENT", "INFO"]).await?;
            if field(&proxied, "laddr") != Some(&address.to_string()) {
                return Ok(Err(format!("the proxy of {} does not lead to the master", member.name)));
            }
        }
        Ok(Ok(address))
    }

    pub(crate) fn redis_ways(&self, master: SocketAddr) -> Vec<(Way, Endpoint)> {
        let other = self.members().iter().find(|member| Self::redis_address(member) != master);
        let proxy = other.map(|member| SocketAddr::from((member.address, ports::PROXY_REDIS)));
        let proxy = proxy.map(|address| (Way::Proxy, Endpoint::Fixed(address)));
        let sentinels = (self.options().redis == RedisParts::ServerAndSentinel)
            .then(|| (Way::Sentinel, Endpoint::Sentinels(self.sentinels())));
        proxy.into_iter().chain(sentinels).collect()
    }

    pub(crate) async fn inject_redis(&mut self, fault: Fault, master: SocketAddr, clock: Clock) -> Result<u64> {
        let name = self.redis_member(master)?.name.clone();
        let member = self.member_mut(&name)?;
        let before_us = clock.now_us();
        match fault {
            Fault::KillMaster => member.kill_redis()?,
            Fault::KillHost => drop(member.kill()?),
            Fault::FreezeHost => member.freeze(Part::Everything)?,
            Fault::Switchover => self.redis_switchover(&name).await?,
        }
        Ok(before_us)
    }

    /// A planned switchover by the command line, which says in the end whether another master takes writes.
    pub async fn redis_switchover(&self, asked: &str) -> Result<()> {
        let mut command = tokio::process::Command::new(&self.options().quorate);
        command.arg("-c").arg(&self.member(asked)?.config_file).args(["redis", "switchover", "--force"]);
        let done = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            bail!("the switchover failed ({}): {said}", done.status);
        }
        Ok(())
    }

    /// A member that was killed starts again.
    pub(crate) fn restart_redis_member(&mut self, server: SocketAddr) -> Result<()> {
        let name = self.redis_member(server)?.name.clone();
        let member = self.member_mut(&name)?;
        if !member.is_running()? {
            member.kill()?; // whatever a killed guard left behind
            member.start()?;
        }
        Ok(())
    }
}

fn why_not_following(replication: &str, master: SocketAddr) -> Option<String> {
    let (role, link) = (field(replication, "role"), field(replication, "master_link_status"));
    if role != Some("slave") {
        return Some(format!("its role is {}", role.unwrap_or("unknown")));
    }
    let host = field(replication, "master_host").unwrap_or_default();
    if host != master.ip().to_string() {
        return Some(format!("it follows {host}, not {}", master.ip()));
    }
    (link != Some("up")).then(|| format!("its link to the master is {}", link.unwrap_or("unknown")))
}
