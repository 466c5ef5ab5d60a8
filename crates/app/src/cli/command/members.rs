//! `restart`, `reload`, `reinit`, `flush`: what is asked of members one by one.

use super::show;
use crate::cli::api::{Answer, Method, NoAnswer, NoMember, RESTART_TIMEOUT};
use crate::cli::arguments::{FlushArguments, MembersArguments, ReinitArguments, RestartArguments, RoleFilter};
use crate::cli::context::{Context, Target};
use crate::cli::failure::Failure;
use crate::cli::{ask, local_time, output};
use dcs::Written;
use ha::cluster::{Cluster, Member, Role, RunState, StoreWrite};
use serde_json::{Value, json};
use std::time::Duration;
use types::MemberName;

/// How often a member is asked whether its copy is made.
const REINIT_LOOK_EVERY: Duration = Duration::from_secs(1);
/// A member that does not answer for this long while it is waited for.
const REINIT_SILENCE_MAX: u32 = 60;

type Chosen = Vec<(MemberName, Member)>;

pub async fn restart(context: &Context, arguments: RestartArguments) -> Result<(), Failure> {
    let RestartArguments { members: MembersArguments { names, group, role, force }, .. } = &arguments;
    let force = force.force;
    let (target, names) = context.target_and_members(names, *group).await?;
    let mut members = choose(&target, &names, *role, force, "restart")?;
    let typed = match &arguments.scheduled {
        Some(typed) => typed.clone(),
        None if force || !ask::on_terminal() => "now".to_owned(),
        None => ask::prompt(
            &format!("When should the restart take place (e.g. {}) ", local_time::example()),
            "now",
            "--scheduled",
        )?,
    };
    let at = local_time::scheduled(&typed)?;
    if at.is_some() && target.cluster.is_paused() {
        return Err(Failure::usage("cli-not-possible", "Can't schedule restart in the paused state"));
    }
    let mut body = json!({});
    if arguments.pending {
        body["restart_pending"] = json!(true);
        // A scheduled one looks again at its time.
        if at.is_none() {
            members.retain(|(_, member)| member.data.pending_restart == Some(true));
        }
    }
    if arguments.any {
        let one = if members.is_empty() { 0 } else { fastrand::usize(..members.len()) };
        members = members.into_iter().skip(one).take(1).collect();
    }
    if members.is_empty() {
        return output::line("No member needs a restart");
    }
    confirm(&members, force, "restart", at.as_deref(), arguments.pending)?;
    if let Some(version) = &arguments.pg_version {
        if version.split('.').any(|part| part.parse::<u32>().is_err()) {
            return Err(Failure::usage(
                "cli-version",
                format!("'{version}' is not a version of PostgreSQL; expected one such as 15.4"),
            ));
        }
        body["postgres_version"] = json!(version);
    }
    if let Some(at) = &at {
        body["schedule"] = json!(at);
    }
    if let Some(timeout) = &arguments.timeout {
        body["timeout"] = json!(timeout);
    }
    let mut tally = Tally::default();
    for (name, member) in &members {
        if at.is_some() && force && member.data.scheduled_restart.is_some() {
            let withdrawn = context.api.request(member, Method::Delete, "restart", None).await;
            if !matches!(&withdrawn, Ok(answer) if answer.status < 400) {
                eprintln!("{}", failed("flush scheduled restart", name, withdrawn));
            }
        }
        let answer = context.api.request_within(member, Method::Post, "restart", Some(&body), RESTART_TIMEOUT).await;
        tally.note(match answer {
            Ok(Answer { status: 200, .. }) => Ok(format!("Success: restart on member {name}")),
            Ok(Answer { status: 202, .. }) => Ok(format!("Success: restart scheduled on member {name}")),
            Ok(Answer { status: 409, .. }) => {
                Err(format!("Failed: another restart is already scheduled on member {name}"))
            }
            other => Err(failed("restart", name, other)),
        })?;
    }
    tally.result()
}

pub async fn reload(context: &Context, arguments: MembersArguments) -> Result<(), Failure> {
    let (target, names) = context.target_and_members(&arguments.names, arguments.group).await?;
    let members = choose(&target, &names, arguments.role, arguments.force.force, "reload")?;
    confirm(&members, arguments.force.force, "reload", None, false)?;
    let loop_wait = target.cluster.config().loop_wait.as_secs_f64();
    let mut tally = Tally::default();
    for (name, member) in &members {
        tally.note(match context.api.request(member, Method::Post, "reload", None).await {
            Ok(Answer { status: 200, .. }) => Ok(format!("No changes to apply on member {name}")),
            Ok(Answer { status: 202, .. }) => Ok(format!(
                "Reload request received for member {name} and will be processed within {loop_wait} seconds"
            )),
            other => Err(failed("reload", name, other)),
        })?;
    }
    tally.result()
}

