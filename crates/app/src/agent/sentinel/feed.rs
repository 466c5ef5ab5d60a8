//! Tells the sentinel what the store says about the masters that our agents run.
//!
//! The invariant: an address is told only once that server takes writes, so a client that hears `+switch-master` can write.

use dcs::DcsView;
use ha::cluster::{Cluster, RedisGroup};
use ha::sentinel::Address;
use sentinel::ToSentinel;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// What was told last of one master.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    address: Address,
    epoch: u64,
    replicas: Vec<Address>,
}

pub async fn run(mut view: watch::Receiver<Arc<DcsView>>, quorum: u32, sentinel: mpsc::Sender<ToSentinel>) {
    let mut told = BTreeMap::new();
    loop {
        let seen = view.borrow_and_update().clone();
        if seen.generation > 0 {
            for message in news(&seen.cluster, quorum, &mut told) {
                if sentinel.send(message).await.is_err() {
                    return;
                }
            }
        }
        if view.changed().await.is_err() {
            return;
        }
    }
}

fn news(cluster: &Cluster, quorum: u32, told: &mut BTreeMap<String, Told>) -> Vec<ToSentinel> {
    let mut messages = Vec::new();
    for (name, group) in &cluster.redis {
        // Between two masters the last one stands: there is nothing better to say.
        let Some(now) = now(group) else { continue };
        if told.get(name) != Some(&now) {
            let Told { address, epoch, replicas } = now.clone();
            messages.push(ToSentinel::StoreSays { master: name.clone(), quorum, address, epoch, replicas });
            told.insert(name.clone(), now);
        }
    }
    told.retain(|name, _| {
        let stays = cluster.redis.contains_key(name);
        if !stays {
            messages.push(ToSentinel::StoreForgot { master: name.clone() });
        }
        stays
    });
    messages
}

fn now(group: &RedisGroup) -> Option<Told> {
    let (master, member) = group.writable_master()?;
    let others = group.members.iter().filter(|(name, _)| *name != master);
    Some(Told {
        address: address(&member.data.address)?,
        epoch: group.leader.as_ref()?.epoch.0.unsigned_abs(),
        replicas: others.filter_map(|(_, member)| address(&member.data.address)).collect(),
    })
}

/// `host:port`, as members write it.
pub fn address(text: &str) -> Option<Address> {
    let (host, port) = text.rsplit_once(':')?;
    Some(Address::new(host.trim_matches(['[', ']']), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ha::cluster::redis::{RedisLeader, RedisMember, RedisMemberData, RedisRole, RedisRunState};
    use types::Revision;

    fn cluster(master: &str, writable: bool) -> Cluster {
        let member = |name: &str| {
            let data = RedisMemberData {
                address: format!("10.0.0.{name}:6379"),
                role: if name == master { RedisRole::Master } else { RedisRole::Replica },
                state: RedisRunState::Running,
                writable: name == master && writable,
                ..RedisMemberData::default()
            };
            (name.into(), RedisMember { data, revision: Revision(1), lease: None })
        };
        let group = RedisGroup {
            leader: Some(RedisLeader { name: master.into(), epoch: Revision(7), lease: None }),
            members: ["1", "2"].map(member).into(),
            ..RedisGroup::default()
        };
        Cluster { redis: [("db1".to_owned(), group)].into(), ..Cluster::default() }
    }

    #[test]
    fn a_master_is_told_once_and_only_when_it_takes_writes() {
        let mut told = BTreeMap::new();
        assert!(news(&cluster("1", false), 2, &mut told).is_empty());
        let first = news(&cluster("1", true), 2, &mut told);
        let [ToSentinel::StoreSays { address, epoch: 7, replicas, .. }] = first.as_slice() else { panic!("{first:?}") };
        assert_eq!((&*address.host, replicas.len()), ("10.0.0.1", 1));
        assert!(news(&cluster("1", true), 2, &mut told).is_empty());
        assert!(news(&cluster("2", false), 2, &mut told).is_empty(), "the old one stands until the new one serves");
        assert_eq!(news(&cluster("2", true), 2, &mut told).len(), 1);
        let gone = news(&Cluster::default(), 2, &mut told);
        assert!(matches!(gone.as_slice(), [ToSentinel::StoreForgot { .. }]), "{gone:?}");
        assert!(news(&Cluster::default(), 2, &mut told).is_empty());
    }
}
