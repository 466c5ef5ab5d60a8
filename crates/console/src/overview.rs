//! `GET /quorate/overview`: everything that a person wants to see of the cluster at once, and what can be done about it.
//!
//! Deliberately no decisions and no words of its own for reasons: what would happen is `ha::foresight`'s, the words are
//! `ha::render`'s. The same snapshot gives the same bytes, so the live stream sends only what is new.

use crate::api::Api;
use crate::cluster_json::{ClusterView, Known, MemberView, ScheduledSwitchover};
use crate::redis::{RedisAction, RedisView, obstacle as redis_obstacle};
use crate::snapshot::Snapshot;
use crate::switchover::{Action, obstacle};
use ha::cluster::{Cluster, Quorate, RedisGroup, RunState, Services};
use ha::foresight::{Voters, loss, without};
use ha::postgres::explain;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use types::{MemberName, Revision, Scope};

/// The store as this member knows it, asked whenever an overview is made. Must not wait for anything.
pub type StoreSource = Arc<dyn Fn() -> StoreNow + Send + Sync>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreNow {
    /// The voters of the embedded store; `None`: it is a real etcd.
    pub voters: Option<BTreeSet<MemberName>>,
    /// Those of the voters that have no data, and so no entry in the scope.
    pub witnesses: BTreeSet<MemberName>,
    pub leader: Option<MemberName>,
    pub term: Option<u64>,
}

