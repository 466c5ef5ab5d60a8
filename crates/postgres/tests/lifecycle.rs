//! Real servers through a whole life: made, started, cloned, promoted, rewound, rejoined.
#![cfg(unix)]

mod servers;

use postgres::{
    clone::{self, CloneFrom, CloneProgress},
    data_directory::{DataDirectoryState, Existing, Unusable},
    history,
    rewind::{RewindFrom, RewindOutcome, rewind},
    sql::{SqlStatus, WalPosition, fetch_history, source_state},
    *,
};
use servers::{Server, TestResult, World, eventually};
use std::time::Duration;
use types::Timeline;

#[tokio::test]
async fn a_cluster_fails_over_and_takes_the_old_primary_back() -> TestResult {
    let world = World::new().await?;
    let mut a = world.server("node-a")?;
    let mut b = world.server("node-b")?;

    a.initialize().await?;
    assert!(matches!(a.state().await?, DataDirectoryState::Valid(_)));
    a.configure(&Role::Primary).await?;
    a.start().await?;
    a.create_roles().await?;
    a.create_roles().await?; // repeatable
    let status = a.local.probe(true).await?;
    assert!(!status.in_recovery && status.receiver.is_none());
    assert_eq!((status.timeline, status.checkpoint_timeline), (Timeline(1), Timeline(1)));
    assert_eq!(status.server_version, world.version.number());
    assert_eq!(status.running["cluster_name"], "demo");
    assert_eq!(status.pending_restart, Some(vec![]));
    assert!(a.log()?.contains("ready to accept connections"));
    assert!(!a.log()?.contains("secret"), "a password reached the log");

    // A replica with its slot.
    let slot = slot::slot_name(&b.name);
    assert_eq!(slot, "node_b");
    assert!(a.local.create_physical_slot(&slot, true).await?);
    assert!(!a.local.create_physical_slot(&slot, true).await?);
    let (progress, seen) = tokio::sync::watch::channel(CloneProgress::default());
    let from = CloneFrom { source: a.conninfo("replicator", None), slot: Some(slot.clone()), options: vec![] };
    clone::clone(&world.binaries, &world.launcher, &b.locations.data_dir, Existing::Refuse, &from, &progress).await?;
    assert!(seen.borrow().bytes_done > 1_000_000 && seen.borrow().bytes_total > 1_000_000, "{:?}", *seen.borrow());
    b.configure(&b.following(&a)).await?;
    b.start().await?;
    let streaming = b.eventually("streams", SqlStatus::is_streaming).await?;
    let receiver = streaming.receiver.clone().ok_or("no receiver")?;
    assert_eq!(receiver.slot_name.as_deref(), Some("node_b"));
    assert_eq!(receiver.sender_port, Some(a.port));
    assert!(matches!(streaming.position, WalPosition::Standby { replay: Some(_), replay_paused: false, .. }));
    assert_eq!(streaming.timeline, Timeline(1));
    let status = a.local.probe(false).await?;
    assert_eq!(status.pending_restart, None);
    assert_eq!(status.replication.len(), 1);
    assert_eq!(status.replication[0].application_name.as_deref(), Some("node-b"));
    assert_eq!(status.replication[0].usename.as_deref(), Some("replicator"));
    assert!(status.slots.iter().any(|row| row.name == "node_b" && row.active && row.restart_lsn.is_some()));
    assert!(!a.local.drop_slot("node_b").await?, "a slot in use was removed");

    // Synchronous.
    a.settings.synchronous_standby_names = Some("FIRST 1 (\"node-b\")".to_owned());
    assert!(a.configure(&Role::Primary).await?.changed);
    a.local.reload().await?;
    let status = a
        .eventually("is synchronous", |status| {
            status.replication.iter().any(|r| r.sync_state.as_deref() == Some("sync"))
        })
        .await?;
    assert_eq!(status.synchronous_standby_names, "FIRST 1 (\"node-b\")");
    a.local
        .execute("a table", "create table public.t (n int); insert into public.t select generate_series(1, 1000)")
        .await?;

    let written = a.local.probe(false).await?.position.end();
    b.eventually("has the table", |status| status.position.end() >= written).await?;

    // The primary dies; the replica takes over, then the old primary is found to have gone its own way.
    a.local.execute("a change behind our back", "alter system set synchronous_standby_names = ''").await?;
    assert!(a.local.probe(false).await?.synchronous_standby_names.contains("node-b"));
    b.kill();
    a.local.execute("what b never sees", "insert into public.t values (-1)").await?;
    a.kill();
    assert!(a.local.probe(false).await.is_err());
    b.start().await?;
    b.eventually("replays", |status| status.position.end().0 > 0).await?;
    b.local.promote().await?;
    let promoted = b.eventually("is primary", |status| !status.in_recovery).await?;
    b.local.promote().await?; // repeatable
    assert_eq!(promoted.timeline, Timeline(2));
    b.configure(&Role::Primary).await?;

    let source = b.conninfo("rewinder", Some("postgres"));
    let timeouts = sql::Timeouts::default();
    b.local.checkpoint(Duration::from_secs(60)).await?;
    assert!(source_state(&source, timeouts).await?.is_ready());
    assert_eq!(b.local.probe(false).await?.checkpoint_timeline, Timeline(2));
    let branches = fetch_history(&source, Timeline(2), timeouts).await?;
    assert_eq!(branches, history::read_local(&b.locations.data_dir, Timeline(2))?);
    assert_eq!(branches[0].timeline, Timeline(1));
    let control = a.control().await?;
    assert_eq!(control.state, ClusterState::InProduction);
    assert_ne!(history::control_diverged(&control, Timeline(2), &branches), history::Divergence::No);

    let from = RewindFrom { source, restore_target_wal: false, options: vec![] };
    let outcome = rewind(&world.binaries, &world.version, &world.launcher, &a.locations, &from, timeouts).await?;
    assert_eq!(outcome, RewindOutcome::Done);
    assert!(matches!(a.state().await?, DataDirectoryState::Valid(_)));

    b.local.create_physical_slot("node_a", true).await?;
    let written = a.configure(&a.following(&b)).await?;
    assert!(written.changed);
    a.start().await?;
    let rejoined = a.eventually("streams again", SqlStatus::is_streaming).await?;
    assert_eq!(rejoined.timeline, Timeline(2));
    let count = "select count(*), count(*) filter (where n = -1) from public.t";
    eventually("has the same rows", async || {
        let rows = a.local.query("a count", count, &[]).await?;
        Ok((rows[0].get::<_, i64>(0) == 1000 && rows[0].get::<_, i64>(1) == 0).then_some(()))
    })
    .await?;
    let status = a.local.probe(false).await?;
    assert_eq!(status.synchronous_standby_names, "FIRST 1 (\"node-b\")", "ALTER SYSTEM overrode the agent");
    Ok(())
}

