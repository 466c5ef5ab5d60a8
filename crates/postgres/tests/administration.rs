//! What the agent tells one real server, and what goes wrong.
#![cfg(unix)]

mod servers;

use postgres::{
    bootstrap::post_bootstrap,
    data_directory::{DataDirectoryState, Existing, Unusable},
    options::ToolOption,
    rewind::{RewindFrom, rewind},
    sql::{Local, LocalAddress, Timeouts, fetch_history},
    *,
};
use servers::{TestResult, World, eventually, secret};
use std::time::Duration;
use types::{Lsn, Timeline};

#[tokio::test]
async fn slots_clients_and_sockets() -> TestResult {
    let world = World::new().await?;
    let mut a = world.server("a")?;
    a.initialize().await?;
    a.configure(&Role::Primary).await?;
    a.start().await?;
    a.create_roles().await?;

    assert!(a.local.create_physical_slot("one", false).await?);
    let empty = a.local.probe(false).await?;
    assert_eq!((empty.slots[0].name.as_str(), empty.slots[0].restart_lsn), ("one", None));
    assert!(a.local.drop_slot("one").await?);
    assert!(!a.local.drop_slot("one").await?);
    a.local.create_physical_slot("two", true).await?;
    a.local.execute("some WAL", "create table public.t as select generate_series(1, 1000)").await?;
    let end = a.local.probe(false).await?.position.end();
    assert!(a.local.advance_slot("two", end).await?);
    assert!(!a.local.advance_slot("two", Lsn(1)).await?, "a slot went backwards");
    assert_eq!(a.local.probe(false).await?.slots[0].restart_lsn, Some(end));

    // Through the socket, and as a client that is sent away.
    let dir = a.locations.data_dir.parent().ok_or("no parent")?.to_owned();
    let address = LocalAddress::new("*", a.port, Some(&dir));
    let client = Local::new(&address, "postgres", Some(secret()), Timeouts::default());
    client.query("a question", "select 1", &[]).await?;
    assert_eq!(a.local.terminate_clients().await?, 1);
    eventually("has noticed", async || Ok(client.query("a question", "select 1", &[]).await.ok())).await?;
    client.disconnect();
    client.query("a question", "select 1", &[]).await?;

    // Wrong password, unknown user, missing right: each says so.
    let wrong = Local::new(&address, "postgres", Some(Secret::new("wrong")), Timeouts::default());
    let error = wrong.probe(false).await.err().ok_or("let in")?;
    assert!(error.to_string().contains("password authentication failed") && !error.is_starting(), "{error}");
    assert!(error.hint().contains("authentication"), "{}", error.hint());
    let replicator = a.conninfo("replicator", Some("postgres"));
    let error = fetch_history(&replicator, Timeline(2), Timeouts::default()).await.err().ok_or("may read files")?;
    assert!(error.to_string().contains("permission denied"), "{error}");
    Ok(())
}

#[tokio::test]
async fn the_post_bootstrap_script_gets_the_connection_and_the_password_apart() -> TestResult {
    let world = World::new().await?;
    let mut a = world.server("a")?;
    a.initialize().await?;
    a.configure(&Role::Primary).await?;
    a.start().await?;
    let server = a.conninfo("postgres", Some("postgres"));
    let limit = Duration::from_secs(30);
    // Passwords with a backslash and a colon are escaped in the file; grep finds the user's part.
    let script = "/bin/sh -c 'grep -q :postgres: \"$PGPASSFILE\" && echo \"$1\" >&2 && exit 3' script";
    let error = post_bootstrap(&world.launcher, script, &server, limit).await.err().ok_or("ignored a failure")?;
    let text = error.to_string();
    assert!(text.contains("exit status: 3") && text.contains("dbname=postgres"), "{text}");
    assert!(!text.contains("hard"), "{text}");
    post_bootstrap(&world.launcher, "/bin/true", &server, limit).await?;
    for bad in ["", "'"] {
        assert!(post_bootstrap(&world.launcher, bad, &server, limit).await.is_err());
    }
    let slow =
        post_bootstrap(&world.launcher, "/bin/sh -c 'exec sleep 600'", &server, Duration::from_millis(100)).await;
    assert!(matches!(slow, Err(Error::ToolTimeout { .. })), "{slow:?}");
    Ok(())
}

#[tokio::test]
async fn a_failed_initdb_says_why_and_leaves_an_empty_directory() -> TestResult {
    let world = World::new().await?;
    let a = world.server("a")?;
    let option = ToolOption::Value("locale".to_owned(), "xx_XX".to_owned());
    let error = a.initialize_with(vec![option]).await.err().ok_or("made with a locale that does not exist")?;
    assert!(error.to_string().contains("invalid locale name"), "{error}");
    assert!(error.hint().contains("locale"), "{}", error.hint());
    assert_eq!(a.state().await?, DataDirectoryState::Empty);
    a.initialize().await?;
    assert!(a.initialize().await.is_err(), "a data directory was overwritten");
    assert!(matches!(a.state().await?, DataDirectoryState::Valid(_)));
    std::fs::write(a.locations.data_dir.join("global/pg_control"), [0; 8192])?;
    assert!(matches!(a.state().await?, DataDirectoryState::Unusable(Unusable::Damaged(_))));
    Ok(())
}

#[tokio::test]
async fn an_interrupted_rewind_leaves_a_mark_until_the_next_clone() -> TestResult {
    let world = World::new().await?;
    let mut a = world.server("a")?;
    let mut b = world.server("b")?;
    a.initialize().await?;
    a.configure(&Role::Primary).await?;
    a.start().await?;
    a.create_roles().await?;
    b.copy_of(&a).await?;
    let from =
        RewindFrom { source: a.conninfo("rewinder", Some("postgres")), restore_target_wal: false, options: vec![] };
    let marker = b.locations.data_dir.with_extension("rewinding");
    tokio::select! {
        done = rewind(&world.binaries, &world.version, &world.launcher, &b.locations, &from, Timeouts::default()) => {
            return Err(format!("it was over before it could be interrupted: {done:?}").into());
        }
        seen = eventually("is marked", async || Ok(marker.exists().then_some(()))) => seen?,
    }
    assert_eq!(b.state().await?, DataDirectoryState::Unusable(Unusable::RewindUnfinished));
    b.copy(&a, Existing::Remove, vec![]).await?;
    assert!(matches!(b.state().await?, DataDirectoryState::Valid(_)));
    b.configure(&b.following(&a)).await?;
    b.start().await?;
    Ok(())
}

#[tokio::test]
async fn wal_elsewhere_goes_with_its_data_directory() -> TestResult {
    let world = World::new().await?;
    let mut a = world.server("a")?;
    let b = world.server("b")?;
    let dir = b.locations.data_dir.with_file_name("wal");
    let elsewhere = ToolOption::Value("waldir".to_owned(), dir.display().to_string());
    a.initialize().await?;
    a.configure(&Role::Primary).await?;
    a.start().await?;
    a.create_roles().await?;
    b.initialize_with(vec![elsewhere.clone()]).await?;
    assert!(dir.join("archive_status").exists());
    for existing in [Existing::MoveAside, Existing::Remove] {
        // The new copy wants the same place, which must be free again by then.
        b.copy(&a, existing, vec![elsewhere.clone()]).await?;
        assert!(matches!(b.state().await?, DataDirectoryState::Valid(_)));
        assert!(b.locations.data_dir.join("pg_wal").is_symlink() && dir.join("archive_status").exists());
        assert!(dir.with_extension("failed").join("archive_status").exists());
    }
    Ok(())
}
