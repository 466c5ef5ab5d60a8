//! A planned switchover as the clients of a PgBouncer notice it, and those of the proxy.
//!
//! One cluster, two PgBouncers: one that leads to the proxy, one that leads to the primary through a file that the agent
//! writes. Each is looked after by the agent of one member. pgbench runs through both while the leader hands over.

use crate::cluster::{Cluster, ClusterOptions};
use crate::member::ports;
use crate::pgbench::{Load, Pgbench, Report, committed, prepare};
use crate::pgbouncer::{self, DATABASE, Leads, PgBouncer, Plan};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use tokio::time::sleep;

/// pgbench is well under way by then.
const BEFORE_SWITCHOVER: Duration = Duration::from_millis(1500);
const WHOLE_TIME_MAX: Duration = Duration::from_secs(90);
/// Clients of each pgbench; more than the pool has connections.
const CLIENTS: u32 = 8;
/// What pgbench says of a connection that had a server and lost it, and of the client that had it.
const CUT: [&str; 3] = ["server closed the connection", "terminating connection", "aborted"];
/// Long enough for a switchover after [`BEFORE_SWITCHOVER`] also when the machine stalls.
const SECONDS: u32 = 6;

/// The PgBouncers in front of a cluster.
pub struct Pools {
    pub through_proxy: PgBouncer,
    pub through_include: PgBouncer,
}

/// What one switchover cost.
#[derive(Clone, Debug)]
pub struct Handover {
    pub old_leader: String,
    pub new_leader: String,
    pub through_proxy: Report,
    pub through_include: Report,
    /// Straight through the proxy, with a connection for each transaction; not asked for by everybody.
    pub without_pool: Option<WithoutPool>,
}

/// Clients that connect to the primary through a proxy which nobody else uses.
#[derive(Clone, Debug)]
pub struct WithoutPool {
    pub report: Report,
    /// Those who waited in vain, as the proxy counts them.
    pub refused: u64,
}

impl WithoutPool {
    /// Whom the old primary had at that moment may lose the connection, and a transaction with it: to the primary itself, which
    /// ends it, or to the proxy, which cuts it. Everybody else waits, and nobody in vain.
    pub fn only_the_connected_failed(&self) -> bool {
        let was_cut = |error: &String| CUT.iter().any(|words| error.contains(words));
        self.refused == 0 && self.report.errors.iter().all(was_cut)
    }
}

/// Completes the options: the first member looks after a PgBouncer that leads to its proxy, the second one after one that
/// leads to the primary. Starts both before there is a cluster: an agent finds them when it starts.
pub fn plans(options: &mut ClusterOptions, directory: &Path) -> [Plan; 2] {
    let address = |index: u32| std::net::Ipv4Addr::from(u32::from(options.first_address) + index);
    let plans = [
        Plan::new(address(0), Leads::Proxy, directory.join("through-proxy")),
        Plan::new(address(1), Leads::Include, directory.join("through-include")),
    ];
    for (index, plan) in plans.iter().enumerate() {
        options.overrides_of.insert(index, json!({ "pgbouncer": plan.section() }));
    }
    plans
}

impl Pools {
    /// The cluster runs already, or is about to.
    pub fn start([proxy, include]: &[Plan; 2], cluster: &Cluster) -> Result<Self> {
        let password = cluster.password();
        Ok(Self { through_proxy: proxy.start(password)?, through_include: include.start(password)? })
    }

    pub fn each(&self) -> [&PgBouncer; 2] {
        [&self.through_proxy, &self.through_include]
    }
}

/// What makes the leader hand over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    ToSwitchOver,
    /// The agent ends, and is started again. Not one that looks after a PgBouncer.
    ToStop,
}

/// One planned change to any candidate under load. `run` is unique on the server; letters and digits.
pub async fn hand_over(
    cluster: &mut Cluster,
    pools: &Pools,
    run: &str,
    asked: Asked,
    without_pool: bool,
) -> Result<Handover> {
    let view = cluster.wait_whole(WHOLE_TIME_MAX).await?;
    let old = view.leader().context("there is no leader")?.name.clone();
    let direct = cluster.login(cluster.member(&old)?, ports::PROXY_PRIMARY);
    prepare(&direct).await?;

    let load = Load { clients: CLIENTS, seconds: SECONDS, connect_each_time: false };
    let password = cluster.password().to_owned();
    let start = |pool: &PgBouncer, run: &str| {
        let host = pool.plan().address.to_string();
        Pgbench::start(&host, pgbouncer::PORT, DATABASE, &password, run, load)
    };
    let names = [format!("{run}proxy"), format!("{run}include"), format!("{run}none")];
    let (proxy, include) = (start(&pools.through_proxy, &names[0])?, start(&pools.through_include, &names[1])?);
    // Not the first one, whose proxy a PgBouncer uses.
    let other = cluster.members().iter().rfind(|member| member.name != old).context("there is only one member")?;
    let refused_before = cluster.refused_by_proxy(other).await?;
    let each = Load { connect_each_time: true, ..load };
    let none = without_pool.then(|| {
        let host = other.address.to_string();
        Pgbench::start(&host, ports::PROXY_PRIMARY, "postgres", &password, &names[2], each)
    });
    sleep(BEFORE_SWITCHOVER).await;
    match asked {
        Asked::ToSwitchOver => cluster.switchover(&old).await?,
        Asked::ToStop => cluster.member(&old)?.ask_to_stop(),
    }
    let (through_proxy, through_include) = tokio::try_join!(proxy.report(), include.report())?;
    let without_pool = match none {
        Some(none) => {
            let report = none?.report().await?;
            Some(WithoutPool { report, refused: cluster.refused_by_proxy(other).await? - refused_before })
        }
        None => None,
    };
    if asked == Asked::ToStop {
        let stopped = cluster.member_mut(&old)?;
        if stopped.is_running()? {
            bail!("the agent of {old} did not end");
        }
        stopped.start()?;
    }
    let view = cluster.wait_whole(WHOLE_TIME_MAX).await?;
    let new_leader = view.leader().context("there is no leader")?.name.clone();
    if new_leader == old {
        bail!("{old} leads as before");
    }
    for (name, report) in [(&names[0], &through_proxy), (&names[1], &through_include)] {
        let rows = committed(&direct, name).await?;
        // A transaction whose confirmation came when pgbench's time was over is in the table only.
        if rows < report.transactions {
            bail!("{} transactions were confirmed, {rows} are in the table", report.transactions);
        }
    }
    Ok(Handover { old_leader: old, new_leader, through_proxy, through_include, without_pool })
}
