//! Another member holds the leader key.

use super::decide::{Action, Draft, Job};
use super::leading::slot_name;
use super::timelines;
use super::view::{DataDirectory, Request, Running, Server};
use crate::cluster::Role;
use crate::guard::StopMode;
use crate::reason::Reason;
use std::collections::BTreeSet;
use types::{MemberName, Millis, Timeline};

/// A replica that does not stream from a leader that serves is looked at after this time: usually its history went
/// another way. Long enough for a walreceiver's own retry (`wal_retrieve_retry_interval`).
pub(super) const STREAM_WAIT: Millis = Millis(6000);
/// A replica that is still starting after this time is stopped, and its history is compared with the leader's. Each time
/// in vain doubles the wait, without end: a recovery that is only long gets the time it needs.
const START_WAIT: Millis = Millis(15_000);
/// Looking at it costs a stop, so every time in vain doubles the wait, up to this.
const STREAM_WAIT_MAX: Millis = Millis(60_000);
/// A directory whose history was found to fit, and that did not stream after so many starts, does not fit. (Two servers
/// can give one timeline two histories, which no comparison of timelines shows.)
const FUTILE_STARTS_MAX: u32 = 2;

pub(super) fn decide(draft: &mut Draft<'_>, leader: &MemberName) {
    let view = draft.view;
    if let Server::Running(running) | Server::Unresponsive { last: running, .. } = &view.postgres.server
        && !running.in_recovery
    {
        draft.because(Reason::AnotherLeads { leader: leader.clone() });
        draft.begin(Job::Stop { mode: StopMode::Immediate });
        return;
    }
    if draft.cluster.is_paused() {
        return draft.because(Reason::Paused);
    }
    if draft.job_runs() {
        return;
    }
    if take_up_request(draft, leader) {
        return;
    }
    match &view.postgres.server {
        Server::Running(running) => follow(draft, leader, running),
        Server::Down => come_back(draft, leader),
        Server::Unresponsive { since, .. } => draft.because(Reason::Unresponsive { since: *since }),
        Server::Starting => starting(draft, leader),
        Server::Unknown | Server::Stopping => draft.because(Reason::Following { leader: leader.clone() }),
    }
}

fn follow(draft: &mut Draft<'_>, leader: &MemberName, running: &Running) {
    draft.because(Reason::Following { leader: leader.clone() });
    if draft.view.postgres.following.as_ref() != Some(&leader.into()) {
        draft.memory.not_streaming_since = None;
        return draft.actions.push(Action::Follow { source: leader.into() });
    }
    let Some(since) = draft.memory.not_streaming_since else { return leave_no_slots(draft, running) };
    draft.because(Reason::NotStreaming { since });
    // A standby leader that was chosen while this one was away may have less of the remote primary's log. It gets there; what is
    // here and nowhere else must not be thrown away for it.
    if draft.config.standby_cluster.is_some() && is_ahead(draft, running) {
        return;
    }
    let wait = Millis(STREAM_WAIT.0.saturating_mul(1 << draft.memory.futile_starts.min(8))).min(STREAM_WAIT_MAX);
    draft.wake(since + wait);
    if leader_serves(draft) && draft.view.now.since(since) >= wait && draft.begin(Job::Stop { mode: StopMode::Fast }) {
        draft.memory.futile_starts = draft.memory.futile_starts.saturating_add(1);
        // The leader was reached and the comparison found nothing, and still it does not stream.
        if draft.memory.rejoined.take().is_some() && draft.memory.futile_starts >= FUTILE_STARTS_MAX {
            draft.memory.needs_clone = true;
        }
    }
}

/// The slots that this member made for the others while it led: the others read from the new leader, and each slot would keep
/// log here until the disk is full. One that somebody reads from is left alone.
fn leave_no_slots(draft: &mut Draft<'_>, running: &Running) {
    if !draft.config.use_slots || running.idle_slots.is_empty() {
        return;
    }
    let members = draft.cluster.members.keys().filter(|name| **name != draft.view.me);
    let made: BTreeSet<String> =
        members.map(|name| slot_name(name.as_str())).chain(draft.memory.member_slots.keys().cloned()).collect();
    let drop: Vec<String> = running.idle_slots.iter().filter(|slot| made.contains(*slot)).cloned().collect();
    if !drop.is_empty() {
        draft.actions.push(Action::Slots { create: Vec::new(), drop });
    }
}

/// Recovery can take long. It can also wait for a piece of history that the leader does not have.
fn starting(draft: &mut Draft<'_>, leader: &MemberName) {
    draft.because(Reason::Following { leader: leader.clone() });
    let Some(since) = draft.memory.starting_since else { return };
    let wait = Millis(START_WAIT.0.saturating_mul(1 << draft.memory.futile_starts.min(16)));
    draft.wake(since + wait);
    if leader_serves(draft) && draft.view.now.since(since) >= wait && draft.begin(Job::Stop { mode: StopMode::Fast }) {
        draft.memory.futile_starts = draft.memory.futile_starts.saturating_add(1);
        draft.memory.rejoined = None;
    }
}

