//! Switchover and failover on demand: check the wish, write it into the store, and watch what comes of it.
//!
//! Deliberately not the decision: the members read `/failover` and decide. The invariant: success is reported only once
//! another member holds the leader lock and has said that it accepts writes. (Patroni reports it at the lock, after
//! sleeping a second; here the snapshots are waited for, so the answer comes when it is true.)

use crate::api::{Api, outcome_unknown};
use crate::cluster_json::is_sync_standby;
use crate::reply::Reply;
use crate::schedule::Schedule;
use crate::snapshot::Snapshot;
use dcs::Written;
use ha::cluster::{Cluster, FailoverRequest, Member, Role, StoreWrite};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use types::{MemberName, Revision};

/// Patroni waits twice the larger of this and `loop_wait`.
const RESULT_WAIT_MIN: Duration = Duration::from_secs(10);
/// Another wish may be written at the same moment, or the store may change its leader. Whoever comes last wins, as with
/// Patroni.
const WRITE_ATTEMPTS_MAX: u32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Switchover,
    Failover,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Switchover => "switchover",
            Self::Failover => "failover",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Switchover => "Switchover",
            Self::Failover => "Failover",
        }
    }

    /// Without its ending: `switched`, `failed`.
    fn done(self) -> &'static str {
        match self {
            Self::Switchover => "switched",
            Self::Failover => "failed",
        }
    }

    fn done_title(self) -> &'static str {
        match self {
            Self::Switchover => "Switched",
            Self::Failover => "Failed",
        }
    }
}

/// A wish that makes sense at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub action: Action,
    pub request: FailoverRequest,
}

pub async fn begin(api: &Api, action: Action, body: &Map<String, Value>) -> Reply {
    match try_begin(api, action, body).await {
        Ok(reply) | Err(reply) => reply,
    }
}

async fn try_begin(api: &Api, action: Action, body: &Map<String, Value>) -> Result<Reply, Reply> {
    for _ in 0..WRITE_ATTEMPTS_MAX {
        let cluster = api.load().await?;
        let plan = check(action, body, &cluster, Timestamp::now())?;
        tracing::info!(action = plan.action.word(), request = ?plan.request, "asked for over the REST API");
        // Taken before the write, so that no snapshot that follows it is missed.
        let mut snapshots = api.snapshots.clone();
        let is_scheduled = plan.request.scheduled_at.is_some();
        let expected = cluster.failover_revision;
        let write = StoreWrite::PutFailover { request: plan.request.clone(), expected };
        // Refused or unknown: the next round reads again. The same wish written twice is still one wish.
        let Some(Written::Done { revision }) = api.write(write).await? else { continue };
        if is_scheduled {
            return Ok(Reply::text(202, format!("{} scheduled", plan.action.title())));
        }
        let limit = RESULT_WAIT_MIN.max(cluster.config().loop_wait.into()) * 2;
        let old = cluster.leader_name().cloned();
        let wish = Wish { action: plan.action, old, candidate: plan.request.candidate, revision };
        return Ok(wish.result(&mut snapshots, limit).await);
    }
    Err(Reply::text(503, "failed to write failover key into DCS"))
}

/// Withdraws a scheduled switchover.
pub async fn cancel(api: &Api) -> Reply {
    let cluster = match api.load().await {
        Ok(cluster) => cluster,
        Err(reply) => return reply,
    };
    let Some(failover) = cluster.failover.filter(|failover| failover.value.scheduled_at.is_some()) else {
        return Reply::text(404, "no switchover is scheduled");
    };
    match api.write(StoreWrite::DeleteFailover { expected: failover.revision }).await {
        Ok(Some(Written::Done { .. })) => Reply::text(200, "scheduled switchover deleted"),
        Ok(None) => outcome_unknown(),
        Ok(Some(Written::Refused)) => {
            Reply::text(409, "the scheduled switchover was changed at the same time; try again")
        }
        Err(reply) => reply,
    }
}

/// Patroni's checks, in its order and with its texts.
pub fn check(action: Action, body: &Map<String, Value>, cluster: &Cluster, now: Timestamp) -> Result<Plan, Reply> {
    let refuse = |text: &str| Err(Reply::text(400, text));
    let leader = name(body, "leader")?;
    let candidate = name(body, "candidate")?.map_or_else(|| name(body, "member"), |name| Ok(Some(name)))?;
    let scheduled_at = name(body, "scheduled_at")?;
    let paused = cluster.is_paused();
    match action {
        Action::Failover if candidate.is_none() => {
            return refuse("Failover could be performed only to a specific candidate");
        }
        Action::Switchover if leader.is_none() => {
            return refuse("Switchover could be performed only from a specific leader");
        }
        Action::Failover | Action::Switchover => {}
    }
    let scheduled_at = match scheduled_at {
        None => None,
        Some(_) if action == Action::Failover => return refuse("Failover can't be scheduled"),
        Some(_) if paused => return refuse("Can't schedule switchover in the paused state"),
        Some(text) => Some(Schedule::parse(text, action.word(), now)?.text),
    };
    if paused && candidate.is_none() {
        return refuse("Switchover is possible only to a specific candidate in a paused state");
    }
    if leader == candidate {
        return refuse("Switchover target and source are the same");
    }
    // Whoever names the leader wants a switchover, whatever he called it.
    let action = if leader.is_some() { Action::Switchover } else { action };
    let (leader, candidate) = (leader.map(MemberName::from), candidate.map(MemberName::from));
    if scheduled_at.is_none()
        && let Some(why) = obstacle(action, leader.as_ref(), candidate.as_ref(), cluster)
    {
        return Err(Reply::text(412, why));
    }
    Ok(Plan { action, request: FailoverRequest { leader, candidate, scheduled_at } })
}

