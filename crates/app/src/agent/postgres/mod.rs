//! The PostgreSQL of this member: what is decided about it, and what carries the decisions out.

mod configurator;
mod cycle;
mod hold;
mod instance;
mod jobs;
mod observer;
mod publish;
mod routes;

use super::{EVENTS_MAX, End, Fatal, World, rest};
use config::{MemberConfig, PostgresqlConfig};
use console::{CommandRequest, PATRONI_VERSION, Snapshot};
use cycle::{Cycle, Inputs, Outputs, State};
use ha::cluster::{MemberData, Quorate};
use ha::guard::FromGuard;
pub use hold::Holder;
use instance::Instance;
use postgres::clone::CloneProgress;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

/// Between two attempts to make PostgreSQL read its new certificate. There are months for it.
const TELL_AGAIN: Duration = Duration::from_secs(5);

/// What others have of it.
pub struct PostgresRole {
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    pub commands: mpsc::Sender<CommandRequest>,
    pub routes: watch::Receiver<proxy::Routes>,
    pub holder: Holder,
}

pub async fn start(
    world: &World,
    postgresql: PostgresqlConfig,
    messages: mpsc::Receiver<FromGuard>,
    renewed: watch::Receiver<()>,
    cycles: &mut JoinSet<End>,
) -> anyhow::Result<PostgresRole> {
    let World { member, dcs, guard, keeper, vips, failsafe, .. } = world;
    let instance = Instance::open(member.clone(), postgresql).await.map_err(|error| Fatal(with_hint(&error)))?;
    let instance = Arc::new(instance);
    let settings = Arc::new(rest::settings(member));
    let (snapshots, snapshot) =
        watch::channel(Arc::new(Snapshot::starting(member.name.clone(), member.scope.clone(), settings.clone())));
    let (routes, route) = watch::channel(proxy::Routes::default());
    let (commands, commands_in) = mpsc::channel(EVENTS_MAX);
    let (observations, observations_in) = mpsc::channel(EVENTS_MAX);
    let (finished, finished_in) = mpsc::channel(EVENTS_MAX);
    let (batches, batches_in) = mpsc::channel(EVENTS_MAX);
    let (job_results, jobs_in) = mpsc::channel(EVENTS_MAX);
    let (data, data_in) = mpsc::channel(EVENTS_MAX);
    let (cloned, cloned_in) = watch::channel(CloneProgress::default());
    let probe = Arc::new(Notify::new());
    let reload = Arc::new(Notify::new());

    let observer = observer::Observer {
        instance: instance.clone(),
        guard: guard.clone(),
        wanted: probe.clone(),
        results: observations,
    };
    tokio::spawn(observer.run());
    let work = configurator::start(instance.clone(), finished);
    tokio::spawn(reload_on_request(
        world.config_path.clone(),
        instance.clone(),
        dcs.watch(),
        work.clone(),
        reload.clone(),
        world.look_again.clone(),
    ));
    tokio::spawn(read_new_certificates(instance.clone(), renewed));
    let holder = Holder::start(world);
    let cycle = Cycle {
        identity: identity(member),
        jobs: Arc::new(jobs::Jobs { instance: instance.clone(), guard: guard.clone(), cloned }),
        instance,
        dcs: dcs.clone(),
        guard: guard.clone(),
        keeper: keeper.clone(),
        vips: vips.clone(),
        failsafe: failsafe.clone(),
        settings,
        outputs: Outputs { batches, jobs: job_results, data, work, probe, snapshots, routes, reload },
        state: State::new(),
        member: member.clone(),
    };
    let inputs = Inputs {
        store: dcs.watch(),
        guard: messages,
        observations: observations_in,
        finished: finished_in,
        batches: batches_in,
        jobs: jobs_in,
        data: data_in,
        commands: commands_in,
        hold: holder.view.clone(),
        cloned: cloned_in,
    };
    let keeper = keeper.clone();
    cycles.spawn(async move {
        let end = cycle.run(inputs).await;
        keeper.retire(ha::guard::ServerKind::Postgres);
        end
    });
    Ok(PostgresRole { snapshots: snapshot, commands, routes: route, holder })
}

fn identity(member: &MemberConfig) -> MemberData {
    MemberData {
        conn_url: member.conn_url(),
        api_url: member.api_url(),
        proxy_url: member.proxy_url(),
        // Patroni's tools read this as a version of Patroni.
        version: PATRONI_VERSION.to_owned(),
        quorate: Some(Quorate { services: rest::services(member), ..Quorate::default() }),
        ..MemberData::default()
    }
}

/// PostgreSQL reads its certificate at the start and when told to. It is told until it has heard: with one that has ended
/// nobody could tell it any more.
async fn read_new_certificates(instance: Arc<Instance>, mut renewed: watch::Receiver<()>) {
    while renewed.changed().await.is_ok() {
        let mut said = false;
        while let Err(error) = instance.sql.reload().await {
            if !said {
                tracing::info!("PostgreSQL did not read the new certificate now: {error}");
                said = true;
            }
            tokio::time::sleep(TELL_AGAIN).await;
        }
    }
}

/// The service manager or an operator asks to read the configuration file again: PostgreSQL's part of it applies.
async fn reload_on_request(
    path: std::path::PathBuf,
    instance: Arc<Instance>,
    view: watch::Receiver<Arc<dcs::DcsView>>,
    work: mpsc::Sender<configurator::Work>,
    requested: Arc<Notify>,
    look_again: Arc<Notify>,
) {
    loop {
        requested.notified().await;
        look_again.notify_one();
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
