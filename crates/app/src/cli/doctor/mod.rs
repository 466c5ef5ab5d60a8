//! `doctor`: what is wrong, what is risky, and what to do about it.
//!
//! Three parts: `look` and `ask` find facts out, `rules` judge them, `text` shows the findings. The invariant: everything
//! that is found has a code that stays, and a hint.

mod ask;
mod facts;
mod finding;
mod look;
mod rules;
mod text;

use super::EXIT_FAILED;
use super::arguments::{DoctorArguments, GlobalArguments};
use super::context::Context;
use super::failure::Failure;
use super::{output, places};
use crate::startup;
use finding::{Finding, Severity};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The exit code is 1 when there is an error among the findings.
pub async fn doctor(global: &GlobalArguments, arguments: &DoctorArguments) -> Result<(), Failure> {
    let findings = examine(global, arguments.cluster.as_deref()).await?;
    output::emit(&text::text(&findings, arguments.format.format, output::in_colour()))?;
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        // What is wrong has been said.
        return Err(Failure { exit: EXIT_FAILED, ..Failure::new("cli-doctor", "") });
    }
    Ok(())
}

/// The findings as one JSON value, for the bundle.
pub async fn report(global: &GlobalArguments, cluster: Option<&str>) -> Result<Value, Failure> {
    examine(global, cluster).await.map(|findings| text::json(&findings))
}

async fn examine(global: &GlobalArguments, cluster: Option<&str>) -> Result<Vec<Finding>, Failure> {
    let env: BTreeMap<String, String> = std::env::vars().collect();
    let file = places::find(global.config_file.as_deref(), &env);
    let context = Context::new(global);
    // A file that cannot even be read as far as that is a member's for all that is known.
    let is_a_members = context.as_ref().map_or(true, |context| context.client().name.is_some());
    let member = file.filter(|_| is_a_members).map(|file| (config::load(&file, &env), file));
    if let Some((Err(errors), file)) = &member {
        return Ok(errors.0.iter().map(|error| of_configuration(error, file, Finding::error)).collect());
    }
    let context = context?;
    let mut facts = ask::everybody(&context, &context.scope(cluster)?).await;
    let mut findings = Vec::new();
    if let Some((Ok(member), file)) = member {
        let answer = facts.cluster.as_ref().and_then(|cluster| cluster.answers.get(&member.name));
        let running = answer.is_some_and(|answer| answer.silent.is_none());
        findings.extend(member.warnings.iter().map(|note| of_configuration(note, &file, Finding::hint)));
        facts.machine = Some(look::at(&file, &member));
        findings.extend(of_start(file, member, running).await);
    }
    findings.extend(rules::judge(&facts));
    findings.sort_by_key(|finding| finding.severity);
    Ok(findings)
}

/// How a finding of one severity is made.
type Make = fn(&'static str, &str, String, &str) -> Finding;

fn of_configuration(error: &config::ConfigError, file: &Path, make: Make) -> Finding {
    let subject = error.place.as_ref().map_or_else(|| file.display().to_string(), ToString::to_string);
    let key = if error.key.is_empty() { String::new() } else { format!("{}: ", error.key) };
    let hint = error.hint.as_deref().unwrap_or("docs/reference/configuration.md lists what each key takes");
    make(error.code.as_str(), &subject, format!("{key}{}", error.message), hint)
}

/// What would keep the agent from starting. The checks ask programs for their versions, each with a runtime of its own.
async fn of_start(file: std::path::PathBuf, member: config::MemberConfig, running: bool) -> Vec<Finding> {
    let name = member.name.to_string();
    let checked = tokio::task::spawn_blocking(move || startup::problems(&file, &member, running)).await;
    let finding = |problem: &startup::Problem| {
        let hint = problem.hint().unwrap_or("correct it, and start the agent");
        Finding::error(problem.code, &name, problem.sentence(), hint)
    };
    checked.unwrap_or_default().iter().map(finding).collect()
}
