//! The embedded store of this member: peers on one port, etcd's API on the other.

use super::Fatal;
use crate::certificates::Certificates;
use config::MemberConfig;
use dcs::DcsView;
use ha::cluster::Cluster;
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

pub async fn start(
    member: &MemberConfig,
    certificates: &Certificates,
    stop: &CancellationToken,
) -> anyhow::Result<Option<StoreRole>> {
    let Some(config) = &member.store else { return Ok(None) };
    let peers = super::listen::bind(&format!("{}:{}", config.listen.host, config.peer_port)).await?;
    let clients = super::listen::bind(&config.listen.to_string()).await?;
    let members = config.members.iter().map(|(name, at)| NodeMember {
        name: name.to_string(),
        peer_urls: vec![config.peer_url(at)],
        client_urls: vec![config.client_url(at)],
    });
    let node = NodeConfig {
        name: member.name.to_string(),
        cluster_token: member.scope.to_string(),
        members: members.collect(),
        data_dir: config.data_dir.clone(),
        peer_listeners: vec![peers],
        peer_tls: certificates.peers.clone(),
    };
    let handle = wire::node::start(node).await.map_err(|error| Fatal(format!("{error}\nhint: {}", error.hint())))?;
    let (store, tls, stopped) = (handle.clone(), certificates.store.clone(), stop.clone());
    tokio::spawn(async move {
        if let Err(error) = wire::serve(vec![clients], tls, store, stopped.cancelled_owned()).await {
            tracing::error!(%error, "the store's API ended");
        }
    });
    Ok(Some(StoreRole { handle }))
}

/// When the host of a primary or a Redis master dies, losing the store's leader with it would cost an election first: they
/// are kept apart where another voter is there to take over.
pub async fn keep_away_from_leaders(store: StoreHandle, me: MemberName, mut view: watch::Receiver<Arc<DcsView>>) {
    let mut status = store.watch_status();
    loop {
        let together = |view: &DcsView| load(&view.cluster, &me) > 0 && store.status().is_leader;
        if together(&view.borrow()) {
            tokio::time::sleep(MOVE_AFTER).await;
            let target = {
                let view = view.borrow();
                let names: Vec<MemberName> =
                    store.members().iter().map(|member| MemberName::from(member.name.as_str())).collect();
                let better = Some(&view.cluster).filter(|_| together(&view)).and_then(|it| better(it, &me, &names));
                better.and_then(|name| store.members().into_iter().find(|member| member.name == name.as_str()))
            };
            if let Some(target) = target {
                tracing::info!(to = target.name, "the store's leader moves away from the host of a primary or master");
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

/// How much would be lost with this member's host: PostgreSQL's primary counts for more than a Redis master.
fn load(cluster: &Cluster, name: &MemberName) -> u32 {
    let redis = cluster.redis.values().any(|group| group.is_leader(name));
    2 * u32::from(cluster.is_leader(name)) + u32::from(redis)
}

/// A live member with less to lose.
fn better<'a>(cluster: &Cluster, me: &MemberName, names: &'a [MemberName]) -> Option<&'a MemberName> {
    let live = |name: &&MemberName| {
        cluster.members.contains_key(*name) || cluster.redis.values().any(|group| group.members.contains_key(*name))
    };
    let best = names.iter().filter(|name| *name != me).filter(live).min_by_key(|name| load(cluster, name))?;
    (load(cluster, best) < load(cluster, me)).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ha::cluster::redis::{RedisLeader, RedisMember, RedisMemberData};
    use ha::cluster::{Leader, RedisGroup};
    use types::Revision;

    #[test]
    fn the_stores_leader_goes_where_least_is_lost_with_it() {
        let names = ["a", "b", "c"].map(MemberName::from);
        let member = |name: &MemberName| {
            (name.clone(), RedisMember { data: RedisMemberData::default(), revision: Revision(1), lease: None })
        };
        let cluster = |primary: &str, master: &str| {
            let leader = RedisLeader { name: master.into(), epoch: Revision(1), lease: None };
            let group = RedisGroup {
                leader: Some(leader),
                members: names.iter().map(member).collect(),
                ..RedisGroup::default()
            };
            Cluster {
                leader: Some(Leader { name: primary.into(), epoch: Revision(1), lease: None }),
                redis: [("db1".to_owned(), group)].into(),
                ..Cluster::default()
            }
        };
        let to =
            |primary, master, me: &str| better(&cluster(primary, master), &me.into(), &names).map(ToString::to_string);
        assert_eq!(to("a", "b", "a").as_deref(), Some("c"));
        assert_eq!(to("a", "b", "b").as_deref(), Some("c"));
        assert_eq!(to("a", "a", "a").as_deref(), Some("b"));
        assert_eq!(to("a", "b", "c"), None, "it is well where it is");
        let mut without_c = cluster("a", "b");
        without_c.redis.get_mut("db1").unwrap().members.remove(&"c".into());
        assert_eq!(better(&without_c, &"b".into(), &names), None, "the primary's host would be worse");
    }
}
