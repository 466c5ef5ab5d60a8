//! The embedded store of this member: peers on one port, etcd's API on the other.

use super::Fatal;
use config::MemberConfig;
use dcs::DcsView;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use types::MemberName;
use wire::node::{NodeConfig, NodeMember, StoreHandle};

/// The store's leader leaves the primary's host only after both have been there for this long: moving has a price, too.
const MOVE_AFTER: Duration = Duration::from_secs(5);

pub struct StoreRole {
    pub handle: StoreHandle,
}

pub async fn start(member: &MemberConfig, stop: &CancellationToken) -> anyhow::Result<Option<StoreRole>> {
    let Some(config) = &member.store else { return Ok(None) };
    let peers = super::listen::bind(&format!("{}:{}", config.listen.host, config.peer_port)).await?;
    let clients = super::listen::bind(&config.listen.to_string()).await?;
    let members = config.members.iter().map(|(name, at)| NodeMember {
        name: name.to_string(),
        peer_urls: vec![format!("http://{}", at.peer_address())],
        client_urls: vec![format!("http://{}", at.client_address())],
    });
    let node = NodeConfig {
        name: member.name.to_string(),
        cluster_token: member.scope.to_string(),
        members: members.collect(),
        data_dir: config.data_dir.clone(),
        peer_listeners: vec![peers],
    };
    let handle = wire::node::start(node).await.map_err(|error| Fatal(format!("{error}\nhint: {}", error.hint())))?;
    let (store, stopped) = (handle.clone(), stop.clone());
    tokio::spawn(async move {
        if let Err(error) = wire::serve(vec![clients], store, stopped.cancelled_owned()).await {
            tracing::error!(%error, "the store's API ended");
        }
    });
    Ok(Some(StoreRole { handle }))
}

/// When the host of the primary dies, losing the store's leader with it would cost an election first: the two are
/// kept apart where another voter is there to take over.
pub async fn keep_away_from_primary(store: StoreHandle, me: MemberName, mut view: watch::Receiver<Arc<DcsView>>) {
    let mut status = store.watch_status();
    loop {
        let together = |view: &DcsView| view.cluster.is_leader(&me) && store.status().is_leader;
        if together(&view.borrow()) {
            tokio::time::sleep(MOVE_AFTER).await;
            let target = {
                let view = view.borrow();
                let live = |name: &str| view.cluster.members.contains_key(&MemberName::from(name));
                together(&view)
                    .then(|| {
                        store.members().into_iter().find(|member| member.name != me.as_str() && live(&member.name))
                    })
                    .flatten()
            };
            if let Some(target) = target {
                tracing::info!(to = target.name, "the store's leader moves away from the primary's host");
                if let Err(error) = store.move_leader(target.id).await {
                    tracing::debug!(%error, "the store's leader stays");
                }
            }
        }
        tokio::select! {
            changed = view.changed() => if changed.is_err() { return },
            changed = status.changed() => if changed.is_err() { return },
        }
    }
}
