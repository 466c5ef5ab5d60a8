//! COMMAND ...: the table of commands, for those who ask for it.

use super::table::{COMMANDS, CommandSpec};
use super::{Call, Outcome, error, help, table};
use resp::Value;

pub fn run(call: &Call<'_>) -> Outcome {
    let arguments = call.arguments();
    match call.sub {
        "" => Outcome::Reply(Value::Array(COMMANDS.iter().map(|command| details(command, None)).collect())),
        "count" => Outcome::Reply(Value::Integer(COMMANDS.len() as i64)),
        "list" => list(arguments),
        "info" if arguments.is_empty() => {
            Outcome::Reply(Value::Array(COMMANDS.iter().map(|command| details(command, None)).collect()))
        }
        "info" => {
            let found = arguments.iter().map(|name| match find(name) {
                Some((command, parent)) => details(command, parent),
                None => Value::NullArray,
            });
            Outcome::Reply(Value::Array(found.collect()))
        }
        "docs" => {
            let all = COMMANDS.iter().map(|command| (command.name.into(), docs(command, None)));
            let named = arguments.iter().filter_map(|name| {
                let (command, parent) = find(name)?;
                Some((name_of(command, parent).into(), docs(command, parent)))
            });
            Outcome::Reply(Value::Map(if arguments.is_empty() { all.collect() } else { named.collect() }))
        }
        "getkeys" | "getkeysandflags" => match table::find(&arguments[0]) {
            Some(_) => error("ERR The command has no key arguments"),
            None => error("ERR Invalid command specified"),
        },
        "help" => Outcome::Reply(help::lines("COMMAND", help::COMMAND)),
        sub => unreachable!("the table has COMMAND {sub}, which nobody carries out"),
    }
}

/// By `name` or `name|subcommand`.
fn find(name: &str) -> Option<(&'static CommandSpec, Option<&'static str>)> {
    match name.split_once('|') {
        None => Some((table::find(name)?, None)),
        Some((name, sub)) => {
            let command = table::find(name)?;
            Some((command.subcommand(sub)?, Some(command.name)))
        }
    }
}

fn name_of(command: &CommandSpec, parent: Option<&str>) -> String {
    match parent {
        Some(parent) => format!("{parent}|{}", command.name),
        None => command.name.to_owned(),
    }
}

fn details(command: &CommandSpec, parent: Option<&str>) -> Value {
    let words = |words: &[&str]| Value::Set(words.iter().map(|word| Value::Simple((*word).to_owned())).collect());
    let categories: Vec<Value> =
        command.categories.iter().map(|category| Value::Simple(format!("@{category}"))).collect();
    let subcommands: Vec<Value> =
        command.subcommands.iter().map(|subcommand| details(subcommand, Some(command.name))).collect();
    Value::Array(vec![
        name_of(command, parent).into(),
        Value::Integer(i64::from(command.arity)),
        words(command.flags),
        Value::Integer(0),
        Value::Integer(0),
        Value::Integer(0),
        Value::Set(categories),
        Value::Array(Vec::new()),
        Value::Set(Vec::new()),
        Value::Array(subcommands),
    ])
}

fn docs(command: &CommandSpec, parent: Option<&str>) -> Value {
    let mut entries: Vec<(Value, Value)> = vec![
        ("summary".into(), command.summary.into()),
        ("since".into(), command.since.into()),
        ("group".into(), command.group.into()),
    ];
    if parent.is_none() && !command.subcommands.is_empty() {
        let subcommands = command
            .subcommands
            .iter()
            .map(|subcommand| (name_of(subcommand, Some(command.name)).into(), docs(subcommand, Some(command.name))));
        entries.push(("subcommands".into(), Value::Map(subcommands.collect())));
    }
    Value::Map(entries)
}

fn list(arguments: &[String]) -> Outcome {
    let lower = |index: usize| arguments.get(index).map(|word| word.to_ascii_lowercase()).unwrap_or_default();
    let wanted: Box<dyn Fn(&str, &CommandSpec) -> bool> = match (arguments.len(), lower(0).as_str(), lower(1).as_str())
    {
        (0, ..) => Box::new(|_, _| true),
        (3, "filterby", "module") => Box::new(|_, _| false),
        (3, "filterby", "aclcat") => {
            let category = lower(2);
            Box::new(move |_, command| command.categories.contains(&category.as_str()))
        }
        (3, "filterby", "pattern") => {
            let pattern = arguments[2].clone();
            Box::new(move |name, _| ha::sentinel::glob::matches(&pattern, name, true))
        }
        _ => return error("ERR syntax error"),
    };
    let mut names = Vec::new();
    for command in COMMANDS {
        if wanted(command.name, command) {
            names.push(Value::from(command.name));
        }
        for subcommand in command.subcommands {
            let name = name_of(subcommand, Some(command.name));
            if wanted(&name, subcommand) {
                names.push(name.into());
            }
        }
    }
    Outcome::Reply(Value::Array(names))
}
