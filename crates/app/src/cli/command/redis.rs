//! `redis list`, `redis switchover`, `redis failover`, `redis overwrite`, `redis explain`.
//!
//! A change of master is written into the store, where the members see it; no REST API is needed. The exit code is 0 only
//! when another master takes writes.

use crate::cli::api::Method;
use crate::cli::arguments::{
    GroupArgument, RedisChangeArguments, RedisCommand, RedisOverwriteArguments, RedisShowArguments,
};
use crate::cli::context::{Context, Target};
use crate::cli::failure::Failure;
use crate::cli::render::{self, Format};
use crate::cli::{ask, local_time, output};
use console::redis::{RedisAction, RedisWish, explanation, obstacle, overwrite_obstacle};
use dcs::Written;
use ha::cluster::redis::{RedisMember, RedisWrite};
use ha::cluster::{Member, MemberData, RedisGroup};
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use types::MemberName;

/// How often the store is asked what became of it. A switchover takes a tenth of a second.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Longer than a lease, an election and a pause of writes together.
const WAIT_MAX: Duration = Duration::from_secs(30);

const NO_GROUP: GroupArgument = GroupArgument { group: None };

pub async fn run(context: &Context, command: RedisCommand) -> Result<(), Failure> {
    match command {
        RedisCommand::List(arguments) => list(context, arguments).await,
        RedisCommand::Overwrite(arguments) => overwrite(context, arguments).await,
        RedisCommand::Explain(arguments) => explain(context, arguments).await,
        RedisCommand::Switchover(arguments) => change(context, RedisAction::Switchover, arguments).await,
        RedisCommand::Failover(arguments) => change(context, RedisAction::Failover, arguments).await,
    }
}

async fn list(context: &Context, arguments: RedisShowArguments) -> Result<(), Failure> {
    let target = context.target(arguments.cluster.as_deref(), NO_GROUP).await?;
    let name = name_of(&target, arguments.name.as_deref())?;
    let group = target.cluster.redis_group(&name);
    output::emit(&render::redis_members(&name, &group, arguments.format.format))
}

async fn explain(context: &Context, arguments: RedisShowArguments) -> Result<(), Failure> {
    let target = context.target(arguments.cluster.as_deref(), NO_GROUP).await?;
    let name = name_of(&target, arguments.name.as_deref())?;
    let mut explanation = explanation(&target.cluster, &name);
    let (from, here) = here(context, &target.cluster.redis_group(&name)).await.unwrap_or_default();
    if !here.is_null() {
        explanation["here"] = here;
    }
    match arguments.format.format {
        Format::Json => output::line(&console::json_text(&explanation)),
        Format::Yaml => output::emit(&config::yaml_from_json(&explanation)),
        Format::Pretty | Format::Tsv | Format::Topology => output::emit(&render::explanation(&explanation, &from)),
    }
}

/// What the master's agent (or else another's) decides just now, and whose it is.
async fn here(context: &Context, group: &RedisGroup) -> Option<(String, Value)> {
    let others = group.members.iter().filter(|(name, _)| !group.is_leader(name));
    for (name, entry) in group.leader_member().into_iter().chain(others) {
        match context.api.request(&rest_api(entry), Method::Get, "quorate/explain", None).await {
            Ok(answer) => {
                let mut answer: Value = serde_json::from_str(&answer.text).ok()?;
                return answer.pointer_mut("/redis/here").map(|here| (name.to_string(), here.take()));
            }
            Err(none) => eprintln!("Member {name} is not accessible: {}", none.why()),
        }
    }
    None
}

/// The member as far as requests to it go.
fn rest_api(entry: &RedisMember) -> Member {
    let data = MemberData { api_url: entry.data.api_url.clone(), ..MemberData::default() };
    Member { data, revision: entry.revision, lease: entry.lease }
}

async fn change(context: &Context, action: RedisAction, arguments: RedisChangeArguments) -> Result<(), Failure> {
    let mut target = context.target(arguments.cluster.as_deref(), NO_GROUP).await?;
    let name = name_of(&target, arguments.name.as_deref())?;
    let group = target.cluster.redis_group(&name);
    output::emit(&render::redis_members(&name, &group, Format::Pretty))?;
    let force = arguments.force.force;
    let wish = settle(action, &name, &group, arguments)?;
    let request = action.request(&group, wish.clone(), force && action == RedisAction::Failover);
    let expected = group.failover.as_ref().map(|failover| failover.revision);
    let write = RedisWrite::PutFailover { request, expected };
    let Written::Done { revision } = target.dcs.write_redis(&name, &write).await? else {
        return Err(Failure::new("cli-concurrent", "somebody else asked for a change of master at the same time")
            .hint("look first: quorate redis list"));
    };
    let wish = RedisWish { action, old: group.leader_name().cloned(), candidate: wish, revision };
    let done = wait(&target, &name, &wish).await?;
    output::line(&format!("{} {done}", local_time::moment()))?;
    target.refresh().await?;
    output::emit(&render::redis_members(&name, &target.cluster.redis_group(&name), Format::Pretty))
}

