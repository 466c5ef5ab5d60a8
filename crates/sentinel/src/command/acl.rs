//! ACL ...

use super::table::{CATEGORIES, COMMANDS};
use super::{Call, Outcome, acl_reply, error, help, strings, table};
use crate::acl::{Acl, DEFAULT_USER, Denied, generate};
use crate::world::World;
use ha::sentinel::{Request, Secret};
use resp::Value;

/// ACL GENPASS without an argument.
const PASSWORD_BITS: usize = 256;
const PASSWORD_BITS_MAX: usize = 4096;

pub fn run(world: &mut World, call: &Call<'_>) -> Outcome {
    let arguments = call.arguments();
    match call.sub {
        "whoami" => {
            let user = world.clients.get(&call.client).and_then(|client| client.user.clone());
            Outcome::Reply(user.map_or(Value::Null, Value::from))
        }
        "list" => {
            let users = world.acl.users().map(|(name, user)| format!("user {name} {}", user.description()));
            Outcome::Reply(strings(users))
        }
        "users" => Outcome::Reply(strings(world.acl.users().map(|(name, _)| name.to_owned()))),
        "getuser" => Outcome::Reply(match world.acl.user(&arguments[0]) {
            Some(user) => acl_reply::user(user),
            None => Value::Null,
        }),
        "setuser" => set_user(world, call, &arguments[0], &arguments[1..]),
        "deluser" => delete_users(world, call, arguments),
        "cat" => categories(arguments),
        "genpass" => generate_password(arguments),
        "log" => log(world, arguments),
        "load" => load(world, call),
        "save" => save(world),
        "dryrun" => dry_run(world, arguments),
        "help" => Outcome::Reply(help::lines("ACL", help::ACL)),
        sub => unreachable!("the table has ACL {sub}, which nobody carries out"),
    }
}

fn set_user(world: &mut World, call: &Call<'_>, name: &str, rules: &[String]) -> Outcome {
    if name.contains(char::is_whitespace) || name.contains('\0') {
        return error("ERR Usernames can't contain spaces or null characters");
    }
    if let Err(text) = world.acl.set_user(name, rules) {
        return error(format!("ERR {text}"));
    }
    world.acl_changed = true;
    if name == DEFAULT_USER
        && let Some(password) = rules.iter().rev().find_map(|rule| rule.strip_prefix('>'))
    {
        // Sentinels without `sentinel-pass` use this one among themselves.
        let password = Some(Secret::new(password));
        world.request(call.client, Request::OwnPassword { password }, None);
        end_lost_sessions(world, call.client);
        return Outcome::Later;
    }
    end_lost_sessions(world, call.client);
    Outcome::Reply(Value::ok())
}

/// Connections of users that are gone or switched off.
fn end_lost_sessions(world: &mut World, me: u64) {
    let acl = &world.acl;
    for client in world.clients.values_mut() {
        let lost = client.user.as_ref().is_some_and(|name| acl.user(name).is_none_or(|user| !user.enabled));
        if lost && client.id == me {
            client.end_after_output();
        } else if lost {
            client.kill();
        }
    }
}

fn delete_users(world: &mut World, call: &Call<'_>, names: &[String]) -> Outcome {
    if names.iter().any(|name| name == DEFAULT_USER) {
        return error("ERR The 'default' user cannot be removed");
    }
    let count = names.iter().filter(|name| world.acl.delete(name)).count();
    world.acl_changed |= count > 0;
    end_lost_sessions(world, call.client);
    Outcome::Reply(Value::Integer(count as i64))
}