/// A stopped server: is its data directory fit to follow the leader?
fn come_back(draft: &mut Draft<'_>, leader: &MemberName) {
    let leader_timeline = draft.cluster.leader_member().and_then(|(_, member)| member.data.timeline);
    let bootstrapping = draft.cluster.initialize.as_ref().is_none_or(|initialize| initialize.value.is_empty());
    match &draft.view.postgres.data {
        DataDirectory::Invalid { why } if !draft.memory.needs_clone => {
            draft.because(Reason::DataDirectoryInvalid { why: why.clone() });
        }
        // Work that changes the data directory needs a leader that is seen now.
        _ if !leader_serves(draft) || bootstrapping || !draft.view.dcs.connected => {
            draft.because(Reason::LeaderNotReady { leader: leader.clone() });
        }
        DataDirectory::Valid { timeline, was_primary, .. }
            if !draft.memory.needs_clone
                && (*was_primary && is_twin(draft, *timeline)
                    || Some(*timeline) > leader_timeline && draft.config.standby_cluster.is_none()) =>
        {
            draft.memory.needs_clone = true;
            draft.because(Reason::Cloning { from: leader.into() });
            draft.begin(Job::Clone { from: leader.into() });
        }
        DataDirectory::Valid { timeline, was_primary, .. } if !draft.memory.needs_clone => {
            let looked_at = draft.memory.rejoined.is_some() && draft.memory.rejoined == leader_timeline;
            let in_doubt = draft.memory.failures("start") >= 2 || draft.memory.futile_starts > 0;
            if !looked_at && (*was_primary || leader_timeline != Some(*timeline) || in_doubt) {
                draft.because(Reason::Rejoining { leader: leader.into() });
                draft.begin(Job::Rejoin { leader: leader.into() });
            } else {
                draft.begin(Job::Start { upstream: Some(leader.into()), fence: None });
            }
        }
        DataDirectory::Valid { .. } | DataDirectory::Empty | DataDirectory::Unknown | DataDirectory::Invalid { .. } => {
            draft.because(Reason::Cloning { from: leader.into() });
            draft.begin(Job::Clone { from: leader.into() });
        }
    }
}

/// This member was a primary on a timeline that the cluster knows as somebody else's beginning: one number for two
/// histories. Since numbers come from the store (see `timelines`) that takes a promotion that nobody decided here, by hand
/// or before this program managed the cluster. pg_rewind would leave pages of the one history in the other. (The same may
/// happen to a timeline above the leader's: the cluster went back, and on another way.)
fn is_twin(draft: &Draft<'_>, timeline: Timeline) -> bool {
    let lines = draft.cluster.history.as_ref().map(|history| history.value.as_slice()).unwrap_or_default();
    if timelines::is_abandoned(lines, timeline) {
        return false;
    }
    let began = lines.iter().find(|line| line.timeline.0 + 1 == timeline.0);
    began.and_then(|line| line.new_leader.as_ref()).is_some_and(|other| *other != draft.view.me.as_str())
}

/// It can be followed and cloned from.
fn leader_serves(draft: &Draft<'_>) -> bool {
    let standby_cluster = draft.config.standby_cluster.is_some();
    draft.cluster.leader_member().is_some_and(|(_, member)| {
        let leads_standby = member.data.role == Role::StandbyLeader && member.data.is_running();
        member.data.is_writable() || standby_cluster && leads_standby
    })
}

/// On the leader's own timeline, with as much of it as the leader has told, or more.
fn is_ahead(draft: &Draft<'_>, running: &Running) -> bool {
    draft.cluster.leader_member().is_some_and(|(_, leader)| {
        leader.data.timeline == Some(running.timeline) && running.position() >= leader.data.position()
    })
}

/// Restart and reinitialize, as an operator asked.
fn take_up_request(draft: &mut Draft<'_>, leader: &MemberName) -> bool {
    if draft.memory.restarting {
        return false;
    }
    let Some(request) = draft.view.requests.first() else { return false };
    match request {
        Request::Restart => {
            draft.because(Reason::RequestedRestart);
            draft.memory.restarting = true;
            if !draft.view.postgres.server.is_down() {
                draft.begin(Job::Stop { mode: StopMode::Fast });
            }
        }
        Request::Reinitialize { .. } => {
            if !leader_serves(draft) {
                let why = Reason::LeaderNotReady { leader: leader.clone() }.to_string();
                draft.actions.push(Action::AnswerRequest { result: Err(why) });
                return false;
            }
            draft.because(Reason::RequestedReinitialize);
            draft.memory.needs_clone = true;
            draft.memory.restarting = true;
            if !draft.view.postgres.server.is_down() {
                draft.begin(Job::Stop { mode: StopMode::Immediate });
            }
        }
    }
    draft.actions.push(Action::AnswerRequest { result: Ok(()) });
    true
}
