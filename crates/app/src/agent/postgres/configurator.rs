//! Brings the configuration of the running PostgreSQL in line with decisions: whom to follow, whom commits wait for,
//! which slots exist, which parameters apply. Short work, one piece at a time.

use super::instance::{Instance, Upstream};
use ha::config::DynamicConfig;
use ha::postgres::Source;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Pieces of work that may wait; decisions ask again for what was dropped.
const WORK_MAX: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    Follow {
        source: Source,
        upstream: Upstream,
    },
    SynchronousStandbyNames(String),
    Slots {
        create: Vec<String>,
        drop: Vec<String>,
    },
    /// The dynamic configuration changed, or the file was read again.
    Reload(Box<DynamicConfig>),
}

/// A finished piece. `Follow` matters to the next decision.
#[derive(Debug)]
pub struct Finished {
    pub work: Work,
    pub result: Result<(), String>,
}

pub fn start(instance: Arc<Instance>, finished: mpsc::Sender<Finished>) -> mpsc::Sender<Work> {
    let (sender, mut queue) = mpsc::channel(WORK_MAX);
    tokio::spawn(async move {
        while let Some(work) = queue.recv().await {
            let result = carry_out(&instance, &work).await.map_err(|error| error.to_string());
            if let Err(why) = &result {
                tracing::warn!(?work, why, "the configuration of PostgreSQL was not changed");
            }
            if finished.send(Finished { work, result }).await.is_err() {
                return;
            }
        }
    });
    sender
}

async fn carry_out(instance: &Instance, work: &Work) -> postgres::Result<()> {
    match work {
        Work::Follow { source, upstream } => {
            tracing::info!(%source, "following");
            instance.set_role(Some(upstream.clone())).await?;
            instance.sql.reload().await
        }
        Work::SynchronousStandbyNames(names) => {
            let changed = instance.set_synchronous_standby_names(names).await?;
            // Decided again and again until it is in force, but read once.
            if changed || instance.shown_synchronous_standby_names().await? != *names {
                instance.sql.reload().await?;
            }
            Ok(())
        }
        Work::Slots { create, drop } => {
            for slot in create {
                instance.sql.create_physical_slot(slot, true).await?;
            }
            for slot in drop {
                instance.sql.drop_slot(slot).await?;
            }
            Ok(())
        }
        Work::Reload(dynamic) => {
            instance.set_dynamic(dynamic).await;
            if instance.is_known().await && instance.rewrite().await?.changed {
                tracing::info!("the configuration changed; PostgreSQL reads it again");
                instance.sql.reload().await?;
                instance.settings_changed();
            }
            Ok(())
        }
    }
}
