//! CLIENT ...

use super::connection::is_plain;
use super::{Call, Outcome, client_kill, error, help};
use crate::server::client::{Client, ReplyMode};
use crate::world::World;
use resp::Value;

pub fn run(world: &mut World, call: &Call<'_>) -> Outcome {
    let now = world.now();
    let arguments = call.arguments();
    if let "kill" = call.sub {
        return client_kill::run(world, call);
    }
    if let "list" = call.sub {
        return list(world, arguments);
    }
    let Some(client) = world.clients.get_mut(&call.client) else { return Outcome::Later };
    let word = |index: usize| arguments.get(index).map(|word| word.to_ascii_lowercase()).unwrap_or_default();
    let ok = || Outcome::Reply(Value::ok());
    match call.sub {
        "id" => Outcome::Reply(Value::Integer(client.id as i64)),
        "info" => Outcome::Reply(text(format!("{}\n", client.describe(now)))),
        "getname" => Outcome::Reply(if client.name.is_empty() { Value::Null } else { client.name.as_str().into() }),
        "setname" => {
            if !is_plain(&arguments[0]) {
                return error("ERR Client names cannot contain spaces, newlines or special characters.");
            }
            client.name.clone_from(&arguments[0]);
            ok()
        }
        "setinfo" => set_info(client, arguments),
        "reply" => match word(0).as_str() {
            "on" => {
                client.reply_mode = ReplyMode::On;
                ok()
            }
            "off" => {
                client.reply_mode = ReplyMode::Off;
                Outcome::Replies(Vec::new())
            }
            "skip" => {
                if client.reply_mode != ReplyMode::Off {
                    client.reply_mode = ReplyMode::SkipNext;
                }
                Outcome::Replies(Vec::new())
            }
            _ => error("ERR syntax error"),
        },
        "no-evict" => match word(0).as_str() {
            "on" | "off" => {
                client.no_evict = word(0) == "on";
                ok()
            }
            _ => error("ERR syntax error"),
        },
        // Nothing is written here, so there is nothing to hold back.
        "pause" => match arguments[0].parse::<u64>() {
            Ok(_) if matches!(word(1).as_str(), "" | "write" | "all") => ok(),
            Ok(_) => error("ERR syntax error"),
            Err(_) => error("ERR timeout is not an integer or out of range"),
        },
        "unpause" => ok(),
        "unblock" => match arguments[0].parse::<u64>() {
            Ok(_) => Outcome::Reply(Value::Integer(0)),
            Err(_) => error("ERR value is not an integer or out of range"),
        },
        // There are no keys, so nothing ever becomes invalid.
        "tracking" => match word(0).as_str() {
            "on" | "off" => ok(),
            _ => error("ERR syntax error"),
        },
        "trackinginfo" => Outcome::Reply(Value::Map(vec![
            ("flags".into(), Value::Set(vec!["off".into()])),
            ("redirect".into(), Value::Integer(-1)),
            ("prefixes".into(), Value::Array(Vec::new())),
        ])),
        "caching" => error(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        ),
        "getredir" => Outcome::Reply(Value::Integer(-1)),
        "help" => Outcome::Reply(help::lines("CLIENT", help::CLIENT)),
        sub => unreachable!("the table has CLIENT {sub}, which nobody carries out"),
    }
}

fn text(text: String) -> Value {
    Value::Verbatim { format: "txt".to_owned(), text: text.into() }
}

fn set_info(client: &mut Client, arguments: &[String]) -> Outcome {
    let (option, value) = (&arguments[0], &arguments[1]);
    let place = match option.to_ascii_lowercase().as_str() {
        "lib-name" => &mut client.library_name,
        "lib-ver" => &mut client.library_version,
        _ => return error(format!("ERR Unrecognized option '{option}'")),
    };
    if !is_plain(value) {
        let option = option.to_ascii_lowercase();
        return error(format!("ERR {option} cannot contain spaces, newlines or special characters."));
    }
    place.clone_from(value);
    Outcome::Reply(Value::ok())
}

fn list(world: &World, arguments: &[String]) -> Outcome {
    let now = world.now();
    let wanted: Box<dyn Fn(&Client) -> bool> = match arguments {
        [] => Box::new(|_| true),
        [option, kind] if option.eq_ignore_ascii_case("type") => match kind.to_ascii_lowercase().as_str() {
            "normal" => Box::new(|client| !client.is_subscribed()),
            "pubsub" => Box::new(Client::is_subscribed),
            "master" | "primary" | "replica" | "slave" => Box::new(|_| false),
            _ => return error(format!("ERR Unknown client type '{kind}'")),
        },
        [option, ids @ ..] if option.eq_ignore_ascii_case("id") && !ids.is_empty() => {
            let mut numbers = Vec::new();
            for id in ids {
                match id.parse::<u64>() {
                    Ok(id) if id > 0 => numbers.push(id),
                    _ => return error("ERR Invalid client ID"),
                }
            }
            Box::new(move |client| numbers.contains(&client.id))
        }
        _ => return error("ERR syntax error"),
    };
    let mut lines = String::new();
    for client in world.clients.values().filter(|client| wanted(client)) {
        lines.push_str(&client.describe(now));
        lines.push('\n');
    }
    Outcome::Reply(text(lines))
}
