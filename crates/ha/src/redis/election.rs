//! Who may lead, and who should: the rules by which replicas choose the next master without talking to each other.
//!
//! Every replica that sees no leader writes into its entry how much it has. All read the same entries, so all come to the
//! same result; the transaction that takes the leader key is refused if any entry changed meanwhile.

use super::draft::Draft;
use super::reason::{Obstacle, Reason};
use super::view::{Running, View};
use crate::cluster::RedisGroup;
use crate::cluster::redis::{RedisMember, RedisMemberData, RedisRunState};
use std::cmp::Reverse;
use types::{MemberName, Millis, Revision};

/// How long the election waits for the reports of members that are alive in the store. A report is one question to the local
/// Redis and one write; a member that is frozen costs this once.
pub(super) const REPORT_WAIT: Millis = Millis(100);
/// How long the others leave the leader key to the member that was asked to take over.
pub(super) const CANDIDATE_WAIT: Millis = Millis(1000);
/// If the best candidate does not take the key, the next best tries after this time, and so on.
pub(super) const NEXT_BEST_WAIT: Millis = Millis(500);
/// How long a member without data waits for one with data, where the group had some: a host takes this long to boot its
/// services. Whoever comes later finds an empty master and keeps what it has (`following`).
pub(super) const EMPTY_WAIT: Millis = Millis(15_000);
/// The same for a group that has never had a master: the members come up together, and one may bring data along.
pub(super) const FIRST_WAIT: Millis = Millis(1000);
/// How long a member waits for one that may have newer data and is not back yet, or still loads them: after a loss of power
/// the first to be up is not the one with the most.
pub(super) const NEWER_WAIT: Millis = EMPTY_WAIT;
/// Bytes of the stream that a replica may not have had yet when the master told how far it was. PostgreSQL's default for the
/// same, `maximum_lag_on_failover`.
const LAG_SMALL: u64 = 1024 * 1024;

/// Has this member anything that could be lost? Data of a known leadership may be empty and are data all the same.
pub(super) fn has_data(group: &RedisGroup, data: &RedisMemberData) -> bool {
    data.keys > 0 || group.generation(data) > Revision(0)
}

/// What keeps a member from leading, whatever the others have.
pub(super) fn standing_obstacles(group: &RedisGroup, name: &MemberName) -> Vec<Obstacle> {
    let Some(member) = group.members.get(name) else { return vec![Obstacle::NotAMember] };
    let mut found = Vec::new();
    if member.data.nofailover() {
        found.push(Obstacle::NoFailover);
    }
    if !member.data.is_running() {
        found.push(Obstacle::NotRunning { state: member.data.state.as_str() });
    }
    if let Some(why) = &member.data.trouble {
        found.push(Obstacle::Trouble { why: why.clone() });
    }
    found
}

/// What keeps a member from leading when there is no leader.
pub fn obstacles(group: &RedisGroup, name: &MemberName) -> Vec<Obstacle> {
    let mut found = standing_obstacles(group, name);
    if let Some(member) = group.members.get(name)
        && !has_data(group, &member.data)
        && let Some(has_data) = somebody_with_data(group, name)
    {
        found.push(Obstacle::Empty { has_data });
    }
    found
}

/// What keeps a member from taking over from a leader that lives.
pub fn switchover_obstacles(group: &RedisGroup, name: &MemberName) -> Vec<Obstacle> {
    if group.is_leader(name) {
        return vec![Obstacle::IsLeader];
    }
    let mut found = standing_obstacles(group, name);
    let follows = |member: &RedisMember| member.data.link_up && member.data.following.as_ref() == group.leader_name();
    if group.members.get(name).is_some_and(|member| member.data.is_running() && !follows(member)) {
        found.push(Obstacle::NotInSync);
    }
    found
}

/// Alive, whether it may lead or not: an empty master would delete what it has.
fn somebody_with_data(group: &RedisGroup, except: &MemberName) -> Option<MemberName> {
    let mut others = group.members.iter().filter(|(name, _)| *name != except);
    others.find(|(_, member)| has_data(group, &member.data)).map(|(name, _)| name.clone())
}

/// No data, and none of a known leadership either (those may be none at all, after a flush).
fn is_empty(draft: &Draft<'_>, running: &Running) -> bool {
    let mine = RedisMemberData {
        keys: running.keys,
        replid: Some(running.replid.clone()),
        replid2: running.replid2.clone(),
        ..RedisMemberData::default()
    };
    !has_data(draft.group, &mine) || running.keys == 0 && draft.memory.began_empty
}

/// The group had data when this member took the key, and so had this member.
pub(super) fn lost_its_data(draft: &Draft<'_>, running: &Running) -> bool {
    let had = draft.group.status.as_ref().is_some_and(|status| status.value.keys > 0);
    had && is_empty(draft, running) && !draft.memory.took_without_data
}

