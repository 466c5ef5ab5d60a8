//! The own entry `redis/<group>/members/<me>`: when it changes, and how the claim in it is kept.

use super::decide::{Action, Job};
use super::draft::Draft;
use super::memory::Stage;
use super::reason::Reason;
use super::view::{JobState, Server, ServerRole};
use crate::cluster::redis::{RedisMemberData, RedisRole, RedisRunState, RedisWrite};
use types::LeaseId;

/// What this member says of itself now. `claim`: Redis may be, or may become, a master.
pub(super) fn build(draft: &Draft<'_>, claim: bool) -> RedisMemberData {
    let view = draft.view;
    let mut data = view.identity.clone();
    data.state = state(draft);
    if let Some(running) = view.server.running() {
        data.run_id = Some(running.run_id.clone()).filter(|id| !id.is_empty());
        data.replid = Some(running.replid.clone()).filter(|id| !id.is_empty());
        data.replid2.clone_from(&running.replid2);
        data.offset = running.offset;
        data.keys = running.keys;
        match &running.role {
            ServerRole::Master => data.role = RedisRole::Master,
            ServerRole::Replica { of, link_up } => {
                data.role = RedisRole::Replica;
                data.link_up = *link_up;
                data.following.clone_from(of);
            }
        }
    }
    data.claim = claim;
    data.leaderless_at = draft.group.leader.is_none().then_some(draft.revision);
    // A server that is about to stop is routed to no longer.
    data.writable =
        data.role == RedisRole::Master && draft.fence().is_some() && data.is_running() && !writes_wait(draft);
    data.pause = draft.is_paused();
    data.trouble.clone_from(&view.trouble);
    data.addresses.clone_from(&view.addresses);
    data
}

/// The master under this member's leadership, whose writes do not wait; also while it does not answer for a moment.
pub(super) fn leads_clients(draft: &Draft<'_>) -> bool {
    let master = draft.view.server.is_master();
    master && draft.fence().is_some() && !stops(draft) && !steps_down(draft) && !writes_wait(draft)
}

/// It is being told to follow somebody.
fn steps_down(draft: &Draft<'_>) -> bool {
    let is_step = |job: &Job| matches!(job, Job::Follow { .. } | Job::StepDown { .. });
    let runs = draft.job_runs() && draft.view.job.as_ref().is_some_and(|job| is_step(&job.job));
    runs || draft.actions.iter().any(|action| matches!(action, Action::Begin(job) if is_step(job)))
}

/// In a switchover: nobody is led here any more, or a client that comes back after it was cut would meet a replica.
fn writes_wait(draft: &Draft<'_>) -> bool {
    draft.memory.switchover.as_ref().is_some_and(|switchover| match switchover.stage {
        Stage::Pause => false,
        Stage::WaitOffset | Stage::Demote { .. } | Stage::CatchUp { .. } | Stage::HandOver { .. } => true,
    })
}

/// For the transaction that gives the leadership up.
pub(super) fn without_claim(draft: &Draft<'_>) -> RedisMemberData {
    RedisMemberData { writable: false, leaderless_at: None, ..build(draft, false) }
}

pub(super) fn stops(draft: &Draft<'_>) -> bool {
    let is_stop = |job: &Job| matches!(job, Job::Stop { .. });
    let runs =
        draft.view.job.as_ref().is_some_and(|job| matches!(job.state, JobState::Running { .. }) && is_stop(&job.job));
    runs || draft.actions.iter().any(|action| matches!(action, Action::Begin(job) if is_stop(job)))
}

fn state(draft: &Draft<'_>) -> RedisRunState {
    match &draft.view.server {
        Server::Running(_) | Server::Silent { .. } if stops(draft) => RedisRunState::Stopping,
        Server::Running(_) => RedisRunState::Running,
        Server::Silent { .. } => RedisRunState::Unresponsive,
        Server::Starting => RedisRunState::Starting,
        Server::Down | Server::Unknown => RedisRunState::Stopped,
    }
}

