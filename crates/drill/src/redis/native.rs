//! Redis on the members of a [`Cluster`]: where it is, whether it is whole, and how it is broken.

use super::MASTER;
use super::client::{Login, field};
use super::scenario::{Fault, Way, ask_for_failover};
use super::sentinel::{master_address, why_not_whole};
use super::server::why_not_whole_master;
use super::writer::Endpoint;
use crate::cluster::Cluster;
use crate::member::{Member, Part, ports};
use crate::writer::Clock;
use anyhow::{Context, Result, bail};
use std::net::SocketAddr;
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
        let first = self.members().first().context("the cluster has no members")?;
        let master = master_address(&Self::sentinel_login(first), MASTER).await?;
        let replicas = self.members().len() - 1;
        for member in self.members() {
            let address = Self::redis_address(member);
            let login = self.redis_login(member, ports::REDIS);
            let info = login.ask_text(&["INFO", "replication"]).await?;
            let missing = if address == master {
                why_not_whole_master(&info, replicas)
            } else {
                why_not_following(&info, master)
            };
            if let Some(missing) = missing {
                return Ok(Err(format!("{}: {missing}", member.name)));
            }
            if let Some(missing) = why_not_whole(&Self::sentinel_login(member), master, replicas).await? {
                return Ok(Err(missing));
            }
        }
        Ok(Ok(master))
    }

    pub(crate) fn redis_ways(&self, master: SocketAddr) -> Vec<(Way, Endpoint)> {
        let other = self.members().iter().find(|member| Self::redis_address(member) != master);
        let proxy = other.map(|member| SocketAddr::from((member.address, ports::PROXY_REDIS)));
        let proxy = proxy.map(|address| (Way::Proxy, Endpoint::Fixed(address)));
        proxy.into_iter().chain([(Way::Sentinel, Endpoint::Sentinels(self.sentinels()))]).collect()
    }

    pub(crate) async fn inject_redis(&mut self, fault: Fault, master: SocketAddr, clock: Clock) -> Result<u64> {
        let other = self.members().iter().find(|member| Self::redis_address(member) != master);
        let other = Self::sentinel_login(other.context("there is only one member")?);
        let name = self.redis_member(master)?.name.clone();
        let member = self.member_mut(&name)?;
        let before_us = clock.now_us();
        match fault {
            Fault::KillMaster => member.kill_redis()?,
            Fault::KillHost => drop(member.kill()?),
            Fault::FreezeHost => member.freeze(Part::Everything)?,
            Fault::Switchover => return ask_for_failover(&other, clock).await,
        }
        Ok(before_us)
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
