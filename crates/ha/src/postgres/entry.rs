//! The own entry `/members/<me>`: when it changes, and how the claim in it is kept.

use super::decide::Job;
use super::decide::{Action, Draft};
use super::memory::Switchover;
use super::standby;
use super::view::{DataDirectory, JobState, Server, View};
use crate::cluster::{MemberData, Quorate, Role, RunState, StoreWrite};
use types::LeaseId;

/// What this member says of itself now. `claim`: PostgreSQL may be, or may become, writable.
pub(super) fn build(draft: &Draft<'_>, claim: bool) -> MemberData {
    let view = draft.view;
    let running = view.postgres.server.running();
    let mut data = view.identity.clone();
    data.tags = view.tags.clone();
    data.state = state(view);
    let leads = draft.fence().is_some_and(|fence| draft.memory.released != Some(fence.epoch)) && !draft.gives_up;
    data.role = match running {
        Some(running) if !running.in_recovery => Role::Primary,
        Some(_) if leads && draft.config.standby_cluster.is_some() => Role::StandbyLeader,
        _ => Role::Replica,
    };
    if matches!(view.postgres.data, DataDirectory::Empty) {
        data.role = Role::Uninitialized;
    }
    if let Some(running) = running {
        data.timeline = Some(running.timeline);
        data.xlog_location = Some(running.position());
        data.pending_restart = running.pending_restart.then_some(true);
        if running.in_recovery {
            data.receive_lsn = running.receive;
            data.replay_lsn = running.replay;
            data.replication_state = running.streaming.then(|| "streaming".to_owned());
        }
    } else if let DataDirectory::Valid { timeline, checkpoint, .. } = &view.postgres.data {
        data.timeline = Some(*timeline);
        data.xlog_location = Some(*checkpoint);
    }
    data.pause = draft.cluster.is_paused().then_some(true);
    let Quorate { services, cloned_percent, .. } = data.quorate.take().unwrap_or_default();
    data.quorate = Some(Quorate {
        services,
        cloned_percent: cloned_percent.filter(|_| data.state == RunState::CreatingReplica),
        claim,
        leaderless_at: draft.cluster.leader.is_none().then_some(draft.cluster.revision),
        // A server that is about to stop refuses new clients; the proxies hold them instead.
        writable: is_writable(draft),
        addresses: draft.view.addresses.clone(),
        pools: view.hold.pause_max,
        pause_pools: draft.memory.switchover.as_ref().and_then(Switchover::holds_clients),
        pools_paused: view.hold.paused_for,
    });
    data
}

/// PostgreSQL takes writes under this member's leadership, and goes on to do so.
pub(super) fn is_writable(draft: &Draft<'_>) -> bool {
    let running = draft.view.postgres.server.running();
    running.is_some_and(|running| !running.in_recovery) && draft.fence().is_some() && !stops(draft)
}

pub(super) fn stops(draft: &Draft<'_>) -> bool {
    let is_stop = |job: &Job| matches!(job, Job::Stop { .. });
    let runs =
        draft.view.job.as_ref().is_some_and(|job| matches!(job.state, JobState::Running { .. }) && is_stop(&job.job));
    runs || draft.actions.iter().any(|action| matches!(action, Action::Begin(job) if is_stop(job)))
}

fn state(view: &View) -> RunState {
    let job = view.job.as_ref().filter(|job| matches!(job.state, JobState::Running { .. })).map(|job| &job.job);
    match (&view.postgres.server, job) {
        (_, Some(Job::Initdb)) => RunState::Initdb,
        (_, Some(Job::Clone { .. })) => RunState::CreatingReplica,
        (Server::Running(_) | Server::Unresponsive { .. }, Some(Job::Stop { .. })) | (Server::Stopping, _) => {
            RunState::Stopping
        }
        (Server::Running(_) | Server::Unresponsive { .. }, _) => RunState::Running,
        (Server::Starting, _) | (_, Some(Job::Start { .. })) => RunState::Starting,
        (Server::Down | Server::Unknown, _) => RunState::Stopped,
    }
}

