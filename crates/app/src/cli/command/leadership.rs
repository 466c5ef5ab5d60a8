//! `switchover` and `failover`.
//!
//! Unlike patronictl, which prints "failed" and exits with 0: the exit code is 0 only when another member leads.

use super::{show, through_store};
use crate::cli::api::{Method, NoAnswer};
use crate::cli::arguments::{FailoverArguments, SwitchoverArguments};
use crate::cli::context::{Context, Target};
use crate::cli::failure::Failure;
use crate::cli::{ask, local_time, output};
use ha::cluster::FailoverRequest;
use serde_json::{Value, json};
use types::MemberName;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Switchover,
    Failover,
}

impl Action {
    pub fn word(self) -> &'static str {
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
}

pub async fn switchover(context: &Context, arguments: SwitchoverArguments) -> Result<(), Failure> {
    let mut target = context.target(arguments.cluster.as_deref(), arguments.group).await?;
    let wanted = Wanted {
        action: Action::Switchover,
        leader: arguments.leader,
        candidate: arguments.candidate,
        scheduled: arguments.scheduled,
        force: arguments.force.force,
    };
    carry_out(context, &mut target, wanted).await
}

pub async fn failover(context: &Context, arguments: FailoverArguments) -> Result<(), Failure> {
    let mut target = context.target(arguments.cluster.as_deref(), arguments.group).await?;
    // With the leader named it is a switchover: so it was in older versions of patronictl.
    let action = if arguments.leader.is_some() { Action::Switchover } else { Action::Failover };
    let wanted = Wanted {
        action,
        scheduled: (action == Action::Switchover).then(|| "now".to_owned()),
        leader: arguments.leader,
        candidate: arguments.candidate,
        force: arguments.force.force,
    };
    carry_out(context, &mut target, wanted).await
}

/// What was typed.
struct Wanted {
    action: Action,
    leader: Option<String>,
    candidate: Option<String>,
    scheduled: Option<String>,
    force: bool,
}

async fn carry_out(context: &Context, target: &mut Target, wanted: Wanted) -> Result<(), Failure> {
    let action = wanted.action;
    output::line("Current cluster topology")?;
    show::print_members(target)?;
    let request = settle(target, wanted)?;
    // The leader carries it out; without one the candidate does.
    let member = target
        .cluster
        .leader_member()
        .map(|(_, member)| member)
        .or_else(|| request.candidate.as_ref().and_then(|candidate| target.cluster.members.get(candidate)));
    let sent = match member {
        Some(member) => context.api.request(member, Method::Post, action.word(), Some(&body(&request))).await,
        None => Err(NoAnswer::NotSent("no member to ask".to_owned())),
    };
    match sent {
        Ok(answer) if matches!(answer.status, 200 | 202) => {
            output::line(&format!("{} {}", local_time::moment(), answer.text))?;
        }
        Ok(answer) => {
            let message = format!("{} failed, details: {}, {}", action.title(), answer.status, answer.text);
            return Err(
                Failure::new("cli-refused", message).hint("quorate explain says what keeps a member from leading")
            );
        }
        Err(NoAnswer::NotSent(why)) => {
            eprintln!(
                "{} Could not {} using the REST API ({why}), falling back to DCS",
                local_time::moment(),
                action.word()
            );
            let done = through_store::move_leader(target, &request).await?;
            output::line(&format!("{} {done}", local_time::moment()))?;
        }
        Err(NoAnswer::Unknown(why)) => {
            let message =
                format!("{} status unknown: the member took the request and did not answer: {why}", action.title());
            return Err(Failure::new("cli-outcome-unknown", message)
                .hint("look at the result before trying again: quorate list"));
        }
    }
    target.refresh().await?;
    show::print_members(target)
}

