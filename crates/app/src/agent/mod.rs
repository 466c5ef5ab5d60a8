//! The worker: everything of one member except the guard. Wires the parts together and runs their decision cycles.
//!
//! A member consists of roles: the store, PostgreSQL, Redis, Sentinel, the proxies, the REST API; each is there when its
//! section is in the configuration. PostgreSQL and Redis have a decision cycle each and share the member's lease.

mod backstop;
mod drill;
mod failsafe;
mod guard_link;
mod joining;
mod keeper;
mod listen;
mod metrics;
mod postgres;
mod proxies;
mod pulse;
mod redis;
mod rest;
mod routed_vip;
mod sentinel;
mod store_role;
mod switchboard;
mod vip;
mod web;
mod witness;
mod writer;

use crate::certificates::Certificates;
use crate::vip_setup;
use anyhow::{Context, anyhow};
use config::MemberConfig;
use console::Api;
use dcs::{Dcs, DcsConfig};
use failsafe::Failsafe;
use guard_link::GuardLink;
use ha::guard::{FromGuard, PerServer, ServerKind, ToGuard};
use keeper::{Keeper, KeeperState, Memo};
use proxies::Proxies;
use pulse::Pulse;
use routed_vip::RoutedVip;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use switchboard::Switchboard;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use types::Millis;
use vip::Vips;

/// Events of one kind that may wait for a cycle, which never waits itself.
const EVENTS_MAX: usize = 64;
/// After the guard is gone: time to give the leadership up in the store.
const LAST_WRITES: Duration = Duration::from_secs(2);
/// What has run only by then is code of the start.
const START_UP: Duration = Duration::from_secs(20);
/// Threads of the runtime: one for the cycle and one for everything else, so that neither waits for the other.
const RUNTIME_THREADS: usize = 2;

/// Why the worker ended.
pub enum WorkerEnd {
    Finished,
    /// Starting again may help.
    Failed(anyhow::Error),
    /// Nothing runs yet, and starting again would not help.
    Fatal(anyhow::Error),
}

/// An error that another start meets again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Fatal(pub String);

/// How a role's cycle ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// In order; its server is stopped.
    Finished,
    GuardGone,
    /// Its server was not started and never would be: why, and what to do about it.
    Refused(String),
}

/// What all roles work with.
#[derive(Clone)]
struct World {
    config_path: PathBuf,
    member: Arc<MemberConfig>,
    dcs: Dcs,
    guard: GuardLink,
    keeper: Arc<KeeperState>,
    vips: Vips,
    failsafe: Failsafe,
    certificates: Certificates,
    /// Certificates are looked at again.
    look_again: Arc<Notify>,
    pulse: Pulse,
    /// The lease's time to live until the cluster has a configuration.
    ttl: Millis,
    /// Cancelled when the worker ends.
    stop: CancellationToken,
}

/// Runs the worker until the agent is to end.
pub fn run(config_path: &Path) -> WorkerEnd {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(RUNTIME_THREADS).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return WorkerEnd::Failed(error.into()),
    };
    let end = runtime.block_on(worker(config_path));
    runtime.shutdown_timeout(Duration::from_millis(200));
    end
}

async fn worker(config_path: &Path) -> WorkerEnd {
    let vips = Vips::default();
    let (guard, mut from_guard) = match GuardLink::start(vips.clone()) {
        Ok(link) => link,
        Err(error) => return WorkerEnd::Failed(error.into()),
    };
    let Some(hello @ FromGuard::Hello { .. }) = from_guard.recv().await else {
        return WorkerEnd::Failed(anyhow!("the guard did not say hello"));
    };
    tokio::spawn(async {
        tokio::time::sleep(START_UP).await;
        platform::let_start_up_code_go();
    });
    let pulse = Pulse::default();
    pulse.start(guard.clone());
    let nothing_runs = matches!(
        &hello,
        FromGuard::Hello { servers, .. } if servers.iter().all(|(_, server)| server.pid.is_none())
    );
    match start_roles(config_path, guard, vips, pulse, from_guard, hello).await {
        Ok(()) => WorkerEnd::Finished,
        Err(error) if nothing_runs && error.is::<Fatal>() => WorkerEnd::Fatal(error),
        Err(error) => WorkerEnd::Failed(error),
    }
}

