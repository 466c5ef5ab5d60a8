//! A Redis group as people and programs look at it: `GET /redis` and `quorate list`.

use ha::cluster::RedisGroup;
use ha::cluster::redis::{RedisMember, RedisMemberData, RedisRole};
use serde::Serialize;
use types::MemberName;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RedisView {
    /// The member that holds the leader key.
    pub master: Option<MemberName>,
    /// Sorted by name.
    pub members: Vec<RedisMemberView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RedisMemberView {
    pub name: MemberName,
    /// `master`, `replica`, or what it says of itself while it is neither.
    pub role: &'static str,
    pub state: &'static str,
    pub host: String,
    pub port: Option<u16>,
    /// `None`: its Redis does not run, so nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Bytes behind what the master is known to have; `None` for the master, and while nobody is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<u64>,
    /// What is wrong with its Redis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub following: Option<MemberName>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub version: String,
    /// It never becomes master.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub nofailover: bool,
}

impl RedisView {
    pub fn of(group: &RedisGroup) -> Self {
        let members = group.members.iter().map(|(name, member)| RedisMemberView::of(group, name, member));
        Self { master: group.leader_name().cloned(), members: members.collect() }
    }
}

impl RedisMemberView {
    fn of(group: &RedisGroup, name: &MemberName, member: &RedisMember) -> Self {
        let data = &member.data;
        let (host, port) = match data.address.rsplit_once(':') {
            Some((host, port)) => (host.trim_matches(['[', ']']).to_owned(), port.parse().ok()),
            None => (data.address.clone(), None),
        };
        let is_leader = group.is_leader(name);
        let role = match data.role {
            _ if is_leader && data.is_writable() => "master",
            RedisRole::Master | RedisRole::Replica | RedisRole::Other => data.role.as_str(),
        };
        // A link is as old as the report of it: from a master that does not run any more nothing streams.
        let streams = data.link_up && group.leader_member().is_some_and(|(_, leader)| leader.data.is_running());
        let state = match (data.is_running(), data.role, streams) {
            (true, _, _) if data.trouble.is_some() => "refusing",
            (true, RedisRole::Replica, true) => "streaming",
            (true, RedisRole::Master, _) if is_leader && !data.is_writable() => "promoting",
            (_, RedisRole::Master | RedisRole::Replica | RedisRole::Other, _) => data.state.as_str(),
        };
        let told = Some(data).filter(|data| data.has_told());
        let end = end_of_stream(group);
        let offset = told.map(|data| if is_leader { end.unwrap_or(data.offset) } else { data.offset });
        let lag = end.filter(|_| !is_leader).and_then(|end| Some(end.saturating_sub(offset?)));
        Self {
            name: name.clone(),
            role,
            state,
            host,
            port,
            offset,
            lag,
            keys: told.map(|data| data.keys),
            trouble: data.trouble.clone(),
            following: data.following.clone(),
            version: data.version.clone(),
            nofailover: data.nofailover(),
        }
    }
}

/// How far the master is at least. The members tell at different times, and a replica has nothing that its master had not.
fn end_of_stream(group: &RedisGroup) -> Option<u64> {
    let (name, leader) = group.leader_member().filter(|(_, leader)| leader.data.has_told())?;
    let follows = |data: &RedisMemberData| {
        data.link_up && data.following.as_ref() == Some(name) && data.replid == leader.data.replid
    };
    let replicas = group.members.values().filter(|member| follows(&member.data));
    replicas.map(|member| member.data.offset).chain([leader.data.offset]).max()
}