fn categories(arguments: &[String]) -> Outcome {
    match arguments {
        [] => Outcome::Reply(strings(CATEGORIES)),
        [category] => {
            let category = category.to_ascii_lowercase();
            if !CATEGORIES.contains(&category.as_str()) {
                return error(format!("ERR Unknown category '{category}'"));
            }
            let mut names = Vec::new();
            for command in COMMANDS {
                if command.categories.contains(&category.as_str()) {
                    names.push(command.name.to_owned());
                }
                for sub in command.subcommands.iter().filter(|sub| sub.categories.contains(&category.as_str())) {
                    names.push(format!("{}|{}", command.name, sub.name));
                }
            }
            Outcome::Reply(strings(names))
        }
        _ => error("ERR wrong number of arguments for 'acl|cat' command"),
    }
}

fn generate_password(arguments: &[String]) -> Outcome {
    let bits = match arguments {
        [] => Some(PASSWORD_BITS),
        [bits] => bits.parse().ok().filter(|bits| (1..=PASSWORD_BITS_MAX).contains(bits)),
        _ => None,
    };
    let Some(bits) = bits else {
        return error(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096",
        );
    };
    match generate(bits) {
        Some(password) => Outcome::Reply(password.into()),
        None => error("ERR the operating system gives no randomness"),
    }
}

fn log(world: &mut World, arguments: &[String]) -> Outcome {
    /// As many as Redis shows when it is not told.
    const SHOWN: usize = 10;
    let count = match arguments {
        [] => SHOWN,
        [word] if word.eq_ignore_ascii_case("reset") => {
            world.acl_log.clear();
            return Outcome::Reply(Value::ok());
        }
        [word] => match word.parse() {
            Ok(count) => count,
            Err(_) => return error("ERR value is out of range, must be positive"),
        },
        _ => return error("ERR wrong number of arguments for 'acl|log' command"),
    };
    let now = world.now();
    Outcome::Reply(Value::Array(
        world.acl_log.entries().take(count).map(|entry| acl_reply::log_entry(now, entry)).collect(),
    ))
}

fn load(world: &mut World, call: &Call<'_>) -> Outcome {
    let Some(path) = world.settings.acl_file.clone() else { return no_file() };
    match Acl::load(&path, world.settings.acl_pubsub_all) {
        Ok(acl) => {
            world.acl = acl;
            end_lost_sessions(world, call.client);
            Outcome::Reply(Value::ok())
        }
        Err(text) => error(format!(
            "ERR {text} WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
        )),
    }
}

fn save(world: &World) -> Outcome {
    let Some(path) = &world.settings.acl_file else { return no_file() };
    match world.acl.save(path) {
        Ok(()) => Outcome::Reply(Value::ok()),
        Err(why) => error(format!("ERR There was an error trying to save the ACLs: {why}")),
    }
}

fn no_file() -> Outcome {
    error(
        "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration.",
    )
}

fn dry_run(world: &World, arguments: &[String]) -> Outcome {
    let (name, words) = (&arguments[0], &arguments[1..]);
    let Some(user) = world.acl.user(name) else { return error(format!("ERR User '{name}' not found")) };
    let Some(command) = table::find(&words[0]) else {
        return error(format!("ERR Command '{}' not found", words[0]));
    };
    let subcommand = words.get(1).and_then(|word| command.subcommand(word));
    if !subcommand.unwrap_or(command).takes(words.len()) {
        return error(super::arity_text(&super::full_name(command, subcommand.map_or("", |sub| sub.name))));
    }
    let channels: Vec<&str> = match command.name {
        "subscribe" | "psubscribe" => words[1..].iter().map(String::as_str).collect(),
        "publish" => vec![words[1].as_str()],
        _ => Vec::new(),
    };
    let verdict = user.check(command, subcommand, &channels, command.name == "psubscribe");
    Outcome::Reply(match verdict {
        Ok(()) => Value::ok(),
        Err(Denied::Command) => {
            let full = super::full_name(command, subcommand.map_or("", |sub| sub.name));
            format!("User {name} has no permissions to run the '{full}' command").into()
        }
        Err(Denied::Channel(channel)) => {
            format!("User {name} has no permissions to access the '{channel}' channel").into()
        }
    })
}
