//! `support`: one file with everything that helps to find a fault, to be sent to somebody else.
//!
//! Deliberately nothing that is not text, and no data of PostgreSQL or Redis. The invariant: every part goes through the
//! configuration's redaction before it is in the bundle; what cannot be redacted by it goes through the one for any text.

use super::arguments::{GlobalArguments, SupportArguments};
use super::context::Context;
use super::failure::Failure;
use super::{doctor, output, places, render};
use config::Redacted;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::join_all;
use ha::cluster::{Cluster, Member};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What a living member is asked for, and the file it becomes.
const ASKED: [(&str, &str); 4] = [
    ("patroni", "patroni.json"),
    ("cluster", "cluster.json"),
    ("quorate/explain", "explain.json"),
    ("metrics", "metrics.txt"),
];
const PATIENCE: Duration = Duration::from_secs(3);
/// Of this machine's log: hours at the default level, and some hundred kilobytes.
const LOG_LINES_MAX: &str = "2000";
/// Units that `service install` makes are usually called so.
const UNITS: &str = "quorate*";
/// Readable by its owner alone, whatever else goes wrong.
const MODE: u32 = 0o600;

pub async fn support(global: &GlobalArguments, arguments: &SupportArguments) -> Result<(), Failure> {
    let env: BTreeMap<String, String> = std::env::vars().collect();
    let bundle = collect(global, arguments.cluster.as_deref(), &env).await;
    let file = arguments.output.clone().unwrap_or_else(file_name);
    platform::keep_new_files_private();
    let refused = |error: &std::io::Error| {
        let failure = Failure::new("cli-file", format!("{} cannot be written: {error}", file.display()));
        failure.hint(if error.kind() == ErrorKind::AlreadyExists {
            "name another file with -o"
        } else {
            "name a file with -o"
        })
    };
    let created =
        std::fs::OpenOptions::new().write(true).create_new(true).open(&file).map_err(|error| refused(&error))?;
    write(created, &bundle).map_err(|error| refused(&error))?;
    eprintln!("Passwords were removed; look into it all the same before you send it: tar -xzf {}", file.display());
    output::line(&file.display().to_string())
}

fn file_name() -> PathBuf {
    let now = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
    PathBuf::from(format!("quorate-support-{now}.tar.gz"))
}

/// The parts of a bundle by their names, already without secrets.
struct Bundle {
    redaction: Option<Redacted>,
    parts: BTreeMap<String, String>,
}

impl Bundle {
    /// JSON is redacted by its names, too.
    fn add(&mut self, name: impl Into<String>, text: &str) {
        let cleaned = match (serde_json::from_str::<Value>(text), &self.redaction) {
            (Ok(value), Some(redaction)) => pretty(&redaction.clean_json(&value)),
            (Ok(value), None) => pretty(&config::clean_json(&value)),
            (Err(_), Some(redaction)) => redaction.clean(text),
            (Err(_), None) => config::clean_text(text),
        };
        self.parts.insert(name.into(), cleaned);
    }
}

