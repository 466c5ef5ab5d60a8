//! The ways to the primary that a member looks after, its proxy and its connection poolers (PgBouncer): when clients wait
//! there, and for which primary they go on.
//!
//! A planned switchover holds new connections in the proxies, and the clients of the poolers between two transactions, so
//! that they notice a pause and no error. The leader asks for it in its entry (`quorate.pause_pools`), everybody with a
//! proxy or poolers says there when all are held (`quorate.pools_paused`), and everybody lets them go on by what the store
//! shows. Deliberately nothing of how a proxy or a pooler is told, and nothing that keeps two primaries apart: who is not
//! held costs errors, no data.
//!
//! The invariant: a hold ends: with another primary, with the switchover given up, or with its time.

#[cfg(test)]
mod tests;

use crate::cluster::{Cluster, MemberData};
use crate::reason::Reason;
use types::{MemberName, Millis, Revision};

/// What an entry takes to reach the store and the leader; added to the time that holding may take at a member.
const REPORT_TIME_MAX: Millis = Millis(1000);

/// A primary that accepts writes, under one leadership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Primary {
    pub member: MemberName,
    /// `host:port`.
    pub address: String,
    pub epoch: Revision,
}

/// What the proxy and the poolers are to be brought to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Clients are served; by this primary, once one was seen.
    Flow { primary: Option<Primary> },
    /// New clients wait, and those of poolers between two transactions, for this request of `/failover`.
    Hold { request: Revision },
}

impl Default for Wanted {
    fn default() -> Self {
        Self::Flow { primary: None }
    }
}

/// What is remembered from one decision to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HoldMemory {
    hold: Option<Hold>,
    /// The request whose hold ended with its time; it is not held for again.
    expired: Option<Revision>,
    primary: Option<Primary>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Hold {
    request: Revision,
    /// The leadership that asked for it.
    epoch: Revision,
    since: Millis,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldDecision {
    pub next: HoldMemory,
    pub wanted: Wanted,
    /// Decide again at this time even if nothing happens.
    pub wake_at: Option<Millis>,
}

/// What the decisions about PostgreSQL are shown of this member's proxy and poolers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HoldView {
    /// How long they may take to hold their clients; `None` without any.
    pub pause_max: Option<Millis>,
    /// [`Wanted::Hold`] is in force; how far it is shows `paused_for`.
    pub holds: bool,
    /// The request that all clients are held for, as far as they can be.
    pub paused_for: Option<Revision>,
    /// What people should know of the poolers.
    pub reasons: Vec<Reason>,
}

/// `hold_max`: from the beginning of a hold to its end, whatever has become of the switchover.
pub fn decide(memory: &HoldMemory, cluster: &Cluster, hold_max: Millis, now: Millis) -> HoldDecision {
    let mut next = memory.clone();
    if let Some(hold) = &memory.hold
        && let Some(end) = end_of(hold, cluster, hold_max, now)
    {
        next.hold = None;
        if end == End::Time {
            next.expired = Some(hold.request);
        }
    }
    if next.hold.is_none()
        && let Some((request, epoch)) = asked_for(cluster)
        && next.expired != Some(request)
    {
        next.hold = Some(Hold { request, epoch, since: now });
    }
    let (wanted, wake_at) = if let Some(hold) = &next.hold {
        (Wanted::Hold { request: hold.request }, Some(hold.since + hold_max))
    } else {
        next.primary = primary(cluster).or(next.primary);
        (Wanted::Flow { primary: next.primary.clone() }, None)
    };
    HoldDecision { next, wanted, wake_at }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    NewPrimary,
    CalledOff,
    Time,
}

fn end_of(hold: &Hold, cluster: &Cluster, hold_max: Millis, now: Millis) -> Option<End> {
    let leader = cluster.leader.as_ref();
    if leader.is_some_and(|leader| leader.epoch != hold.epoch) && primary(cluster).is_some() {
        return Some(End::NewPrimary);
    }
    let same = leader.is_some_and(|leader| leader.epoch == hold.epoch);
    if same && cluster.leader_member().is_some_and(|(_, member)| wish(&member.data) != Some(hold.request)) {
        return Some(End::CalledOff);
    }
    (now.since(hold.since) >= hold_max).then_some(End::Time)
}

/// The request that the leader holds the poolers for, and its leadership.
fn asked_for(cluster: &Cluster) -> Option<(Revision, Revision)> {
    let (_, leader) = cluster.leader_member()?;
    let asked = wish(&leader.data)?;
    // A request that is gone, or another one by now, is not worth a pause.
    let stands = cluster.failover.as_ref().is_some_and(|request| request.revision == asked);
    stands.then_some((asked, cluster.leader.as_ref()?.epoch))
}

fn wish(data: &MemberData) -> Option<Revision> {
    data.quorate.as_ref()?.pause_pools
}

fn primary(cluster: &Cluster) -> Option<Primary> {
    let (name, member) = cluster.leader_member().filter(|(_, member)| member.data.is_writable())?;
    Some(Primary {
        member: name.clone(),
        address: member.data.postgres_address()?.to_owned(),
        epoch: cluster.leader.as_ref()?.epoch,
    })
}

/// As the leader: who can hold clients, and has not said yet that they are held? `mine` is newer than the own entry.
pub(crate) fn waiting_for(cluster: &Cluster, me: &MemberName, mine: &HoldView, request: Revision) -> Vec<MemberName> {
    who_holds(cluster, me, mine)
        .filter(|(_, _, paused_for)| *paused_for != Some(request))
        .map(|(name, _, _)| name)
        .collect()
}

/// As the leader: how long holding the clients may take; `None` when nobody can.
pub(crate) fn pause_max(cluster: &Cluster, me: &MemberName, mine: &HoldView) -> Option<Millis> {
    who_holds(cluster, me, mine).map(|(_, pause_max, _)| pause_max + REPORT_TIME_MAX).max()
}

fn who_holds(
    cluster: &Cluster,
    me: &MemberName,
    mine: &HoldView,
) -> impl Iterator<Item = (MemberName, Millis, Option<Revision>)> {
    let others = cluster.members.iter().filter(move |(name, _)| *name != me).filter_map(|(name, member)| {
        let quorate = member.data.quorate.as_ref()?;
        Some((name.clone(), quorate.pools?, quorate.pools_paused))
    });
    others.chain(mine.pause_max.map(|pause_max| (me.clone(), pause_max, mine.paused_for)))
}
