//! This member holds the leader key under its own valid lease.

use super::decide::{Action, Draft, Job};
use super::election::switchover_obstacles;
use super::memory::SwitchoverStage;
use super::view::{DataDirectory, Request, Running, Server};
use super::{bootstrap, entry, failsafe, standby, switchover, synchronous, timelines};
use crate::cluster::{Fence, HistoryLine, Status, StoreWrite, SyncState};
use crate::guard::StopMode;
use crate::reason::Reason;
use std::collections::BTreeSet;
use types::{Lsn, Millis};

/// A primary that could not be started this often gives its place up, if somebody else can take it.
const START_FAILURES_MAX: u32 = 3;
/// Patroni's `member_slots_ttl`: the slot of a member that is gone keeps its WAL for this long.
const MEMBER_SLOTS_TTL: Millis = Millis(30 * 60 * 1000);

pub(super) fn decide(draft: &mut Draft<'_>, fence: &Fence) {
    let view = draft.view;
    switchover::give_up_a_stop_in_vain(draft);
    if let Some(remote) = draft.config.standby_cluster.as_ref() {
        return standby::lead(draft, fence, remote);
    }
    match &view.postgres.server {
        Server::Running(running) if running.in_recovery => promote(draft, fence),
        Server::Running(running) => serve(draft, fence, running),
        Server::Unresponsive { since, .. } => draft.because(Reason::Unresponsive { since: *since }),
        Server::Starting => starting(draft),
        Server::Down if !draft.job_runs() => down(draft, fence),
        Server::Down | Server::Stopping | Server::Unknown => {}
    }
}

/// The guard must have confirmed the fence before PostgreSQL may become a primary.
fn promote(draft: &mut Draft<'_>, fence: &Fence) {
    let now = draft.view.now;
    draft.because(Reason::Promoting);
    // In the pause nobody is fenced, so the claim must be one that outlives the lease.
    let armed = draft.view.guard.armed.is_some_and(|until| until > now);
    let kept_apart = armed || draft.cluster.is_paused() && entry::claim_is_durable(draft);
    if !draft.view.guard.answering || !kept_apart {
        return draft.because(Reason::GuardNotArmed);
    }
    // So does `/sync`, unless synchronous mode was switched on since, or the cluster was a standby cluster: whoever stands there
    // otherwise has not what is acknowledged here.
    let sync = draft.cluster.sync.as_ref();
    if draft.config.is_synchronous() && sync.is_none_or(|sync| sync.value.leader.as_ref() != Some(&draft.view.me)) {
        let (state, expected) = (SyncState::new(&draft.view.me, BTreeSet::new()), sync.map(|sync| sync.revision));
        return draft.write(StoreWrite::PutSync { fence: fence.clone(), state, expected });
    }
    // It came with the key, unless somebody deleted the history since, or this server started as a primary before.
    let Some(beyond) = timelines::reserved_beyond(draft, fence) else {
        let (lines, _) = timelines::reserve(draft);
        return draft.write(StoreWrite::PutHistory { fence: fence.clone(), lines });
    };
    draft.begin(Job::Promote { beyond });
}

pub(super) fn serve(draft: &mut Draft<'_>, fence: &Fence, running: &Running) {
    draft.because(Reason::Leading { epoch: fence.epoch });
    if draft.job_runs() {
        return;
    }
    if draft.cluster.initialize.as_ref().is_some_and(|initialize| initialize.value.is_empty()) {
        return bootstrap::finish(draft);
    }
    note_history(draft, fence, running);
    note_status(draft, fence, running);
    keep_slots(draft, running);
    failsafe::step(draft, fence);
    if draft.memory.switchover.is_none() {
        synchronous::step(draft, fence, running);
        take_up_request(draft);
    }
    switchover::step(draft, running);
}

/// The server is starting (crash recovery, or a restart): for how long?
pub(super) fn starting(draft: &mut Draft<'_>) {
    let since = not_serving_since(draft);
    if is_over(draft, since) && somebody_can_take_over(draft) {
        draft.begin(Job::Stop { mode: StopMode::Immediate });
    } else {
        draft.wake(since + draft.config.primary_start_timeout);
    }
}

