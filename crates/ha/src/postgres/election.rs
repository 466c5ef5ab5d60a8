//! Who may lead, and who should: the rules by which replicas choose the next primary without talking to each other.
//!
//! Every replica that sees no leader writes into its entry where its log ends. All read the same entries, so all come
//! to the same result; the transaction that takes the leader key is refused if any entry changed meanwhile.

use super::decide::{Draft, known_end};
use super::view::View;
use crate::cluster::{Cluster, Member};
use crate::config::DynamicConfig;
use crate::reason::{Obstacle, Reason};
use types::{Lsn, MemberName, Millis, Revision, Timeline};

/// How long the election waits for the reports of members that are alive in the store. A member that is frozen, or a
/// real Patroni (which does not report), costs this once.
pub(super) const REPORT_WAIT: Millis = Millis(300);
/// How long the others leave the leader key to the member that was asked to take over.
pub(super) const CANDIDATE_WAIT: Millis = Millis(2000);
/// If the best candidate does not take the key, the next best tries after this time, and so on.
pub(super) const NEXT_BEST_WAIT: Millis = Millis(1000);
/// A member whose timeline is older than another live member's waits this long for that one to come up: to lead would
/// undo what was acknowledged there, and give its timeline a second history.
pub(super) const NEWER_HISTORY_WAIT: Millis = Millis(15_000);

/// What keeps a member from leading when there is no leader, by the store alone. Empty: nothing does.
pub fn obstacles(cluster: &Cluster, config: &DynamicConfig, name: &MemberName) -> Vec<Obstacle> {
    let mut found = standing_obstacles(cluster, config, name);
    let behind = cluster.members.get(name).map_or(0, |member| member.data.position().behind(known_end(cluster)));
    if behind > config.maximum_lag_on_failover {
        found.push(Obstacle::Lagging { bytes: behind, max: config.maximum_lag_on_failover });
    }
    found
}

/// Those that do not depend on positions. While there is a leader, positions in the store are old by `loop_wait`; the
/// leader knows better from its own connections.
fn standing_obstacles(cluster: &Cluster, config: &DynamicConfig, name: &MemberName) -> Vec<Obstacle> {
    let Some(member) = cluster.members.get(name) else { return vec![Obstacle::NotAMember] };
    let mut found = Vec::new();
    if member.data.tags.nofailover() {
        found.push(Obstacle::NoFailover);
    }
    if !member.data.is_running() {
        found.push(Obstacle::NotRunning { state: member.data.state.as_str() });
    }
    if cluster.failsafe.as_ref().is_some_and(|listed| !listed.value.lists(name)) {
        found.push(Obstacle::NotInFailsafe);
    }
    if config.is_synchronous() && !cluster.sync.as_ref().is_none_or(|sync| sync.value.covers(name)) {
        found.push(Obstacle::NotSynchronous);
    }
    found
}

/// What keeps a member from taking over from a leader that lives.
pub fn switchover_obstacles(cluster: &Cluster, config: &DynamicConfig, name: &MemberName) -> Vec<Obstacle> {
    if cluster.is_leader(name) {
        return vec![Obstacle::IsLeader];
    }
    let mut found = standing_obstacles(cluster, config, name);
    let leader_timeline = cluster.leader_member().and_then(|(_, leader)| leader.data.timeline);
    if let (Some(member), Some(leader)) = (cluster.members.get(name), leader_timeline)
        && let Some(timeline) = member.data.timeline
        && timeline != leader
    {
        found.push(Obstacle::BehindTimeline { timeline, cluster: leader });
    }
    found
}

/// Another member that may still accept writes.
///
/// A claim without a lease is of a primary that was left to itself in the pause, and may be of one that is gone. An
/// operator who names the new leader while there is none says that it is.
pub(super) fn claimed_by_other(cluster: &Cluster, me: &MemberName) -> Option<MemberName> {
    let asked = cluster.failover.as_ref().map(|request| &request.value);
    // A switchover names the leader: it was asked for while there was one, and says nothing of its end.
    let asked = asked.is_some_and(|request| request.leader.is_none() && request.candidate.as_ref() == Some(me));
    cluster
        .members
        .iter()
        .filter(|(_, member)| member.lease.is_some() || !asked)
        .find(|(name, member)| *name != me && member.data.claims_primary())
        .map(|(name, _)| name.clone())
}

