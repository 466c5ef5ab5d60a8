//! From a view to a decision: which situation is this, and what does it ask for?

use super::draft::Draft;
use super::memory::Memory;
use super::reason::Reason;
use super::view::{Server, View};
use super::{entry, following, leaderless, leading, remember, stopping};
use crate::cluster::redis::{RedisFence, RedisWrite};
use crate::cluster::{Cluster, RedisGroup};
use crate::guard::StopMode;
pub use crate::postgres::Arming;
use crate::vip::Standing;
use types::{MemberName, Millis};

/// Work on the local Redis. One job runs at a time; its progress comes back in the next view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Starts redis-server through the guard, always as a replica: of `upstream`, or of nobody (a `replicaof` that leads
    /// nowhere), so that no Redis is ever a master before it was promoted. Done as soon as the process runs.
    Start { upstream: Option<MemberName> },
    /// Done when redis-server is gone.
    Stop { mode: StopMode },
    /// `REPLICAOF NO ONE`, only under a fence that stands at that moment and while the leader key is seen to be this one.
    /// Done when Redis says that it is a master.
    Promote { fence: RedisFence },
    /// `REPLICAOF` the leader, or nobody; with `MULTI`, `CLIENT KILL TYPE normal` and `EXEC` where it was a master.
    /// Done when Redis has confirmed it.
    Follow { leader: Option<MemberName> },
    /// `CLIENT PAUSE <lasts> WRITE`. Counted by the executor from before it was sent. Done when Redis has confirmed it.
    Pause { fence: RedisFence, lasts: Millis },
    /// Asks the own Redis, which is paused or has stepped down, and then the candidate until the candidate has as much of the
    /// same history. Done: `offset` is what it has. Fails at `until`.
    WaitOffset { candidate: MemberName, until: Millis },
    /// `MULTI`, `INFO replication`, `REPLICAOF` nobody, `CLIENT KILL TYPE normal`, `EXEC`. Not sent at `until` or later
    /// (the pause may be over). Done when Redis has confirmed it: `offset` is what it had at that moment. Not yet a replica of
    /// the candidate: one that has less would send a copy of what it has, and that would replace what is here.
    StepDown { fence: RedisFence, until: Option<Millis> },
    /// `CLIENT UNPAUSE`.
    Unpause,
}

impl Job {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Stop { .. } => "stop",
            Self::Promote { .. } => "promotion",
            Self::Follow { .. } => "follow",
            Self::Pause { .. } => "pause of writes",
            Self::WaitOffset { .. } => "wait for the candidate",
            Self::StepDown { .. } => "demotion",
            Self::Unpause => "end of the pause",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Write(RedisWrite),
    Begin(Job),
    /// Ask Redis for its state now.
    Probe,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    pub next: Memory,
    pub actions: Vec<Action>,
    pub reasons: Vec<Reason>,
    /// What the guard is told about Redis with every renewal of the lease.
    pub arming: Arming,
    /// Whether the master's virtual addresses belong here.
    pub standing: Standing,
    /// Decide again at this time even if nothing happens.
    pub wake_at: Option<Millis>,
    /// As far as Redis is concerned the agent may end.
    pub finished: bool,
}

/// What is to be done now, and why. Pure: the same memory and view give the same decision.
pub fn decide(memory: &Memory, view: &View) -> Decision {
    let unseen = Cluster::default();
    let cluster = match &view.dcs.cluster {
        Some(cluster) => cluster,
        // Who is asked to end before it has ever seen the store ends all the same.
        None if view.stopping => &unseen,
        None => {
            let reasons = vec![Reason::StoreUnreachable { leading: false }];
            return Decision { next: memory.clone(), reasons, ..Decision::default() };
        }
    };
    let nothing = RedisGroup::default();
    let config = cluster.config();
    let mut draft = Draft {
        view,
        group: cluster.redis.get(&view.group).unwrap_or(&nothing),
        revision: cluster.revision,
        config: &config,
        failsafe: cluster.failsafe.as_ref(),
        memory: memory.clone(),
        actions: Vec::new(),
        reasons: Vec::new(),
        arming: Arming::Leave,
        wake_at: Some(view.now + config.loop_wait),
        finished: false,
    };
    remember::take_up_job(&mut draft);
    remember::remember(&mut draft);
    if let Some(why) = &view.trouble {
        draft.because(Reason::Trouble { why: why.clone() });
    }
    if matches!(view.server, Server::Unknown) {
        draft.because(Reason::NotReadyYet);
    } else if view.dcs.cluster.is_none() {
        stopping::decide(&mut draft);
    } else {
        remember::arm(&mut draft);
        situation(&mut draft);
        entry::publish(&mut draft);
    }
    let standing = standing(&draft);
    let Draft { memory, actions, reasons, arming, wake_at, finished, .. } = draft;
    Decision { next: memory, actions, reasons, arming, standing, wake_at, finished }
}

/// Clients are led here by the same rule as the proxies lead them: while Redis is the master and writes do not wait.
fn standing(draft: &Draft<'_>) -> Standing {
    match &draft.view.server {
        Server::Unknown | Server::Starting => Standing::Unknown,
        Server::Running(running) | Server::Silent { last: running, .. } if !running.is_master() => Standing::Lost,
        Server::Running(_) | Server::Silent { .. } if entry::leads_clients(draft) => Standing::Holds,
        // A worker that was started again takes up the lease of the one before.
        Server::Running(_) | Server::Silent { .. } if draft.view.dcs.lease.is_none() && !entry::stops(draft) => {
            Standing::Unknown
        }
        Server::Running(_) | Server::Silent { .. } | Server::Down => Standing::Lost,
    }
}

fn situation(draft: &mut Draft<'_>) {
    let view = draft.view;
    if view.stopping {
        return stopping::decide(draft);
    }
    if !view.dcs.connected {
        let leading = draft.fence().is_some();
        draft.because(Reason::StoreUnreachable { leading });
        if !leading {
            draft.park_without_link();
        }
    }
    match (draft.fence(), draft.group.leader_name()) {
        // The key may have passed on already; to lead again takes the key anew.
        (Some(fence), _) if draft.memory.given_up == Some(fence.epoch) => leading::given_up(draft, &fence),
        (Some(fence), _) => leading::decide(draft, &fence),
        // The leader key is ours under a lease that is not: it runs out by itself.
        (None, Some(leader)) if *leader == view.me => {
            draft.because(Reason::NoLease);
            draft.stop_a_master_without_lease();
        }
        (None, Some(leader)) => following::decide(draft, &leader.clone()),
        (None, None) => leaderless::decide(draft),
    }
}