pub async fn reinit(context: &Context, arguments: ReinitArguments) -> Result<(), Failure> {
    let force = arguments.force.force;
    let (target, mut names) = context.target_and_members(&arguments.names, arguments.group).await?;
    if names.is_empty() {
        // Never all of them by an oversight.
        let replicas = with_role(&target.cluster, RoleFilter::Replica);
        let replicas: Vec<&str> = replicas.iter().map(|(name, _)| name.as_str()).collect();
        let question = format!("Which member do you want to reinitialize [{}]?", replicas.join(", "));
        if !ask::on_terminal() {
            return Err(Failure::usage("cli-no-member", "the member to reinitialize must be named").hint(format!(
                "the replicas of {} are {}",
                target.scope,
                replicas.join(", ")
            )));
        }
        names.push(ask::prompt(&question, "", "the member's name")?);
    }
    let members = choose(&target, &names, RoleFilter::Replica, force, "reinitialize")?;
    confirm(&members, force, "reinitialize", None, false)?;
    let mut tally = Tally::default();
    let mut started = Vec::new();
    for (name, member) in &members {
        let mut body = json!({"force": force, "from_leader": arguments.from_leader});
        let answer = loop {
            let answer = context.api.request(member, Method::Post, "reinitialize", Some(&body)).await;
            let busy =
                matches!(&answer, Ok(answer) if answer.status >= 400 && answer.text.ends_with(" already in progress"));
            if busy
                && body["force"] != json!(true)
                && ask::on_terminal()
                && ask::confirm("Do you want to cancel it and reinitialize anyway?")?
            {
                body["force"] = json!(true);
                continue;
            }
            break answer;
        };
        if matches!(&answer, Ok(answer) if answer.status < 400) {
            started.push((name, member));
        }
        tally.answer(name, "reinitialize", answer)?;
    }
    if arguments.wait && !started.is_empty() {
        let names: Vec<&str> = started.iter().map(|(name, _)| name.as_str()).collect();
        output::line(&format!("Waiting for reinitialize to complete on: {}", names.join(", ")))?;
        for (name, member) in started {
            tally.note(wait_for_copy(context, name, member).await)?;
        }
    }
    tally.result()
}

pub async fn flush(context: &Context, arguments: FlushArguments) -> Result<(), Failure> {
    let (what, names) = match arguments.names.split_last() {
        Some((what, names)) if what == "restart" || what == "switchover" => (what.as_str(), names),
        _ => {
            return Err(Failure::usage(
                "cli-flush",
                "what is to be withdrawn must be named last: restart or switchover",
            ));
        }
    };
    let (target, names) = context.target_and_members(names, arguments.group).await?;
    if what == "switchover" {
        return flush_switchover(context, &target).await;
    }
    let members = choose(&target, &names, arguments.role, arguments.force.force, "flush")?;
    confirm(&members, arguments.force.force, "flush", None, false)?;
    let mut tally = Tally::default();
    for (name, member) in &members {
        if member.data.scheduled_restart.is_none() {
            output::line(&format!("No scheduled restart for member {name}"))?;
            continue;
        }
        let answer = context.api.request(member, Method::Delete, "restart", None).await;
        tally.answer(name, "flush scheduled restart", answer)?;
    }
    tally.result()
}

async fn flush_switchover(context: &Context, target: &Target) -> Result<(), Failure> {
    let Some(failover) = target.cluster.failover.as_ref().filter(|failover| failover.value.scheduled_at.is_some())
    else {
        return output::line("No pending scheduled switchover");
    };
    match context.api.first_answer(&target.cluster, Method::Delete, "switchover", None).await {
        Ok((_, Answer { status: 200, text })) => output::line(&format!("Success: {text}")),
        Ok((name, Answer { status, text })) => {
            Err(Failure::new("cli-refused", format!("Failed: member={name}, status_code={status}, ({text})")))
        }
        Err(NoMember::None { .. }) => {
            eprintln!("{} Could not find any accessible member of cluster {}", local_time::moment(), target.scope);
            match target.dcs.write(&StoreWrite::DeleteFailover { expected: failover.revision }).await? {
                Written::Done { .. } => output::line("Success: scheduled switchover deleted"),
                Written::Refused => {
                    Err(Failure::new("cli-concurrent", "it was changed at the same time; look first: quorate list"))
                }
            }
        }
        Err(unknown) => Err(unknown.into()),
    }
}

