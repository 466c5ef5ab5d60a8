//! Which number the timeline of a promotion gets: one that nobody else ever had, or will have.
//!
//! PostgreSQL numbers a timeline without asking anybody: the next after the newest that has a history file in the local
//! `pg_wal`. Two members that are promoted after each other, the first unseen, can so give one number to two histories.
//! pg_rewind and `recovery_target_timeline` tell histories apart by that number (and where it began), so they would take
//! the one for the other and leave pages of it in place. Therefore the number is taken from the store, with the leader key:
//! a line of `/history` says from then on that it is this leader's, whether or not its promotion comes to anything.
//!
//! The invariant: whoever is promoted under a leadership has a line of `/history` that was written under it, and goes beyond
//! every number that any line or any member has.

use super::decide::Draft;
use crate::cluster::{Cluster, Fence, HistoryLine, RESERVED};
use types::{Lsn, Revision, Timeline};

/// The newest timeline that anybody who is alive has, or that the history names.
pub fn newest_timeline(cluster: &Cluster) -> Timeline {
    newest_of_members(cluster).max(newest_of_history(cluster)).unwrap_or_default()
}

fn newest_of_members(cluster: &Cluster) -> Option<Timeline> {
    cluster.members.values().filter_map(|member| member.data.timeline).max()
}

/// The one that was begun when the last line's ended.
fn newest_of_history(cluster: &Cluster) -> Option<Timeline> {
    let history = cluster.history.as_ref()?;
    history.value.iter().map(|line| Timeline(line.timeline.0.saturating_add(1))).max()
}

/// `/history` with one line more, for the next number, and the revision at which it must still be.
pub(super) fn reserve(draft: &Draft<'_>) -> (Vec<HistoryLine>, Option<Revision>) {
    let running = draft.view.postgres.server.running();
    let own = running.map(|running| running.timeline).unwrap_or_default();
    let position = running.map_or(Lsn(0), super::view::Running::position);
    let history = draft.cluster.history.as_ref();
    let mut lines = history.map(|history| history.value.clone()).unwrap_or_default();
    lines.push(HistoryLine {
        timeline: newest_timeline(draft.cluster).max(own),
        lsn: position,
        reason: RESERVED.to_owned(),
        timestamp: Some(draft.view.wall.clone()),
        new_leader: Some(draft.view.me.to_string()),
    });
    (lines, history.map(|history| history.revision))
}

/// The timeline that the promotion under this leadership must go beyond, if its number is reserved.
pub(super) fn reserved_beyond(draft: &Draft<'_>, fence: &Fence) -> Option<Timeline> {
    let history = draft.cluster.history.as_ref().filter(|history| history.revision >= fence.epoch)?;
    let line = history.value.last().filter(|line| line.new_leader.as_deref() == Some(draft.view.me.as_str()))?;
    let beyond = Some(line.timeline);
    (beyond >= newest_of_members(draft.cluster)).then_some(line.timeline)
}

/// Lines about numbers that PostgreSQL's own history of this leadership does not go through: of timelines that nobody follows
/// (any more).
pub(super) fn passed_over(known: &[HistoryLine], own: &[HistoryLine]) -> Vec<HistoryLine> {
    let end = own.last().map(|line| line.timeline).unwrap_or_default();
    let beyond = known.iter().filter(|line| line.timeline > end);
    beyond.map(|line| HistoryLine { reason: RESERVED.to_owned(), ..line.clone() }).collect()
}

/// Was this number given to a promotion that nobody follows?
pub(super) fn is_abandoned(lines: &[HistoryLine], timeline: Timeline) -> bool {
    lines.iter().any(|line| line.timeline == timeline && line.is_reserved())
}