/// A live member with a newer history than `mine`.
fn newer_history(cluster: &Cluster, mine: &Member) -> Option<Timeline> {
    let newest = cluster.members.values().filter_map(|member| member.data.timeline).max();
    newest.filter(|newest| *newest > mine.data.timeline.unwrap_or_default())
}

/// What decides between two candidates: the history, its length, the operator's priority, and then the name.
type Rank<'a> = (Timeline, Lsn, i64, std::cmp::Reverse<&'a MemberName>);

fn rank<'a>(name: &'a MemberName, member: &Member) -> Rank<'a> {
    let data = &member.data;
    (data.timeline.unwrap_or_default(), data.position(), data.tags.failover_priority(), std::cmp::Reverse(name))
}

/// Who would lead if nobody did: what [`verdict`] comes to once every member has reported what its entry says now.
pub fn successor(cluster: &Cluster) -> Option<&MemberName> {
    let config = cluster.config();
    let able = cluster.members.iter().filter(|(name, _)| obstacles(cluster, &config, name).is_empty());
    able.max_by_key(|(name, member)| rank(name, member)).map(|(name, _)| name)
}

/// May this member take the leader key now? `Ok`: yes, and why; `Err`: no, and why.
pub(super) fn verdict(draft: &Draft<'_>) -> Result<Reason, Reason> {
    let View { me, now, .. } = draft.view;
    let (cluster, config) = (draft.cluster, draft.config);
    if let Some(by) = claimed_by_other(cluster, me) {
        return Err(Reason::Obstacle(Obstacle::Claimed { by }));
    }
    if let Some(obstacle) = obstacles(cluster, config, me).into_iter().next() {
        return Err(Reason::Obstacle(obstacle));
    }
    let since = draft.view.dcs.failsafe.counted_from(draft.memory.leader_missing_since.unwrap_or(*now));
    let waited = now.since(since);
    let requested = cluster.failover.as_ref().filter(|request| request.value.scheduled_at.is_none());
    if let Some(candidate) = requested.and_then(|request| request.value.candidate.as_ref()) {
        let complete = cluster.members.get(me).is_some_and(|mine| mine.data.position() >= known_end(cluster));
        if candidate == me && (complete || waited >= CANDIDATE_WAIT) {
            return Ok(Reason::AmRequestedCandidate);
        }
        if candidate != me && waited < CANDIDATE_WAIT && obstacles(cluster, config, candidate).is_empty() {
            return Err(Reason::WaitingForCandidate { name: candidate.clone() });
        }
    }
    let Some(mine) = cluster.members.get(me) else { return Err(Reason::Obstacle(Obstacle::NotAMember)) };
    if let Some(newest) = newer_history(cluster, mine)
        && waited < NEWER_HISTORY_WAIT
    {
        let timeline = mine.data.timeline.unwrap_or_default();
        return Err(Reason::Obstacle(Obstacle::BehindTimeline { timeline, cluster: newest }));
    }
    if !reported(mine, draft.memory.last_epoch) {
        return Err(Reason::WaitingForReport { name: me.clone() });
    }
    let others = cluster.members.iter().filter(|(name, _)| *name != me);
    let mut better: Vec<(&MemberName, &Member)> = Vec::new();
    for (name, member) in others.filter(|(name, _)| standing_obstacles(cluster, config, name).is_empty()) {
        // Until it has reported, its position is that of some time ago.
        if waited < REPORT_WAIT && !reported(member, draft.memory.last_epoch) {
            return Err(Reason::WaitingForReport { name: name.clone() });
        }
        if rank(name, member) > rank(me, mine) {
            better.push((name, member));
        }
    }
    let my_turn = Millis(NEXT_BEST_WAIT.0.saturating_mul(better.len() as u64));
    match better.iter().max_by_key(|(name, member)| rank(name, member)) {
        Some((name, member)) if waited < REPORT_WAIT + my_turn => Err(Reason::BetterCandidate {
            name: (*name).clone(),
            position: member.data.position(),
            mine: mine.data.position(),
        }),
        _ => Ok(Reason::AmBestCandidate { position: mine.data.position() }),
    }
}

/// Has this member said where its log ends since the last leadership was over?
fn reported(member: &Member, last_epoch: Revision) -> bool {
    member.data.quorate.as_ref().and_then(|quorate| quorate.leaderless_at).is_some_and(|at| at > last_epoch)
}
