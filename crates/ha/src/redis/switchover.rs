//! A planned change of master that loses nothing, step by step.
//!
//! 1. Writes wait (`CLIENT PAUSE`, bounded).
//! 2. The candidate reaches the master's offset.
//! 3. The master becomes a replica of nobody and cuts its clients in one transaction of Redis's, which also says where its
//!    stream ended. That can be further than in step 2: a master sends a PING to its replicas now and then, pause or not.
//! 4. The candidate reaches that end, or the old master is promoted again.
//! 5. The leader key passes to the candidate in one transaction of the store's, with the claim.
//! 6. The candidate is promoted, as after every change of the key.
//!
//! The invariant: until step 4 is over nobody else leads, and whatever fails leaves this member the master. From the moment
//! at which step 5 may have been sent it is never promoted under this leadership again.

use super::decide::Job;
use super::draft::Draft;
use super::election::{has_data, standing_obstacles};
use super::memory::{Stage, Switchover};
use super::reason::{Obstacle, Reason};
use super::view::Running;
use super::{entry, leading};
use crate::cluster::redis::{HandOver, RedisFailoverRequest, RedisFence, RedisWrite};
use std::cmp::Reverse;
use types::{MemberName, Millis};

/// The part of the pause that is kept for the demotion.
const DEMOTION_RESERVE: Millis = Millis(150);
/// A client that is cut comes back at once, and must not be led to the replica that the old master is by then: so long the
/// store may take to show that, from the beginning of the switchover. Then it goes on without.
const ROUTES_MAX: Millis = Millis(300);
/// What the master sent last is on its way when it steps down; what takes longer does not come. Nobody can write meanwhile.
const CATCH_UP_MAX: Millis = Millis(300);
/// A store that does not take the hand-over for so long: the key is released, and whoever is best takes it.
const HAND_OVER_MAX: Millis = Millis(2000);

/// As a master that serves: takes up a request, or goes on with one.
pub(super) fn step(draft: &mut Draft<'_>, fence: &RedisFence, running: &Running) {
    let request = draft.group.failover.clone();
    match (&draft.memory.switchover, &request) {
        (Some(switchover), _) if switchover.request == request.as_ref().map(|request| request.revision) => {}
        // The agent's own, because it stops.
        (Some(switchover), _) if switchover.request.is_none() => {}
        (Some(_), _) => return abort(draft, "the request was changed or withdrawn"),
        (None, Some(request)) => match choose(draft, running, &request.value) {
            Ok(candidate) => begin(draft, candidate, Some(request.revision), request.value.force),
            Err(reason) => {
                draft.because(reason);
                return draft.write(RedisWrite::DeleteFailover { expected: request.revision });
            }
        },
        (None, None) => return,
    }
    let Some(switchover) = draft.memory.switchover.clone() else { return };
    let now = draft.view.now;
    let say = |draft: &mut Draft<'_>, step| {
        draft.because(Reason::SwitchoverUnderway { candidate: switchover.candidate.clone(), step });
    };
    match switchover.stage {
        Stage::Pause => {
            say(draft, "writes are about to wait");
            let lasts = draft.view.settings.pause_max;
            if draft.begin(Job::Pause { fence: fence.clone(), lasts })
                && let Some(switchover) = &mut draft.memory.switchover
            {
                switchover.paused_until = Some(now + lasts);
            }
        }
        Stage::WaitOffset => {
            say(draft, "writes wait until the candidate has everything");
            let until = switchover.paused_until.unwrap_or(now) - DEMOTION_RESERVE;
            draft.begin(Job::WaitOffset { candidate: switchover.candidate.clone(), until });
        }
        Stage::Demote { .. }
            if draft.is_shown_as_writable() && !switchover.forced && now < switchover.began + ROUTES_MAX =>
        {
            say(draft, "the proxies are told to lead nobody to the old master");
            draft.wake(switchover.began + ROUTES_MAX);
        }
        Stage::Demote { .. } => {
            say(draft, "the master becomes a replica");
            let until = switchover.paused_until;
            if until.is_some_and(|until| until <= now) {
                return abort(draft, "the pause was over too early");
            }
            draft.begin(Job::StepDown { fence: fence.clone(), until });
        }
        // A master again: somebody else promoted it.
        Stage::CatchUp { .. } | Stage::HandOver { .. } => abort(draft, "Redis became a master again"),
    }
}

pub(super) fn begin(draft: &mut Draft<'_>, candidate: MemberName, request: Option<types::Revision>, forced: bool) {
    let stage = if forced { Stage::Demote { candidate_has: None } } else { Stage::Pause };
    let began = draft.view.now;
    draft.memory.switchover = Some(Switchover { candidate, request, forced, began, paused_until: None, stage });
}

pub(super) fn advance(draft: &mut Draft<'_>, stage: Stage) {
    if let Some(switchover) = &mut draft.memory.switchover {
        switchover.stage = stage;
    }
}

