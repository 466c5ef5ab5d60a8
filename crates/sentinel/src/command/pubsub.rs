//! SUBSCRIBE and its relatives, and the PUBLISH with which other Sentinels say hello.

use super::{Call, Outcome, error};
use crate::server::client::Client;
use crate::world::World;
use ha::sentinel::{HELLO_CHANNEL, Request};
use resp::Value;

/// Channels and patterns of one client. A client of a Sentinel listens to a handful.
const SUBSCRIPTIONS_MAX: usize = 1000;

pub fn run(world: &mut World, call: &Call<'_>) -> Outcome {
    let Some(client) = world.clients.get_mut(&call.client) else { return Outcome::Later };
    let name = call.command.name;
    let patterns = name.starts_with('p');
    let subscribe = matches!(name, "subscribe" | "psubscribe");
    let mut channels: Vec<String> = call.arguments().to_vec();
    if subscribe && client.subscriptions() + channels.len() > SUBSCRIPTIONS_MAX {
        return error(format!("ERR more than {SUBSCRIPTIONS_MAX} subscriptions"));
    }
    if !subscribe && channels.is_empty() {
        channels.extend(set(client, patterns).iter().cloned());
    }
    if channels.is_empty() {
        return Outcome::Replies(vec![confirmation(client, name, Value::Null)]);
    }
    let mut replies = Vec::new();
    for channel in channels {
        let set = set(client, patterns);
        if subscribe {
            set.insert(channel.clone());
        } else {
            set.remove(&channel);
        }
        replies.push(confirmation(client, name, channel.into()));
    }
    Outcome::Replies(replies)
}

fn set(client: &mut Client, patterns: bool) -> &mut std::collections::BTreeSet<String> {
    if patterns { &mut client.patterns } else { &mut client.channels }
}

fn confirmation(client: &Client, name: &str, channel: Value) -> Value {
    Value::Push(vec![name.into(), channel, Value::Integer(client.subscriptions() as i64)])
}

pub fn publish(world: &mut World, call: &Call<'_>) -> Outcome {
    if call.words[1] != HELLO_CHANNEL {
        return error("ERR Only HELLO messages are accepted by Sentinel instances.");
    }
    world.request(call.client, Request::Hello { payload: call.words[2].clone() }, None);
    Outcome::Later
}
