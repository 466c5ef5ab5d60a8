//! The proxy and the PgBouncers of this member, as far as `ha::hold` wants something of them: each PgBouncer has a task that
//! brings it there, the proxy's routes are made from [`HoldView::holds`], and the decisions about PostgreSQL are told how far
//! all are.

use crate::agent::World;
use config::{MemberConfig, PgbouncerInstance, Secret};
use ha::hold::{self, HoldMemory, HoldView, Wanted};
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

/// A connection that was let in just before new ones are held gets so long to log in, and to do what it came for. Writes go on
/// meanwhile.
const NEWCOMERS_TIME: Millis = Millis(20);

/// What is looked after. Without a proxy and poolers nothing runs, and the view says so for ever.
pub struct Holder {
    pub view: watch::Receiver<HoldView>,
    stop: CancellationToken,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Holder {
    pub fn start(world: &World) -> Self {
        let (view, seen) = watch::channel(HoldView::default());
        // Ended by `let_flow`, before the rest of the worker.
        let stop = CancellationToken::new();
        let task = Driver::new(&world.member, view).map(|driver| {
            driver.publish();
            tokio::spawn(driver.run(world.dcs.watch(), stop.clone()))
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
    /// Zero without a proxy.
    newcomers_time: Millis,
    held_since: Millis,
    /// Of the poolers.
    names: Vec<String>,
    wanted: watch::Sender<Wanted>,
    statuses: Vec<watch::Receiver<Status>>,
    /// One of the statuses has changed.
    news: watch::Receiver<()>,
    tasks: JoinSet<()>,
    view: watch::Sender<HoldView>,
    memory: HoldMemory,
}

impl Driver {
    fn new(member: &MemberConfig, view: watch::Sender<HoldView>) -> Option<Self> {
        let (proxy, poolers) = (member.proxy.as_ref(), member.pgbouncer.as_ref());
        let hold_max = match (proxy, poolers) {
            (_, Some(poolers)) => poolers.pause_timeout + poolers.hold,
            (Some(proxy), None) => proxy.hold,
            (None, None) => return None,
        };
        let (wanted, _) = watch::channel(Wanted::default());
        let (news, news_seen) = watch::channel(());
        let mut driver = Self {
            pause_timeout: poolers.map(|poolers| poolers.pause_timeout).unwrap_or_default(),
            hold_max,
            newcomers_time: proxy.map(|_| NEWCOMERS_TIME).unwrap_or_default(),
            held_since: Millis::default(),
            names: Vec::new(),
            wanted,
            statuses: Vec::new(),
            news: news_seen,
            tasks: JoinSet::new(),
            view,
            memory: HoldMemory::default(),
        };
        for (name, instance) in poolers.into_iter().flat_map(|poolers| &poolers.instances) {
            let (status, mut seen) = watch::channel(Status::default());
            driver.names.push(name.clone());
            driver.statuses.push(seen.clone());
            let instance = Instance::new(settings(name, instance, driver.pause_timeout));
            driver.tasks.spawn(instance.run(driver.wanted.subscribe(), status));
            let news = news.clone();
            tokio::spawn(async move {
                while seen.changed().await.is_ok() {
                    news.send_replace(());
                }
            });
        }
        Some(driver)
    }

    async fn run(mut self, mut store: watch::Receiver<Arc<dcs::DcsView>>, stop: CancellationToken) {
        let mut wake_at = Millis::MAX;
        loop {
            let view = store.borrow_and_update().clone();
            if view.generation > 0 {
                let decision = hold::decide(&self.memory, &view.cluster, self.hold_max, boot_clock());
                self.memory = decision.next;
                wake_at = decision.wake_at.unwrap_or(Millis::MAX);
                self.want(decision.wanted);
            }
            if let Some(at) = self.publish() {
                wake_at = wake_at.min(at);
            }
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

    fn want(&mut self, wanted: Wanted) {
        if *self.wanted.borrow() == wanted {
            return;
        }
        match &wanted {
            Wanted::Hold { .. } => {
                tracing::info!("clients are held for the switchover");
                self.held_since = boot_clock();
            }
            Wanted::Flow { primary: Some(primary) } => tracing::info!(primary = %primary.member, "clients are let on"),
            Wanted::Flow { primary: None } => tracing::info!("clients are let on, to whomever they had"),
        }
        self.wanted.send_replace(wanted);
    }

    /// When to look again even if nothing happens.
    fn publish(&self) -> Option<Millis> {
        let wanted = self.wanted.borrow().clone();
        let statuses: Vec<Status> = self.statuses.iter().map(|status| status.borrow().clone()).collect();
        let holds = matches!(wanted, Wanted::Hold { .. });
        let newcomers_until = self.held_since + self.newcomers_time;
        let are_through = newcomers_until <= boot_clock();
        let view = HoldView {
            pause_max: Some(self.pause_timeout.max(self.newcomers_time)),
            holds,
            paused_for: paused_for(&wanted, &statuses).filter(|_| are_through),
            reasons: reasons(&self.names, &statuses, self.pause_timeout),
        };
        self.view.send_if_modified(|old| std::mem::replace(old, view.clone()) != view);
        (holds && !are_through).then_some(newcomers_until)
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
