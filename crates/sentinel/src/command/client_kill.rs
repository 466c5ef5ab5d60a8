//! CLIENT KILL, in its old form with an address and its new one with filters.

use super::{Call, Outcome, error};
use crate::server::client::Client;
use crate::world::World;
use resp::Value;
use std::time::Duration;

#[derive(Default)]
struct Filter {
    id: Option<u64>,
    address: Option<String>,
    local: Option<String>,
    user: Option<String>,
    subscribed: Option<bool>,
    /// Seconds since it connected, at least.
    age: Option<u64>,
    nobody: bool,
    also_me: bool,
}

pub fn run(world: &mut World, call: &Call<'_>) -> Outcome {
    let arguments = call.arguments();
    if let [address] = arguments {
        let filter = Filter { address: Some(address.clone()), also_me: true, ..Filter::default() };
        return match kill(world, call.client, &filter) {
            (0, _) => error("ERR No such client"),
            (_, true) => Outcome::Last(Value::ok()),
            (_, false) => Outcome::Reply(Value::ok()),
        };
    }
    let mut filter = Filter::default();
    for pair in arguments.chunks(2) {
        let [option, value] = pair else { return error("ERR syntax error") };
        if let Err(text) = filter.add(world, option, value) {
            return error(text);
        }
    }
    match kill(world, call.client, &filter) {
        (count, true) => Outcome::Last(Value::Integer(count)),
        (count, false) => Outcome::Reply(Value::Integer(count)),
    }
}

impl Filter {
    fn add(&mut self, world: &World, option: &str, value: &str) -> Result<(), String> {
        match option.to_ascii_lowercase().as_str() {
            "id" => {
                let id = value.parse().ok().filter(|id| *id > 0);
                self.id = Some(id.ok_or("ERR client-id should be greater than 0")?);
            }
            "addr" => self.address = Some(value.to_owned()),
            "laddr" => self.local = Some(value.to_owned()),
            "user" => {
                world.acl.user(value).ok_or_else(|| format!("ERR No such user '{value}'"))?;
                self.user = Some(value.to_owned());
            }
            "type" => match value.to_ascii_lowercase().as_str() {
                "normal" => self.subscribed = Some(false),
                "pubsub" => self.subscribed = Some(true),
                "master" | "primary" | "replica" | "slave" => self.nobody = true,
                _ => return Err(format!("ERR Unknown client type '{value}'")),
            },
            "skipme" => match value.to_ascii_lowercase().as_str() {
                "yes" => self.also_me = false,
                "no" => self.also_me = true,
                _ => return Err("ERR syntax error".to_owned()),
            },
            "maxage" => self.age = Some(value.parse().map_err(|_| "ERR maxage is not an integer or out of range")?),
            _ => return Err("ERR syntax error".to_owned()),
        }
        Ok(())
    }

    fn matches(&self, client: &Client, age: Duration) -> bool {
        fn is<T: PartialEq>(wanted: Option<&T>, actual: &T) -> bool {
            wanted.is_none_or(|wanted| wanted == actual)
        }
        !self.nobody
            && is(self.id.as_ref(), &client.id)
            && is(self.address.as_ref(), &client.address.to_string())
            && is(self.local.as_ref(), &client.local.to_string())
            && (self.user.is_none() || self.user == client.user)
            && is(self.subscribed.as_ref(), &client.is_subscribed())
            && self.age.is_none_or(|seconds| age.as_secs() >= seconds)
    }
}

/// How many were ended, and whether the caller is among them; it ends after its reply.
fn kill(world: &mut World, me: u64, filter: &Filter) -> (i64, bool) {
    let now = world.now();
    let (mut count, mut myself) = (0, false);
    for client in world.clients.values_mut() {
        let age = Duration::from(now.since(client.connected_at));
        if !filter.matches(client, age) || (client.id == me && !filter.also_me) {
            continue;
        }
        count += 1;
        if client.id == me {
            myself = true;
        } else {
            client.kill();
        }
    }
    (count, myself)
}