fn pretty(value: &Value) -> String {
    // Plain JSON values have a text.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

async fn collect(global: &GlobalArguments, cluster: Option<&str>, env: &BTreeMap<String, String>) -> Bundle {
    let file = places::find(global.config_file.as_deref(), env);
    let (redaction, configuration) = match file.as_deref().map(|file| config::redacted(file, env)) {
        Some(Ok(redacted)) => {
            let text = redacted.text.clone();
            (Some(redacted), text)
        }
        Some(Err(errors)) => (None, errors.to_string()),
        None => (None, "no configuration was found\n".to_owned()),
    };
    let mut bundle = Bundle { redaction, parts: BTreeMap::new() };
    bundle.add("configuration.yml", &configuration);
    bundle.add("versions.txt", &versions(file.as_deref(), env));
    match doctor::report(global, cluster).await {
        Ok(report) => bundle.add("doctor.json", &report.to_string()),
        Err(failure) => bundle.add("doctor.txt", &failure.to_string()),
    }
    if let Err(failure) = ask_cluster(&mut bundle, global, cluster).await {
        bundle.add("cluster.txt", &failure.to_string());
    }
    match log() {
        Ok(text) => bundle.add("log.txt", &text),
        Err(why) => bundle.add("log.txt", &format!("there is no log: {why}\n")),
    }
    bundle
}

async fn ask_cluster(bundle: &mut Bundle, global: &GlobalArguments, cluster: Option<&str>) -> Result<(), Failure> {
    let context = Context::new(global)?;
    let scope = context.scope(cluster)?;
    let view = context.store(&scope)?.load().await?;
    bundle.add("store.json", &keys(&view).to_string());
    let history = view.history.as_ref().map(|history| history.value.clone()).unwrap_or_default();
    bundle.add("history.json", &render::history(&history, render::Format::Json));
    let members = view.members.iter().filter(|(_, member)| !member.data.api_url.is_empty());
    let asked = members.map(async |(name, member)| (name.to_string(), ask(&context, member).await));
    for (name, answers) in join_all(asked).await {
        for (file, text) in answers {
            bundle.add(format!("members/{}/{file}", plain(&name)), &text);
        }
    }
    Ok(())
}

async fn ask(context: &Context, member: &Member) -> Vec<(&'static str, String)> {
    let mut answers = Vec::new();
    for (path, file) in ASKED {
        match context.api.get_with_date(member, path, PATIENCE).await {
            Ok((answer, _)) => answers.push((file, answer.text)),
            Err(none) => {
                answers.push(("silent.txt", format!("{path}: {}\n", none.why())));
                break;
            }
        }
    }
    answers
}

/// The scope's keys as they were read.
fn keys(view: &Cluster) -> Value {
    let text = |value: &dyn std::fmt::Debug| Value::String(format!("{value:?}"));
    let members: BTreeMap<_, _> = view.members.iter().map(|(name, member)| (name.to_string(), &member.data)).collect();
    json!({
        "revision": view.revision,
        "initialize": view.initialize.as_ref().map(|key| &key.value),
        "leader": view.leader.as_ref().map(|leader| json!({"name": leader.name, "epoch": leader.epoch})),
        "members": members,
        "config": view.config_text.as_ref().map(|key| serde_json::from_str::<Value>(&key.value).unwrap_or_default()),
        "status": view.status.as_ref().map(|key| &key.value),
        "sync": view.sync.as_ref().map(|key| &key.value),
        "failover": view.failover.as_ref().map(|key| &key.value),
        "redis": view.redis.iter().map(|(name, group)| (name.clone(), text(group))).collect::<serde_json::Map<_, _>>(),
        "unreadable": view.unreadable,
    })
}

/// A member's name as a file's.
fn plain(name: &str) -> String {
    let usable = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    name.chars().map(|letter| if usable(letter) { letter } else { '_' }).collect()
}

fn versions(file: Option<&Path>, env: &BTreeMap<String, String>) -> String {
    let mut text = format!("quorate {}\n", env!("CARGO_PKG_VERSION"));
    let _ = writeln!(text, "configuration: {}", file.map_or("none".into(), |file| file.display().to_string()));
    let _ = writeln!(text, "system: {} {}", std::env::consts::OS, std::env::consts::ARCH);
    for place in ["/proc/version", "/etc/os-release", "/proc/meminfo"] {
        if let Ok(told) = std::fs::read_to_string(place) {
            let _ = write!(text, "\n{place}\n{told}");
        }
    }
    // What they say is in the configuration, as far as it is no secret.
    let set = env.keys().filter(|name| name.starts_with("PATRONI_") || name.starts_with("QUORATE_"));
    text + "\nvariables that are set: " + &set.cloned().collect::<Vec<_>>().join(", ") + "\n"
}

/// From systemd's journal, where there is one.
fn log() -> Result<String, String> {
    let arguments = ["--no-pager", "--output=short-iso", "--lines", LOG_LINES_MAX, "--unit", UNITS];
    let done = Command::new("journalctl").args(arguments).output().map_err(|error| format!("journalctl: {error}"))?;
    if done.status.success() {
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&done.stderr).lines().next().unwrap_or("journalctl failed").to_owned())
    }
}

