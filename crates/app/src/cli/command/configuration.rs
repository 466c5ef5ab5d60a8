//! `show-config` and `edit-config`.

use super::{changes, edit, through_store};
use crate::cli::arguments::{EditConfigArguments, ShowConfigArguments};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::render::Format;
use crate::cli::{ask, output};
use serde_json::{Value, json};
use std::io::Read;

/// A configuration is a few kilobytes.
const INPUT_BYTES_MAX: u64 = 1024 * 1024;

pub async fn show(context: &Context, arguments: ShowConfigArguments) -> Result<(), Failure> {
    let target = context.target(arguments.cluster.as_deref(), arguments.group).await?;
    let config = changes::present(&target)?;
    match arguments.format {
        Format::Json => output::line(&console::json_text(&config)),
        Format::Pretty | Format::Tsv | Format::Yaml | Format::Topology => {
            output::emit(&config::yaml_from_json(&config))
        }
    }
}

pub async fn edit(context: &Context, arguments: EditConfigArguments) -> Result<(), Failure> {
    let target = context.target(arguments.cluster.as_deref(), arguments.group).await?;
    // What is replaced as a whole need not be readable.
    let present = match changes::present(&target) {
        Err(failure) if failure.code == "cli-config-unreadable" && arguments.replace.is_some() => Value::Null,
        present => present?,
    };
    let by_editor =
        arguments.replace.is_none() && arguments.apply.is_none() && arguments.set.is_empty() && arguments.pg.is_empty();
    let changed = if by_editor {
        match edit::by_person(&present, target.scope.as_str())? {
            Some(changed) => changed,
            None => return output::line("Not changed"),
        }
    } else {
        by_options(&present, &arguments)?
    };
    if changed == present {
        return if arguments.quiet { Ok(()) } else { output::line("Not changed") };
    }
    if !by_editor {
        edit::check(&changed).map_err(|problems| {
            Failure::usage("cli-config-invalid", format!("the configuration would not be accepted\n{problems}"))
        })?;
    }
    if !arguments.quiet {
        let text =
            edit::difference(&config::yaml_from_json(&present), &config::yaml_from_json(&changed), output::in_colour());
        output::emit(&text)?;
    }
    let from_stdin = [&arguments.apply, &arguments.replace].into_iter().flatten().any(|file| file == "-");
    if from_stdin && !arguments.force.force {
        // Standard input is used up, so nobody can answer.
        return Err(Failure::usage("cli-not-confirmed", "Use --force option to apply changes"));
    }
    if !arguments.force.force {
        ask::must_confirm("Apply these changes?", "Not applied")?;
    }
    through_store::write_config(&target, changed.to_string()).await?;
    output::line("Configuration changed")
}

/// In patronictl's order: replace, then apply, then single values.
fn by_options(present: &Value, arguments: &EditConfigArguments) -> Result<Value, Failure> {
    let mut changed = present.clone();
    if let Some(file) = &arguments.replace {
        changed = json!({});
        changes::patch(&mut changed, &mapping(file)?);
    }
    if let Some(file) = &arguments.apply {
        changes::patch(&mut changed, &mapping(file)?);
    }
    for pair in &arguments.set {
        changes::set(&mut changed, pair)?;
    }
    for pair in &arguments.pg {
        changes::set(&mut changed, &format!("postgresql.parameters.{}", pair.trim_start()))?;
    }
    Ok(changed)
}

fn mapping(file: &str) -> Result<Value, Failure> {
    let mut text = String::new();
    let read = if file == "-" {
        std::io::stdin().lock().take(INPUT_BYTES_MAX).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(INPUT_BYTES_MAX).read_to_string(&mut text))
    };
    read.map_err(|error| Failure::usage("cli-file", format!("'{file}' cannot be read: {error}")))?;
    match config::yaml_to_json(file, &text)? {
        Value::Null => Ok(json!({})),
        value @ Value::Object(_) => Ok(value),
        _ => Err(Failure::usage("cli-file", format!("'{file}' does not hold keys and values (name: value)"))),
    }
}