/// Writes the entry when it says something new. Offsets alone are worth a write only once per `loop_wait`, except while
/// there is no leader: then the election waits for them.
pub(super) fn publish(draft: &mut Draft<'_>) {
    let view = draft.view;
    let Some(lease) = view.dcs.lease.filter(|lease| lease.is_valid(view.now)) else {
        return draft.because(Reason::NoLease);
    };
    if draft.finished || writes_entry_already(draft) {
        return;
    }
    let present = draft.group.members.get(&view.me);
    let claimed = present.is_some_and(|member| member.data.claim);
    // A claim is only ever dropped when Redis cannot be a master and the master's addresses are gone from here.
    let claim = draft.fence().is_some()
        || view.server.is_master()
        || (claimed && !draft.certainly_no_master())
        || !view.addresses.is_empty();
    let mut data = build(draft, claim);
    let report_is_fresh = match (view.server.running(), draft.memory.leader_missing_since) {
        (Some(running), Some(since)) => running.observed_at >= since,
        (Some(_) | None, _) => true,
    };
    if !report_is_fresh {
        data.leaderless_at = None;
        // One that does not answer is asked again in any case, with pauses.
        if matches!(view.server, Server::Running(_)) {
            draft.actions.push(Action::Probe);
        }
    }
    let bound_to = if claim { lease_of_claim(draft, lease.id) } else { Some(lease.id) };
    // Before the first write of this worker nobody knows what the one before has sent (failsafe mode).
    let introduced = view.dcs.failsafe.introduced || draft.failsafe.is_none();
    if let Some(member) = present
        && introduced
        && member.lease == bound_to
        && !is_news(draft, &member.data, &mut data)
    {
        return;
    }
    draft.memory.entry_written_at = view.now;
    let expected = present.map(|member| member.revision);
    draft.write(RedisWrite::PutMember { me: view.me.clone(), lease: bound_to, member: Box::new(data), expected });
}

/// What this member has comes from the present leadership: noted once, so that it is known also after everything was down.
pub(super) fn note_data(draft: &mut Draft<'_>) {
    let Some(leader) = &draft.group.leader else { return };
    let noted = draft.group.data.get(&draft.view.me);
    if draft.memory.data_epoch != Some(leader.epoch) || noted.is_some_and(|noted| noted.value >= leader.epoch) {
        return;
    }
    let (me, epoch, expected) = (draft.view.me.clone(), leader.epoch, noted.map(|noted| noted.revision));
    draft.write(RedisWrite::PutData { me, epoch, expected });
}

/// In the pause nothing fences a master, so its claim must not end with a lease. It goes back to the lease once the guard is
/// armed again.
pub(super) fn lease_of_claim(draft: &Draft<'_>, lease: LeaseId) -> Option<LeaseId> {
    let durable = draft.is_paused() || claim_is_durable(draft) && !draft.is_armed();
    (!durable).then_some(lease)
}

/// The store keeps the claim of this member even without its lease.
pub(super) fn claim_is_durable(draft: &Draft<'_>) -> bool {
    let mine = draft.group.members.get(&draft.view.me);
    mine.is_some_and(|mine| mine.lease.is_none() && mine.data.claim)
}

fn writes_entry_already(draft: &Draft<'_>) -> bool {
    draft.actions.iter().any(|action| match action {
        Action::Write(RedisWrite::TakeLeader { .. } | RedisWrite::ReleaseLeader { .. } | RedisWrite::HandOver(_)) => {
            true
        }
        Action::Write(
            RedisWrite::PutMember { .. }
            | RedisWrite::PutData { .. }
            | RedisWrite::AllowOverwrite { .. }
            | RedisWrite::PutStatus { .. }
            | RedisWrite::PutHistory { .. }
            | RedisWrite::PutFailover { .. }
            | RedisWrite::DeleteFailover { .. },
        )
        | Action::Begin(_)
        | Action::Probe => false,
    })
}

fn is_news(draft: &Draft<'_>, old: &RedisMemberData, new: &mut RedisMemberData) -> bool {
    // A report about this very absence of a leader stands until the offset moves.
    if old.leaderless_at.is_some_and(|at| at > draft.memory.last_epoch) && new.leaderless_at.is_some() {
        new.leaderless_at = old.leaderless_at;
    }
    if *old == *new {
        return false;
    }
    let same_place = RedisMemberData { offset: new.offset, keys: new.keys, ..old.clone() };
    if same_place != *new {
        return true;
    }
    let moved = old.offset != new.offset;
    draft.group.leader.is_none() && moved
        || draft.view.now.since(draft.memory.entry_written_at) >= draft.config.loop_wait
}
