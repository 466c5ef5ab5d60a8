//! This member holds the leader key under its own valid lease.

use super::decide::Job;
use super::draft::Draft;
use super::election::{data_elsewhere, has_data, in_sync_candidate, lost_its_data, standing_obstacles};
use super::memory::Stage;
use super::reason::Reason;
use super::view::{Running, Server};
use super::{entry, switchover};
use crate::cluster::redis::{HISTORY_LINES_MAX, RedisFence, RedisHistoryLine, RedisStatus, RedisWrite};
use crate::guard::StopMode;
use types::{MemberName, Millis};

/// A master that hangs while nobody could take over is left this long: it may be busy with one long command.
const ALONE_HANG_MAX: Millis = Millis(10_000);
/// A master that comes back later than this, and could be replaced, is replaced. Longer than it takes to load what a cache
/// of ordinary size has on its disk.
const RESTART_WAIT: Millis = Millis(2000);
/// A Redis that could not be started this often gives its place up.
const START_FAILURES_MAX: u32 = 3;

pub(super) fn decide(draft: &mut Draft<'_>, fence: &RedisFence) {
    match &draft.view.server {
        Server::Running(running) if running.is_master() => serve(draft, fence, running),
        Server::Running(running) => promote(draft, fence, running),
        Server::Silent { since, refused, last } => hanging(draft, *since, *refused, last.is_master()),
        Server::Starting => starting(draft),
        Server::Down if !draft.job_runs() => down(draft, fence),
        Server::Down | Server::Unknown => {}
    }
}

/// Redis is a replica: because the key was just taken or handed to us, because it was started again, or because it was
/// demoted for a switchover.
fn promote(draft: &mut Draft<'_>, fence: &RedisFence, running: &Running) {
    if let Some(switchover) = &draft.memory.switchover {
        match switchover.stage {
            Stage::CatchUp { since, .. } => return switchover::catch_up(draft, since),
            Stage::HandOver { since } => return switchover::hand_over(draft, fence, since),
            Stage::Pause | Stage::WaitOffset | Stage::Demote { .. } if draft.job_runs() => return,
            Stage::Pause | Stage::WaitOffset | Stage::Demote { .. } => {
                switchover::abort(draft, "Redis became a replica in the middle of it");
            }
        }
    }
    if draft.job_runs() {
        return draft.because(Reason::Promoting);
    }
    // Whatever the worker before this one had begun, such as handing the key over, may still arrive in the store.
    if draft.memory.first_revision.is_some_and(|first| fence.epoch <= first) {
        draft.because(Reason::LeadershipOfBefore);
        if draft.certainly_no_master() {
            return release(draft, fence);
        }
        // Not merely told to follow: a promotion that the other worker sent may be read after that.
        draft.begin(Job::Stop { mode: StopMode::Kill });
        return;
    }
    if let Some(reason) = data_elsewhere(draft, running)
        .map(|name| Reason::GivesWayToData { name })
        .or_else(|| lost_its_data(draft, running).then_some(Reason::LostItsData))
    {
        draft.because(reason);
        return release_for_certain(draft, fence);
    }
    draft.because(Reason::Promoting);
    // In the pause nobody is fenced, so the claim must be one that outlives the lease.
    let kept_apart = draft.is_armed() || draft.is_paused() && entry::claim_is_durable(draft);
    if !draft.view.guard.answering || !kept_apart {
        return draft.because(Reason::GuardNotArmed);
    }
    draft.memory.began_empty = running.keys == 0;
    draft.begin(Job::Promote { fence: fence.clone() });
}

fn serve(draft: &mut Draft<'_>, fence: &RedisFence, running: &Running) {
    draft.because(match &draft.view.trouble {
        None => Reason::Leading { epoch: fence.epoch },
        Some(_) => Reason::LeadingUnseen { epoch: fence.epoch },
    });
    note_history(draft, fence, running);
    note_status(draft, fence, running);
    entry::note_data(draft);
    if draft.job_runs() {
        return;
    }
    if draft.memory.unpause {
        draft.begin(Job::Unpause);
        return;
    }
    if draft.memory.began_empty
        && draft.memory.switchover.is_none()
        && let Some(name) = data_elsewhere(draft, running)
    {
        // Nobody has written anything here yet.
        draft.because(Reason::GivesWayToData { name });
        draft.begin(Job::Follow { leader: None });
        return;
    }
    switchover::step(draft, fence, running);
}

fn hanging(draft: &mut Draft<'_>, since: Millis, refused: bool, was_master: bool) {
    draft.because(Reason::Unresponsive { since });
    if draft.is_paused() {
        return draft.because(Reason::Paused);
    }
    let down_after = draft.view.settings.down_after;
    let for_long = draft.view.now.since(since);
    let somebody = in_sync_candidate(draft).is_some();
    let limit = match (somebody, refused && was_master) {
        (true, true) => Millis::ZERO,
        (true, false) => down_after,
        (false, _) => down_after.max(ALONE_HANG_MAX),
    };
    if for_long < limit {
        return draft.wake(since + limit);
    }
    draft.because(Reason::Hanging { since });
    draft.begin(Job::Stop { mode: StopMode::Kill });
}

/// Redis loads its data.
fn starting(draft: &mut Draft<'_>) {
    let since = not_serving_since(draft);
    if draft.view.now.since(since) >= RESTART_WAIT && somebody_can_take_over(draft) {
        draft.begin(Job::Stop { mode: StopMode::Kill });
    } else {
        draft.wake(since + RESTART_WAIT);
    }
}