fn write(to: impl Write, bundle: &Bundle) -> std::io::Result<()> {
    let mut archive = tar::Builder::new(GzEncoder::new(to, Compression::default()));
    for (name, text) in &bundle.parts {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(MODE);
        header.set_mtime(u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0));
        archive.append_data(&mut header, Path::new("quorate-support").join(name), text.as_bytes())?;
    }
    archive.into_inner()?.finish()?.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;

    const CONFIGURATION: &str = "\
scope: demo
name: pg1
store: {data_dir: DIRECTORY, members: {pg1: 127.0.0.1}, client_port: 1}
restapi: {listen: '127.0.0.1:8008', authentication: {username: admin, password: planted-rest}}
ctl: {authentication: {username: admin, password: planted-ctl}}
postgresql:
  listen: 127.0.0.1:5432
  data_dir: DIRECTORY/data
  authentication:
    superuser: {username: postgres, password: planted-superuser, sslpassword: planted-key}
    replication: {username: replicator, password: planted-replication}
    rewind: {username: rewinder, password: planted-rewind}
  parameters: {archive_command: 'PGPASSWORD=planted-archive push %p'}
  recovery_conf: {primary_conninfo: 'host=h user=u password=planted-conninfo'}
  callbacks: {on_start: 'notify https://user:planted-url@host/x'}
bootstrap: {users: {app: {password: planted-user}}}
redis: {authentication: {username: app, password: planted-redis}, parameters: {requirepass: planted-requirepass}}
pgbouncer: {main: {password: planted-pgbouncer}}
sentinel: {authentication: {password: planted-sentinel}}
surprise: planted-unknown
";

    #[test]
    fn nothing_that_is_secret_is_in_the_bundle() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("q.yml");
        let text = CONFIGURATION.replace("DIRECTORY", &directory.path().display().to_string());
        std::fs::write(&file, &text).unwrap();
        let env: BTreeMap<String, String> =
            [("PATRONI_ETCD3_PASSWORD".to_owned(), "planted-variable".to_owned())].into();
        let global = GlobalArguments { config_file: Some(file), ..GlobalArguments::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut bundle = runtime.block_on(collect(&global, None, &env));
        // As a member, or a log, might show it.
        bundle.add(
            "members/x/patroni.json",
            r#"{"a": {"password": "planted-1"}, "dsn": "postgresql://u:planted-2@h", "n": 5}"#,
        );
        bundle.add("other.txt", "the rewinder said planted-rewind, and password=planted-3");
        let mut packed = Vec::new();
        write(&mut packed, &bundle).unwrap();
        let mut names = Vec::new();
        let mut archive = tar::Archive::new(GzDecoder::new(packed.as_slice()));
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            assert!(!text.contains("planted"), "{name}: {text}");
            assert_eq!(entry.header().mode().unwrap(), MODE);
            if name.ends_with("configuration.yml") {
                assert!(text.contains("username: replicator") && text.contains("(removed)"), "{text}");
            }
            if name.ends_with("patroni.json") {
                assert!(text.contains("\"n\": 5"), "{text}");
            }
            names.push(name);
        }
        for part in ["configuration.yml", "versions.txt", "doctor.json", "log.txt", "members/x/patroni.json"] {
            assert!(names.contains(&format!("quorate-support/{part}")), "{part}: {names:?}");
        }
    }

    #[test]
    fn a_members_name_cannot_lead_out_of_the_bundle() {
        assert_eq!(plain("../../etc/pg 1"), "______etc_pg_1");
    }
}
