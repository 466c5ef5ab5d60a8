//! Reads the lines about the server.

use super::error::Complaint;
use super::harmless::is_harmless;
use super::server::{BufferLimit, ClientCertificates, ServerSettings};
use resp::Secret;
use std::path::PathBuf;
use std::time::Duration;

/// All that [`apply`] reads, for the nearest known word.
const KNOWN: [&str; 32] = [
    "aclfile",
    "acllog-max-len",
    "acl-pubsub-default",
    "bind",
    "client-output-buffer-limit",
    "daemonize",
    "dir",
    "logfile",
    "loglevel",
    "maxclients",
    "pidfile",
    "port",
    "protected-mode",
    "requirepass",
    "sentinel",
    "supervised",
    "tcp-keepalive",
    "timeout",
    "tls-auth-clients",
    "tls-ca-cert-dir",
    "tls-ca-cert-file",
    "tls-cert-file",
    "tls-client-cert-file",
    "tls-client-key-file",
    "tls-client-key-file-pass",
    "tls-key-file",
    "tls-key-file-pass",
    "tls-port",
    "tls-replication",
    "unixsocket",
    "unixsocketperm",
    "user",
];

/// Directives that may be there more than once, because they add up.
pub fn may_repeat(directive: &str) -> bool {
    matches!(directive, "user" | "client-output-buffer-limit" | "save" | "sentinel") || is_harmless(directive)
}

pub fn apply(settings: &mut ServerSettings, words: &[String]) -> Result<(), Complaint> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Some((directive, arguments)) = words.split_first() else { return Ok(()) };
    match (*directive, arguments) {
        ("bind", addresses) if !addresses.is_empty() => {
            settings.bind =
                addresses.iter().filter(|address| !address.is_empty()).map(|&text| text.to_owned()).collect();
        }
        ("port", [port]) => settings.port = port_number(port)?,
        ("protected-mode", [word]) => settings.protected_mode = yes_or_no(word)?,
        ("timeout", [seconds]) => settings.timeout = Duration::from_secs(number(seconds)?),
        ("tcp-keepalive", [seconds]) => settings.tcp_keepalive = Duration::from_secs(number(seconds)?),
        ("maxclients", [count]) => settings.clients_max = at_least_one(count)? as usize,
        ("requirepass", [password]) => {
            settings.password = (!password.is_empty()).then(|| Secret::new(*password));
        }
        ("user", rules) if !rules.is_empty() => {
            settings.users.push(rules.iter().map(|&word| word.to_owned()).collect());
        }
        ("aclfile", [path]) => settings.acl_file = some_path(path),
        ("acllog-max-len", [count]) => settings.acl_log_max = number(count)? as usize,
        ("acl-pubsub-default", [word]) => {
            settings.acl_pubsub_all = one_of(word, &["resetchannels", "allchannels"])? == 1
        }
        ("client-output-buffer-limit", limits) if !limits.is_empty() && limits.len().is_multiple_of(4) => {
            for limit in limits.chunks_exact(4) {
                buffer_limit(settings, limit)?;
            }
        }
        ("dir", [path]) => settings.directory = some_path(path),
        ("logfile", [path]) => settings.log_file = some_path(path),
        ("loglevel", [level]) => {
            one_of(level, &["debug", "verbose", "notice", "warning", "nothing"])?;
            settings.log_level = level.to_ascii_lowercase();
        }
        ("pidfile", [path]) => settings.pid_file = some_path(path),
        ("daemonize", [word]) => settings.daemonize = yes_or_no(word)?,
        ("supervised", [word]) => {
            one_of(word, &["no", "upstart", "systemd", "auto"])?;
            settings.supervised = word.to_ascii_lowercase();
        }
        ("tls-port", [port]) => settings.tls.port = port_number(port)?,
        ("tls-cert-file", [path]) => settings.tls.certificate = some_path(path),
        ("tls-key-file", [path]) => settings.tls.key = some_path(path),
        ("tls-client-cert-file", [path]) => settings.tls.client_certificate = some_path(path),
        ("tls-client-key-file", [path]) => settings.tls.client_key = some_path(path),
        ("tls-ca-cert-file", [path]) => settings.tls.ca = some_path(path),
        ("tls-ca-cert-dir", [path]) => settings.tls.ca_directory = some_path(path),
        ("tls-auth-clients", [word]) => {
            settings.tls.clients = match one_of(word, &["yes", "optional", "no"])? {
                0 => ClientCertificates::Required,
                1 => ClientCertificates::Optional,
                _ => ClientCertificates::Ignored,
            };
        }
        ("tls-replication", [word]) => settings.tls.replication = yes_or_no(word)?,
        ("tls-key-file-pass" | "tls-client-key-file-pass", [text]) => {
            if !text.is_empty() {
                return Err(Complaint::with_hint(
                    "keys with a passphrase are not supported",
                    "decrypt it with: openssl pkey -in KEY -out NEW, readable only for this program's user",
                ));
            }
        }
        ("unixsocket" | "unixsocketperm", _) => {
            return Err(Complaint::with_hint(
                "Unix sockets are not supported",
                "remove the line and use bind and port",
            ));
        }
        ("include" | "loadmodule" | "rename-command", _) => {
            return Err(Complaint::with_hint(
                format!("'{directive}' is not supported in Sentinel's file"),
                "write the lines of included files here, and remove the others",
            ));
        }
        (known, _) if KNOWN.contains(&known) => {
            return Err(Complaint::new("Bad directive or wrong number of arguments"));
        }
        (harmless, arguments) if is_harmless(harmless) && !arguments.is_empty() => {}
        (unknown, _) => return Err(unknown_directive(unknown)),
    }
    Ok(())
}

