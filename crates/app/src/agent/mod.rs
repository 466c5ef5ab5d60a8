//! The worker: everything of one member except the guard. Wires the parts together and runs the decision cycle.

mod backstop;
mod configurator;
mod cycle;
mod guard_link;
mod instance;
mod jobs;
mod keeper;
mod metrics;
mod observer;
mod publish;
mod store_role;
mod writer;

use anyhow::{Context, anyhow};
use config::{MemberConfig, PostgresqlConfig};
use console::{Api, BasicAuth, PATRONI_VERSION, RestApiSettings, Snapshot};
use cycle::{Cycle, End, Inputs, Outputs, State};
use dcs::{Dcs, DcsConfig};
use guard_link::GuardLink;
use ha::cluster::MemberData;
use ha::guard::{FromGuard, PerServer, ToGuard};
use instance::Instance;
use keeper::{Keeper, KeeperState, Memo};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Events of one kind that may wait for the cycle, which never waits itself.
const EVENTS_MAX: usize = 64;
/// A port that the previous worker held may be free only a moment later.
const BIND_PATIENCE: Duration = Duration::from_secs(5);
const BIND_PAUSE: Duration = Duration::from_millis(50);
/// How long the first worker waits for the store before it goes on without knowing who is there.
const STORE_PATIENCE: Duration = Duration::from_secs(5);
/// A member that lives answers its health check within milliseconds.
const NAMESAKE_PATIENCE: Duration = Duration::from_secs(2);
/// After the guard is gone: time to give the leadership up in the store.
const LAST_WRITES: Duration = Duration::from_secs(2);
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
    let (guard, mut from_guard) = match GuardLink::start() {
        Ok(link) => link,
        Err(error) => return WorkerEnd::Failed(error.into()),
    };
    let Some(hello @ FromGuard::Hello { .. }) = from_guard.recv().await else {
        return WorkerEnd::Failed(anyhow!("the guard did not say hello"));
    };
    let nothing_runs = matches!(
        &hello,
        FromGuard::Hello { servers, .. } if servers.iter().all(|(_, server)| server.pid.is_none())
    );
    match start_roles(config_path, guard, from_guard, hello).await {
        Ok(()) => WorkerEnd::Finished,
        Err(error) if nothing_runs && error.is::<Fatal>() => WorkerEnd::Fatal(error),
        Err(error) => WorkerEnd::Failed(error),
    }
}

/// An error that another start meets again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Fatal(pub String);

async fn start_roles(
    config_path: &Path,
    guard: GuardLink,
    from_guard: mpsc::Receiver<FromGuard>,
    hello: FromGuard,
) -> anyhow::Result<()> {
    let env: BTreeMap<String, String> = std::env::vars().collect();
    let member = Arc::new(config::load(config_path, &env).map_err(|errors| Fatal(errors.to_string()))?);
    let stop = CancellationToken::new();
    let _stop_everything = stop.clone().drop_guard();
    let store = store_role::start(&member, &stop).await?;
    let dcs = Dcs::new(DcsConfig {
        username: member.etcd.as_ref().and_then(|etcd| etcd.username.clone()),
        password: member
            .etcd
            .as_ref()
            .and_then(|etcd| etcd.password.as_ref().map(|password| password.expose().to_owned())),
        ..DcsConfig::new(member.etcd_endpoints(), member.keys())
    });
    let _following = dcs.start();
    let Some(postgresql) = member.postgresql.clone() else {
        return witness(from_guard, store).await;
    };
    database(config_path, member, postgresql, dcs, store, guard, from_guard, hello, &stop).await
}

/// A member with a vote and no data.
async fn witness(
    mut from_guard: mpsc::Receiver<FromGuard>,
    store: Option<store_role::StoreRole>,
) -> anyhow::Result<()> {
    loop {
        match from_guard.recv().await {
            Some(FromGuard::Terminate) | None => break,
            Some(_) => {}
        }
    }
    if let Some(store) = store {
        store.handle.shutdown().await;
    }
    Ok(())
}