/// This Redis has no data, and a live member has some.
pub(super) fn data_elsewhere(draft: &Draft<'_>, running: &Running) -> Option<MemberName> {
    if !is_empty(draft, running) || draft.memory.overrule_data {
        return None;
    }
    let mut others = draft.group.members.iter().filter(|(name, _)| **name != draft.view.me);
    others.find(|(_, member)| member.data.keys > 0).map(|(name, _)| name.clone())
}

/// The best of those who were in sync when the master last told. A worker that has not seen it go by the entries.
pub(super) fn in_sync_candidate(draft: &Draft<'_>) -> Option<MemberName> {
    let group = draft.group;
    let in_sync = |name: &MemberName, member: &RedisMember| {
        let seen = &draft.memory.in_sync;
        let says = member.data.link_up && member.data.following.as_ref() == Some(&draft.view.me);
        seen.contains(name) || seen.is_empty() && says
    };
    let others = group.members.iter().filter(|(name, _)| **name != draft.view.me);
    let able = others.filter(|(name, member)| standing_obstacles(group, name).is_empty() && in_sync(name, member));
    able.max_by_key(|(name, member)| rank(group, name, member)).map(|(name, _)| name.clone())
}

/// Another member that may still accept writes.
///
/// A claim without a lease is of a master that was left to itself in the pause, and may be of one that is gone. An operator
/// who names the new leader while there is none says that it is.
pub(super) fn claimed_by_other(group: &RedisGroup, me: &MemberName) -> Option<MemberName> {
    let asked = group.failover.as_ref().map(|request| &request.value);
    // A switchover names the leader: it was asked for while there was one, and says nothing of its end.
    let asked = asked.is_some_and(|request| request.leader.is_none() && request.candidate.as_ref() == Some(me));
    let claims = group.members.iter().filter(|(_, member)| member.lease.is_some() || !asked);
    let mut others = claims.filter(|(name, member)| *name != me && member.data.claim);
    others.next().map(|(name, _)| name.clone())
}

/// What decides between two candidates: that there are data; the leadership they come from; how much of its stream; having
/// led last, or having been in sync (a restart can forget where the data come from); and then what an operator prefers.
type Rank<'a> = (bool, Revision, u64, Standing, u64, i64, Reverse<&'a MemberName>);

/// What the last master told of a member's data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Unknown,
    InSync,
    LedLast,
}

fn standing(group: &RedisGroup, name: &MemberName) -> Standing {
    match &group.status {
        Some(status) if status.value.leader.as_ref() == Some(name) => Standing::LedLast,
        Some(status) if status.value.in_sync.contains(name) => Standing::InSync,
        Some(_) | None => Standing::Unknown,
    }
}

fn rank<'a>(group: &RedisGroup, name: &'a MemberName, member: &RedisMember) -> Rank<'a> {
    let data = &member.data;
    let lineage = group.lineage(name, data);
    // Offsets of a stream that began anew with a restart say nothing.
    let is_known = lineage > Revision(0) && group.generation(data) == lineage;
    let comparable = if is_known { data.offset } else { 0 };
    let told = if is_known { Standing::Unknown } else { standing(group, name) };
    (has_data(group, data), lineage, comparable, told, data.keys, data.failover_priority, Reverse(name))
}

/// Who would lead if nobody did, once every member has reported what its entry says now.
pub fn successor(group: &RedisGroup) -> Option<&MemberName> {
    let able = group.members.iter().filter(|(name, _)| obstacles(group, name).is_empty());
    able.max_by_key(|(name, member)| rank(group, name, member)).map(|(name, _)| name)
}

