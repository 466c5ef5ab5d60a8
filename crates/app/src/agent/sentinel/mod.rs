//! The sentinel of this member: a Redis Sentinel to everybody who talks to it, told by the store.
//!
//! For the masters that our agents run it is a window: it shows who is the master the moment it takes writes, and hands
//! `SENTINEL FAILOVER` on as a request. For masters that something else runs it decides, with epochs from the store.

mod feed;
mod requests;
mod settings;

use super::listen::patiently;
use config::{MemberConfig, SentinelConfig};
use dcs::Dcs;
use std::future::ready;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What the sentinel may ask at a time; a client that asks for failovers faster than that waits.
const REQUESTS_MAX: usize = 64;

/// Begins as soon as the store has been seen: before, it would not know whose masters it watches.
pub fn start(member: Arc<MemberConfig>, dcs: Dcs, stop: CancellationToken) {
    let Some(config) = member.sentinel.clone() else { return };
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            result = run(member, config, dcs) => if let Err(error) = result {
                tracing::error!("the sentinel does not run: {error:#}");
            }
        }
    });
}

async fn run(member: Arc<MemberConfig>, config: SentinelConfig, dcs: Dcs) -> anyhow::Result<()> {
    let mut view = dcs.watch();
    // A group without a master has nobody to show yet; an address from before would mislead clients.
    let ours = settings::supervised(&member, &config);
    let known = view.wait_for(|view| {
        let has_master = |name: &String| view.cluster.redis_group(name).writable_master().is_some();
        view.generation > 0 && ours.iter().all(has_master)
    });
    let cluster = known.await?.cluster.clone();
    let settings = settings::settings(&member, &config, &cluster)?;
    let (outside, asked) = mpsc::channel(REQUESTS_MAX);
    let mut handle = patiently(|| ready(::sentinel::start(settings.clone(), Some(outside.clone())))).await?;
    drop(outside);
    tracing::info!(port = config.port, masters = settings.configuration.masters.len(), "the sentinel runs");
    let tell = handle.sender();
    tokio::select! {
        code = handle.ended() => Err(anyhow::anyhow!("it ended with code {code}")),
        () = feed::run(view, config.quorum, tell.clone()) => Ok(()),
        () = requests::run(dcs, asked, tell) => Ok(()),
    }
}
