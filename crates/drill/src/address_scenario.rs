//! A virtual IP, and the proxy beside it, on a network of namespaces whose cables are cut: how long a client waits, and
//! whether two hosts ever had the address, as a look at every host and a capture of all frames have it.

use crate::analysis::{Record, split_brain_writes, us_to_ms};
use crate::cluster::{Cluster, ClusterOptions};
use crate::member::ports;
use crate::net::{Capture, ClaimKind, Cut, HolderWatch, Mac, Network};
use crate::writer::{Clock, Pace, Writer, login, prepare_table, read_back};
use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde_json::json;
use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

pub const MEMBERS: u8 = 3;
/// Where the clients are.
pub const CLIENT: &str = "client";
/// The last octet of the address of PostgreSQL's primary.
pub const VIP: u8 = 42;
/// The same for the Redis master, where there is one.
pub const REDIS_VIP: u8 = 43;
const PATIENCE: Duration = Duration::from_secs(90);
const POLL_PAUSE: Duration = Duration::from_millis(20);
/// Both clients have written this often before anything is broken.
const WRITES_BEFORE: u64 = 20;
/// A client that does not wait for TCP's own patience, as a driver's socket timeout makes it.
const PACE: Pace = Pace {
    interval: Duration::from_millis(5),
    retry: Duration::from_millis(10),
    connect_timeout: Duration::from_millis(150),
    write_timeout: Duration::from_millis(400),
};
/// The proxy holds a connection until there is a primary.
const PROXY_PACE: Pace = Pace { connect_timeout: Duration::from_secs(5), ..PACE };

/// What is done to the leader's host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Nothing: it hands over.
    Switchover,
    CutBothWays,
    /// It hears, and nobody hears it.
    CutOutwards,
    /// It is heard, and hears nobody.
    CutInwards,
    CutFromStore,
    /// Only the client: no reason for a failover.
    CutFromClient,
}

impl Fault {
    pub const ALL: [Self; 6] = [
        Self::Switchover,
        Self::CutBothWays,
        Self::CutOutwards,
        Self::CutInwards,
        Self::CutFromStore,
        Self::CutFromClient,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Switchover => "planned switchover",
            Self::CutBothWays => "cut off both ways",
            Self::CutOutwards => "cut off outwards",
            Self::CutInwards => "cut off inwards",
            Self::CutFromStore => "cut off from the store",
            Self::CutFromClient => "cut off from the client",
        }
    }

    fn cuts(self, leader: &str) -> Vec<Cut> {
        let leader = leader.to_owned();
        match self {
            Self::Switchover => vec![],
            Self::CutBothWays => vec![Cut::Both(leader)],
            Self::CutOutwards => vec![Cut::Outward(leader)],
            Self::CutInwards => vec![Cut::Inward(leader)],
            Self::CutFromStore => vec![Cut::Ports(leader, vec![ports::STORE_CLIENTS, ports::STORE_PEERS])],
            Self::CutFromClient => vec![Cut::Between(CLIENT.to_owned(), leader)],
        }
    }
}

/// What it cost.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    pub fault: Fault,
    pub old_leader: String,
    /// Longest time without a confirmed write through the virtual IP, in milliseconds. `None`: nobody was to take over, so the
    /// client had to wait for the cable.
    pub through_vip_ms: Option<f64>,
    /// The same through the proxy of another member.
    pub through_proxy_ms: f64,
    /// Confirmed writes that were gone in the end.
    pub acked_lost: usize,
    pub split_brain_writes: usize,
    /// Pairs of hosts that had an address at the same time.
    pub held_twice: usize,
    /// Hosts that spoke in the name of the address after another one did.
    pub spoke_again: usize,
    /// Frames in the name of the address that the capture has.
    pub frames: usize,
}

/// Three members and a client on one switch. `range`: the third octet of their addresses.
pub fn network(prefix: &str, range: u8) -> Result<Network> {
    let mut network = Network::new(&format!("{prefix}{}", std::process::id()), [198, 18, range])?;
    for member in 1..=MEMBERS {
        network.add_host(&format!("pg{member}"), 10 + member)?;
    }
    network.add_host(CLIENT, 1)?;
    Ok(network)
}

