//! What clients can say, and what they are answered: commands, error texts and the order of fields are Redis Sentinel's.
//!
//! Deliberately without sockets: words in, values out. Reading commands are answered from the state machine's readable state;
//! what changes something is a request to it and is answered when it says so.

mod acl;
mod acl_reply;
mod client;
mod client_kill;
mod connection;
mod documentation;
mod help;
mod info;
mod pubsub;
mod sentinel;
pub mod table;

use crate::acl::{Denial, Denied};
use crate::server::client::ReplyMode;
use crate::world::World;
use bytes::Bytes;
use resp::{Protocol, Value};
use table::CommandSpec;

/// What is to be said to the client that sent the command.
enum Outcome {
    Reply(Value),
    /// For SUBSCRIBE: one for each channel.
    Replies(Vec<Value>),
    /// Nothing now: the answer of the state machine comes later.
    Later,
    /// The last words: the connection ends when they are written.
    Last(Value),
}

fn error(text: impl Into<String>) -> Outcome {
    Outcome::Reply(Value::Error(text.into()))
}

/// One command, with the client that sent it.
struct Call<'a> {
    client: u64,
    words: &'a [String],
    command: &'static CommandSpec,
    /// The subcommand's name in lower case; empty for commands that have none.
    sub: &'static str,
}

impl Call<'_> {
    /// The words after the command, and the subcommand if it has one.
    fn arguments(&self) -> &[String] {
        let taken = if self.sub.is_empty() { 1 } else { 2 };
        self.words.get(taken..).unwrap_or_default()
    }

    fn full_name(&self) -> String {
        full_name(self.command, self.sub)
    }

    fn wrong_arity(&self) -> Outcome {
        error(arity_text(&self.full_name()))
    }
}

fn full_name(command: &CommandSpec, sub: &str) -> String {
    if sub.is_empty() { command.name.to_owned() } else { format!("{}|{sub}", command.name) }
}

fn arity_text(name: &str) -> String {
    format!("ERR wrong number of arguments for '{name}' command")
}

/// Carries out one command of a client and writes what it is answered into its output.
pub fn execute(world: &mut World, id: u64, words: &[Bytes]) {
    let words: Vec<String> = words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let now = world.now();
    world.statistics.commands += 1;
    let Some(client) = world.clients.get_mut(&id) else { return };
    client.active_at = now;
    client.commands += 1;
    if client.reply_mode == ReplyMode::SkipNext {
        client.reply_mode = ReplyMode::SkipThis;
    }
    let outcome = match admitted(world, id, &words) {
        Ok(call) => run(world, &call),
        Err(text) => error(text),
    };
    finish(world, id, outcome);
}

fn finish(world: &mut World, id: u64, outcome: Outcome) {
    let now = world.now();
    let (values, last) = match outcome {
        Outcome::Later => return,
        Outcome::Reply(value) => (vec![value], false),
        Outcome::Replies(values) => (values, false),
        Outcome::Last(value) => (vec![value], true),
    };
    world.statistics.errors += values.iter().filter(|value| value.as_error().is_some()).count() as u64;
    let Some(client) = world.clients.get_mut(&id) else { return };
    for value in &values {
        client.reply(value);
    }
    if client.reply_mode == ReplyMode::SkipThis {
        client.reply_mode = ReplyMode::On;
    }
    if last {
        client.end_after_output();
    }
    let limit = if client.is_subscribed() { world.settings.pubsub_limit } else { world.settings.normal_limit };
    client.bound_output(now, limit);
}

