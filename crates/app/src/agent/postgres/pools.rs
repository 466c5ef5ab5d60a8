//! The PgBouncers of this member: each has a task that brings it to what `ha::pools` wants, and the decisions about
//! PostgreSQL are told how far they are.

use crate::agent::World;
use config::{PgbouncerConfig, PgbouncerInstance, Secret};
use ha::pools::{self, PoolsMemory, PoolsView, Wanted};
use ha::reason::Reason;
use pgbouncer::{Include, Instance, Outcome, Settings, Status};
use platform::boot_clock;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use types::{Millis, Revision};

/// A worker that ends lets the clients go on; a PgBouncer that does not answer is not waited for longer.
const LAST_WORD_TIME_MAX: Duration = Duration::from_secs(2);

/// The poolers that are looked after. Without the section nothing runs, and the view says so for ever.
pub struct Pools {
    pub view: watch::Receiver<PoolsView>,
    stop: CancellationToken,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Pools {
    pub fn start(world: &World) -> Self {
        let (view, seen) = watch::channel(PoolsView::default());
        // Ended by `let_flow`, before the rest of the worker.
        let stop = CancellationToken::new();
        let task = world.member.pgbouncer.as_ref().map(|config| {
            view.send_modify(|view| view.pause_max = Some(config.pause_timeout));
            tokio::spawn(Driver::new(config, view).run(world.dcs.watch(), stop.clone()))
        });
        Self { view: seen, stop, task }
    }

    /// Lets all clients go on, and ends.
    pub async fn let_flow(self) {
        self.stop.cancel();
        if let Some(task) = self.task
            && tokio::time::timeout(LAST_WORD_TIME_MAX, task).await.is_err()
        {
            tracing::warn!("a PgBouncer does not answer; if it is paused, the next worker resumes it");
        }
    }
}

struct Driver {
    pause_timeout: Millis,
    /// From the beginning of a hold.
    hold_max: Millis,
    names: Vec<String>,
    wanted: watch::Sender<Wanted>,
    statuses: Vec<watch::Receiver<Status>>,
    /// One of the statuses has changed.
    news: watch::Receiver<()>,
    tasks: JoinSet<()>,
    view: watch::Sender<PoolsView>,
    memory: PoolsMemory,
}

impl Driver {
    fn new(config: &PgbouncerConfig, view: watch::Sender<PoolsView>) -> Self {
        let (wanted, _) = watch::channel(Wanted::default());
        let (news, news_seen) = watch::channel(());
        let mut driver = Self {
            pause_timeout: config.pause_timeout,
            hold_max: config.pause_timeout + config.hold,
            names: config.instances.keys().cloned().collect(),
            wanted,
            statuses: Vec::new(),
            news: news_seen,
            tasks: JoinSet::new(),
            view,
            memory: PoolsMemory::default(),
        };
        for (name, instance) in &config.instances {
            let (status, mut seen) = watch::channel(Status::default());
            driver.statuses.push(seen.clone());
            let instance = Instance::new(settings(name, instance, config.pause_timeout));
            driver.tasks.spawn(instance.run(driver.wanted.subscribe(), status));
            let news = news.clone();
            tokio::spawn(async move {
                while seen.changed().await.is_ok() {
                    news.send_replace(());
                }
            });
        }
        driver
    }

    async fn run(mut self, mut store: watch::Receiver<Arc<dcs::DcsView>>, stop: CancellationToken) {
        let mut wake_at = Millis::MAX;
        loop {
            let view = store.borrow_and_update().clone();
            if view.generation > 0 {
                let decision = pools::decide(&self.memory, &view.cluster, self.hold_max, boot_clock());
                self.memory = decision.next;
                wake_at = decision.wake_at.unwrap_or(Millis::MAX);
                self.want(decision.wanted);
            }
            self.publish();
            tokio::select! {
                () = stop.cancelled() => break,
                changed = store.changed() => if changed.is_err() { break },
                Ok(()) = self.news.changed() => {}
                () = tokio::time::sleep(wake_at.since(boot_clock()).into()) => {}
            }
        }
        let held = matches!(*self.wanted.borrow(), Wanted::Hold { .. });
        if held {
            self.want(Wanted::Flow { primary: None });
        }
        drop(self.wanted);
        while self.tasks.join_next().await.is_some() {}
    }