#[allow(clippy::too_many_arguments)] // the one place where everything meets
async fn database(
    config_path: &Path,
    member: Arc<MemberConfig>,
    postgresql: PostgresqlConfig,
    dcs: Dcs,
    store: Option<store_role::StoreRole>,
    guard: GuardLink,
    from_guard: mpsc::Receiver<FromGuard>,
    hello: FromGuard,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    guard.start_backstop(PerServer { postgres: Some(postgresql.data_dir.clone()), redis: None })?;
    let memo: Option<Memo> = match &hello {
        FromGuard::Hello { memo, .. } => serde_json::from_str(memo).ok(),
        _ => None,
    };
    if memo.is_none() {
        refuse_namesake(&member, dcs.watch()).await?;
    }
    let rest = bind(&member.restapi.listen.to_string()).await.context("restapi.listen")?;
    let instance = Instance::open(member.clone(), postgresql).await.map_err(|error| Fatal(with_hint(&error)))?;
    let instance = Arc::new(instance);
    let view = dcs.watch();
    let dynamic = ha::config::DynamicConfig::from_value(&member.bootstrap.dcs).unwrap_or_default();
    let ttl = if view.borrow().cluster.config.is_some() { view.borrow().cluster.config().ttl } else { dynamic.ttl };
    let keeper = KeeperState::new(ttl);
    let lease_keeper =
        Keeper { state: keeper.clone(), dcs: dcs.clone(), guard: guard.clone(), memo, asked: ttl, withheld: None };
    tokio::spawn(lease_keeper.run());

    let settings = Arc::new(rest_settings(&member));
    let (snapshots, snapshot) =
        watch::channel(Arc::new(Snapshot::starting(member.name.clone(), member.scope.clone(), settings.clone())));
    let (routes, route) = watch::channel(proxy::Routes::default());
    let (commands, commands_in) = mpsc::channel(EVENTS_MAX);
    let (observations, observations_in) = mpsc::channel(EVENTS_MAX);
    let (finished, finished_in) = mpsc::channel(EVENTS_MAX);
    let (batches, batches_in) = mpsc::channel(EVENTS_MAX);
    let (job_results, jobs_in) = mpsc::channel(EVENTS_MAX);
    let (data, data_in) = mpsc::channel(EVENTS_MAX);
    let (guard_events, guard_in) = mpsc::channel(EVENTS_MAX);
    let probe = Arc::new(Notify::new());
    let reload = Arc::new(Notify::new());

    let observer = observer::Observer {
        instance: instance.clone(),
        guard: guard.clone(),
        wanted: probe.clone(),
        results: observations,
    };
    tokio::spawn(observer.run());
    tokio::spawn(forward(hello, from_guard, guard_events));
    let proxy = start_proxy(&member, route, stop).await?;
    let api =
        Api { snapshots: snapshot, commands, store: Arc::new(dcs.clone()), metrics: Some(metrics::source(proxy)) };
    let stopped = stop.clone();
    tokio::spawn(async move { console::serve(rest, api, stopped.cancelled_owned()).await });
    if let Some(store) = &store {
        tokio::spawn(store_role::keep_away_from_primary(store.handle.clone(), member.name.clone(), dcs.watch()));
    }
    let work = configurator::start(instance.clone(), finished);
    tokio::spawn(reload_on_request(
        config_path.to_owned(),
        instance.clone(),
        dcs.watch(),
        work.clone(),
        reload.clone(),
    ));

    let cycle = Cycle {
        identity: identity(&member),
        jobs: Arc::new(jobs::Jobs { instance: instance.clone(), guard: guard.clone() }),
        instance: instance.clone(),
        dcs: dcs.clone(),
        guard: guard.clone(),
        keeper: keeper.clone(),
        settings,
        outputs: Outputs { batches, jobs: job_results, data, work, probe, snapshots, routes, reload },
        state: State::new(),
        member: member.clone(),
    };
    let inputs = Inputs {
        store: view,
        guard: guard_in,
        observations: observations_in,
        finished: finished_in,
        batches: batches_in,
        jobs: jobs_in,
        data: data_in,
        commands: commands_in,
    };
    let end = match &store {
        Some(store) => tokio::select! {
            end = cycle.run(inputs) => end,
            why = store.handle.stopped() => return Err(anyhow!("the store ended: {}", why.unwrap_or_else(|| "it was stopped".into()))),
        },
        None => cycle.run(inputs).await,
    };
    match end {
        End::Finished => {
            if let Some(lease) = *keeper.lease().borrow() {
                let _ = dcs.lease_revoke(lease.id).await;
            }
            if let Some(store) = &store {
                store.handle.shutdown().await;
            }
            guard.send(&ToGuard::Finish { leave_running: false });
            Ok(())
        }
        End::Refused(why) => {
            if let Some(lease) = *keeper.lease().borrow() {
                let _ = tokio::time::timeout(LAST_WRITES, dcs.lease_revoke(lease.id)).await;
            }
            Err(Fatal(why).into())
        }
        End::GuardGone => {
            // The kernel has ended the postmaster; what is left of PostgreSQL is ended here, before the lease is given up.
            let killed = platform::kill_processes_in(&instance.settings.data_dir);
            let gone = tokio::time::timeout(LAST_WRITES, async {
                while !platform::processes_in(&instance.settings.data_dir).is_empty() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
            if gone.await.is_ok()
                && let Some(lease) = *keeper.lease().borrow()
            {
                let _ = tokio::time::timeout(LAST_WRITES, dcs.lease_revoke(lease.id)).await;
            }
            Err(anyhow!("the guard is gone; {killed} processes of PostgreSQL were ended and the lease was given up"))
        }
    }
}

/// Puts the greeting back in front of what follows it.
async fn forward(hello: FromGuard, mut from: mpsc::Receiver<FromGuard>, to: mpsc::Sender<FromGuard>) {
    let mut next = Some(hello);
    while let Some(message) = next {
        if to.send(message).await.is_err() {
            return;
        }
        next = from.recv().await;
    }
}

fn identity(member: &MemberConfig) -> MemberData {
    MemberData {
        conn_url: member.conn_url(),
        api_url: member.api_url(),
        // Patroni's tools read this as a version of Patroni.
        version: PATRONI_VERSION.to_owned(),
        ..MemberData::default()
    }
}

fn rest_settings(member: &MemberConfig) -> RestApiSettings {
    let password =
        |user: &config::User| user.password.as_ref().map_or(String::new(), |password| password.expose().to_owned());
    let authentication =
        member.restapi.authentication.as_ref().map(|user| BasicAuth::new(&user.username, &password(user)));
    RestApiSettings { authentication, ..RestApiSettings::default() }
}

/// A member of our name may be alive somewhere else: two of them would take turns at one entry. Asked once, by the first
/// worker, before its own API listens; an entry alone may be what a host that was lost has left behind.
async fn refuse_namesake(member: &MemberConfig, mut view: watch::Receiver<Arc<dcs::DcsView>>) -> anyhow::Result<()> {
    let known = tokio::time::timeout(STORE_PATIENCE, view.wait_for(|view| view.generation > 0)).await;
    let Ok(Ok(view)) = known else { return Ok(()) };
    let Some(url) = view.cluster.members.get(&member.name).map(|entry| entry.data.api_url.clone()) else {
        return Ok(());
    };
    drop(view);
    let asked = reqwest::Client::builder().no_proxy().timeout(NAMESAKE_PATIENCE).build()?.get(&url).send();
    // Any answer is one of somebody who is there.
    match asked.await {
        Err(error) if error.is_connect() || error.is_timeout() || error.is_builder() => Ok(()),
        Ok(_) | Err(_) => Err(Fatal(format!(
            "a member named {} is already running ({url})\nhint: give this one another name: in its configuration, or stop the other",
            member.name
        ))
        .into()),
    }
}

async fn bind(address: &str) -> anyhow::Result<TcpListener> {
    let deadline = tokio::time::Instant::now() + BIND_PATIENCE;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) if tokio::time::Instant::now() >= deadline => {
                return Err(anyhow!("cannot listen on {address}: {error}"));
            }
            Err(_) => tokio::time::sleep(BIND_PAUSE).await,
        }
    }
}