#[derive(Serialize)]
pub struct Overview {
    scope: Scope,
    /// The member that answers.
    member: MemberName,
    revision: Revision,
    store_reachable: bool,
    pause: bool,
    leader: Option<MemberName>,
    /// The leader accepts writes.
    writable: bool,
    synchronous: Synchronous,
    members: Vec<MemberNow>,
    /// Members without PostgreSQL, and where their services are reached.
    others: Vec<OtherNow>,
    scheduled_switchover: Option<ScheduledSwitchover>,
    virtual_addresses: BTreeMap<IpAddr, MemberName>,
    redis: Vec<RedisNow>,
    store: StoreView,
    loss: LossNow,
    without: Vec<WithoutNow>,
    /// Why this member does what it does.
    here: Vec<String>,
    /// Why an action on the whole cluster is not possible now; absent: it is.
    impossible: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct Synchronous {
    mode: bool,
    strict: bool,
    standbys: Vec<MemberName>,
}

#[derive(Serialize)]
struct MemberNow {
    name: MemberName,
    role: &'static str,
    state: String,
    host: Option<String>,
    port: Option<u16>,
    timeline: Option<u32>,
    /// Where its log ended when it last told, in bytes.
    position: u64,
    lsn: String,
    /// Bytes behind the leader when both last told; `None`: the leader, or not known.
    lag: Option<u64>,
    streaming: bool,
    /// While it is being cloned: how much it has, as estimated; `None`: it is not, or nobody knows.
    cloned_percent: Option<u8>,
    /// Something that PostgreSQL takes only with a restart.
    pending_restart: bool,
    nofailover: bool,
    console: Option<String>,
    proxy: Option<String>,
    sentinel: Option<String>,
    /// What keeps it from leading.
    obstacles: Vec<String>,
    impossible: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct OtherNow {
    name: MemberName,
    console: Option<String>,
    sentinel: Option<String>,
}

#[derive(Serialize)]
struct RedisNow {
    name: String,
    /// Requests about this group can be made at the member that answers.
    here: bool,
    #[serde(flatten)]
    view: RedisView,
    /// By member: why it cannot become the master by a switchover now.
    impossible: BTreeMap<MemberName, String>,
}

#[derive(Serialize)]
struct StoreView {
    /// `embedded` or `etcd`.
    kind: &'static str,
    leader: Option<MemberName>,
    term: Option<u64>,
    voters: Vec<Voter>,
    /// How many more voters may fail.
    spare: Option<usize>,
}

#[derive(Serialize)]
struct Voter {
    name: MemberName,
    witness: bool,
    absent: bool,
}

#[derive(Serialize)]
struct LossNow {
    code: &'static str,
    sentence: String,
    because: Vec<String>,
}

#[derive(Serialize)]
struct WithoutNow {
    member: MemberName,
    /// PostgreSQL can be written to afterwards.
    serves: bool,
    sentences: Vec<String>,
}

impl Api {
    pub(crate) fn overview(&self) -> Overview {
        let snapshot = self.snapshot();
        let store = self.extras.store.as_ref().map(|source| source()).unwrap_or_default();
        let group = self.redis.as_ref().map(|redis| redis.snapshots.borrow().name.clone());
        Overview::of(&snapshot, &store, group.as_deref())
    }
}

impl Overview {
    /// `group`: the Redis of the member that answers.
    pub fn of(snapshot: &Snapshot, store: &StoreNow, group: Option<&str>) -> Self {
        let cluster = snapshot.cluster.as_ref();
        let config = cluster.config();
        let voters = store.voters.as_ref().map(|names| Voters::of(names.clone(), &store.witnesses, cluster));
        let (lost, because) = loss(cluster, voters.as_ref());
        let view = ClusterView::of(cluster);
        let obstacles: BTreeMap<MemberName, Vec<String>> = explain(cluster)
            .members
            .into_iter()
            .map(|(name, found)| (name, found.iter().map(ToString::to_string).collect()))
            .collect();
        let here = snapshot.explanation["here"].as_array().into_iter().flatten();
        Self {
            scope: snapshot.scope.clone(),
            member: snapshot.me.clone(),
            revision: cluster.revision,
            store_reachable: snapshot.store_reachable,
            pause: cluster.is_paused(),
            leader: cluster.leader_name().cloned(),
            writable: cluster.leader_member().is_some_and(|(_, member)| member.data.is_writable()),
            synchronous: Synchronous {
                mode: config.is_synchronous(),
                strict: config.synchronous_mode_strict,
                standbys: cluster.sync.iter().flat_map(|sync| sync.value.standbys.iter().cloned()).collect(),
            },
            members: view.members.into_iter().map(|member| MemberNow::of(cluster, member, &obstacles)).collect(),
            others: OtherNow::all(cluster),
            scheduled_switchover: view.scheduled_switchover,
            virtual_addresses: view.virtual_addresses,
            redis: cluster
                .redis
                .iter()
                .map(|(name, keys)| RedisNow::of(name, keys, group == Some(name.as_str())))
                .collect(),
            store: StoreView::of(store, voters.as_ref()),
            loss: LossNow {
                code: lost.code(),
                sentence: lost.to_string(),
                because: because.iter().map(ToString::to_string).collect(),
            },
            without: everybody(cluster, voters.as_ref())
                .into_iter()
                .map(|name| WithoutNow::of(cluster, voters.as_ref(), name))
                .collect(),
            here: here.filter_map(Value::as_str).map(str::to_owned).collect(),
            impossible: of_cluster(cluster),
        }
    }
}

fn everybody(cluster: &Cluster, voters: Option<&Voters>) -> BTreeSet<MemberName> {
    let redis = cluster.redis.values().flat_map(|group| group.members.keys());
    let voters = voters.into_iter().flat_map(|voters| &voters.names);
    cluster.members.keys().chain(redis).chain(voters).cloned().collect()
}

fn of_cluster(cluster: &Cluster) -> BTreeMap<&'static str, String> {
    let mut found = BTreeMap::new();
    if cluster.config_text.is_none() {
        let why = "the cluster has no configuration yet";
        found.extend(["pause", "resume", "configure"].map(|action| (action, why.to_owned())));
    } else if cluster.is_paused() {
        found.insert("pause", "the cluster is paused already".to_owned());
    } else {
        found.insert("resume", "the cluster is not paused".to_owned());
    }
    let scheduled = cluster.failover.as_ref().is_some_and(|request| request.value.scheduled_at.is_some());
    if !scheduled {
        found.insert("cancel_switchover", "no switchover is scheduled".to_owned());
    }
    found
}

impl MemberNow {
    fn of(cluster: &Cluster, view: MemberView, obstacles: &BTreeMap<MemberName, Vec<String>>) -> Self {
        let MemberView { name, role, state, host, port, timeline, pending_restart, positions, .. } = view;
        let data = cluster.members.get(&name).map(|member| member.data.clone()).unwrap_or_default();
        let Quorate { services, cloned_percent, .. } = data.quorate.clone().unwrap_or_default();
        let is_leader = cluster.is_leader(&name);
        let obstacles = obstacles.get(&name).cloned().unwrap_or_default();
        let mut impossible = BTreeMap::new();
        for (word, action) in [("switchover", Action::Switchover), ("failover", Action::Failover)] {
            let leader = cluster.leader_name().filter(|_| action == Action::Switchover);
            let why = match (is_leader, leader) {
                (true, _) => Some("it leads already".to_owned()),
                (false, None) if action == Action::Switchover => {
                    Some("there is no leader to switch over from; a failover is possible".to_owned())
                }
                (false, _) if action == Action::Switchover && !obstacles.is_empty() => Some(obstacles.join("; ")),
                (false, leader) => obstacle(action, leader, Some(&name), cluster),
            };
            impossible.extend(why.map(|why| (word, why)));
        }
        if is_leader {
            let why = "it leads: a new clone would throw away the only primary; switch over first";
            impossible.insert("reinitialize", why.to_owned());
        } else if data.state == RunState::CreatingReplica {
            impossible.insert("reinitialize", "it is being cloned".to_owned());
        } else if cluster.leader.is_none() {
            impossible.insert("reinitialize", "there is no leader to clone from".to_owned());
        }
        if !data.is_running() {
            impossible.insert("restart", format!("its PostgreSQL is not running ({})", data.state.as_str()));
        }
        Self {
            streaming: data.replication_state.as_deref() == Some("streaming"),
            position: data.position().0,
            lsn: data.position().to_string(),
            lag: positions.and_then(|positions| match positions.lag {
                Known::Value(bytes) => Some(bytes),
                Known::Unknown(_) => None,
            }),
            cloned_percent,
            nofailover: data.tags.nofailover(),
            pending_restart: pending_restart == Some(true),
            timeline: timeline.map(|timeline| timeline.0),
            console: services.console,
            proxy: services.proxy,
            sentinel: services.sentinel,
            name,
            role,
            state,
            host,
            port,
            obstacles,
            impossible,
        }
    }
}

impl OtherNow {
    fn all(cluster: &Cluster) -> Vec<Self> {
        let servers = cluster.redis.values().flat_map(|group| &group.members);
        let alone = servers.filter(|(name, _)| !cluster.members.contains_key(*name));
        let services = alone.map(|(name, server)| (name, server.data.services.clone()));
        services
            .map(|(name, Services { console, sentinel, .. })| Self { name: name.clone(), console, sentinel })
            .collect()
    }
}

impl RedisNow {
    fn of(name: &str, group: &RedisGroup, here: bool) -> Self {
        let why_not = |member: &MemberName| {
            let why = if here {
                redis_obstacle(RedisAction::Switchover, group, Some(member), false)?
            } else {
                "the member that serves this page has no Redis; open the console of one that has".to_owned()
            };
            Some((member.clone(), why))
        };
        let impossible = group.members.keys().filter_map(why_not).collect();
        Self { name: name.to_owned(), here, view: RedisView::of(group), impossible }
    }
}

impl StoreView {
    fn of(store: &StoreNow, voters: Option<&Voters>) -> Self {
        let voter = |voters: &Voters, name: &MemberName| Voter {
            name: name.clone(),
            witness: store.witnesses.contains(name),
            absent: voters.absent.contains(name),
        };
        Self {
            kind: if store.voters.is_some() { "embedded" } else { "etcd" },
            leader: store.leader.clone(),
            term: store.term,
            voters: voters
                .map(|voters| voters.names.iter().map(|name| voter(voters, name)).collect())
                .unwrap_or_default(),
            spare: voters.map(Voters::spare),
        }
    }
}

impl WithoutNow {
    fn of(cluster: &Cluster, voters: Option<&Voters>, member: MemberName) -> Self {
        let after = without(cluster, voters, &member);
        let mut sentences = vec![after.postgres.to_string()];
        sentences.extend(after.redis.iter().map(|(group, what)| format!("Redis '{group}': {what}.")));
        sentences.push(after.store.to_string());
        Self { member, serves: after.serves(), sentences }
    }
}