/// The command, if it exists, has enough words, and this client may give it now.
fn admitted<'a>(world: &mut World, id: u64, words: &'a [String]) -> Result<Call<'a>, String> {
    let command = table::find(&words[0]).ok_or_else(|| unknown_command(words))?;
    let subcommand = match words.get(1) {
        Some(word) if !command.subcommands.is_empty() => Some(command.subcommand(word).ok_or_else(|| {
            format!("ERR unknown subcommand '{}'. Try {} HELP.", shortened(word), command.name.to_uppercase())
        })?),
        _ => None,
    };
    let sub = subcommand.map_or("", |subcommand| subcommand.name);
    if !subcommand.unwrap_or(command).takes(words.len()) {
        return Err(arity_text(&full_name(command, sub)));
    }
    let Some(client) = world.clients.get_mut(&id) else { return Err("ERR no such client".to_owned()) };
    client.last_command = full_name(command, sub);
    let Some(user) = client.user.clone() else {
        if command.without_authentication() {
            return Ok(Call { client: id, words, command, sub });
        }
        return Err("NOAUTH Authentication required.".to_owned());
    };
    let (channels, literal): (Vec<&str>, bool) = match command.name {
        "subscribe" => (words[1..].iter().map(String::as_str).collect(), false),
        "psubscribe" => (words[1..].iter().map(String::as_str).collect(), true),
        "publish" => (vec![words[1].as_str()], false),
        _ => (Vec::new(), false),
    };
    if let Err(denied) = world.acl.check(&user, command, subcommand, &channels, literal) {
        return Err(refuse(world, id, &user, denied, &full_name(command, sub)));
    }
    let Some(client) = world.clients.get(&id) else { return Err("ERR no such client".to_owned()) };
    let allowed = matches!(command.name, "subscribe" | "unsubscribe" | "psubscribe" | "punsubscribe" | "ping");
    if client.protocol == Protocol::Resp2 && client.is_subscribed() && !allowed {
        return Err(format!(
            "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
            full_name(command, sub)
        ));
    }
    Ok(Call { client: id, words, command, sub })
}

fn refuse(world: &mut World, id: u64, user: &str, denied: Denied, name: &str) -> String {
    let now = world.now();
    let client = world.clients.get(&id).map(|client| client.describe(now)).unwrap_or_default();
    match denied {
        Denied::Command => {
            world.acl_log.add(now, Denial::Command, name, user, client);
            format!("NOPERM User {user} has no permissions to run the '{name}' command")
        }
        Denied::Channel(channel) => {
            world.acl_log.add(now, Denial::Channel, &channel, user, client);
            "NOPERM No permissions to access a channel".to_owned()
        }
    }
}

/// Arguments in an error text are cut at this many characters altogether, as Redis does.
const SHOWN_MAX: usize = 128;

fn shortened(word: &str) -> String {
    word.chars().take(SHOWN_MAX).map(|character| if character.is_control() { ' ' } else { character }).collect()
}

fn unknown_command(words: &[String]) -> String {
    let mut arguments = String::new();
    for word in &words[1..] {
        if arguments.len() >= SHOWN_MAX {
            break;
        }
        let room = SHOWN_MAX - arguments.len();
        arguments.push('\'');
        arguments.extend(word.chars().take(room));
        arguments.push_str("' ");
    }
    format!("ERR unknown command '{}', with args beginning with: {arguments}", shortened(&words[0]))
}

fn run(world: &mut World, call: &Call<'_>) -> Outcome {
    match call.command.name {
        "acl" => acl::run(world, call),
        "auth" => connection::auth(world, call),
        "client" => client::run(world, call),
        "command" => documentation::run(call),
        "hello" => connection::hello(world, call),
        "info" => info::run(world, call),
        "ping" => connection::ping(world, call),
        "psubscribe" | "punsubscribe" | "subscribe" | "unsubscribe" => pubsub::run(world, call),
        "publish" => pubsub::publish(world, call),
        "role" => role(world),
        "sentinel" => sentinel::run(world, call),
        "shutdown" => connection::shutdown(world, call),
        name => unreachable!("the table has a command '{name}' that nobody carries out"),
    }
}

fn role(world: &World) -> Outcome {
    let names = world.sentinel.masters().map(|master| Value::bulk(&*master.name)).collect();
    Outcome::Reply(Value::Array(vec!["sentinel".into(), Value::Array(names)]))
}

/// A map whose values are all strings.
fn fields(fields: Vec<(&'static str, String)>) -> Value {
    Value::Map(fields.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
}

fn strings(texts: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Value {
    Value::Array(texts.into_iter().map(Value::bulk).collect())
}