/// Number 2 is somebody else's, so the promotion begins timeline 3; who has less follows over the gap, and the old primary is
/// rewound over it.
#[tokio::test]
async fn a_promotion_passes_over_a_number_that_is_taken_and_the_others_follow() -> TestResult {
    let world = World::new().await?;
    let mut a = world.server("a")?;
    let mut b = world.server("b")?;
    let mut c = world.server("c")?;
    a.initialize().await?;
    a.configure(&Role::Primary).await?;
    a.start().await?;
    a.create_roles().await?;
    let (progress, _) = tokio::sync::watch::channel(CloneProgress::default());
    for replica in [&mut b, &mut c] {
        a.local.create_physical_slot(&slot::slot_name(&replica.name), true).await?;
        let from = CloneFrom { source: a.conninfo("replicator", None), slot: None, options: vec![] };
        let data_dir = replica.locations.data_dir.clone();
        clone::clone(&world.binaries, &world.launcher, &data_dir, Existing::Refuse, &from, &progress).await?;
        replica.configure(&replica.following(&a)).await?;
        replica.start().await?;
        replica.eventually("streams", SqlStatus::is_streaming).await?;
    }
    // It has certainly no more than the other.
    c.stop().await?;
    a.local.execute("a table", "create table public.t (n int); insert into public.t values (1)").await?;
    let written = a.local.probe(false).await?.position.end();
    b.eventually("has the table", |status| status.position.end() >= written).await?;
    a.kill();

    // A number that was taken for a promotion which did not come about is free again.
    timeline_numbers::take(&world.launcher, &b.locations.data_dir, Timeline(1), Timeline(7)).await?;
    timeline_numbers::give_back(&b.locations.data_dir).await?;
    timeline_numbers::take(&world.launcher, &b.locations.data_dir, Timeline(1), Timeline(2)).await?;
    b.local.promote().await?;
    let promoted = b.eventually("is primary", |status| !status.in_recovery).await?;
    assert_eq!(promoted.timeline, Timeline(3));
    b.configure(&Role::Primary).await?;
    b.local.checkpoint(Duration::from_secs(60)).await?;
    b.local.execute("a row", "insert into public.t values (2)").await?;
    let branches = history::read_local(&b.locations.data_dir, Timeline(3))?;
    assert_eq!(branches.iter().map(|branch| branch.timeline).collect::<Vec<_>>(), [Timeline(1)]);

    // The replica goes on on timeline 1, from there to 3, and gets the file of number 2 on the way.
    for name in ["a", "c"] {
        b.local.create_physical_slot(name, true).await?;
    }
    c.configure(&c.following(&b)).await?;
    c.start().await?;
    let followed = |status: &SqlStatus| status.is_streaming() && status.timeline == Timeline(3);
    c.eventually("follows over the gap", followed).await?;
    assert_eq!(history::read_local(&c.locations.data_dir, Timeline(2))?, []);

    let timeouts = sql::Timeouts::default();
    let source = b.conninfo("rewinder", Some("postgres"));
    let from = RewindFrom { source, restore_target_wal: false, options: vec![] };
    let outcome = rewind(&world.binaries, &world.version, &world.launcher, &a.locations, &from, timeouts).await?;
    assert!(matches!(outcome, RewindOutcome::Done | RewindOutcome::NotNeeded), "{outcome:?}");
    a.configure(&a.following(&b)).await?;
    timeline_numbers::give_back(&a.locations.data_dir).await?;
    a.start().await?;
    a.eventually("follows over the gap", followed).await?;
    // Started anew, it finds its way to the newest timeline by itself.
    c.stop().await?;
    timeline_numbers::give_back(&c.locations.data_dir).await?;
    assert_eq!(history::read_local(&c.locations.data_dir, Timeline(2))?, [], "the way to 3 leads past 2");
    c.start().await?;
    c.eventually("follows again", followed).await?;
    for replica in [&a, &c] {
        eventually("has both rows", async || {
            let rows = replica.local.query("a count", "select count(*) from public.t", &[]).await?;
            Ok((rows[0].get::<_, i64>(0) == 2).then_some(()))
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn parameters_that_need_a_restart_are_told_and_a_standby_starts_with_what_its_primary_had() -> TestResult {
    let world = World::new().await?;
    let mut a = world.server("a")?;
    let mut b = world.server("b")?;
    a.settings.parameters.insert("max_connections".to_owned(), "150".to_owned());
    a.initialize().await?;
    a.configure(&Role::Primary).await?;
    a.start().await?;
    a.create_roles().await?;
    let mut changed = a.settings.clone();
    changed.parameters.insert("max_connections".to_owned(), "160".to_owned());
    changed.parameters.insert("shared_buffers".to_owned(), "20MB".to_owned());
    a.settings = changed;
    let written = a.configure(&Role::Primary).await?;
    a.local.reload().await?;
    let status = a
        .eventually("waits for a restart", |status| {
            status.pending_restart.as_ref().is_some_and(|list| !list.is_empty())
        })
        .await?;
    let pending = status.pending_restart.unwrap_or_default();
    let has = |name: &str, new: &str| pending.iter().any(|row| row.name == name && row.new_value == new);
    assert!(has("shared_buffers", "20MB") && has("max_connections", "160"), "{pending:?}");
    let ours = written.effective.pending_restart(&status.running);
    assert_eq!(ours.len(), 1);
    assert_eq!((ours[0].old_value.as_str(), ours[0].new_value.as_str()), ("150", "160"));

    // The standby's own configuration has fewer connections than the primary had.
    b.settings.parameters.insert("max_connections".to_owned(), "50".to_owned());
    b.copy_of(&a).await?;
    let written = b.configure(&b.following(&a)).await?;
    assert_eq!(written.effective.parameters["max_connections"], "150");
    b.start().await?;
    b.eventually("streams", SqlStatus::is_streaming).await?;
    Ok(())
}

#[tokio::test]
async fn an_interrupted_clone_is_never_taken_for_a_data_directory() -> TestResult {
    let world = World::new().await?;
    let mut a = world.server("a")?;
    let b = world.server("b")?;
    a.initialize().await?;
    a.configure(&Role::Primary).await?;
    a.start().await?;
    a.create_roles().await?;
    let from = CloneFrom {
        source: a.conninfo("replicator", None),
        slot: None,
        options: vec![options::ToolOption::Value("max-rate".to_owned(), "2M".to_owned())],
    };
    let (progress, mut seen) = tokio::sync::watch::channel(CloneProgress::default());
    let data_dir = &b.locations.data_dir;
    tokio::select! {
        done = clone::clone(&world.binaries, &world.launcher, data_dir, Existing::Refuse, &from, &progress) => {
            return Err(format!("a clone at 2 MB/s was not interrupted: {done:?}").into());
        }
        changed = seen.wait_for(|now| now.bytes_done > 0) => { changed?; }
    }
    assert_eq!(b.state().await?, DataDirectoryState::Unusable(Unusable::Unfinished));
    b.copy_of(&a).await?;
    assert!(matches!(b.state().await?, DataDirectoryState::Valid(_)));
    // A second clone refuses, moves aside, or replaces.
    let again = async |existing| {
        let from = CloneFrom { source: a.conninfo("replicator", None), slot: None, options: vec![] };
        clone::clone(&world.binaries, &world.launcher, data_dir, existing, &from, &progress).await
    };
    assert!(again(Existing::Refuse).await.is_err());
    again(Existing::MoveAside).await?;
    assert!(data_dir.with_extension("failed").join("PG_VERSION").exists());
    // A source that cannot be reached leaves an empty directory and the reason.
    let wrong = CloneFrom { source: Conninfo { port: 1, ..from.source.clone() }, slot: None, options: vec![] };
    let error = clone::clone(&world.binaries, &world.launcher, data_dir, Existing::Remove, &wrong, &progress).await;
    let error = error.err().ok_or("cloned from nowhere")?;
    assert!(error.to_string().contains("Connection refused"), "{error}");
    assert!(!error.hint().is_empty());
    assert_eq!(b.state().await?, DataDirectoryState::Empty);
    Ok(())
}

#[tokio::test]
async fn a_rewind_waits_for_the_sources_checkpoint_and_reports_why_it_failed() -> TestResult {
    let world = World::new().await?;
    let mut a = world.server("a")?;
    let mut b = world.server("b")?;
    a.initialize().await?;
    a.configure(&Role::Primary).await?;
    a.start().await?;
    a.create_roles().await?;
    b.copy_of(&a).await?;
    b.configure(&b.following(&a)).await?;
    b.start().await?;
    b.eventually("streams", SqlStatus::is_streaming).await?;

    let locations = a.locations.clone();
    let rewind_from = async |server: &Server<'_>| {
        let source = server.conninfo("rewinder", Some("postgres"));
        let from = RewindFrom { source, restore_target_wal: false, options: vec![] };
        rewind(&world.binaries, &world.version, &world.launcher, &locations, &from, sql::Timeouts::default()).await
    };
    let outcome = rewind_from(&b).await?;
    assert!(matches!(&outcome, RewindOutcome::SourceNotReady(state) if state.in_recovery), "{outcome:?}");

    a.stop().await?;
    let stopped = a.control().await?;
    assert_eq!(stopped.state, ClusterState::ShutDown);
    b.local.promote().await?;
    b.eventually("is primary", |status| !status.in_recovery).await?;
    b.local.checkpoint(Duration::from_secs(60)).await?;
    let branches = history::read_local(&b.locations.data_dir, Timeline(2))?;
    // Stopped in order while the replica streamed: the shutdown checkpoint arrived, so nothing to rewind.
    assert_eq!(history::control_diverged(&stopped, Timeline(2), &branches), history::Divergence::No);
    assert_eq!(rewind_from(&b).await?, RewindOutcome::NotNeeded);
    a.configure(&a.following(&b)).await?;
    a.start().await?;
    a.eventually("follows", |status| status.is_streaming() && status.timeline == Timeline(2)).await?;
    a.stop().await?;
    assert_eq!(a.control().await?.state, ClusterState::ShutDownInRecovery);

    // Another cluster's server is no source.
    let mut other = world.server("other")?;
    other.initialize().await?;
    other.configure(&Role::Primary).await?;
    other.start().await?;
    other.create_roles().await?;
    let outcome = rewind_from(&other).await?;
    let RewindOutcome::Failed { why, damaged: false } = outcome else { return Err(format!("{outcome:?}").into()) };
    assert!(why.contains("different systems"), "{why}");
    assert!(matches!(a.state().await?, DataDirectoryState::Valid(_)));
    Ok(())
}

#[tokio::test]
async fn a_server_that_hangs_costs_one_time_limit() -> TestResult {
    let world = World::new().await?;
    let mut a = world.server("a")?;
    a.initialize().await?;
    a.configure(&Role::Primary).await?;
    a.start().await?;
    let before = a.local.query("pid", "select pg_backend_pid()", &[]).await?[0].get::<_, i32>(0);
    let slow = a.local.query("a long wait", "select pg_sleep(60)", &[]).await;
    assert!(matches!(slow, Err(Error::SqlTimeout { server_answered: true, .. })), "{slow:?}");
    let after = a.local.query("pid", "select pg_backend_pid()", &[]).await?[0].get::<_, i32>(0);
    assert_eq!(before, after, "the server's own limit ends the statement, not the connection");
    // Frozen altogether: ours ends it.
    a.signal("STOP");
    servers::signal(after, "STOP");
    let started = std::time::Instant::now();
    assert!(matches!(a.local.probe(false).await, Err(Error::SqlTimeout { server_answered: false, .. })));
    assert!(matches!(a.local.probe(false).await, Err(Error::Connect { .. })));
    assert!(started.elapsed() < Duration::from_secs(10));
    servers::signal(after, "CONT");
    a.signal("CONT");
    a.eventually("answers again", |status| !status.in_recovery).await?;
    Ok(())
}