/// Puts a cluster's members on the first hosts of the network, and lets that network in.
pub fn place(options: &mut ClusterOptions, network: &Network) {
    options.first_address = network.spare_address(11);
    options.namespaces = network.hosts().iter().take(MEMBERS.into()).map(|host| host.namespace.clone()).collect();
    options.overrides["postgresql"]["pg_hba"] = json!([
        "local all all scram-sha-256",
        "host all all 127.0.0.0/8 scram-sha-256",
        "host all all 198.18.0.0/15 scram-sha-256",
        "host replication replicator 198.18.0.0/15 scram-sha-256",
    ]);
}

/// The same with a virtual IP, and synchronous, so that a lost write is an error.
pub fn prepare(options: &mut ClusterOptions, network: &Network) {
    place(options, network);
    options.synchronous = true;
    options.overrides["vip"] = json!({ "address": format!("{}/24", network.spare_address(VIP)) });
    options.overrides["postgresql"]["listen"] = json!(format!("0.0.0.0:{}", ports::POSTGRES));
}

/// What watches during one fault.
struct Watch {
    vip: Ipv4Addr,
    holders: HolderWatch,
    capture: Capture,
    clock: Clock,
    through_vip: Writer,
    through_proxy: Writer,
}

impl Watch {
    /// `proxy`: the member whose proxy is used.
    async fn start(cluster: &Cluster, network: &Network, run: &str, proxy: &str) -> Result<Self> {
        let vip = network.spare_address(VIP);
        let at_vip = login(vip.into(), ports::POSTGRES, cluster.password());
        let at_proxy = cluster.login(cluster.member(proxy)?, ports::PROXY_PRIMARY);
        until("the table is made through the virtual IP", async || Ok(prepare_table(&at_vip).await.ok())).await?;
        let clock = Clock::start();
        let watch = Self {
            vip,
            holders: network.watch(vip)?,
            capture: network.capture()?,
            clock,
            through_vip: Writer::start(at_vip, &format!("{run} vip"), PACE, clock),
            through_proxy: Writer::start(at_proxy, &format!("{run} proxy"), PROXY_PACE, clock),
        };
        let under_way = |writer: &Writer| writer.last().is_some_and(|last| last.number > WRITES_BEFORE);
        until("both clients write", async || {
            Ok((under_way(&watch.through_vip) && under_way(&watch.through_proxy)).then_some(()))
        })
        .await?;
        Ok(watch)
    }

    /// Waits until another member than this has the address, and both clients have written since.
    async fn elsewhere(&self, old: &str) -> Result<()> {
        let another = async || Ok(self.holders.holdings().last().filter(|holding| holding.host != old).map(drop));
        until("another member has the address", another).await?;
        self.written_since(self.clock.now_us()).await
    }

    async fn written_since(&self, since_us: u64) -> Result<()> {
        let on = |writer: &Writer| writer.last().is_some_and(|last| last.at_us > since_us);
        until("both clients write on", async || Ok((on(&self.through_vip) && on(&self.through_proxy)).then_some(())))
            .await
    }

    /// The leader stays: only the way of one client is cut.
    async fn others_write_on(&self) -> Result<()> {
        until("the client behind the virtual IP notices", async || Ok(self.through_vip.last_error())).await?;
        let noticed_us = self.clock.now_us();
        let on = async || Ok(self.through_proxy.last().filter(|last| last.at_us > noticed_us).map(drop));
        until("the client behind the proxy writes on", on).await
    }

