//! Why the present leader leads, and what keeps each other member from it: by the store alone, so any member can say.

use super::election::{obstacles, switchover_obstacles};
use super::reason::{Obstacle, Reason};
use crate::cluster::Cluster;
use types::{MemberName, Millis};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub leader: Option<MemberName>,
    pub because: Vec<Reason>,
    pub members: Vec<(MemberName, Vec<Obstacle>)>,
}

pub fn explain(cluster: &Cluster, group: &str) -> Explanation {
    let group = cluster.redis_group(group);
    let mut because = Vec::new();
    if cluster.is_paused() {
        because.push(Reason::Paused);
    }
    let trouble = group.leader_member().and_then(|(_, member)| member.data.trouble.clone());
    because.extend(trouble.map(|why| Reason::Trouble { why }));
    because.push(match (&group.leader, group.writable_master()) {
        (Some(leader), Some((_, master))) if master.data.trouble.is_some() => {
            Reason::LeadingUnseen { epoch: leader.epoch }
        }
        (Some(leader), Some(_)) => Reason::Leading { epoch: leader.epoch },
        (Some(leader), None) => Reason::LeaderNotReady { leader: leader.name.clone() },
        (None, _) => Reason::NoLeaderSince { since: Millis::ZERO },
    });
    let others = group.members.keys().filter(|name| !group.is_leader(name));
    let why_not = |name: &MemberName| match group.leader {
        Some(_) => switchover_obstacles(&group, name),
        None => obstacles(&group, name),
    };
    let members = others.map(|name| (name.clone(), why_not(name))).collect();
    Explanation { leader: group.leader_name().cloned(), because, members }
}
