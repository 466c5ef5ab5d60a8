//! "What can I lose right now?": what the loss of the primary's server, with its disk, would cost at this moment.

use super::Voters;
use super::without::without_leader;
use crate::cluster::Cluster;
use crate::postgres::{obstacles, successor};
use crate::reason::Obstacle;
use types::MemberName;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// This scope has no PostgreSQL (yet).
    NoPostgres,
    /// There is no primary: nobody can write.
    NobodyServes,
    /// Nobody could take over.
    NoSuccessor { leader: MemberName },
    /// Commits are acknowledged before another server has them.
    LastCommits { leader: MemberName, successor: MemberName, bytes: u64 },
    /// Every acknowledged commit is on a server that may take over.
    Nothing { leader: MemberName, standbys: Vec<MemberName> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LossReason {
    /// Synchronous mode, with these standbys.
    CommitsWait {
        standbys: Vec<MemberName>,
    },
    Asynchronous,
    NoStandby {
        strict: bool,
    },
    Behind {
        member: MemberName,
        bytes: u64,
    },
    CannotTakeOver {
        member: MemberName,
        why: Vec<Obstacle>,
    },
    NoOtherMember,
    Paused,
    Voters {
        total: usize,
        spare: usize,
    },
    VotersAbsent {
        absent: Vec<MemberName>,
        spare: usize,
    },
    /// Redis never waits for its replicas.
    Redis {
        group: String,
        successor: Option<MemberName>,
    },
}

impl Loss {
    /// A short stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoPostgres => "no_postgres",
            Self::NobodyServes => "nobody_serves",
            Self::NoSuccessor { .. } => "no_successor",
            Self::LastCommits { .. } => "last_commits",
            Self::Nothing { .. } => "nothing",
        }
    }
}

pub fn loss(cluster: &Cluster, voters: Option<&Voters>) -> (Loss, Vec<LossReason>) {
    let mut because = Vec::new();
    let loss = of_postgres(cluster, &mut because);
    if cluster.is_paused() {
        because.push(LossReason::Paused);
    }
    if let Some(voters) = voters {
        let spare = voters.spare();
        because.push(if voters.absent.is_empty() {
            LossReason::Voters { total: voters.names.len(), spare }
        } else {
            LossReason::VotersAbsent { absent: voters.absent.iter().cloned().collect(), spare }
        });
    }
    for (name, group) in cluster.redis.iter().filter(|(_, group)| group.leader.is_some()) {
        let successor = without_leader(group).and_then(|group| crate::redis::successor(&group).cloned());
        because.push(LossReason::Redis { group: name.clone(), successor });
    }
    (loss, because)
}

fn of_postgres(cluster: &Cluster, because: &mut Vec<LossReason>) -> Loss {
    if cluster.members.is_empty() && cluster.initialize.is_none() {
        return Loss::NoPostgres;
    }
    let Some((leader, _)) = cluster.leader_member().filter(|(_, member)| member.data.is_writable()) else {
        return Loss::NobodyServes;
    };
    let leader = leader.clone();
    let mut after = cluster.clone();
    after.members.remove(&leader);
    after.leader = None;
    let config = cluster.config();
    let standbys: Vec<MemberName> = cluster
        .sync
        .iter()
        .filter(|sync| config.is_synchronous() && sync.value.leader.as_ref() == Some(&leader))
        .flat_map(|sync| sync.value.standbys.iter().cloned())
        .collect();
    because.push(match (config.is_synchronous(), standbys.is_empty()) {
        (false, _) => LossReason::Asynchronous,
        (true, true) => LossReason::NoStandby { strict: config.synchronous_mode_strict },
        (true, false) => LossReason::CommitsWait { standbys: standbys.clone() },
    });
    if after.members.is_empty() {
        because.push(LossReason::NoOtherMember);
    }
    let end = cluster.status.as_ref().map(|status| status.value.optime).unwrap_or_default();
    for (name, member) in &after.members {
        let why = obstacles(&after, &config, name);
        let bytes = member.data.position().behind(end);
        if !why.is_empty() {
            because.push(LossReason::CannotTakeOver { member: name.clone(), why });
        } else if bytes > 0 {
            because.push(LossReason::Behind { member: name.clone(), bytes });
        }
    }
    // In the pause nobody takes over by itself, but what is safe is safe.
    let Some(successor) = successor(&after) else { return Loss::NoSuccessor { leader } };
    if standbys.contains(successor) {
        return Loss::Nothing { leader, standbys };
    }
    let bytes = after.members.get(successor).map_or(0, |member| member.data.position().behind(end));
    Loss::LastCommits { leader, successor: successor.clone(), bytes }
}
