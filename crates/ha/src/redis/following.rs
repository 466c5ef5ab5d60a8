//! Another member holds the leader key.

use super::decide::Job;
use super::draft::Draft;
use super::entry;
use super::reason::Reason;
use super::view::{Running, Server, ServerRole};
use crate::cluster::RedisGroup;
use crate::cluster::redis::RedisMemberData;
use crate::guard::StopMode;
use types::{MemberName, Millis, Revision};

/// A replica may be busy (a long script, a fork of a large process) for longer than a master: it costs nobody a write.
const REPLICA_SILENCE_MAX: Millis = Millis(30_000);

pub(super) fn decide(draft: &mut Draft<'_>, leader: &MemberName) {
    let view = draft.view;
    match &view.server {
        Server::Running(running) if running.is_master() => {
            draft.because(Reason::AnotherLeads { leader: leader.clone() });
            draft.begin(Job::Follow { leader: None });
            return;
        }
        Server::Silent { last, .. } if last.is_master() => {
            draft.because(Reason::AnotherLeads { leader: leader.clone() });
            draft.begin(Job::Stop { mode: StopMode::Kill });
            return;
        }
        Server::Running(_) | Server::Silent { .. } | Server::Unknown | Server::Down | Server::Starting => {}
    }
    if draft.is_paused() {
        return draft.because(Reason::Paused);
    }
    match &view.server {
        Server::Running(running) => follow(draft, leader, running),
        Server::Down => {
            // What is on the disk is not known yet, so nothing is overwritten before it has been looked at.
            let from = draft.memory.data_epoch;
            let known = from.is_some_and(|from| !began_empty_after(draft.group, from)) && is_ready(draft);
            let upstream = known.then(|| leader.clone());
            draft.because(Reason::Following { leader: leader.clone() });
            draft.begin(Job::Start { upstream });
        }
        Server::Silent { since, refused, .. } => silent(draft, *since, *refused),
        Server::Unknown | Server::Starting => draft.because(Reason::Following { leader: leader.clone() }),
    }
}

/// The leader accepts writes, and is seen now.
fn is_ready(draft: &Draft<'_>) -> bool {
    draft.view.dcs.connected && draft.group.writable_master().is_some()
}

fn follow(draft: &mut Draft<'_>, leader: &MemberName, running: &Running) {
    let (of, link_up) = match &running.role {
        ServerRole::Replica { of, link_up } => (of.as_ref(), *link_up),
        ServerRole::Master => (None, false),
    };
    if would_be_emptied(draft, running) {
        draft.because(Reason::WouldBeEmptied { leader: leader.clone(), keys: running.keys });
        if of.is_some() {
            draft.begin(Job::Follow { leader: None });
        }
        return;
    }
    if of == Some(leader) {
        entry::note_data(draft);
        return draft.because(if link_up {
            Reason::Following { leader: leader.clone() }
        } else {
            Reason::LinkDown { leader: leader.clone() }
        });
    }
    if !is_ready(draft) {
        return draft.because(Reason::LeaderNotReady { leader: leader.clone() });
    }
    draft.because(Reason::Following { leader: leader.clone() });
    draft.begin(Job::Follow { leader: Some(leader.clone()) });
}

/// Some leadership up to the present one began without data although the group had some, and what is here is older, also
/// than the leadership whose data an operator allowed to replace it.
fn would_be_emptied(draft: &Draft<'_>, running: &Running) -> bool {
    if running.keys == 0 {
        return false;
    }
    let mine = RedisMemberData {
        keys: running.keys,
        replid: Some(running.replid.clone()),
        replid2: running.replid2.clone(),
        ..RedisMemberData::default()
    };
    let from = draft.group.lineage(&draft.view.me, &mine).max(draft.memory.data_epoch.unwrap_or_default());
    let allowed = draft.group.overwrite.get(&draft.view.me).map(|allowed| allowed.value);
    began_empty_after(draft.group, from.max(allowed.unwrap_or_default()))
}

/// The same by the store alone, for whoever asks to allow it: as the member last told.
pub fn waits_for_permission(group: &RedisGroup, name: &MemberName) -> bool {
    let Some(member) = group.members.get(name) else { return false };
    let follows = group.leader.is_some() && !group.is_leader(name);
    follows && member.data.keys > 0 && began_empty_after(group, group.lineage(name, &member.data))
}

/// A leadership after this one began without data.
fn began_empty_after(group: &RedisGroup, from: Revision) -> bool {
    group.history().iter().any(|line| line.empty && line.epoch > from)
}

fn silent(draft: &mut Draft<'_>, since: Millis, refused: bool) {
    draft.because(Reason::Unresponsive { since });
    let limit = if refused { draft.view.settings.down_after } else { REPLICA_SILENCE_MAX };
    if draft.view.now.since(since) < limit {
        return draft.wake(since + limit);
    }
    draft.because(Reason::Hanging { since });
    draft.begin(Job::Stop { mode: StopMode::Kill });
}