/// May this member take the leader key now? `Ok`: yes, and why; `Err`: no, and why.
pub(super) fn verdict(draft: &Draft<'_>) -> Result<Reason, Reason> {
    let View { me, now, .. } = draft.view;
    let group = draft.group;
    if let Some(by) = claimed_by_other(group, me) {
        return Err(Reason::Obstacle(Obstacle::Claimed { by }));
    }
    let waited = now.since(draft.view.dcs.failsafe.counted_from(draft.memory.leader_missing_since.unwrap_or(*now)));
    let request = group.failover.as_ref().map(|request| &request.value);
    let forced = request.is_some_and(|request| request.force && request.candidate.as_ref() == Some(me));
    let found = if forced { standing_obstacles(group, me) } else { obstacles(group, me) };
    if let Some(obstacle) = found.into_iter().next() {
        return Err(Reason::Obstacle(obstacle));
    }
    let Some(mine) = group.members.get(me) else { return Err(Reason::Obstacle(Obstacle::NotAMember)) };
    if let Some(candidate) = request.and_then(|request| request.candidate.as_ref()) {
        let complete = group.status.as_ref().is_none_or(|status| mine.data.offset >= status.value.offset);
        if candidate == me && (forced || complete || waited >= CANDIDATE_WAIT) {
            return Ok(Reason::AmRequestedCandidate);
        }
        if candidate != me && waited < CANDIDATE_WAIT && obstacles(group, candidate).is_empty() {
            return Err(Reason::WaitingForCandidate { name: candidate.clone() });
        }
    }
    if !reported(mine, draft.memory.last_epoch) {
        return Err(Reason::WaitingForReport { name: me.clone() });
    }
    may_lead_without_data(draft, mine, waited)?;
    may_lead_before_the_others(draft, mine, waited)?;
    let mut better: Vec<(&MemberName, &RedisMember)> = Vec::new();
    let others = group.members.iter().filter(|(name, _)| *name != me);
    for (name, member) in others.filter(|(name, _)| standing_obstacles(group, name).is_empty()) {
        // Until it has reported, its offset is that of some time ago.
        if waited < REPORT_WAIT && !reported(member, draft.memory.last_epoch) {
            return Err(Reason::WaitingForReport { name: name.clone() });
        }
        if rank(group, name, member) > rank(group, me, mine) {
            better.push((name, member));
        }
    }
    let my_turn = Millis(NEXT_BEST_WAIT.0.saturating_mul(better.len() as u64));
    match better.iter().max_by_key(|(name, member)| rank(group, name, member)) {
        Some((name, member)) if waited < REPORT_WAIT + my_turn => {
            Err(Reason::BetterCandidate { name: (*name).clone(), offset: member.data.offset, mine: mine.data.offset })
        }
        _ if group.history().is_empty() => Ok(Reason::FirstMaster),
        _ => Ok(Reason::AmBestCandidate { offset: mine.data.offset }),
    }
}

/// Nobody who is there has data, or it would be an obstacle. One who loads them may have, and one may still come.
fn may_lead_without_data(draft: &Draft<'_>, mine: &RedisMember, waited: Millis) -> Result<(), Reason> {
    let group = draft.group;
    if has_data(group, &mine.data) {
        return Ok(());
    }
    let mut others = group.members.iter().filter(|(name, _)| **name != draft.view.me);
    if let Some((name, _)) = others.find(|(_, member)| member.data.state == RedisRunState::Starting) {
        return Err(Reason::WaitingForReport { name: name.clone() });
    }
    let had = group.status.as_ref().is_some_and(|status| status.value.keys > 0 || status.value.offset > 0);
    let patience = if had { EMPTY_WAIT } else { FIRST_WAIT };
    if waited < patience {
        return Err(Reason::WaitingForData { until: draft.view.now + patience - waited });
    }
    Ok(())
}

/// Nobody who is not up yet can have more than this member, or has been waited for long enough.
fn may_lead_before_the_others(draft: &Draft<'_>, mine: &RedisMember, waited: Millis) -> Result<(), Reason> {
    let (group, me) = (draft.group, &draft.view.me);
    let had = group.status.as_ref().is_some_and(|status| status.value.keys > 0);
    if !had || waited >= NEWER_WAIT {
        return Ok(());
    }
    let own = group.lineage(me, &mine.data);
    let knows = has_nearly_everything(group, &mine.data);
    let told = standing(group, me);
    let has_more = |name: &MemberName, noted: Revision| match group.members.get(name).map(|member| &member.data) {
        // Not back yet.
        None => noted > own || noted == own && !knows && told == Standing::Unknown && standing(group, name) > told,
        Some(it) => {
            let loads = it.state == RedisRunState::Starting && !it.nofailover();
            loads && (noted > own || noted == own && !knows)
        }
    };
    if group.data.iter().any(|(name, noted)| name != me && has_more(name, noted.value)) {
        return Err(Reason::WaitingForNewer { until: draft.view.now + NEWER_WAIT - waited });
    }
    Ok(())
}

/// Of the newest leadership, and about as far as its master last told. What a restart made anew is not known to be.
fn has_nearly_everything(group: &RedisGroup, data: &RedisMemberData) -> bool {
    let newest = group.history().iter().map(|line| line.epoch).max().unwrap_or(Revision(0));
    let end = group.status.as_ref().map_or(0, |status| status.value.offset);
    newest > Revision(0) && group.generation(data) >= newest && data.offset.saturating_add(LAG_SMALL) >= end
}

/// Has this member said how much it has since the last leadership was over?
fn reported(member: &RedisMember, last_epoch: Revision) -> bool {
    member.data.leaderless_at.is_some_and(|at| at > last_epoch)
}