fn unknown_directive(word: &str) -> Complaint {
    let what = "Bad directive or wrong number of arguments";
    match nearest(word, &KNOWN) {
        Some(known) => Complaint::with_hint(what, format!("did you mean '{known}'?")),
        None => Complaint::new(what),
    }
}

/// The known word that is so near that it may have been meant.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    /// Below this it is more likely another word than a slip.
    const SIMILAR: f64 = 0.8;
    known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), *candidate))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, candidate)| candidate)
}

fn buffer_limit(settings: &mut ServerSettings, words: &[&str]) -> Result<(), Complaint> {
    let class = one_of(words[0], &["normal", "pubsub", "replica", "slave"])?;
    let limit = BufferLimit {
        hard_bytes: bytes(words[1])?,
        soft_bytes: bytes(words[2])?,
        soft_time: Duration::from_secs(number(words[3])?),
    };
    match class {
        0 => settings.normal_limit = limit,
        1 => settings.pubsub_limit = limit,
        // Nobody replicates from a Sentinel.
        _ => {}
    }
    Ok(())
}

fn some_path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

fn number(text: &str) -> Result<u64, Complaint> {
    text.parse().map_err(|_| Complaint::new("argument couldn't be parsed into an integer"))
}

fn at_least_one(text: &str) -> Result<u64, Complaint> {
    match number(text)? {
        0 => Err(Complaint::new("argument must be between 1 and 4294967295 inclusive")),
        count => Ok(count),
    }
}

fn port_number(text: &str) -> Result<u16, Complaint> {
    number(text)?.try_into().map_err(|_| Complaint::new("argument must be between 0 and 65535 inclusive"))
}

fn yes_or_no(text: &str) -> Result<bool, Complaint> {
    match text.to_ascii_lowercase().as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(Complaint::new("argument must be 'yes' or 'no'")),
    }
}

/// The place of the word in the list.
fn one_of(text: &str, words: &[&str]) -> Result<usize, Complaint> {
    let lower = text.to_ascii_lowercase();
    words
        .iter()
        .position(|word| *word == lower)
        .ok_or_else(|| Complaint::new(format!("argument(s) must be one of the following: {}", words.join(", "))))
}

/// A size with Redis's units: `k` is 1000, `kb` 1024, and so on.
fn bytes(text: &str) -> Result<usize, Complaint> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let factor: u64 = match &lower[digits.len()..] {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return Err(Complaint::new("argument must be a memory value")),
    };
    let number: u64 = digits.parse().map_err(|_| Complaint::new("argument must be a memory value"))?;
    number
        .checked_mul(factor)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .ok_or_else(|| Complaint::new("argument must be a memory value"))
}