fn down(draft: &mut Draft<'_>, fence: &Fence) {
    let view = draft.view;
    let (was_primary, clean, checkpoint) = match &view.postgres.data {
        DataDirectory::Valid { was_primary, clean, checkpoint, .. } => (*was_primary, *clean, *checkpoint),
        DataDirectory::Invalid { why } => {
            draft.because(Reason::DataDirectoryInvalid { why: why.clone() });
            return release(draft, fence, None);
        }
        DataDirectory::Empty | DataDirectory::Unknown => return release(draft, fence, None),
    };
    if let Some(switchover) = draft.memory.switchover.clone()
        && switchover.stage == SwitchoverStage::Stop
        && clean
    {
        draft.because(Reason::ReleasedForSwitchover { candidate: switchover.candidate });
        return release(draft, fence, Some(checkpoint));
    }
    if draft.cluster.is_paused() {
        draft.because(Reason::Paused);
        return release(draft, fence, None);
    }
    let since = not_serving_since(draft);
    if is_over(draft, since) && somebody_can_take_over(draft) {
        draft.because(Reason::StartTimeoutOver { after: view.now.since(since) });
        return release(draft, fence, None);
    }
    let Some(lease) = view.dcs.lease else { return };
    if was_primary && !synchronous::is_settled(draft, fence) {
        return;
    }
    // A replica that never was promoted must not come up as a primary on the old timeline.
    let upstream = draft.memory.completed_by.clone().filter(|_| !was_primary);
    draft.begin(Job::Start { upstream, fence: was_primary.then(|| lease.fence()) });
}

/// Since when, with the reason.
pub(super) fn not_serving_since(draft: &mut Draft<'_>) -> Millis {
    let since = *draft.memory.down_since.get_or_insert(draft.view.now);
    draft.because(if is_asked_for(draft) { Reason::RequestedRestart } else { Reason::CrashRecovery { since } });
    since
}

/// `primary_start_timeout` is about a primary that went down by itself; the start that an operator asked for is given
/// up only when it fails.
pub(super) fn is_over(draft: &Draft<'_>, since: Millis) -> bool {
    let took_too_long = draft.view.now.since(since) >= draft.config.primary_start_timeout;
    took_too_long && !is_asked_for(draft) || draft.memory.failures("start") >= START_FAILURES_MAX
}

/// It is down because somebody wanted that, and is not to lead otherwise than it was.
fn is_asked_for(draft: &Draft<'_>) -> bool {
    draft.memory.restarting || draft.memory.realigning && draft.config.standby_cluster.is_some()
}

pub(super) fn somebody_can_take_over(draft: &Draft<'_>) -> bool {
    draft.cluster.members.keys().any(|name| switchover_obstacles(draft.cluster, draft.config, name).is_empty())
}

/// The leadership was given up, and the view does not show it yet.
pub(super) fn release_again(draft: &mut Draft<'_>, fence: &Fence) {
    draft.because(Reason::NoLease);
    let end = match &draft.view.postgres.data {
        _ if standby::is_surely_replica(draft) => draft.view.postgres.server.running().map(Running::position),
        DataDirectory::Valid { clean: true, checkpoint, .. } => Some(*checkpoint),
        DataDirectory::Valid { .. } | DataDirectory::Empty | DataDirectory::Unknown | DataDirectory::Invalid { .. } => {
            None
        }
    };
    if draft.view.postgres.server.is_down() && !draft.job_runs() || standby::is_surely_replica(draft) {
        release(draft, fence, end);
    }
}

/// Gives the leadership up; PostgreSQL is not running here or surely is a replica, and the addresses of the role are gone.
pub(super) fn release(draft: &mut Draft<'_>, fence: &Fence, end: Option<Lsn>) {
    let Some(lease) = draft.view.dcs.lease else { return };
    draft.gives_up = true;
    if !draft.view.addresses.is_empty() {
        return draft.because(Reason::AddressesLeave);
    }
    let mut member = entry::build(draft, false);
    if let Some(quorate) = &mut member.quorate {
        quorate.leaderless_at = None;
        quorate.writable = false;
    }
    let slots = draft.cluster.status.as_ref().map(|status| status.value.slots.clone()).unwrap_or_default();
    // The last checkpoint of a replica is not the end of its log.
    let known = if draft.config.standby_cluster.is_some() { super::decide::known_end(draft.cluster) } else { Lsn(0) };
    let end = end.map(|end| end.max(known));
    draft.memory.released = Some(fence.epoch);
    draft.write(StoreWrite::ReleaseLeader {
        fence: fence.clone(),
        lease: lease.id,
        member: Box::new(member),
        status: end.map(|optime| Status { optime, slots }),
    });
}