async fn start_roles(
    config_path: &Path,
    guard: GuardLink,
    vips: Vips,
    pulse: Pulse,
    from_guard: mpsc::Receiver<FromGuard>,
    hello: FromGuard,
) -> anyhow::Result<()> {
    let env: BTreeMap<String, String> = std::env::vars().collect();
    let member = Arc::new(config::load(config_path, &env).map_err(|errors| Fatal(errors.to_string()))?);
    let stop = CancellationToken::new();
    let _stop_everything = stop.clone().drop_guard();
    let certificates = Certificates::open(&member).map_err(Fatal)?;
    let look_again = Arc::new(Notify::new());
    let (keeping, stopped) = (tls::keep_fresh(certificates.refreshers(), look_again.clone()), stop.clone());
    tokio::spawn(async move { stopped.run_until_cancelled(keeping).await });
    let store = store_role::start(&member, &certificates, &stop).await?;
    let dcs = Dcs::new(DcsConfig {
        username: member.etcd.as_ref().and_then(|etcd| etcd.username.clone()),
        password: member
            .etcd
            .as_ref()
            .and_then(|etcd| etcd.password.as_ref().map(|password| password.expose().to_owned())),
        tls: certificates.dcs.clone(),
        ..DcsConfig::new(member.etcd_endpoints(), member.keys())
    });
    let _following = dcs.start();
    sentinel::start(member.clone(), dcs.clone(), stop.clone());
    let has_data = member.postgresql.is_some() || member.redis.is_some();
    let roles = PerServer { postgres: member.postgresql.is_some(), redis: member.redis.is_some() };
    let dynamic = ha::config::DynamicConfig::from_value(&member.bootstrap.dcs).unwrap_or_default();
    let view = dcs.watch();
    let ttl = if view.borrow().cluster.config.is_some() { view.borrow().cluster.config().ttl } else { dynamic.ttl };
    let keeper = KeeperState::new(ttl, roles);
    if has_data {
        let configured = vip_setup::resolve(&member.vips).map_err(Fatal)?;
        let routed = RoutedVip::start_all(&member.vips).map_err(Fatal)?;
        vips.configure(guard.clone(), &configured, routed);
    }
    let config_path = config_path.to_owned();
    let failsafe = Failsafe::new(member.clone(), roles);
    let world =
        World { config_path, member, dcs, guard, keeper, vips, failsafe, certificates, look_again, pulse, ttl, stop };
    if !has_data {
        web::witness(&world, store.as_ref()).await?;
        return witness::run(from_guard, store, &world.look_again).await;
    }
    servers(world, store, from_guard, hello).await
}

/// A member with data: PostgreSQL, Redis, or both.
async fn servers(
    world: World,
    store: Option<store_role::StoreRole>,
    from_guard: mpsc::Receiver<FromGuard>,
    hello: FromGuard,
) -> anyhow::Result<()> {
    let renewed = joining::keep_certificate(&world);
    let World { member, dcs, guard, keeper, vips, certificates, stop, .. } = &world;
    let directories = directories(member);
    guard.start_backstop(directories.clone())?;
    let memo: Option<Memo> = match &hello {
        FromGuard::Hello { memo, .. } => serde_json::from_str(memo).ok(),
        _ => None,
    };
    if memo.is_none() {
        rest::refuse_namesake(member, dcs.watch()).await?;
    }
    let listener = listen::bind(&member.restapi.listen.to_string()).await.context("restapi.listen")?;
    let failsafe = world.failsafe.clone();
    tokio::spawn(Keeper::new(keeper.clone(), dcs.clone(), guard.clone(), vips.clone(), failsafe, memo).run());

    let mut switchboard = Switchboard::new(world.look_again.clone());
    let mut cycles: JoinSet<End> = JoinSet::new();
    let mut proxies = Proxies::default();
    let postgres = match &member.postgresql {
        Some(settings) => {
            let messages = switchboard.role(ServerKind::Postgres);
            let role = postgres::start(&world, settings.clone(), messages, renewed.clone(), &mut cycles).await?;
            proxies.start_postgres(member, role.routes.clone(), stop).await?;
            Some(role)
        }
        None => None,
    };
    let redis = match &member.redis {
        Some(settings) => {
            let messages = switchboard.role(ServerKind::Redis);
            let role = redis::start(&world, settings.clone(), messages, renewed.clone(), &mut cycles).await?;
            proxies.start_redis(member, role.routes.clone(), stop).await?;
            Some(role)
        }
        None => None,
    };
    tokio::spawn(switchboard.run(hello, from_guard));
    world.pulse.bind(keeper);
    let (snapshots, commands, holder) = if let Some(role) = postgres {
        (role.snapshots, role.commands, Some(role.holder))
    } else {
        let (snapshots, commands) =
            witness::publish(member, dcs, redis.as_ref().map(|role| role.api.snapshots.clone()));
        (snapshots, commands, None)
    };
    let extras = web::extras(&world, store.as_ref(), snapshots.clone());
    let api = Api {
        snapshots,
        commands,
        store: Arc::new(dcs.clone()),
        redis: redis.map(|role| role.api),
        vips: Some(vips.explanations()),
        metrics: Some(metrics::source(proxies, vips.clone())),
        extras,
    };
    tokio::spawn(api.extras.recorder.clone().run(api.clone()));
    web::start(member, certificates.rest.clone(), api.clone(), stop);
    let (stopped, tls) = (stop.clone(), certificates.rest.clone());
    tokio::spawn(async move { console::serve(listener, tls, api, stopped.cancelled_owned()).await });
    if let Some(store) = &store {
        tokio::spawn(store_role::keep_away_from_leaders(store.handle.clone(), member.name.clone(), dcs.watch()));
    }
    let end = match &store {
        Some(store) => tokio::select! {
            end = all_ends(&mut cycles) => end?,
            why = store.handle.stopped() => return Err(anyhow!("the store ended: {}", why.unwrap_or_else(|| "it was stopped".into()))),
        },
        None => all_ends(&mut cycles).await?,
    };
    if let Some(holder) = holder {
        holder.let_flow().await;
    }
    finish(&world, store, &directories, end).await
}