/// The members meant. Without `--force` the cluster is shown first, as a person wants to see it before the question.
fn choose(target: &Target, names: &[String], role: RoleFilter, force: bool, action: &str) -> Result<Chosen, Failure> {
    let Target { scope, cluster, .. } = target;
    let with_role = with_role(cluster, role);
    if with_role.is_empty() && names.is_empty() {
        return Err(Failure::usage("cli-no-member", format!("{scope} cluster doesn't have any members to {action}")));
    }
    if !force {
        show::print_members(target)?;
    }
    let mut chosen = Vec::new();
    for name in names {
        let name = MemberName::new(name.as_str());
        if !cluster.members.contains_key(&name) {
            return Err(Failure::usage("cli-no-member", format!("{name} is not a member of cluster {scope}")));
        }
        chosen.extend(with_role.iter().filter(|(other, _)| *other == name).cloned());
    }
    if names.is_empty() {
        return Ok(with_role);
    }
    if chosen.is_empty() {
        return Err(Failure::usage("cli-no-member", format!("No {} among provided members", role.as_str())));
    }
    Ok(chosen)
}

pub fn with_role(cluster: &Cluster, role: RoleFilter) -> Chosen {
    let fits = |name: &MemberName, member: &Member| {
        let leads = cluster.is_leader(name);
        match role {
            RoleFilter::Any => true,
            RoleFilter::Leader => leads,
            RoleFilter::Primary => leads && member.data.role != Role::StandbyLeader,
            RoleFilter::StandbyLeader => leads && member.data.role == Role::StandbyLeader,
            RoleFilter::Replica | RoleFilter::Standby => !leads,
        }
    };
    cluster
        .members
        .iter()
        .filter(|(name, member)| fits(name, member))
        .map(|(name, member)| (name.clone(), member.clone()))
        .collect()
}

fn confirm(members: &Chosen, force: bool, action: &str, at: Option<&str>, pending: bool) -> Result<(), Failure> {
    if force {
        return Ok(());
    }
    let names = members.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    match at {
        Some(_) if pending => ask::must_confirm(
            "The nodes needing a restart will be identified at the scheduled time, and might be different from the ones showing pending restart right now. Is this fine?",
            &format!("Aborted scheduled {action}"),
        ),
        Some(at) => ask::must_confirm(
            &format!("Are you sure you want to schedule {action} of members {names} at {at}?"),
            &format!("Aborted scheduled {action}"),
        ),
        None => ask::must_confirm(
            &format!("Are you sure you want to {action} members {names}?"),
            &format!("Aborted {action}"),
        ),
    }
}

fn failed(action: &str, name: &MemberName, answer: Result<Answer, NoAnswer>) -> String {
    match answer {
        Ok(Answer { status, text }) => format!("Failed: {action} for member {name}, status code={status}, ({text})"),
        Err(NoAnswer::NotSent(why)) => format!("Failed: {action} for member {name}, it is not accessible: {why}"),
        Err(NoAnswer::Unknown(why)) => format!("Unknown: {action} for member {name}, it did not answer: {why}"),
    }
}

/// Until the member is no longer making its copy.
async fn wait_for_copy(context: &Context, name: &MemberName, member: &Member) -> Result<String, String> {
    let mut clock = tokio::time::interval(REINIT_LOOK_EVERY);
    clock.tick().await;
    let mut silent = 0;
    loop {
        clock.tick().await;
        match context.api.request(member, Method::Get, "patroni", None).await {
            Ok(answer) => {
                silent = 0;
                let status: Value = serde_json::from_str(&answer.text).unwrap_or_default();
                let state = status.get("state").and_then(Value::as_str).unwrap_or_default();
                if state == RunState::Running.as_str() {
                    return Ok(format!("Reinitialize is completed on: {name}"));
                }
                let is_over = [RunState::StartFailed, RunState::StopFailed, RunState::InitdbFailed, RunState::Crashed]
                    .iter()
                    .any(|over| over.as_str() == state);
                if is_over {
                    return Err(format!("Failed: reinitialize on member {name}: it is '{state}'"));
                }
            }
            Err(none) => {
                silent += 1;
                if silent >= REINIT_SILENCE_MAX {
                    return Err(format!("Unknown: reinitialize on member {name}, it does not answer: {}", none.why()));
                }
            }
        }
    }
}

/// Counts, so that the exit code tells whether all members did it.
#[derive(Default)]
struct Tally {
    done: usize,
    failed: usize,
}

impl Tally {
    /// Successes are data, failures are complaints.
    fn note(&mut self, result: Result<String, String>) -> Result<(), Failure> {
        match result {
            Ok(text) => {
                self.done += 1;
                output::line(&text)
            }
            Err(text) => {
                self.failed += 1;
                eprintln!("{text}");
                Ok(())
            }
        }
    }

    fn answer(&mut self, name: &MemberName, action: &str, answer: Result<Answer, NoAnswer>) -> Result<(), Failure> {
        self.note(match answer {
            Ok(answer) if answer.status < 400 => Ok(format!("Success: {action} for member {name}")),
            other => Err(failed(action, name, other)),
        })
    }

    fn result(&self) -> Result<(), Failure> {
        match self.failed {
            0 => Ok(()),
            failed => Err(Failure::new("cli-refused", format!("{failed} of {} failed", failed + self.done))),
        }
    }
}