/// Fills in and checks what was typed, with patronictl's questions and sentences.
fn settle(target: &Target, wanted: Wanted) -> Result<FailoverRequest, Failure> {
    let Target { scope, cluster, .. } = target;
    let action = wanted.action;
    let present = cluster.leader_name();
    let refuse = |message: String| Err(Failure::usage("cli-not-possible", message));
    let mut leader = None;
    if action == Action::Switchover {
        let Some(present) = present else {
            return Err(Failure::usage("cli-not-possible", "This cluster has no leader")
                .hint("with a candidate named, quorate failover makes one"));
        };
        let named = match wanted.leader {
            Some(named) => named,
            None if wanted.force || !ask::on_terminal() => present.to_string(),
            None => ask::prompt("Primary", present.as_str(), "--leader")?,
        };
        if present.as_str() != named {
            return refuse(format!("Member {named} is not the leader of cluster {scope}"));
        }
        leader = Some(present.clone());
    }
    let candidates: Vec<&MemberName> = cluster
        .members
        .iter()
        .filter(|(name, member)| !cluster.is_leader(name) && !member.data.tags.nofailover())
        .map(|(name, _)| name)
        .collect();
    if candidates.is_empty() {
        return refuse(format!("No candidates found to {} to", action.word()));
    }
    let candidate = match wanted.candidate {
        Some(candidate) => candidate,
        None if wanted.force || !ask::on_terminal() => String::new(),
        None => {
            let names: Vec<String> = candidates.iter().map(|name| format!("'{name}'")).collect();
            ask::prompt(&format!("Candidate [{}]", names.join(", ")), "", "--candidate")?
        }
    };
    let candidate = Some(candidate).filter(|name| !name.is_empty()).map(MemberName::new);
    if action == Action::Failover && candidate.is_none() {
        return refuse("Failover could be performed only to a specific candidate".to_owned());
    }
    if let Some(candidate) = candidate.as_ref().filter(|candidate| !candidates.contains(candidate)) {
        return refuse(if cluster.is_leader(candidate) {
            format!("Member {candidate} is already the leader of cluster {scope}")
        } else {
            format!("Member {candidate} does not exist in cluster {scope} or is tagged as nofailover")
        });
    }
    if let (Action::Failover, false, Some(candidate)) = (action, wanted.force, &candidate) {
        confirm_asynchronous(target, candidate)?;
    }
    let scheduled_at = scheduled(target, action, wanted.scheduled, wanted.force)?;
    if !wanted.force {
        let demoting = present.map_or_else(String::new, |present| format!(", demoting current leader {present}"));
        match &scheduled_at {
            Some(at) => ask::must_confirm(
                &format!("Are you sure you want to schedule switchover of cluster {scope} at {at}{demoting}?"),
                "Aborting scheduled switchover",
            )?,
            None => ask::must_confirm(
                &format!("Are you sure you want to {} cluster {scope}{demoting}?", action.word()),
                &format!("Aborting {}", action.word()),
            )?,
        }
    }
    Ok(FailoverRequest { leader, candidate, scheduled_at })
}

/// In synchronous mode another member than the synchronous ones may lack acknowledged commits.
fn confirm_asynchronous(target: &Target, candidate: &MemberName) -> Result<(), Failure> {
    let cluster = &target.cluster;
    let lacks =
        cluster.config().is_synchronous() && cluster.sync.as_ref().is_some_and(|sync| !sync.value.covers(candidate));
    if !lacks {
        return Ok(());
    }
    let question = format!("Are you sure you want to failover to the asynchronous node {candidate}?");
    ask::must_confirm(&question, "Aborting failover")
}

fn scheduled(target: &Target, action: Action, typed: Option<String>, force: bool) -> Result<Option<String>, Failure> {
    if action == Action::Failover {
        return Ok(None);
    }
    let typed = match typed {
        Some(typed) => typed,
        None if force || !ask::on_terminal() => return Ok(None),
        None => {
            let question = format!("When should the switchover take place (e.g. {} ) ", local_time::example());
            ask::prompt(&question, "now", "--scheduled")?
        }
    };
    let at = local_time::scheduled(&typed)?;
    if at.is_some() && target.cluster.is_paused() {
        return Err(Failure::usage("cli-not-possible", "Can't schedule switchover in the paused state")
            .hint("quorate resume ends the pause"));
    }
    Ok(at)
}

fn body(request: &FailoverRequest) -> Value {
    let mut body = json!({"candidate": request.candidate});
    if let Some(leader) = &request.leader {
        body["leader"] = json!(leader);
    }
    if let Some(at) = &request.scheduled_at {
        body["scheduled_at"] = json!(at);
    }
    body
}