/// Finished when all are; otherwise how the first one ended that did not finish.
async fn all_ends(cycles: &mut JoinSet<End>) -> anyhow::Result<End> {
    while let Some(end) = cycles.join_next().await {
        match end.context("a decision cycle broke")? {
            End::Finished => {}
            other => return Ok(other),
        }
    }
    Ok(End::Finished)
}

async fn finish(
    world: &World,
    store: Option<store_role::StoreRole>,
    directories: &PerServer<Option<PathBuf>>,
    end: End,
) -> anyhow::Result<()> {
    let World { dcs, guard, keeper, vips, .. } = world;
    let lease = *keeper.lease().borrow();
    let give_up = async {
        if let Some(lease) = lease {
            let _ = tokio::time::timeout(LAST_WRITES, dcs.lease_revoke(lease.id)).await;
        }
    };
    match end {
        End::Finished => {
            if let Some(lease) = lease {
                let _ = dcs.lease_revoke(lease.id).await;
            }
            if let Some(store) = &store {
                store.handle.shutdown().await;
            }
            guard.send(&ToGuard::Finish { leave_running: false });
            Ok(())
        }
        End::Refused(why) => {
            // The lease carries the claims of the other role's server, too. Where one runs, it runs out by itself, after the
            // fence; given up now, another member would lead while this one still serves.
            if ServerKind::ALL.into_iter().all(|server| guard.state_of(server).pid.is_none()) {
                give_up.await;
            }
            Err(Fatal(why).into())
        }
        End::GuardGone => {
            // The kernel has ended the servers; what is left of them is ended here, before the lease is given up.
            let directories: Vec<&PathBuf> =
                directories.iter().filter_map(|(_, directory)| directory.as_ref()).collect();
            let killed: usize = directories.iter().map(|directory| platform::kill_processes_in(directory)).sum();
            let gone = tokio::time::timeout(LAST_WRITES, async {
                // The kernel removes the addresses that nobody renews any more.
                while directories.iter().any(|directory| !platform::processes_in(directory).is_empty())
                    || vips.on_a_card()
                {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
            if gone.await.is_ok() {
                give_up.await;
            }
            Err(anyhow!("the guard is gone; {killed} processes of the servers were ended and the lease was given up"))
        }
    }
}

/// Where the servers work: by that they are found when everything else fails.
fn directories(member: &MemberConfig) -> PerServer<Option<PathBuf>> {
    PerServer {
        postgres: member.postgresql.as_ref().map(|it| it.data_dir.clone()),
        redis: member.redis.as_ref().map(|it| it.data_dir.clone()),
    }
}