    fn want(&self, wanted: Wanted) {
        self.wanted.send_if_modified(|old| {
            if *old == wanted {
                return false;
            }
            match (&wanted, &*old) {
                (Wanted::Hold { .. }, _) => tracing::info!("PgBouncer is told to hold its clients for the switchover"),
                (Wanted::Flow { primary: Some(primary) }, _) => {
                    tracing::info!(primary = %primary.member, "PgBouncer is told to lead its clients to the primary");
                }
                (Wanted::Flow { primary: None }, _) => tracing::info!("PgBouncer is told to let its clients go on"),
            }
            *old = wanted;
            true
        });
    }

    fn publish(&self) {
        let wanted = self.wanted.borrow().clone();
        let statuses: Vec<Status> = self.statuses.iter().map(|status| status.borrow().clone()).collect();
        let view = PoolsView {
            pause_max: Some(self.pause_timeout),
            paused_for: paused_for(&wanted, &statuses),
            reasons: reasons(&self.names, &statuses, self.pause_timeout),
        };
        self.view.send_if_modified(|old| std::mem::replace(old, view.clone()) != view);
    }
}

/// The request that nothing here is to be waited for any more. One that cannot be reached, or that still has a long
/// transaction, does not keep the others' clients waiting.
fn paused_for(wanted: &Wanted, statuses: &[Status]) -> Option<Revision> {
    let Wanted::Hold { request } = wanted else { return None };
    let is_through = |status: &Status| status.wanted == *wanted && status.outcome != Outcome::UnderWay;
    statuses.iter().all(is_through).then_some(*request)
}

fn reasons(names: &[String], statuses: &[Status], pause_timeout: Millis) -> Vec<Reason> {
    let reason = |(name, status): (&String, &Status)| {
        let name = name.clone();
        match (&status.outcome, &status.wanted) {
            (Outcome::Failed(why), _) => Some(Reason::PoolUnreachable { name, why: why.clone() }),
            (Outcome::Busy, _) => Some(Reason::PoolBusy { name, after: pause_timeout }),
            (Outcome::Done, Wanted::Hold { .. }) => Some(Reason::PoolHeld { name }),
            (Outcome::Done, Wanted::Flow { .. }) | (Outcome::UnderWay, _) => None,
        }
    };
    names.iter().zip(statuses).filter_map(reason).collect()
}

fn settings(name: &str, instance: &PgbouncerInstance, pause_timeout: Millis) -> Settings {
    let include = instance.include_file.as_ref();
    let include = include.map(|path| Include { path: path.clone(), parameters: instance.include_parameters.clone() });
    Settings {
        name: name.to_owned(),
        host: instance.host.clone(),
        port: instance.port,
        username: instance.username.clone(),
        password: instance.password.as_ref().map(Secret::expose).map(str::to_owned),
        password_file: instance.password_file.clone(),
        databases: instance.databases.clone(),
        include,
        pause_timeout: pause_timeout.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switchover_waits_for_what_can_still_happen_and_says_what_could_not() {
        let hold = Wanted::Hold { request: Revision(7) };
        let status = |outcome| Status { wanted: hold.clone(), outcome };
        let old = Status { wanted: Wanted::default(), outcome: Outcome::Done };
        for (statuses, through) in [
            (vec![status(Outcome::Done)], true),
            (vec![status(Outcome::Done), status(Outcome::UnderWay)], false),
            (vec![status(Outcome::Done), old], false),
            (vec![status(Outcome::Busy), status(Outcome::Failed("gone".to_owned()))], true),
        ] {
            assert_eq!(paused_for(&hold, &statuses).is_some(), through, "{statuses:?}");
        }
        assert_eq!(paused_for(&Wanted::default(), &[status(Outcome::Done)]), None);
        let names = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let statuses = [status(Outcome::Done), status(Outcome::Busy), status(Outcome::Failed("gone".to_owned()))];
        let codes: Vec<_> = reasons(&names, &statuses, Millis(2000)).iter().map(Reason::code).collect();
        assert_eq!(codes, ["pool_held", "pool_busy", "pool_unreachable"]);
    }
}
