//! The configuration file: what is refused, what is written, what survives.

use crate::support::process::Real;
use crate::support::{Ours, ask, free_port, text, wait_for};
use sentinel::Settings;

fn error_of(text: &str) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("sentinel.conf");
    std::fs::write(&file, text).expect("written");
    match Settings::from_file(&file, &[]) {
        Ok(_) => panic!("was accepted: {text}"),
        Err(error) => error.to_string().replace(&file.display().to_string(), "FILE"),
    }
}

#[test]
fn a_line_that_cannot_be_used_is_named() {
    for (text, expected) in [
        ("sentinel nonsense\n", "FILE, line 1: 'sentinel nonsense': Unrecognized sentinel configuration statement."),
        (
            "port 1\nsentinel monitr m 127.0.0.1 1 1\n",
            "FILE, line 2: 'sentinel monitr m 127.0.0.1 1 1': Unrecognized sentinel configuration statement.\nhint: did you mean 'sentinel monitor'?",
        ),
        (
            "sentinel quorum m 1\nsentinel monitor m 127.0.0.1 1 0\n",
            "FILE, line 2: 'sentinel monitor m 127.0.0.1 1 0': Quorum must be 1 or greater.",
        ),
        (
            "sentinel down-after-milliseconds m 1\n",
            "FILE, line 1: 'sentinel down-after-milliseconds m 1': No such master with specified name.\nhint: there must be a line 'sentinel monitor NAME IP PORT QUORUM' for it",
        ),
        (
            "requirepas x\n",
            "FILE, line 1: 'requirepas x': Bad directive or wrong number of arguments\nhint: did you mean 'requirepass'?",
        ),
        ("port x\n", "FILE, line 1: 'port x': argument couldn't be parsed into an integer"),
        (
            "port 1\n\nport 2\n",
            "FILE, line 3: 'port 2': contradicts line 1: 'port 1'\nhint: remove one of the two lines",
        ),
        (
            "sentinel monitor m 127.0.0.1 1 1\nsentinel parallel-syncs m 1\nsentinel parallel-syncs m 2\n",
            "FILE, line 3: 'sentinel parallel-syncs m 2': contradicts line 2: 'sentinel parallel-syncs m 1'\nhint: remove one of the two lines",
        ),
        ("port 0\n", "FILE: it listens nowhere: port and tls-port are 0\nhint: port 26379"),
        ("tls-port 5\n", "FILE: tls-port needs a certificate\nhint: add tls-cert-file and tls-key-file"),
        (
            "say \"hello\n",
            "FILE, line 1: 'say \"hello': Unbalanced quotes in configuration line\nhint: close the quote; after it comes a blank",
        ),
    ] {
        assert_eq!(error_of(text), expected);
    }
}

#[test]
fn the_state_file_must_be_another_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("sentinel.conf");
    std::fs::write(&file, format!("sentinel state-config-file {}\n", file.display())).expect("written");
    let error = Settings::from_file(&file, &[]).expect_err("refused").to_string();
    assert!(error.contains("must differ from the main config file"), "{error}");
}

#[test]
fn options_of_the_command_line_come_after_the_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("sentinel.conf");
    std::fs::write(&file, "port 1\n").expect("written");
    let options = ["--sentinel", "--port", "2", "--sentinel", "monitor m 127.0.0.1 3 1"].map(str::to_owned);
    let settings = Settings::from_file(&file, &options).expect("valid");
    assert_eq!(settings.server.port, 2);
    assert_eq!(settings.configuration.masters[0].name, "m");
}

#[tokio::test]
async fn with_a_state_file_the_main_file_is_never_written_and_the_state_wins() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = directory.path().join("state.conf");
    let port = free_port();
    let mut sentinel =
        Ours::start(&format!("sentinel state-config-file {}\nsentinel monitor m 127.0.0.1 {port} 2", state.display()));
    let before = std::fs::read_to_string(&sentinel.file).expect("there");
    assert_eq!(text(&sentinel.ask("SENTINEL SET m quorum 3").await), "OK");
    let id = text(&sentinel.ask("SENTINEL MYID").await);
    assert_eq!(std::fs::read_to_string(&sentinel.file).expect("there"), before);
    let written = std::fs::read_to_string(&state).expect("there");
    assert!(written.contains(&format!("sentinel myid {id}\n")), "{written}");
    assert!(written.contains(&format!("sentinel monitor m 127.0.0.1 {port} 3\n")), "{written}");
    sentinel.restart().await;
    assert_eq!(text(&sentinel.ask("SENTINEL MYID").await), id);
}

