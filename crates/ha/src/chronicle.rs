//! What happened between two views of the store, for people who look at a cluster afterwards.
//!
//! Deliberately only what one sees in the store: the reasons are each member's own. Positions are left out, they change all
//! the time.

use crate::cluster::{Cluster, MemberData, RunState};
use std::net::IpAddr;
use types::{MemberName, Revision, Timeline};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    LeaderTook { name: MemberName, epoch: Revision },
    LeaderGone { name: MemberName },
    Writable { name: MemberName, timeline: Option<Timeline> },
    MemberCame { name: MemberName },
    MemberGone { name: MemberName },
    State { name: MemberName, state: RunState },
    Streaming { name: MemberName, streams: bool },
    Synchronous { standbys: Vec<MemberName> },
    Paused(bool),
    Configured,
    SwitchoverAsked { to: Option<MemberName>, at: Option<String> },
    SwitchoverOver,
    AddressMoved { address: IpAddr, to: Option<MemberName> },
    RedisMaster { group: String, name: Option<MemberName> },
}

impl Happening {
    pub fn code(&self) -> &'static str {
        match self {
            Self::LeaderTook { .. } => "leader_took",
            Self::LeaderGone { .. } => "leader_gone",
            Self::Writable { .. } => "writable",
            Self::MemberCame { .. } => "member_came",
            Self::MemberGone { .. } => "member_gone",
            Self::State { .. } => "state",
            Self::Streaming { .. } => "streaming",
            Self::Synchronous { .. } => "synchronous",
            Self::Paused(_) => "paused",
            Self::Configured => "configured",
            Self::SwitchoverAsked { .. } => "switchover_asked",
            Self::SwitchoverOver => "switchover_over",
            Self::AddressMoved { .. } => "address_moved",
            Self::RedisMaster { .. } => "redis_master",
        }
    }
}

/// In the order in which it makes sense to read them.
pub fn happenings(before: &Cluster, after: &Cluster) -> Vec<Happening> {
    let mut found = Vec::new();
    requests(before, after, &mut found);
    leadership(before, after, &mut found);
    members(before, after, &mut found);
    let standbys = |cluster: &Cluster| -> Vec<MemberName> {
        cluster.sync.iter().flat_map(|sync| sync.value.standbys.iter().cloned()).collect()
    };
    if standbys(before) != standbys(after) {
        found.push(Happening::Synchronous { standbys: standbys(after) });
    }
    let (was, is) = (before.virtual_addresses(), after.virtual_addresses());
    for (address, name) in &is {
        if was.get(address) != Some(name) {
            found.push(Happening::AddressMoved { address: *address, to: Some((*name).clone()) });
        }
    }
    let lost = was.keys().filter(|address| !is.contains_key(*address));
    found.extend(lost.map(|address| Happening::AddressMoved { address: *address, to: None }));
    for (group, keys) in &after.redis {
        let master = |cluster: &Cluster| cluster.redis.get(group).and_then(|group| group.leader_name().cloned());
        if master(before).as_ref() != keys.leader_name() {
            found.push(Happening::RedisMaster { group: group.clone(), name: keys.leader_name().cloned() });
        }
    }
    found
}

fn requests(before: &Cluster, after: &Cluster, found: &mut Vec<Happening>) {
    if before.is_paused() != after.is_paused() {
        found.push(Happening::Paused(after.is_paused()));
    } else if before.config_text.as_ref().is_some_and(|text| Some(text) != after.config_text.as_ref()) {
        found.push(Happening::Configured);
    }
    match (&before.failover, &after.failover) {
        (was, Some(is)) if was.as_ref() != Some(is) => {
            let (to, at) = (is.value.candidate.clone(), is.value.scheduled_at.clone());
            found.push(Happening::SwitchoverAsked { to, at });
        }
        (Some(_), None) => found.push(Happening::SwitchoverOver),
        (_, _) => {}
    }
}

fn leadership(before: &Cluster, after: &Cluster, found: &mut Vec<Happening>) {
    match (&before.leader, &after.leader) {
        (Some(was), None) => found.push(Happening::LeaderGone { name: was.name.clone() }),
        (was, Some(is)) if was.as_ref().is_none_or(|was| was.epoch != is.epoch) => {
            found.push(Happening::LeaderTook { name: is.name.clone(), epoch: is.epoch });
        }
        (_, _) => {}
    }
    let writable = |cluster: &Cluster| {
        let (name, member) = cluster.leader_member().filter(|(_, member)| member.data.is_writable())?;
        Some((name.clone(), member.data.timeline))
    };
    let (was, is) = (writable(before), writable(after));
    if let Some((name, timeline)) = is.filter(|is| was.as_ref().map(|was| &was.0) != Some(&is.0)) {
        found.push(Happening::Writable { name, timeline });
    }
}

fn members(before: &Cluster, after: &Cluster, found: &mut Vec<Happening>) {
    for name in before.members.keys().filter(|name| !after.members.contains_key(*name)) {
        found.push(Happening::MemberGone { name: name.clone() });
    }
    let streams = |data: &MemberData| data.replication_state.as_deref() == Some("streaming");
    for (name, member) in &after.members {
        let Some(was) = before.members.get(name) else {
            found.push(Happening::MemberCame { name: name.clone() });
            continue;
        };
        let (was, is) = (&was.data, &member.data);
        if was.state != is.state {
            found.push(Happening::State { name: name.clone(), state: is.state });
        } else if streams(was) != streams(is) && is.is_running() && !after.is_leader(name) {
            found.push(Happening::Streaming { name: name.clone(), streams: streams(is) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Leader, Member, Quorate, Role};
    use types::Lsn;

    fn member(writable: bool, position: u64) -> Member {
        let data = MemberData {
            state: RunState::Running,
            role: if writable { Role::Primary } else { Role::Replica },
            xlog_location: Some(Lsn(position)),
            quorate: Some(Quorate { writable, ..Quorate::default() }),
            ..MemberData::default()
        };
        Member { data, revision: Revision(1), lease: None }
    }

    #[test]
    fn a_failover_is_told_in_its_order_and_positions_are_not_news() {
        let leader = |name: &str, epoch| Some(Leader { name: name.into(), epoch: Revision(epoch), lease: None });
        let mut whole = Cluster { leader: leader("a", 5), ..Cluster::default() };
        whole.members = [("a".into(), member(true, 10)), ("b".into(), member(false, 10))].into();
        let mut moved = whole.clone();
        moved.members.insert("b".into(), member(false, 20));
        assert_eq!(happenings(&whole, &moved), []);

        let mut lost = whole.clone();
        lost.leader = None;
        lost.members.remove(&"a".into());
        let gone = [Happening::LeaderGone { name: "a".into() }, Happening::MemberGone { name: "a".into() }];
        assert_eq!(happenings(&whole, &lost), gone);

        let mut taken = lost.clone();
        taken.leader = leader("b", 9);
        taken.members.insert("b".into(), member(true, 20));
        let told: Vec<&str> = happenings(&lost, &taken).iter().map(Happening::code).collect();
        assert_eq!(told, ["leader_took", "writable"]);
    }
}
