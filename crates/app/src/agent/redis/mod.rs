//! The Redis of this member: what is decided about it, and what carries the decisions out.

mod cycle;
mod executor;
mod instance;
mod last_words;
mod observer;
mod publish;
mod state;

use super::{EVENTS_MAX, End, Fatal, World};
use config::RedisConfig;
use console::redis::{RedisApi, RedisSnapshot};
use cycle::{Cycle, Inputs, Outputs};
use executor::Executor;
use ha::guard::{FromGuard, ServerKind};
use instance::Instance;
use observer::Observer;
use publish::Published;
use state::State;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

/// What others have of it.
pub struct RedisRole {
    pub api: RedisApi,
    pub routes: watch::Receiver<proxy::Routes>,
}

pub async fn start(
    world: &World,
    config: RedisConfig,
    messages: mpsc::Receiver<FromGuard>,
    renewed: watch::Receiver<()>,
    cycles: &mut JoinSet<End>,
) -> anyhow::Result<RedisRole> {
    let World { member, dcs, guard, keeper, vips, failsafe, .. } = world;
    let opened = Instance::open(member.clone(), config).await.map_err(|error| fatal(&error))?;
    let instance = Arc::new(opened);
    let starting = RedisSnapshot::starting(member.name.clone(), instance.config.name.clone());
    let (snapshots, snapshot) = watch::channel(Arc::new(starting));
    let (routes, route) = watch::channel(proxy::Routes::default());
    let (observations, observations_in) = mpsc::channel(EVENTS_MAX);
    let (batches, batches_in) = mpsc::channel(EVENTS_MAX);
    let (ends, jobs_in) = mpsc::channel(EVENTS_MAX);
    let (last_words, last_words_in) = mpsc::channel(EVENTS_MAX);
    let probe = Arc::new(Notify::new());

    let connection = || instance.local().map_err(|error| fatal(&error));
    let observer =
        Observer { instance: instance.clone(), guard: guard.clone(), wanted: probe.clone(), results: observations };
    tokio::spawn(observer.run(connection()?));
    tokio::spawn(read_new_certificates(instance.clone(), connection()?, renewed));
    let executor = Executor { instance: instance.clone(), guard: guard.clone(), view: dcs.watch(), ends };
    let jobs = executor.start(connection()?);
    let published = Published { me: member.name.clone(), snapshots, routes };
    let cycle = Cycle {
        identity: instance.identity(),
        dcs: dcs.clone(),
        guard: guard.clone(),
        keeper: keeper.clone(),
        vips: vips.clone(),
        failsafe: failsafe.clone(),
        ttl: world.ttl,
        outputs: Outputs { batches, jobs, probe, last_words, published },
        state: State::new(),
        instance,
    };
    let inputs = Inputs {
        store: dcs.watch(),
        guard: messages,
        observations: observations_in,
        batches: batches_in,
        jobs: jobs_in,
        last_words: last_words_in,
    };
    let keeper = keeper.clone();
    cycles.spawn(async move {
        let end = cycle.run(inputs).await;
        keeper.retire(ServerKind::Redis);
        end
    });
    Ok(RedisRole { api: RedisApi { snapshots: snapshot }, routes: route })
}

/// Redis reads its certificate at the start and when it is named again.
async fn read_new_certificates(instance: Arc<Instance>, mut server: redis::Server, mut renewed: watch::Receiver<()>) {
    let Some(file) = instance.config.tls.as_ref().map(|tls| tls.cert_file.display().to_string()) else { return };
    while renewed.changed().await.is_ok() {
        // One that does not run now reads it when it starts.
        if let Err(error) = server.config_set("tls-cert-file", &file).await {
            tracing::debug!(%error, "Redis did not read the new certificate yet");
        }
    }
}

fn fatal(error: &redis::Error) -> Fatal {
    Fatal(format!("{error}\nhint: {}", error.hint()))
}
