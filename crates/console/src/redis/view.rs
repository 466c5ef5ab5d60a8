//! A Redis group as people and programs look at it: `GET /redis` and `quorate list`.

use ha::cluster::RedisGroup;
use ha::cluster::redis::{RedisMember, RedisRole};
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
    pub offset: u64,
    /// Bytes behind what the master last told; `None` for the master, and while nobody is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
    pub keys: u64,
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
        let state = match (data.is_running(), data.role, data.link_up) {
            (true, RedisRole::Replica, true) => "streaming",
            (true, RedisRole::Master, _) if is_leader && !data.is_writable() => "promoting",
            (_, RedisRole::Master | RedisRole::Replica | RedisRole::Other, _) => data.state.as_str(),
        };
        let end = group.leader_member().map(|(_, leader)| leader.data.offset);
        let lag = end.filter(|_| !is_leader).map(|end| end.saturating_sub(data.offset));
        Self {
            name: name.clone(),
            role,
            state,
            host,
            port,
            offset: data.offset,
            lag,
            keys: data.keys,
            following: data.following.clone(),
            version: data.version.clone(),
            nofailover: data.nofailover(),
        }
    }
}
