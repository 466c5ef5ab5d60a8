//! Why the present leader leads, and what keeps each other member from it: by the store alone, so any member can say.

use super::election::{obstacles, switchover_obstacles};
use crate::cluster::{Cluster, Role};
use crate::reason::{Obstacle, Reason};
use types::MemberName;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub leader: Option<MemberName>,
    pub because: Vec<Reason>,
    pub members: Vec<(MemberName, Vec<Obstacle>)>,
}

pub fn explain(cluster: &Cluster) -> Explanation {
    let config = cluster.config();
    let mut because = Vec::new();
    if cluster.is_paused() {
        because.push(Reason::Paused);
    }
    match (&cluster.leader, cluster.leader_member()) {
        (Some(leader), Some((_, member))) if member.data.is_writable() => {
            because.push(Reason::Leading { epoch: leader.epoch });
        }
        (Some(leader), Some((_, member))) if member.data.role == Role::StandbyLeader => {
            let remote = config.standby_cluster.as_ref().map(ToString::to_string).unwrap_or_default();
            because.push(Reason::LeadingStandby { epoch: leader.epoch, remote });
        }
        (Some(leader), _) => because.push(Reason::LeaderNotReady { leader: leader.name.clone() }),
        (None, _) => because.push(Reason::NoLeaderSince { since: types::Millis::ZERO }),
    }
    let members = cluster
        .members
        .keys()
        .filter(|name| !cluster.is_leader(name))
        .map(|name| {
            let found = if cluster.leader.is_some() {
                switchover_obstacles(cluster, &config, name)
            } else {
                obstacles(cluster, &config, name)
            };
            (name.clone(), found)
        })
        .collect();
    Explanation { leader: cluster.leader_name().cloned(), because, members }
}