async fn overwrite(context: &Context, arguments: RedisOverwriteArguments) -> Result<(), Failure> {
    let target = context.target(arguments.cluster.as_deref(), NO_GROUP).await?;
    let name = name_of(&target, arguments.name.as_deref())?;
    let group = target.cluster.redis_group(&name);
    let member = MemberName::new(arguments.member);
    let Some(entry) = group.members.get(&member) else {
        return Err(Failure::usage("cli-no-member", format!("{member} has no Redis, or is not running")));
    };
    if let Some(why) = overwrite_obstacle(&group, &member) {
        return Err(Failure::usage("cli-not-possible", why).hint("quorate redis explain says what a member waits for"));
    }
    if !arguments.force.force {
        let question = format!("Are you sure you want to lose the {} keys on {member}?", entry.data.keys);
        ask::must_confirm(&question, "Aborting")?;
    }
    match context.api.request(&rest_api(entry), Method::Post, "redis/overwrite", None).await {
        Ok(answer) if answer.status == 202 => output::line(&format!("Success: {member}: {}", answer.text)),
        Ok(answer) => Err(Failure::new("cli-refused", format!("Failed: {member}: {}, {}", answer.status, answer.text))),
        Err(none) => Err(Failure::new("cli-no-member", format!("Failed: {member} is not accessible: {}", none.why()))),
    }
}

/// The candidate, after the checks and the question.
fn settle(
    action: RedisAction,
    name: &str,
    group: &RedisGroup,
    arguments: RedisChangeArguments,
) -> Result<Option<MemberName>, Failure> {
    let force = arguments.force.force;
    let refuse = |message: String| Err(Failure::usage("cli-not-possible", message));
    let present = group.leader_name();
    if let Some(named) = &arguments.master
        && present.is_none_or(|present| present.as_str() != named)
    {
        return refuse(format!("{named} is not the master of {name}"));
    }
    let mut candidate = arguments.candidate.map(MemberName::new);
    if candidate.is_none() && !force && ask::on_terminal() {
        let others: Vec<String> =
            group.members.keys().filter(|it| !group.is_leader(it)).map(|it| format!("'{it}'")).collect();
        let answer = ask::prompt(&format!("Candidate [{}]", others.join(", ")), "", "--candidate")?;
        candidate = Some(answer).filter(|name| !name.is_empty()).map(MemberName::new);
    }
    if let Some(why) = obstacle(action, group, candidate.as_ref(), force && action == RedisAction::Failover) {
        let hint = match action {
            RedisAction::Switchover => "quorate redis explain says what keeps a member from it",
            RedisAction::Failover => "quorate redis switchover loses nothing; --force fails over all the same",
        };
        return Err(Failure::usage("cli-not-possible", why).hint(hint));
    }
    if !force {
        let demoting = present.map_or_else(String::new, |present| format!(", demoting the master {present}"));
        ask::must_confirm(
            &format!("Are you sure you want to {} Redis {name}{demoting}?", action.word()),
            &format!("Aborting {}", action.word()),
        )?;
    }
    Ok(candidate)
}

async fn wait(target: &Target, name: &str, wish: &RedisWish) -> Result<String, Failure> {
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        let look = Instant::now() + LOOK_EVERY;
        // While the store elects there is no answer; the deadline bounds the patience.
        if let Ok(cluster) = target.dcs.load().await
            && let Some(verdict) = wish.verdict(&cluster.redis_group(name), cluster.revision)
        {
            return verdict.map_err(|why| {
                Failure::new("cli-refused", why).hint("quorate redis explain says what keeps a member from it")
            });
        }
        if look > deadline {
            return Err(Failure::new(
                "cli-outcome-unknown",
                format!("no other master takes writes after {} s; the wish still stands", WAIT_MAX.as_secs()),
            )
            .hint("quorate redis explain says why"));
        }
        sleep_until(look).await;
    }
}

/// The named group, or the only one of the scope.
pub fn name_of(target: &Target, named: Option<&str>) -> Result<String, Failure> {
    let known: Vec<&String> = target.cluster.redis.keys().collect();
    match (named, known.as_slice()) {
        (Some(named), _) if target.cluster.redis.contains_key(named) => Ok(named.to_owned()),
        (None, [only]) => Ok((*only).clone()),
        (_, []) => Err(Failure::usage("cli-no-redis", format!("the cluster {} has no Redis", target.scope))
            .hint("a member gets one with the section redis: in its configuration")),
        (_, known) => {
            let known = known.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
            Err(Failure::usage("cli-no-redis", "which Redis is meant?").hint(format!("--name with one of: {known}")))
        }
    }
}
