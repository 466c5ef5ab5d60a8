//! The background task that keeps the view: load once, then follow the changes, on whichever endpoint works.

use crate::{
    client::Dcs,
    config::{HEALTHY_AFTER, RETRY_PAUSE_MAX, RETRY_PAUSE_MIN},
    error::DcsError,
    hedge::jittered,
    session::End,
    view::DcsView,
};
use ha::cluster::{Cluster, Keys};
use kv::Event;
use std::{sync::Arc, time::Duration};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

/// The running task. Dropping this ends it.
#[must_use = "the view is followed only while this is kept"]
#[derive(Debug)]
pub struct Following(JoinHandle<()>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the task has taken up so far. Its revision only grows.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) cluster: Cluster,
    pub(crate) connected: bool,
    generation: u64,
    /// Trouble is told once, when it begins, not with every attempt.
    told_lost: bool,
    told_went_back: bool,
}

impl Tracked {
    pub(crate) fn replace(&mut self, loaded: Cluster) {
        self.cluster = loaded;
        self.generation += 1;
    }

    pub(crate) fn connected(&mut self) {
        self.connected = true;
        if std::mem::take(&mut self.told_lost) {
            tracing::info!("the store's changes are followed again");
        }
    }

    /// Takes up complete revisions. What is not newer than the view is dropped: another endpoint may be behind, or
    /// repeat itself. Says whether anything changed.
    pub(crate) fn apply(&mut self, keys: &Keys, events: impl Iterator<Item = Event>) -> bool {
        let before = self.cluster.revision;
        for event in events.filter(|event| event.kv.mod_revision > before) {
            self.cluster.apply(keys, &event);
        }
        self.cluster.revision > before
    }
}

/// No pause at first, then longer and longer ones.
#[derive(Default)]
struct Backoff {
    pause: Duration,
}

impl Backoff {
    async fn wait(&mut self) {
        let pause = self.pause;
        self.pause = (pause * 2).clamp(RETRY_PAUSE_MIN, RETRY_PAUSE_MAX);
        if !pause.is_zero() {
            sleep(jittered(pause)).await;
        }
    }

    fn reset(&mut self) {
        self.pause = Duration::ZERO;
    }
}

impl Dcs {
    /// Starts following the store's changes for [`Dcs::watch`], until the answer is dropped. Once is enough.
    pub fn start(&self) -> Following {
        let dcs = self.clone();
        Following(tokio::spawn(async move { dcs.follow().await }))
    }

    async fn follow(&self) {
        let mut tracked = Tracked {
            cluster: Cluster::default(),
            connected: false,
            generation: 0,
            told_lost: false,
            told_went_back: false,
        };
        let mut complete = false;
        let mut backoff = Backoff::default();
        loop {
            if !complete {
                match self.load_newer(&mut tracked).await {
                    Ok(loaded) => {
                        tracked.replace(loaded);
                        self.publish(&tracked);
                        complete = true;
                    }
                    Err(error) => self.lost(&mut tracked, &error.to_string(), "the store"),
                }
            }
            if let (true, Some(index)) = (complete, self.inner.endpoints.best()) {
                let began = Instant::now();
                let end = self.session(index, &mut tracked).await;
                if began.elapsed() >= HEALTHY_AFTER {
                    backoff.reset();
                }
                match end {
                    End::Better | End::Deaf => {}
                    End::Unfollowable => complete = false,
                    End::Broken(why) => {
                        self.inner.endpoints.avoid(index);
                        self.lost(&mut tracked, &why, self.inner.endpoints.address(index));
                    }
                }
            }
            backoff.wait().await;
        }
    }

    /// The whole view anew. A store whose history went back is refused: what was decided on the lost part cannot be
    /// taken back, so a person must say that it is meant to be so.
    pub(crate) async fn load_newer(&self, tracked: &mut Tracked) -> Result<Cluster, DcsError> {
        let loaded = self.load().await?;
        let (found, seen) = (loaded.revision, tracked.cluster.revision);
        if found >= seen {
            tracked.told_went_back = false;
            return Ok(loaded);
        }
        let error = DcsError::WentBack { found, seen };
        if !std::mem::replace(&mut tracked.told_went_back, true) {
            tracing::error!(hint = error.hint(), "{error}");
        }
        Err(error)
    }

    fn lost(&self, tracked: &mut Tracked, why: &str, endpoint: &str) {
        if std::mem::replace(&mut tracked.told_lost, true) {
            tracing::debug!(endpoint, why, "the store's changes still cannot be followed");
        } else {
            tracing::warn!(endpoint, why, "the store's changes cannot be followed there; trying elsewhere");
        }
        if tracked.connected {
            tracked.connected = false;
            self.publish(tracked);
        }
    }

    pub(crate) fn publish(&self, tracked: &Tracked) {
        self.inner.view.send_modify(|view| *view = next_view(view, tracked));
    }

    /// Without waking the watchers: nothing that they could act on has changed.
    pub(crate) fn publish_quietly(&self, tracked: &Tracked) {
        self.inner.view.send_if_modified(|view| {
            *view = next_view(view, tracked);
            false
        });
    }
}

fn next_view(view: &DcsView, tracked: &Tracked) -> Arc<DcsView> {
    // Only two tasks on one client could bring an older one.
    if view.cluster.revision > tracked.cluster.revision {
        return Arc::new(view.clone());
    }
    Arc::new(DcsView {
        cluster: tracked.cluster.clone(),
        last_contact: view.last_contact,
        connected: tracked.connected,
        generation: tracked.generation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kv::{EventKind, KeyValue};
    use types::Revision;

    #[test]
    fn an_older_change_never_undoes_a_newer_one() {
        let keys = Keys::new(None, &"pg".into());
        let mut tracked = Tracked {
            cluster: Cluster::default(),
            connected: true,
            generation: 1,
            told_lost: false,
            told_went_back: false,
        };
        let leader = |kind, value: &str, revision| Event {
            kind,
            kv: KeyValue {
                key: keys.leader(),
                value: value.into(),
                create_revision: Revision(revision),
                mod_revision: Revision(revision),
                version: 1,
                lease: None,
            },
            prev_kv: None,
        };
        assert!(tracked.apply(&keys, [leader(EventKind::Put, "a", 7)].into_iter()));
        assert!(!tracked.apply(&keys, [leader(EventKind::Delete, "", 6)].into_iter()), "an endpoint that is behind");
        assert!(!tracked.apply(&keys, [leader(EventKind::Put, "a", 7)].into_iter()), "one that repeats itself");
        assert_eq!(tracked.cluster.leader_name(), Some(&"a".into()));
        let both = [leader(EventKind::Delete, "", 8), leader(EventKind::Put, "b", 9)];
        assert!(tracked.apply(&keys, both.into_iter()));
        assert_eq!((tracked.cluster.leader_name(), tracked.cluster.revision), (Some(&"b".into()), Revision(9)));
    }
}
