//! Members, or parts of members, without PostgreSQL: they have a vote, or Redis, and a REST API that says so.

use super::store_role::StoreRole;
use super::{EVENTS_MAX, rest};
use config::MemberConfig;
use console::redis::RedisSnapshot;
use console::{CommandRequest, Outcome, Snapshot};
use dcs::Dcs;
use ha::guard::FromGuard;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, mpsc, watch};

/// The snapshot says when the store last answered, so it is made anew also when nothing changes.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);

/// A member with a vote and no data.
pub async fn run(
    mut from_guard: mpsc::Receiver<FromGuard>,
    store: Option<StoreRole>,
    look_again: &Notify,
) -> anyhow::Result<()> {
    loop {
        match from_guard.recv().await {
            Some(FromGuard::Terminate) | None => break,
            Some(FromGuard::Reload) => look_again.notify_one(),
            Some(_) => {}
        }
    }
    if let Some(store) = store {
        store.handle.shutdown().await;
    }
    Ok(())
}

/// What the REST API shows of a member without PostgreSQL: the cluster's keys, and nothing of its own.
/// `/liveness` goes by the decisions about Redis.
pub fn publish(
    member: &MemberConfig,
    dcs: &Dcs,
    redis: Option<watch::Receiver<Arc<RedisSnapshot>>>,
) -> (watch::Receiver<Arc<Snapshot>>, mpsc::Sender<CommandRequest>) {
    let settings = Arc::new(rest::settings(member));
    let (me, scope) = (member.name.clone(), member.scope.clone());
    let (sender, snapshots) = watch::channel(Arc::new(Snapshot::starting(me, scope, settings)));
    let (commands, mut requests) = mpsc::channel::<CommandRequest>(EVENTS_MAX);
    let mut view = dcs.watch();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                changed = view.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(PUBLISH_EVERY) => {}
                Some(request) = requests.recv() => {
                    let _ = request.answer.send(Outcome::new(501, "this member has no PostgreSQL"));
                    continue;
                }
                else => return,
            }
            let seen = view.borrow_and_update().clone();
            let at = SystemTime::now().checked_sub(seen.last_contact.elapsed());
            sender.send_modify(|snapshot| {
                *snapshot = Arc::new(Snapshot {
                    cluster: Arc::new(seen.cluster.clone()),
                    store_reachable: seen.connected,
                    dcs_last_seen: at.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map_or(0, |it| it.as_secs()),
                    last_decision_at: redis.as_ref().map_or_else(Instant::now, |it| it.borrow().last_decision_at),
                    ..Snapshot::clone(snapshot)
                });
            });
        }
    });
    (snapshots, commands)
}