fn down(draft: &mut Draft<'_>, fence: &RedisFence) {
    if let Some(switchover) = &draft.memory.switchover
        && let Stage::HandOver { since } = switchover.stage
    {
        return switchover::hand_over(draft, fence, since);
    }
    if draft.is_paused() {
        draft.because(Reason::Paused);
        return release(draft, fence);
    }
    // Under a leadership of before it would not be promoted again, so starting it serves nobody.
    if draft.memory.first_revision.is_some_and(|first| fence.epoch <= first) {
        draft.because(Reason::LeadershipOfBefore);
        return release(draft, fence);
    }
    // First seen down, and a replica has all that was sent to it: at once.
    if let Some(name) = in_sync_candidate(draft) {
        draft.because(Reason::Exited { candidate: Some(name) });
        return release(draft, fence);
    }
    let since = not_serving_since(draft);
    let late = draft.view.now.since(since) >= RESTART_WAIT || draft.memory.failures("start") >= START_FAILURES_MAX;
    if late && somebody_can_take_over(draft) {
        draft.because(Reason::RestartFailed);
        return release(draft, fence);
    }
    draft.because(Reason::Exited { candidate: None });
    draft.wake(since + RESTART_WAIT);
    draft.begin(Job::Start { upstream: None });
}

fn not_serving_since(draft: &mut Draft<'_>) -> Millis {
    let since = *draft.memory.down_since.get_or_insert(draft.view.now);
    draft.because(Reason::RestartingInPlace { since });
    since
}

/// Anybody who runs and has data, however old: better than a master that does not come back.
fn somebody_can_take_over(draft: &Draft<'_>) -> bool {
    let group = draft.group;
    let mut others = group.members.iter().filter(|(name, _)| **name != draft.view.me);
    others.any(|(name, member)| standing_obstacles(group, name).is_empty() && has_data(group, &member.data))
}

/// The leadership was given up, and the view does not show it yet.
pub(super) fn given_up(draft: &mut Draft<'_>, fence: &RedisFence) {
    if let Server::Silent { since, .. } = &draft.view.server {
        // Neither a replica for certain nor gone; then it had better be gone.
        let since = *since;
        draft.because(Reason::Unresponsive { since });
        if draft.view.now.since(since) >= draft.view.settings.down_after {
            draft.begin(Job::Stop { mode: StopMode::Kill });
        }
        return draft.wake(since + draft.view.settings.down_after);
    }
    if let Some(switchover) = &draft.memory.switchover
        && let Stage::HandOver { since } = switchover.stage
    {
        return switchover::hand_over(draft, fence, since);
    }
    draft.because(Reason::GivenUp);
    release_for_certain(draft, fence);
}

/// A replica under a fence is taken for one that may be promoted; said once more, it certainly is none.
fn release_for_certain(draft: &mut Draft<'_>, fence: &RedisFence) {
    if draft.certainly_no_master() {
        release(draft, fence);
    } else if matches!(&draft.view.server, Server::Running(running) if !running.is_master()) {
        // If that was not enough, a promotion is on its way that nobody can call back.
        let still_uncertain = draft.memory.promoting || draft.memory.demoted;
        draft.begin(if still_uncertain { Job::Stop { mode: StopMode::Kill } } else { Job::Follow { leader: None } });
    }
}

/// Gives the leadership up. Only where Redis is certainly no master, and when the master's addresses are gone.
pub(super) fn release(draft: &mut Draft<'_>, fence: &RedisFence) {
    let Some(lease) = draft.view.dcs.lease else { return };
    if !draft.view.addresses.is_empty() {
        return draft.because(Reason::AddressesLeave);
    }
    draft.memory.given_up = Some(fence.epoch);
    draft.memory.switchover = None;
    let member = Box::new(entry::without_claim(draft));
    // How far the data went is known from before, if it has none itself.
    let running = draft.view.server.running().filter(|running| running.keys > 0);
    let status = running.map(|running| status(&draft.view.me, running));
    draft.write(RedisWrite::ReleaseLeader { fence: fence.clone(), lease: lease.id, member, status });
}

pub(super) fn status(me: &MemberName, running: &Running) -> RedisStatus {
    let online = running.replicas.iter().filter(|replica| replica.online);
    RedisStatus {
        replid: running.replid.clone(),
        offset: running.offset,
        keys: running.keys,
        leader: Some(me.clone()),
        in_sync: online.map(|replica| replica.name.clone()).collect(),
    }
}

fn note_status(draft: &mut Draft<'_>, fence: &RedisFence, running: &Running) {
    let now = draft.view.now;
    let status = status(&draft.view.me, running);
    let due = match draft.memory.status_written {
        None => true,
        Some((at, offset)) => offset != running.offset && now.since(at) >= draft.config.loop_wait,
    };
    let others = draft.group.status.as_ref().is_some_and(|known| known.value.in_sync != status.in_sync);
    if due || others {
        draft.memory.status_written = Some((now, running.offset));
        draft.write(RedisWrite::PutStatus { fence: fence.clone(), status });
    }
}

/// Which replication id this leadership has: how the others recognise data that come from it.
fn note_history(draft: &mut Draft<'_>, fence: &RedisFence, running: &Running) {
    let known = draft.group.history();
    if running.replid.is_empty() || known.iter().any(|line| line.epoch == fence.epoch && line.replid == running.replid)
    {
        return;
    }
    let mut lines = known.to_vec();
    lines.push(RedisHistoryLine {
        epoch: fence.epoch,
        leader: draft.view.me.clone(),
        replid: running.replid.clone(),
        offset: running.offset,
        empty: draft.memory.began_empty,
        timestamp: Some(draft.view.wall.clone()),
    });
    let surplus = lines.len().saturating_sub(HISTORY_LINES_MAX);
    lines.drain(..surplus);
    draft.write(RedisWrite::PutHistory { fence: fence.clone(), lines });
}