/// A text; absent, `null` and empty are the same.
fn name<'a>(body: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, Reply> {
    match body.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(Reply::text(400, format!("{key} must be a text"))),
    }
}

/// Why nobody, or not this candidate, could take over.
pub(crate) fn obstacle(
    action: Action,
    leader: Option<&MemberName>,
    candidate: Option<&MemberName>,
    cluster: &Cluster,
) -> Option<String> {
    let word = action.word();
    if leader.is_some() && leader != cluster.leader_name() {
        return Some("leader name does not match".into());
    }
    let config = cluster.config();
    let synchronous = config.is_synchronous() && config.standby_cluster.is_none();
    let members: Vec<&Member> = if let Some(candidate) = candidate {
        if action == Action::Switchover && synchronous && !is_sync_standby(cluster, candidate) {
            return Some("candidate name does not match with sync_standby".into());
        }
        if cluster.is_leader(candidate) {
            // Patroni would write the request and report after a while that it failed.
            return Some(format!("{word} is not possible: \"{candidate}\" is the leader already"));
        }
        let Some(member) = cluster.members.get(candidate) else {
            return Some("candidate does not exists".into());
        };
        vec![member]
    } else {
        let others = cluster.members.iter().filter(|(name, _)| !cluster.is_leader(name));
        let eligible = others.filter(|(name, _)| !synchronous || is_sync_standby(cluster, name));
        eligible.map(|(_, member)| member).collect()
    };
    match (members.is_empty(), synchronous) {
        (true, true) => Some(format!("{word} is not possible: can not find sync_standby")),
        (true, false) => Some(format!("{word} is not possible: cluster does not have members except leader")),
        (false, _) if members.iter().any(|member| can_lead(member)) => None,
        (false, _) => Some(format!("{word} is not possible: no good candidates have been found")),
    }
}

/// Patroni asks every member over HTTP. Their keys say the same (a member that is gone has none), and cannot hang.
fn can_lead(member: &Member) -> bool {
    member.data.is_running() && !member.data.tags.nofailover()
}

/// A wish that stands in the store since `revision`.
pub struct Wish {
    pub action: Action,
    pub old: Option<MemberName>,
    pub candidate: Option<MemberName>,
    pub revision: Revision,
}

impl Wish {
    /// Waits for the outcome, at most `limit`.
    pub async fn result(&self, snapshots: &mut watch::Receiver<Arc<Snapshot>>, limit: Duration) -> Reply {
        let decided = snapshots.wait_for(|snapshot| self.verdict(&snapshot.cluster).is_some());
        let verdict = match tokio::time::timeout(limit, decided).await {
            Ok(Ok(snapshot)) => self.verdict(&snapshot.cluster),
            // The agent is stopping, or nothing happened.
            Ok(Err(_)) | Err(_) => None,
        };
        verdict.unwrap_or_else(|| {
            Reply::text(503, format!("{} status unknown after {} seconds", self.action.title(), limit.as_secs()))
        })
    }

    /// `None`: not decided yet.
    fn verdict(&self, cluster: &Cluster) -> Option<Reply> {
        if cluster.revision < self.revision {
            return None;
        }
        match cluster.leader_name() {
            Some(leader) if Some(leader) != self.old.as_ref() => {
                let leads = |member: &Member| member.data.is_writable() || member.data.role == Role::StandbyLeader;
                let leads = cluster.leader_member().is_some_and(|(_, member)| leads(member));
                leads.then(|| self.success(leader))
            }
            // Somebody withdrew the wish and the leader stayed. Without a leader the race is still open.
            Some(_) if cluster.failover.is_none() => Some(Reply::text(503, format!("{} failed", self.action.title()))),
            Some(_) | None => None,
        }
    }

    fn success(&self, leader: &MemberName) -> Reply {
        let text = match &self.candidate {
            Some(candidate) if candidate != leader => {
                format!("{} over to \"{leader}\" instead of \"{candidate}\"", self.action.done_title())
            }
            Some(_) | None => format!("Successfully {} over to \"{leader}\"", self.action.done()),
        };
        Reply::text(200, text)
    }
}
