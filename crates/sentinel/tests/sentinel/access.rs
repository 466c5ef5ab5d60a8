//! Passwords, users, and what is refused.

use crate::support::{Ours, call, free_port, text};

async fn check(sentinel: &Ours, dialogue: &[(&str, &str)]) {
    let mut connection = sentinel.connect().await;
    for (command, expected) in dialogue {
        assert_eq!(text(&call(&mut connection, command).await), *expected, "{command}");
    }
}

fn monitor() -> String {
    format!("sentinel monitor m 127.0.0.1 {} 2", free_port())
}

#[tokio::test]
async fn with_requirepass_nothing_is_answered_before_auth() {
    let sentinel = Ours::start(&format!("requirepass secret\n{}", monitor()));
    check(
        &sentinel,
        &[
            ("SENTINEL MASTERS", "-NOAUTH Authentication required."),
            ("AUTH wrong", "-WRONGPASS invalid username-password pair or user is disabled."),
            ("AUTH secret", "OK"),
            ("PING", "PONG"),
            ("ACL WHOAMI", "default"),
        ],
    )
    .await;
    let mut connection = sentinel.connect().await;
    assert!(text(&call(&mut connection, "HELLO 3").await).starts_with("-NOAUTH HELLO must be called"));
    assert!(call(&mut connection, "HELLO 3 AUTH default secret").await.as_pairs().is_some());
}

#[tokio::test]
async fn a_user_may_do_what_its_rules_say() {
    let sentinel = Ours::start(&format!(
        "user reader on >pw +sentinel|masters +ping +subscribe resetchannels &+switch-* -@dangerous +sentinel|masters\n{}",
        monitor()
    ));
    check(
        &sentinel,
        &[
            ("AUTH reader pw", "OK"),
            ("PING", "PONG"),
            (
                "SENTINEL FLUSHCONFIG",
                "-NOPERM User reader has no permissions to run the 'sentinel|flushconfig' command",
            ),
            ("SUBSCRIBE +sdown", "-NOPERM No permissions to access a channel"),
            ("SUBSCRIBE +switch-master", "[subscribe, +switch-master, :1]"),
        ],
    )
    .await;
    let log = text(&sentinel.ask("ACL LOG").await);
    assert!(log.contains("channel") && log.contains("sentinel|flushconfig"), "{log}");
}

#[tokio::test]
async fn users_that_are_made_at_run_time_survive_a_restart() {
    let mut sentinel = Ours::start(&monitor());
    check(
        &sentinel,
        &[
            ("ACL SETUSER ops on >pw +@all", "OK"),
            ("ACL SETUSER x nonsense", "-ERR Error in ACL SETUSER modifier 'nonsense': Syntax error"),
            ("ACL USERS", "[default, ops]"),
            ("ACL DRYRUN ops ping", "OK"),
            ("SENTINEL FLUSHCONFIG", "OK"),
        ],
    )
    .await;
    sentinel.restart().await;
    check(&sentinel, &[("AUTH ops pw", "OK"), ("ACL WHOAMI", "ops"), ("ACL DELUSER ops nobody", ":1")]).await;
}

#[tokio::test]
async fn the_users_of_an_acl_file_are_loaded_and_saved() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("users.acl");
    std::fs::write(&file, "user default on nopass ~* &* +@all\nuser one on >pw +@all\n").expect("written");
    let sentinel = Ours::start(&format!("aclfile {}\n{}", file.display(), monitor()));
    check(&sentinel, &[("ACL USERS", "[default, one]"), ("ACL SETUSER two", "OK"), ("ACL SAVE", "OK")]).await;
    assert!(std::fs::read_to_string(&file).expect("there").contains("user two off"));
    std::fs::write(&file, "user default on nopass ~* &* +@all\nnonsense\n").expect("written");
    assert!(text(&sentinel.ask("ACL LOAD").await).starts_with("-ERR"));
    assert_eq!(text(&sentinel.ask("ACL USERS").await), "[default, one, two]");
}

#[tokio::test]
async fn clients_are_listed_named_and_killed() {
    let sentinel = Ours::start(&monitor());
    let mut victim = sentinel.connect().await;
    assert_eq!(text(&call(&mut victim, "CLIENT SETNAME victim").await), "OK");
    assert_eq!(text(&call(&mut victim, "CLIENT SETINFO LIB-NAME test").await), "OK");
    let id = text(&call(&mut victim, "CLIENT ID").await).trim_start_matches(':').to_owned();
    let list = text(&sentinel.ask("CLIENT LIST").await);
    assert!(
        list.lines().any(|line| line.starts_with(&format!("id={id} "))
            && line.contains("name=victim")
            && line.contains("lib-name=test")),
        "{list}"
    );
    assert_eq!(text(&sentinel.ask(&format!("CLIENT KILL ID {id}")).await), ":1");
    assert!(victim.call(&["PING"], crate::support::PATIENCE).await.is_err());
    assert_eq!(text(&sentinel.ask("CLIENT KILL 1.1.1.1:1").await), "-ERR No such client");
}