/// Writes the entry when it says something new. Positions alone are worth a write only once per `loop_wait`, except
/// while there is no leader: then the election waits for them.
pub(super) fn publish(draft: &mut Draft<'_>) {
    let view = draft.view;
    let Some(lease) = view.dcs.lease.filter(|lease| lease.is_valid(view.now)) else {
        return draft.because(crate::reason::Reason::NoLease);
    };
    if draft.finished || writes_entry_already(draft) {
        return;
    }
    let present = draft.cluster.members.get(&view.me);
    let claimed = present.is_some_and(|member| member.data.claims_primary());
    let certainly_not_primary = view.addresses.is_empty() && view.postgres.server.is_down() && !draft.job_runs()
        || view.postgres.server.running().is_some_and(|running| running.in_recovery)
            && !draft.memory.promoting
            && view.guard.armed.is_none()
            && view.addresses.is_empty();
    let primary = view.postgres.server.running().is_some_and(|running| !running.in_recovery);
    // A claim is only ever dropped when PostgreSQL cannot be a primary: stopped, or seen in recovery and not under a
    // fence, which would mean that it was to be promoted; and when the primary's addresses are gone from here.
    let claim = draft.fence().is_some() || primary || (claimed && !certainly_not_primary);
    let mut data = build(draft, claim);
    let leaderless_since = draft.memory.leader_missing_since;
    let report_is_fresh = match (view.postgres.server.running(), leaderless_since) {
        (Some(running), Some(since)) => running.observed_at >= since,
        _ => true,
    };
    if !report_is_fresh {
        if let Some(quorate) = &mut data.quorate {
            quorate.leaderless_at = None;
        }
        draft.actions.push(Action::Probe);
    }
    let bound_to = if claim { lease_of_claim(draft, lease.id) } else { Some(lease.id) };
    // Before the first write of this worker nobody knows what the one before has sent (failsafe mode).
    let introduced = draft.view.dcs.failsafe.introduced || draft.cluster.failsafe.is_none();
    if let Some(member) = present
        && introduced
        && member.lease == bound_to
        && !is_news(draft, &member.data, &mut data)
    {
        return;
    }
    draft.memory.entry_written_at = view.now;
    draft.write(StoreWrite::PutMember {
        me: view.me.clone(),
        lease: bound_to,
        member: Box::new(data),
        expected: present.map(|member| member.revision),
    });
}

/// In the pause nothing fences a primary, so its claim must not end with a lease. It goes back to the lease once the guard is
/// armed again.
pub(super) fn lease_of_claim(draft: &Draft<'_>, lease: LeaseId) -> Option<LeaseId> {
    let armed = draft.view.guard.armed.is_some_and(|until| until > draft.view.now);
    // Whoever leads a standby cluster writes nothing that others had to be kept from.
    let standby = draft.config.standby_cluster.is_some() && standby::is_surely_replica(draft);
    let durable = !standby && (draft.cluster.is_paused() || claim_is_durable(draft) && !armed);
    (!durable).then_some(lease)
}

/// The store keeps the claim of this member even without its lease.
pub(super) fn claim_is_durable(draft: &Draft<'_>) -> bool {
    let mine = draft.cluster.members.get(&draft.view.me);
    mine.is_some_and(|mine| mine.lease.is_none() && mine.data.claims_primary())
}

fn writes_entry_already(draft: &Draft<'_>) -> bool {
    draft
        .actions
        .iter()
        .any(|action| matches!(action, Action::Write(StoreWrite::TakeLeader { .. } | StoreWrite::ReleaseLeader { .. })))
}

fn is_news(draft: &Draft<'_>, old: &MemberData, new: &mut MemberData) -> bool {
    let leaderless = draft.cluster.leader.is_none();
    // A report about this very absence of a leader stands until the position moves.
    if let (Some(old), Some(new)) = (&old.quorate, &mut new.quorate)
        && old.leaderless_at.is_some_and(|at| at > draft.memory.last_epoch)
        && new.leaderless_at.is_some()
    {
        new.leaderless_at = old.leaderless_at;
    }
    if *old == *new {
        return false;
    }
    let mut same_place = old.clone();
    same_place.xlog_location = new.xlog_location;
    same_place.receive_lsn = new.receive_lsn;
    same_place.replay_lsn = new.replay_lsn;
    let only_positions = same_place == *new;
    if !only_positions {
        return true;
    }
    let replay_only = old.position() == new.position();
    (leaderless && !replay_only) || draft.view.now.since(draft.memory.entry_written_at) >= draft.config.loop_wait
}
