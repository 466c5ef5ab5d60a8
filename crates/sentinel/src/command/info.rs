//! INFO: the sections of a Sentinel.

use super::connection::REDIS_VERSION;
use super::{Call, Outcome};
use crate::world::World;
use resp::Value;
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// In the order in which they are shown.
const SECTIONS: [&str; 5] = ["server", "clients", "stats", "cpu", "sentinel"];

pub fn run(world: &World, call: &Call<'_>) -> Outcome {
    let wanted: Vec<String> = call.words[1..].iter().map(|word| word.to_ascii_lowercase()).collect();
    let all = wanted.is_empty() || wanted.iter().any(|word| matches!(word.as_str(), "all" | "default" | "everything"));
    let mut text = String::new();
    for section in SECTIONS {
        if !all && !wanted.iter().any(|word| word == section) {
            continue;
        }
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        // Writing into a string does not fail.
        let _ = match section {
            "server" => server(world, &mut text),
            "clients" => clients(world, &mut text),
            "stats" => stats(world, &mut text),
            "cpu" => cpu(&mut text),
            _ => {
                text.push_str(&world.sentinel.info_section(world.now()));
                Ok(())
            }
        };
    }
    Outcome::Reply(Value::Verbatim { format: "txt".to_owned(), text: text.into() })
}

fn server(world: &World, text: &mut String) -> std::fmt::Result {
    let uptime = world.now().since(world.started).0 / 1000;
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    write!(text, "# Server\r\nredis_version:{REDIS_VERSION}\r\nquorate_version:{}\r\n", env!("CARGO_PKG_VERSION"))?;
    write!(text, "redis_git_sha1:00000000\r\nredis_git_dirty:0\r\nredis_build_id:0\r\nredis_mode:sentinel\r\n")?;
    write!(text, "os:{}\r\narch_bits:{}\r\n", std::env::consts::OS, usize::BITS)?;
    write!(text, "multiplexing_api:tokio\r\nprocess_id:{}\r\n", std::process::id())?;
    write!(text, "process_supervised:{}\r\nrun_id:{}\r\n", world.settings.supervised, world.run_id)?;
    let port = if world.settings.port == 0 { world.settings.tls.port } else { world.settings.port };
    write!(text, "tcp_port:{port}\r\nserver_time_usec:{wall}\r\n")?;
    write!(text, "uptime_in_seconds:{uptime}\r\nuptime_in_days:{}\r\nhz:10\r\nconfigured_hz:10\r\n", uptime / 86_400)?;
    let program = std::env::current_exe().unwrap_or_default();
    write!(text, "executable:{}\r\nconfig_file:{}\r\n", program.display(), world.state.path().display())
}

fn clients(world: &World, text: &mut String) -> std::fmt::Result {
    let blocked = world.clients.values().filter(|client| client.waiting.is_some()).count();
    let output = world.clients.values().map(crate::server::client::Client::output_bytes).max().unwrap_or(0);
    write!(text, "# Clients\r\nconnected_clients:{}\r\n", world.clients.len())?;
    write!(text, "cluster_connections:0\r\nmaxclients:{}\r\n", world.settings.clients_max)?;
    write!(text, "client_recent_max_input_buffer:0\r\nclient_recent_max_output_buffer:{output}\r\n")?;
    write!(text, "blocked_clients:{blocked}\r\ntracking_clients:0\r\nclients_in_timeout_table:0\r\n")
}

fn stats(world: &World, text: &mut String) -> std::fmt::Result {
    let statistics = &world.statistics;
    let clients = world.clients.values();
    let bytes_in = statistics.bytes_in + clients.clone().map(|client| client.bytes_in).sum::<u64>();
    let bytes_out = statistics.bytes_out + clients.clone().map(|client| client.bytes_out).sum::<u64>();
    let channels: std::collections::BTreeSet<&String> = clients.clone().flat_map(|client| &client.channels).collect();
    let patterns: std::collections::BTreeSet<&String> = clients.flat_map(|client| &client.patterns).collect();
    write!(text, "# Stats\r\ntotal_connections_received:{}\r\n", statistics.connections)?;
    write!(text, "total_commands_processed:{}\r\n", statistics.commands)?;
    write!(text, "total_net_input_bytes:{bytes_in}\r\ntotal_net_output_bytes:{bytes_out}\r\n")?;
    write!(text, "rejected_connections:{}\r\n", statistics.rejected)?;
    write!(text, "pubsub_channels:{}\r\npubsub_patterns:{}\r\n", channels.len(), patterns.len())?;
    write!(text, "total_error_replies:{}\r\n", statistics.errors)
}

fn cpu(text: &mut String) -> std::fmt::Result {
    let (user, system) = platform::cpu_times().unwrap_or_default();
    write!(text, "# CPU\r\nused_cpu_sys:{:.6}\r\nused_cpu_user:{:.6}\r\n", system.as_secs_f64(), user.as_secs_f64())
}
