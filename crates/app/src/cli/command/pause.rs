//! `pause` and `resume`.

use super::{changes, through_store};
use crate::cli::api::{Method, NoMember};
use crate::cli::arguments::PauseArguments;
use crate::cli::context::{Context, Target};
use crate::cli::failure::Failure;
use crate::cli::output;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How often the store is asked whether every member knows it.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Beyond one turn of every member's loop.
const WAIT_BEYOND_LOOP: Duration = Duration::from_secs(5);

pub async fn toggle(context: &Context, arguments: PauseArguments, pause: bool) -> Result<(), Failure> {
    let mut target = context.target(arguments.cluster.as_deref(), arguments.group).await?;
    if target.cluster.is_paused() == pause {
        let message = format!("Cluster is {} paused", if pause { "already" } else { "not" });
        return Err(Failure::new("cli-already", message));
    }
    let patch = json!({"pause": if pause { json!(true) } else { Value::Null }});
    match context.api.first_answer(&target.cluster, Method::Patch, "config", Some(&patch)).await {
        Ok((_, answer)) if answer.status == 200 => {}
        Ok((_, answer)) => {
            let action = if pause { "pause" } else { "resume" };
            let message =
                format!("Failed: {action} cluster management status code={}, ({})", answer.status, answer.text);
            return Err(Failure::new("cli-refused", message));
        }
        Err(NoMember::None { tried }) => {
            // Members for Redis alone are not in the list that is asked.
            if tried > 0 {
                eprintln!("No member's REST API answers, writing to the store");
            }
            let mut config = changes::present(&target)?;
            changes::patch(&mut config, &patch);
            through_store::write_config(&target, config.to_string()).await?;
        }
        Err(unknown) => return Err(unknown.into()),
    }
    if arguments.wait {
        wait(&mut target, pause).await?;
    }
    output::line(&format!("Success: cluster management is {}", if pause { "paused" } else { "resumed" }))
}

/// Until every member that was there says so itself.
async fn wait(target: &mut Target, pause: bool) -> Result<(), Failure> {
    let word = if pause { "pause" } else { "resume" };
    eprintln!("'{word}' request sent, waiting until it is recognized by all nodes");
    let names: Vec<_> = target.cluster.members.keys().cloned().collect();
    let limit = Duration::from(target.cluster.config().loop_wait) + WAIT_BEYOND_LOOP;
    let deadline = Instant::now() + limit;
    loop {
        let look = Instant::now() + LOOK_EVERY;
        target.refresh().await?;
        let of_redis = target.cluster.redis.values().flat_map(|group| &group.members);
        let of_redis = of_redis.filter(|(_, member)| member.data.pause != pause).map(|(name, _)| name.as_str());
        let mut remaining: BTreeSet<&str> = names
            .iter()
            .filter(|name| {
                target.cluster.members.get(name).is_some_and(|member| member.data.pause.unwrap_or(false) != pause)
            })
            .map(types::MemberName::as_str)
            .collect();
        remaining.extend(of_redis);
        if remaining.is_empty() {
            return Ok(());
        }
        if look > deadline {
            let message = format!(
                "{} members didn't recognize the {word} after {} seconds",
                remaining.into_iter().collect::<Vec<_>>().join(", "),
                limit.as_secs()
            );
            return Err(Failure::new("cli-timeout", message));
        }
        sleep_until(look).await;
    }
}
