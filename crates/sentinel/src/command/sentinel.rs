//! SENTINEL ...

use super::{Call, Outcome, error, fields, help, strings};
use crate::world::World;
use ha::sentinel::{Master, Request};
use resp::Value;
use std::path::Path;

pub fn run(world: &mut World, call: &Call<'_>) -> Outcome {
    let now = world.now();
    let arguments = call.arguments();
    let text = |index: usize| arguments.get(index).cloned().unwrap_or_default();
    let sentinel = &world.sentinel;
    match call.sub {
        "masters" | "primaries" => {
            let masters = sentinel.masters().map(|master| fields(sentinel.describe_master(now, master)));
            Outcome::Reply(Value::Array(masters.collect()))
        }
        "master" | "primary" => with_master(world, &text(0), |master| fields(sentinel.describe_master(now, master))),
        "replicas" | "slaves" => with_master(world, &text(0), |master| {
            let replicas = master.replicas_shown();
            Value::Array(replicas.map(|replica| fields(sentinel.describe_replica(now, master, replica))).collect())
        }),
        "sentinels" => with_master(world, &text(0), |master| {
            Value::Array(master.peers.iter().map(|peer| fields(sentinel.describe_peer(now, master, peer))).collect())
        }),
        "get-master-addr-by-name" | "get-primary-addr-by-name" => {
            Outcome::Reply(match sentinel.master_address(&text(0)) {
                Some((host, port)) => strings([host, port.to_string()]),
                None => Value::NullArray,
            })
        }
        "ckquorum" => with_master(world, &text(0), |master| match sentinel.check_quorum(master) {
            Ok(text) => Value::Simple(text),
            Err(text) => Value::Error(text),
        }),
        "myid" => Outcome::Reply(sentinel.my_id().into()),
        "info-cache" => info_cache(world, arguments),
        "pending-scripts" => pending_scripts(world),
        "help" => Outcome::Reply(help::lines("SENTINEL", help::SENTINEL)),
        "config" => config(world, call),
        "debug" if arguments.is_empty() => Outcome::Reply(fields(sentinel.debug_parameters())),
        "simulate-failure" if arguments.iter().any(|word| word.eq_ignore_ascii_case("help")) => {
            Outcome::Reply(strings(["crash-after-election", "crash-after-promotion"]))
        }
        _ => match request(call) {
            Ok(request) => {
                world.request(call.client, request, None);
                Outcome::Later
            }
            Err(text) => error(text),
        },
    }
}

fn with_master(world: &World, name: &str, reply: impl FnOnce(&Master) -> Value) -> Outcome {
    match world.sentinel.master(name) {
        Some(master) => Outcome::Reply(reply(master)),
        None => error("ERR No such master with that name"),
    }
}

/// What the state machine has to do.
fn request(call: &Call<'_>) -> Result<Request, String> {
    let arguments = call.arguments();
    let text = |index: usize| arguments.get(index).cloned().unwrap_or_default();
    Ok(match call.sub {
        "is-master-down-by-addr" | "is-primary-down-by-addr" => {
            const NOT_A_NUMBER: &str = "ERR value is not an integer or out of range";
            Request::IsMasterDown {
                host: text(0),
                port: text(1).parse().map_err(|_| NOT_A_NUMBER)?,
                epoch: text(2).parse().map_err(|_| NOT_A_NUMBER)?,
                candidate: text(3),
            }
        }
        "failover" => {
            if arguments.len() > 2 {
                return Err(super::arity_text(&call.full_name()));
            }
            Request::Failover { master: text(0), option: arguments.get(1).cloned() }
        }
        "monitor" => Request::Monitor { master: text(0), host: text(1), port: text(2), quorum: text(3) },
        "remove" => Request::Remove { master: text(0) },
        "reset" => Request::Reset { pattern: text(0) },
        "set" => {
            let arguments = arguments.get(1..).unwrap_or_default().to_vec();
            let executable = arguments.iter().filter(|path| may_be_run(path)).cloned().collect();
            Request::Set { master: text(0), arguments, executable }
        }
        "flushconfig" => Request::FlushConfig,
        "simulate-failure" => Request::SimulateFailure { arguments: arguments.to_vec() },
        "debug" => Request::Debug { arguments: arguments.to_vec() },
        sub => unreachable!("the table has SENTINEL {sub}, which nobody carries out"),
    })
}

fn may_be_run(path: &str) -> bool {
    let path = Path::new(path);
    path.is_absolute() && platform::is_executable(path)
}

fn config(world: &mut World, call: &Call<'_>) -> Outcome {
    let arguments = call.arguments();
    let (verb, rest) = (arguments[0].to_ascii_lowercase(), &arguments[1..]);
    match verb.as_str() {
        "get" => {
            let found = world.sentinel.config_get(rest.iter().map(String::as_str), &world.log_level_name);
            Outcome::Reply(fields(found))
        }
        "set" if rest.len() >= 2 => {
            let level = rest.chunks(2).find(|pair| pair[0].eq_ignore_ascii_case("loglevel"));
            let level = level.and_then(|pair| pair.get(1)).map(|level| level.to_ascii_lowercase());
            world.request(call.client, Request::ConfigSet { arguments: rest.to_vec() }, level);
            Outcome::Later
        }
        _ => error(
            "ERR Only SENTINEL CONFIG GET <param> [<param> <param> ...] / SET <param> <value> [<param> <value> ...] are supported.",
        ),
    }
}

fn info_cache(world: &World, names: &[String]) -> Outcome {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut reply = Vec::new();
    for (name, servers) in world.sentinel.info_cache(world.now(), &names) {
        reply.push(name.into());
        let servers = servers
            .into_iter()
            .map(|(age, info)| Value::Array(vec![Value::Integer(age as i64), info.map_or(Value::Null, Value::from)]));
        reply.push(Value::Array(servers.collect()));
    }
    Outcome::Reply(Value::Array(reply))
}

fn pending_scripts(world: &World) -> Outcome {
    let scripts = world.sentinel.pending_scripts(world.now()).into_iter().map(|script| {
        Value::Map(vec![
            ("argv".into(), strings(script.arguments)),
            ("flags".into(), script.flags.into()),
            ("pid".into(), script.pid.to_string().into()),
            (script.time_name.into(), script.time.0.to_string().into()),
            ("retry-num".into(), script.tries.to_string().into()),
        ])
    });
    Outcome::Reply(Value::Array(scripts.collect()))
}
