//! Notification scripts: called with the event, without our files and sockets, and killed when they hang.

use crate::support::{Ours, free_port, text, wait_for};
use std::path::{Path, PathBuf};

fn script(directory: &Path, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = directory.join("notify.sh");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
    path
}

fn lines(script: &Path) -> String {
    format!(
        "sentinel monitor m 127.0.0.1 {} 1\nsentinel down-after-milliseconds m 60000\nsentinel notification-script m {}",
        free_port(),
        script.display()
    )
}

#[tokio::test]
async fn a_notification_script_gets_the_event_and_none_of_our_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let output = directory.path().join("output");
    let script = script(
        directory.path(),
        &format!("echo \"$1|$2|$(ls -l /proc/$$/fd | grep -c socket)\" >> {}", output.display()),
    );
    let sentinel = Ours::start(&lines(&script));
    // Connections of our own that must not be seen by the script.
    let _client = sentinel.connect().await;
    assert_eq!(text(&sentinel.ask("SENTINEL SET m quorum 2").await), "OK");
    let line = wait_for("the script to be called", || async {
        let text = std::fs::read_to_string(&output).ok()?;
        text.lines().find(|line| line.starts_with("+set|")).map(str::to_owned)
    })
    .await;
    let parts: Vec<&str> = line.split('|').collect();
    assert!(parts[1].starts_with("master m 127.0.0.1") && parts[1].ends_with("quorum 2"), "{line}");
    // This process has several: the port, the client, the connections to the master.
    assert_eq!(parts[2], "0", "{line}");
}

#[tokio::test]
async fn a_script_that_hangs_is_shown_and_killed() {
    let directory = tempfile::tempdir().expect("a directory");
    let script = script(directory.path(), "exec sleep 600");
    let sentinel = Ours::start(&lines(&script));
    wait_for("the script to be shown as running", || async {
        text(&sentinel.ask("SENTINEL PENDING-SCRIPTS").await).contains("flags, running").then_some(())
    })
    .await;
    assert_eq!(text(&sentinel.ask("SENTINEL DEBUG script-max-runtime 100").await), "OK");
    wait_for("the script to be killed and scheduled again", || async {
        text(&sentinel.ask("SENTINEL PENDING-SCRIPTS").await).contains("flags, scheduled").then_some(())
    })
    .await;
}

#[tokio::test]
async fn scripts_cannot_be_set_by_clients_unless_that_is_allowed() {
    let directory = tempfile::tempdir().expect("a directory");
    let script = script(directory.path(), "true");
    let sentinel = Ours::start(&lines(&script));
    let command = format!("SENTINEL SET m notification-script {}", script.display());
    assert!(text(&sentinel.ask(&command).await).starts_with("-ERR Reconfiguration of scripts path is denied"));
    let open = Ours::start(&format!("{}\nsentinel deny-scripts-reconfig no", lines(&script)));
    assert_eq!(text(&open.ask(&command).await), "OK");
    assert_eq!(
        text(&open.ask("SENTINEL SET m notification-script /nonsense").await),
        "-ERR Notification script seems non existing or non executable"
    );
}