/// Ends it with this member as the master, as before.
pub(super) fn abort(draft: &mut Draft<'_>, why: &str) {
    let Some(switchover) = draft.memory.switchover.take() else { return };
    draft.memory.unpause = switchover.paused_until.is_some();
    draft.memory.stop_as_master |= draft.view.stopping;
    draft.because(Reason::SwitchoverAborted { candidate: switchover.candidate, why: why.to_owned() });
    if let Some(expected) = switchover.request
        && draft.group.failover.as_ref().is_some_and(|request| request.revision == expected)
    {
        draft.write(RedisWrite::DeleteFailover { expected });
    }
}

/// The master has stepped down, and its stream went on after the candidate was asked.
pub(super) fn catch_up(draft: &mut Draft<'_>, since: Millis) {
    let Some(switchover) = &draft.memory.switchover else { return };
    let candidate = switchover.candidate.clone();
    let step = "the candidate gets the end of the stream";
    draft.because(Reason::SwitchoverUnderway { candidate: candidate.clone(), step });
    draft.begin(Job::WaitOffset { candidate, until: since + CATCH_UP_MAX });
}

/// Redis is certainly no master any more (demoted, or gone): the key passes.
pub(super) fn hand_over(draft: &mut Draft<'_>, fence: &RedisFence, since: Millis) {
    let Some(switchover) = draft.memory.switchover.clone() else { return };
    let candidate = switchover.candidate;
    draft.because(Reason::HandedOver { candidate: candidate.clone() });
    if !draft.certainly_no_master() {
        return;
    }
    if !draft.view.addresses.is_empty() {
        return draft.because(Reason::AddressesLeave);
    }
    let lease = draft.view.dcs.lease;
    let target = draft.group.members.get(&candidate).filter(|member| member.data.is_running());
    let (Some(lease), Some(member)) = (lease, target) else {
        return leading::release(draft, fence);
    };
    let (Some(candidate_lease), false) = (member.lease, draft.view.now.since(since) >= HAND_OVER_MAX) else {
        return leading::release(draft, fence);
    };
    draft.wake(since + HAND_OVER_MAX);
    draft.memory.given_up = Some(fence.epoch);
    let mut candidate_member = member.data.clone();
    candidate_member.claim = true;
    candidate_member.leaderless_at = None;
    let request = draft.group.failover.as_ref().map(|request| request.revision);
    let hand_over = HandOver {
        fence: fence.clone(),
        lease: lease.id,
        member: entry::without_claim(draft),
        candidate,
        candidate_lease,
        candidate_member,
        candidate_at: member.revision,
        status: draft.view.server.running().map(|running| leading::status(&draft.view.me, running)),
        failover: request.filter(|revision| switchover.request == Some(*revision)),
    };
    draft.write(RedisWrite::HandOver(Box::new(hand_over)));
}

/// Who takes over, or why nobody can.
pub(super) fn choose(
    draft: &Draft<'_>,
    running: &Running,
    request: &RedisFailoverRequest,
) -> Result<MemberName, Reason> {
    if request.leader.as_ref().is_some_and(|leader| *leader != draft.view.me) {
        let why = vec![Obstacle::IsLeader];
        return Err(Reason::SwitchoverImpossible { candidate: request.candidate.clone(), why });
    }
    let why_not = |name: &MemberName| {
        if *name == draft.view.me {
            return vec![Obstacle::IsLeader];
        }
        let mut found = standing_obstacles(draft.group, name);
        let empty = draft.group.members.get(name).is_some_and(|member| !has_data(draft.group, &member.data));
        if empty && running.keys > 0 {
            found.push(Obstacle::Empty { has_data: draft.view.me.clone() });
        }
        let online = running.replicas.iter().any(|replica| replica.name == *name && replica.online);
        if !online && !request.force && found.is_empty() {
            found.push(Obstacle::NotInSync);
        }
        found
    };
    if let Some(candidate) = &request.candidate {
        return match why_not(candidate) {
            why if why.is_empty() => Ok(candidate.clone()),
            why => Err(Reason::SwitchoverImpossible { candidate: Some(candidate.clone()), why }),
        };
    }
    let mut obstacles = Vec::new();
    let mut best = None;
    for (name, member) in draft.group.members.iter().filter(|(name, _)| **name != draft.view.me) {
        let why = why_not(name);
        if why.is_empty() {
            let replica = running.replicas.iter().find(|replica| replica.name == *name);
            let offset = replica.map_or(0, |replica| replica.offset);
            best = best.max(Some((member.data.failover_priority, offset, Reverse(name))));
        }
        obstacles.extend(why);
    }
    let none = Reason::SwitchoverImpossible { candidate: None, why: obstacles };
    best.map(|(_, _, Reverse(name))| name.clone()).ok_or(none)
}