#[tokio::test]
async fn a_save_that_fails_is_said_and_leaves_the_file_as_it_was() {
    let sentinel = Ours::start(&format!("sentinel monitor m 127.0.0.1 {} 2", free_port()));
    assert_eq!(text(&sentinel.ask("SENTINEL FLUSHCONFIG").await), "OK");
    let before = std::fs::read_to_string(&sentinel.file).expect("there");
    // A directory in the temporary file's place: as good as a full disk.
    let mut blocked = sentinel.file.clone().into_os_string();
    blocked.push(format!(".{}.tmp", std::process::id()));
    std::fs::create_dir(&blocked).expect("made");
    assert!(text(&sentinel.ask("SENTINEL SET m quorum 3").await).starts_with("-ERR Failed to save config file"));
    assert_eq!(std::fs::read_to_string(&sentinel.file).expect("there"), before);
    std::fs::remove_dir(&blocked).expect("removed");
    assert_eq!(text(&sentinel.ask("SENTINEL FLUSHCONFIG").await), "OK");
    assert!(std::fs::read_to_string(&sentinel.file).expect("there").contains(" 3\n"));
}

/// The same file, the same commands: both write the same text. Three things differ on purpose: a Sentinel has no latency
/// statistics to configure, its users are written when they were changed, and a reset is written down at once, not with the
/// next save.
#[tokio::test]
async fn the_file_is_rewritten_byte_for_byte_as_redis_sentinel_does() {
    let master = free_port();
    let lines = format!(
        "# my file\n\n\n   dir   /tmp\nloglevel notice\nsentinel monitor db1 127.0.0.1 {master} 2\n\n\nsentinel down-after-milliseconds db1 5000\nsentinel failover-timeout db1 45000\nsentinel known-replica db1 127.0.0.1 {}\nsentinel parallel-syncs db1 1\n# the end",
        free_port()
    );
    let real = Real::start(&lines);
    let ours = Ours::start(&lines);
    for command in [
        "SENTINEL SET db1 quorum 3 auth-pass pw notification-script /bin/true",
        "SENTINEL SET db1 quorum 3 auth-pass pw down-after-milliseconds 30000",
        "SENTINEL CONFIG SET announce-ip 127.0.0.1",
        "SENTINEL CONFIG SET sentinel-pass x",
        "SENTINEL SET db1 rename-command CONFIG hidden",
        "SENTINEL RESET db1",
        "SENTINEL FLUSHCONFIG",
    ] {
        assert_eq!(text(&ask(real.port, command).await), text(&ask(ours.port, command).await), "{command}");
        if command == "SENTINEL RESET db1" {
            continue;
        }
        let (real_id, our_id) = (ask(real.port, "SENTINEL MYID").await, ask(ours.port, "SENTINEL MYID").await);
        let skipped = |line: &&str| !line.starts_with("latency-tracking-info") && !line.starts_with("user default");
        let real_text = real.file();
        let expected: Vec<&str> = real_text.lines().filter(skipped).collect();
        let expected = expected.join("\n").replace(&real.port.to_string(), "PORT").replace(&text(&real_id), "ID");
        wait_for(&format!("the same file after {command}"), || async {
            let file = std::fs::read_to_string(&ours.file).expect("there");
            let file =
                file.trim_end_matches('\n').replace(&ours.port.to_string(), "PORT").replace(&text(&our_id), "ID");
            if file.trim_end() == expected.trim_end() {
                return Some(());
            }
            eprintln!("--- real\n{expected}\n--- ours\n{file}");
            None
        })
        .await;
    }
}
