//! "What if this server died?": the election's rules, asked of the present view without one member.

use super::Voters;
use crate::cluster::{Cluster, RedisGroup};
use crate::postgres::{obstacles, successor};
use crate::reason::Obstacle;
use std::collections::BTreeMap;
use types::MemberName;

/// What is left when a server and everything on it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Without {
    pub store: AfterStore,
    pub postgres: AfterPostgres,
    /// By group, where the member has a Redis.
    pub redis: BTreeMap<String, AfterRedis>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterStore {
    /// A real etcd, or the member has no vote.
    NotConcerned,
    GoesOn {
        spare: usize,
    },
    /// No majority: every lease runs out, and every primary is fenced.
    Stops,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterPostgres {
    /// It has no PostgreSQL.
    NotHere,
    /// Nobody leads now, so nothing changes.
    NobodyLeads,
    /// Writes go on as before.
    GoesOn,
    /// Writes go on; commits wait for this member then.
    OtherStandby {
        name: MemberName,
    },
    /// Writes wait until there is a synchronous standby again.
    CommitsWait,
    /// Writes go on, and from then on nobody else has them for certain.
    NoLongerCovered,
    /// `bytes`: how far the successor was behind when both last told; `covered`: it has every acknowledged commit.
    TakenOver {
        by: MemberName,
        covered: bool,
        bytes: u64,
    },
    /// Nobody takes over by itself.
    Paused,
    NobodyTakesOver {
        why: Vec<(MemberName, Vec<Obstacle>)>,
    },
    /// With the store's majority the leader's lease is lost.
    Fenced,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterRedis {
    GoesOn,
    TakenOver { by: MemberName },
    NobodyTakesOver,
    NobodyLeads,
    Paused,
    Fenced,
}

impl Without {
    /// Can PostgreSQL be written to afterwards, by itself?
    pub fn serves(&self) -> bool {
        match self.postgres {
            AfterPostgres::GoesOn
            | AfterPostgres::OtherStandby { .. }
            | AfterPostgres::NoLongerCovered
            | AfterPostgres::TakenOver { .. } => true,
            AfterPostgres::NotHere => !matches!(self.store, AfterStore::Stops),
            AfterPostgres::NobodyLeads
            | AfterPostgres::CommitsWait
            | AfterPostgres::Paused
            | AfterPostgres::NobodyTakesOver { .. }
            | AfterPostgres::Fenced => false,
        }
    }
}

pub fn without(cluster: &Cluster, voters: Option<&Voters>, name: &MemberName) -> Without {
    let store = store(voters, name);
    let stops = store == AfterStore::Stops;
    let groups = cluster.redis.iter().filter(|(_, group)| group.members.contains_key(name));
    let redis = groups.map(|(group, keys)| (group.clone(), redis(cluster, keys, name, stops))).collect();
    Without { postgres: postgres(cluster, name, stops), store, redis }
}

fn store(voters: Option<&Voters>, name: &MemberName) -> AfterStore {
    let Some(voters) = voters.filter(|voters| voters.names.contains(name)) else { return AfterStore::NotConcerned };
    let mut after = voters.clone();
    after.absent.insert(name.clone());
    let left = after.names.len() - after.absent.len();
    if left >= after.majority() { AfterStore::GoesOn { spare: after.spare() } } else { AfterStore::Stops }
}

fn postgres(cluster: &Cluster, name: &MemberName, store_stops: bool) -> AfterPostgres {
    if !cluster.members.contains_key(name) {
        return AfterPostgres::NotHere;
    }
    let Some(leader) = cluster.leader_name() else { return AfterPostgres::NobodyLeads };
    // In the pause a primary is not fenced.
    if store_stops && !(cluster.is_paused() && leader != name) {
        return AfterPostgres::Fenced;
    }
    if leader != name {
        return without_replica(cluster, leader, name);
    }
    if cluster.is_paused() {
        return AfterPostgres::Paused;
    }
    let mut after = cluster.clone();
    after.members.remove(name);
    after.leader = None;
    let config = after.config();
    let end = after.status.as_ref().map(|status| status.value.optime).unwrap_or_default();
    match successor(&after) {
        Some(by) => AfterPostgres::TakenOver {
            by: by.clone(),
            covered: config.is_synchronous()
                && after.sync.as_ref().is_some_and(|sync| sync.value.standbys.contains(by)),
            bytes: after.members.get(by).map_or(0, |member| member.data.position().behind(end)),
        },
        None => AfterPostgres::NobodyTakesOver {
            why: after.members.keys().map(|name| (name.clone(), obstacles(&after, &config, name))).collect(),
        },
    }
}

fn without_replica(cluster: &Cluster, leader: &MemberName, name: &MemberName) -> AfterPostgres {
    let config = cluster.config();
    let Some(sync) = cluster.sync.as_ref().filter(|_| config.is_synchronous()) else { return AfterPostgres::GoesOn };
    let standbys = &sync.value.standbys;
    if !standbys.contains(name) || standbys.len() > 1 {
        return AfterPostgres::GoesOn;
    }
    let may_stand = |(other, member): &(&MemberName, &crate::cluster::Member)| {
        *other != name && *other != leader && member.data.is_running() && !member.data.tags.nosync()
    };
    match cluster.members.iter().find(may_stand) {
        Some((other, _)) => AfterPostgres::OtherStandby { name: other.clone() },
        None if config.synchronous_mode_strict => AfterPostgres::CommitsWait,
        None => AfterPostgres::NoLongerCovered,
    }
}

fn redis(cluster: &Cluster, group: &RedisGroup, name: &MemberName, store_stops: bool) -> AfterRedis {
    match group.leader_name() {
        None => AfterRedis::NobodyLeads,
        Some(_) if store_stops && !cluster.is_paused() => AfterRedis::Fenced,
        Some(leader) if leader != name => AfterRedis::GoesOn,
        Some(_) if cluster.is_paused() => AfterRedis::Paused,
        Some(_) => match without_leader(group).as_ref().and_then(crate::redis::successor) {
            Some(by) => AfterRedis::TakenOver { by: by.clone() },
            None => AfterRedis::NobodyTakesOver,
        },
    }
}

/// The group as the others see it when its leader's server is gone.
pub(super) fn without_leader(group: &RedisGroup) -> Option<RedisGroup> {
    let mut after = group.clone();
    let leader = after.leader.take()?;
    after.members.remove(&leader.name);
    Some(after)
}