async fn start_proxy(
    member: &MemberConfig,
    routes: watch::Receiver<proxy::Routes>,
    stop: &CancellationToken,
) -> anyhow::Result<Option<proxy::Proxy>> {
    let Some(settings) = &member.proxy else { return Ok(None) };
    let mut listen = (Vec::new(), Vec::new());
    for host in &settings.listen {
        listen.0.extend(addresses(host, settings.primary_port).await?);
        listen.1.extend(addresses(host, settings.replica_port).await?);
    }
    let config = proxy::ProxyConfig {
        listen_primary: listen.0,
        listen_replicas: listen.1,
        hold: settings.hold.into(),
        connections_max: settings.connections_max,
        ..proxy::ProxyConfig::default()
    };
    let deadline = tokio::time::Instant::now() + BIND_PATIENCE;
    loop {
        match proxy::serve(config.clone(), routes.clone(), stop.clone()).await {
            Ok(proxy) => return Ok(Some(proxy)),
            Err(error) if tokio::time::Instant::now() >= deadline => return Err(error.into()),
            Err(_) => tokio::time::sleep(BIND_PAUSE).await,
        }
    }
}

async fn addresses(host: &str, port: u16) -> anyhow::Result<Vec<SocketAddr>> {
    let host = if host == "*" { "0.0.0.0" } else { host };
    let found = tokio::net::lookup_host((host, port)).await.with_context(|| format!("proxy.listen: {host}"))?;
    Ok(found.take(1).collect())
}

/// The service manager or an operator asks to read the configuration file again: PostgreSQL's part of it applies.
async fn reload_on_request(
    path: std::path::PathBuf,
    instance: Arc<Instance>,
    view: watch::Receiver<Arc<dcs::DcsView>>,
    work: mpsc::Sender<configurator::Work>,
    requested: Arc<Notify>,
) {
    loop {
        requested.notified().await;
        let env: BTreeMap<String, String> = std::env::vars().collect();
        match config::load(&path, &env) {
            Ok(member) => {
                if let Some(settings) = member.postgresql {
                    instance.reload(&settings).await;
                    let dynamic = view.borrow().cluster.config();
                    let _ = work.send(configurator::Work::Reload(Box::new(dynamic))).await;
                }
            }
            Err(errors) => {
                tracing::error!("the configuration was not read again; the old one stays in force:\n{errors}");
            }
        }
    }
}

fn with_hint(error: &postgres::Error) -> String {
    format!("{error}\nhint: {}", error.hint())
}