pub(super) fn note_status(draft: &mut Draft<'_>, fence: &Fence, running: &Running) {
    let now = draft.view.now;
    let due = match draft.memory.status_written {
        None => true,
        Some((at, lsn)) => lsn != running.position() && now.since(at) >= draft.config.loop_wait,
    };
    if due {
        draft.memory.status_written = Some((now, running.position()));
        let slots = draft.cluster.status.as_ref().map(|status| status.value.slots.clone()).unwrap_or_default();
        let status = Status { optime: running.position(), slots };
        draft.write(StoreWrite::PutStatus { fence: fence.clone(), status });
    }
}

/// Adds the lines of PostgreSQL's own history file that the store does not have, with when and who.
fn note_history(draft: &mut Draft<'_>, fence: &Fence, running: &Running) {
    if running.history.is_empty() {
        return;
    }
    let known = draft.cluster.history.as_ref().map(|history| history.value.clone()).unwrap_or_default();
    let mut lines: Vec<HistoryLine> = Vec::new();
    for line in &running.history {
        let old = known.iter().find(|old| !old.is_reserved() && old.timeline == line.timeline && old.lsn == line.lsn);
        lines.push(old.unwrap_or(line).clone());
    }
    // A primary has begun the timeline it is on. A line of the same place with another name is of a leader that began
    // one of the same number before, and that nobody follows any more.
    if let Some(last) = lines.last_mut()
        && (last.timestamp.is_none() || last.new_leader.as_deref() != Some(draft.view.me.as_str()))
    {
        last.timestamp = Some(draft.view.wall.clone());
        last.new_leader = Some(draft.view.me.to_string());
    }
    lines.extend(timelines::passed_over(&known, &lines));
    if lines != known {
        draft.write(StoreWrite::PutHistory { fence: fence.clone(), lines });
    }
}

pub(super) fn keep_slots(draft: &mut Draft<'_>, running: &Running) {
    if !draft.config.use_slots {
        return;
    }
    let now = draft.view.now;
    for name in draft.cluster.members.keys().filter(|name| **name != draft.view.me) {
        draft.memory.member_slots.insert(slot_name(name.as_str()), now);
    }
    let exists = |slot: &String| running.slots.contains(slot);
    let gone = |seen: Millis| now.since(seen) > MEMBER_SLOTS_TTL;
    let slots = &draft.memory.member_slots;
    let create: Vec<String> =
        slots.iter().filter(|(slot, seen)| !gone(**seen) && !exists(slot)).map(|(slot, _)| slot.clone()).collect();
    let drop: Vec<String> =
        slots.iter().filter(|(slot, seen)| gone(**seen) && exists(slot)).map(|(slot, _)| slot.clone()).collect();
    draft.memory.member_slots.retain(|_, seen| !gone(*seen));
    if !create.is_empty() || !drop.is_empty() {
        draft.actions.push(Action::Slots { create, drop });
    }
}

/// Patroni's rule: lower case, `-` and `.` become `_`, anything else its code point, at most 63 characters.
pub fn slot_name(member: &str) -> String {
    let mut slot = String::new();
    for character in member.to_lowercase().chars() {
        match character {
            'a'..='z' | '0'..='9' | '_' => slot.push(character),
            '-' | '.' => slot.push('_'),
            other => slot.extend(['u'].into_iter().chain(format!("{:04}", u32::from(other)).chars())),
        }
    }
    slot.truncate(63);
    slot
}

pub(super) fn take_up_request(draft: &mut Draft<'_>) {
    let Some(request) = draft.view.requests.first() else { return };
    match request {
        Request::Restart if draft.memory.restarting => {}
        Request::Restart => {
            draft.because(Reason::RequestedRestart);
            draft.memory.restarting = true;
            draft.begin(Job::Stop { mode: StopMode::Fast });
            draft.actions.push(Action::AnswerRequest { result: Ok(()) });
        }
        Request::Reinitialize { .. } => draft.actions.push(Action::AnswerRequest {
            result: Err("the leader cannot be reinitialized; switch over first".to_owned()),
        }),
    }
}