    async fn end(self, cluster: &Cluster, fault: Fault, fault_us: u64, old_leader: String) -> Result<Outcome> {
        let held_twice = self.holders.overlaps().len();
        let claims = self.capture.claims_of(self.vip.into());
        ensure!(claims.iter().any(|claim| claim.kind == ClaimKind::Packet), "nobody answered as the address");
        let speakers: Vec<Mac> = claims.iter().map(|claim| claim.mac).collect();
        let runs = [self.through_vip.run().to_owned(), self.through_proxy.run().to_owned()];
        let (vip, proxy) = (self.through_vip.stop().await, self.through_proxy.stop().await);
        let at = login(self.vip.into(), ports::POSTGRES, cluster.password());
        let mut rows = Vec::new();
        for run in &runs {
            rows.push(until("the writes are read back", async || Ok(read_back(&at, run).await.ok())).await?);
        }
        let node = format!("{}:{}", cluster.member(&old_leader)?.address, ports::POSTGRES);
        let gap =
            |record: &Record| record.gap_us(fault_us).map(us_to_ms).context("nothing was written after the fault");
        let through_vip_ms = gap(&vip)?;
        Ok(Outcome {
            fault,
            old_leader,
            through_vip_ms: (fault != Fault::CutFromClient).then_some(through_vip_ms),
            through_proxy_ms: gap(&proxy)?,
            acked_lost: vip.lost(&rows[0]).len() + proxy.lost(&rows[1]).len(),
            split_brain_writes: split_brain_writes(&[(&proxy, &rows[1])], &node, fault_us),
            held_twice,
            spoke_again: spoke_again(&speakers),
            frames: speakers.len(),
        })
    }
}

/// How often somebody speaks who had been followed by another one.
fn spoke_again(speakers: &[Mac]) -> usize {
    let mut turns = speakers.to_vec();
    turns.dedup();
    turns.len() - turns.iter().collect::<HashSet<_>>().len()
}

/// The leader of a whole cluster, which has the address, then another member. One that was cut off a moment ago
/// may still show what it saw before; the network cards do not.
pub async fn settled(cluster: &mut Cluster, network: &Network) -> Result<(String, String)> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let view = cluster.wait_whole(PATIENCE).await?;
        let leader = view.leader().context("there is no leader")?.name.clone();
        let holders = network.holders_of(network.spare_address(VIP).into())?;
        if holders == [leader.clone()] {
            let other = cluster.members().iter().map(|member| member.name.clone()).find(|name| *name != leader);
            return Ok((leader, other.context("there is only one member")?));
        }
        ensure!(Instant::now() < deadline, "{leader} leads, and the address is on {holders:?}");
        tokio::task::yield_now().await;
    }
}

/// One fault, and its end. On the client's host: what this thread and those of its runtime do, they do there. `run` is unique on
/// the server.
pub async fn run(cluster: &mut Cluster, network: &Network, fault: Fault, run: &str) -> Result<Outcome> {
    let (leader, other) = settled(cluster, network).await?;
    let watch = Watch::start(cluster, network, run, &other).await?;
    let holders = network.holders_of(network.spare_address(VIP).into())?;
    if holders != [leader.clone()] {
        bail!("{leader} led, nothing was broken, and the address is on {holders:?}");
    }
    let fault_us = watch.clock.now_us();
    match fault {
        Fault::Switchover => {
            cluster.switchover(&leader).await?;
            watch.elsewhere(&leader).await?;
        }
        Fault::CutFromClient => {
            network.cut(&fault.cuts(&leader))?;
            watch.others_write_on().await?;
        }
        Fault::CutBothWays | Fault::CutOutwards | Fault::CutInwards | Fault::CutFromStore => {
            network.cut(&fault.cuts(&leader))?;
            watch.elsewhere(&leader).await?;
        }
    }
    network.mend()?;
    let mended_us = watch.clock.now_us();
    let (leads_now, _) = settled(cluster, network).await?;
    watch.written_since(mended_us).await?;
    ensure!(
        (leads_now == leader) == (fault == Fault::CutFromClient),
        "{}: {leader} led, now {leads_now}",
        fault.name()
    );
    watch.end(cluster, fault, fault_us, leader).await
}

/// Waits until the answer is there.
async fn until<T, F: Future<Output = Result<Option<T>>>>(what: &str, mut look: impl FnMut() -> F) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        ensure!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(POLL_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_speaks_again_after_another_is_counted() {
        let speakers = |names: &[u8]| names.iter().map(|name| Mac([0, 0, 0, 0, 0, *name])).collect::<Vec<_>>();
        for (order, expected) in [(&[1, 1, 2, 2][..], 0), (&[1, 2, 1], 1), (&[1, 2, 1, 1, 2, 3], 2), (&[], 0)] {
            assert_eq!(spoke_again(&speakers(order)), expected, "{order:?}");
        }
    }
}
