//! Commands about the connection itself: HELLO, AUTH, PING, SHUTDOWN.

use super::{Call, Outcome, error};
use crate::acl::{DEFAULT_USER, Denial};
use crate::world::World;
use ha::sentinel::Level;
use resp::{Protocol, Value};

/// The version of Redis whose behaviour this is. Clients choose what they send by it.
pub const REDIS_VERSION: &str = "7.2.4";

pub fn ping(world: &World, call: &Call<'_>) -> Outcome {
    let (message, more) = (call.words.get(1), call.words.len() > 2);
    if more {
        return call.wrong_arity();
    }
    let listening = world
        .clients
        .get(&call.client)
        .is_some_and(|client| client.is_subscribed() && client.protocol == Protocol::Resp2);
    Outcome::Reply(match (listening, message) {
        (true, message) => {
            Value::Array(vec!["pong".into(), message.map_or_else(|| "".into(), |text| text.as_str().into())])
        }
        (false, Some(message)) => message.as_str().into(),
        (false, None) => Value::Simple("PONG".to_owned()),
    })
}

pub fn auth(world: &mut World, call: &Call<'_>) -> Outcome {
    let (user, password) = match &call.words[1..] {
        [password] => {
            if world.acl.user(DEFAULT_USER).is_some_and(|user| user.any_password) {
                return error(
                    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
                );
            }
            (DEFAULT_USER, password.as_str())
        }
        [user, password] => (user.as_str(), password.as_str()),
        _ => return error("ERR syntax error"),
    };
    match sign_in(world, call.client, user, password) {
        Ok(()) => Outcome::Reply(Value::ok()),
        Err(text) => error(text),
    }
}

fn sign_in(world: &mut World, id: u64, user: &str, password: &str) -> Result<(), &'static str> {
    let right = world.acl.authenticate(user, password);
    let now = world.now();
    if let Some(client) = world.clients.get_mut(&id) {
        if right {
            client.user = Some(user.to_owned());
            return Ok(());
        }
        let description = client.describe(now);
        let object = client.last_command.to_uppercase();
        world.acl_log.add(now, Denial::Authentication, &object, user, description);
    }
    Err("WRONGPASS invalid username-password pair or user is disabled.")
}

pub fn hello(world: &mut World, call: &Call<'_>) -> Outcome {
    let mut words = call.words[1..].iter();
    let protocol = match words.next() {
        None => None,
        Some(word) => match word.parse::<i64>() {
            Ok(2) => Some(Protocol::Resp2),
            Ok(3) => Some(Protocol::Resp3),
            Ok(_) => return error("NOPROTO unsupported protocol version"),
            Err(_) => return error("ERR Protocol version is not an integer or out of range"),
        },
    };
    let (mut credentials, mut name) = (None, None);
    while let Some(option) = words.next() {
        match option.to_ascii_lowercase().as_str() {
            "auth" => match (words.next(), words.next()) {
                (Some(user), Some(password)) => credentials = Some((user, password)),
                _ => return error(format!("ERR Syntax error in HELLO option '{option}'")),
            },
            "setname" => match words.next() {
                Some(word) if is_plain(word) => name = Some(word.clone()),
                Some(_) => {
                    return error("ERR Client names cannot contain spaces, newlines or special characters.");
                }
                None => return error(format!("ERR Syntax error in HELLO option '{option}'")),
            },
            _ => return error(format!("ERR Syntax error in HELLO option '{option}'")),
        }
    }
    if let Some((user, password)) = credentials
        && let Err(text) = sign_in(world, call.client, user, password)
    {
        return error(text);
    }
    let Some(client) = world.clients.get_mut(&call.client) else { return Outcome::Later };
    if client.user.is_none() {
        return error(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
        );
    }
    if let Some(name) = name {
        client.name = name;
    }
    if let Some(protocol) = protocol {
        client.protocol = protocol;
    }
    let version = if client.protocol == Protocol::Resp3 { 3 } else { 2 };
    let entry = |key: &str, value: Value| (Value::from(key), value);
    Outcome::Reply(Value::Map(vec![
        entry("server", "redis".into()),
        entry("version", REDIS_VERSION.into()),
        entry("proto", Value::Integer(version)),
        entry("id", Value::Integer(client.id as i64)),
        entry("mode", "sentinel".into()),
        entry("role", "sentinel".into()),
        entry("modules", Value::Array(Vec::new())),
    ]))
}

/// What may be in a name that is printed in lists.
pub fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// SHUTDOWN [NOSAVE|SAVE] [NOW] [FORCE] [ABORT]. There is nothing to save: what must survive is on the disk already.
pub fn shutdown(world: &mut World, call: &Call<'_>) -> Outcome {
    for word in &call.words[1..] {
        match word.to_ascii_lowercase().as_str() {
            "nosave" | "save" | "now" | "force" => {}
            "abort" => return error("ERR No shutdown in progress."),
            _ => return error("ERR syntax error"),
        }
    }
    world.log(Level::Warning, format_args!("User requested shutdown..."));
    world.end(0);
    Outcome::Later
}
