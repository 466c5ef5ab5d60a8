//! What the crate does to real servers: Debian's redis-server, or whichever is found first.

mod servers;

use redis::{Address, Error, Link, Login, Role, Secret, Server, StartAs, Status, offset_of_replica};
use servers::{PATIENCE, TestResult, World};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_server_takes_no_writes_before_it_is_promoted() -> TestResult {
    let world = World::new().await?;
    let mut one = world.start("one", &StartAs::ReplicaOfNobody).await?;
    let status = one.server.probe(PATIENCE).await?;
    assert!(!status.is_master() && status.is_empty());
    let refused = one.set("a", "1").await?;
    assert!(refused.as_error().is_some_and(|message| message.starts_with("READONLY")), "{refused:?}");
    one.server.promote().await?;
    assert_eq!(one.set("a", "1").await?.as_error(), None);
    let status = one.server.probe(PATIENCE).await?;
    // A master that has never had a replica does not count its stream.
    assert!(status.is_master() && status.keys == 1 && status.offset == 0);
    assert_eq!(status.replication_id.len(), 40);
    let file = one.settings.data_dir.join(redis::FILE_NAME);
    assert_eq!(std::fs::metadata(file)?.permissions().mode() & 0o777, 0o600);
    Ok(())
}

#[tokio::test]
async fn a_replica_follows_and_its_master_knows_how_far_it_is() -> TestResult {
    let world = World::new().await?;
    let mut one = world.start("one", &StartAs::ReplicaOfNobody).await?;
    one.server.promote().await?;
    one.set("a", "1").await?;
    let mut two = world.start("two", &one.replica_of_this()).await?;
    let followed = two.eventually("follows", |status| status.offset > 0 && status.keys == 1).await?;
    assert_eq!(followed.role, Role::Replica { master: one.address(), link: Link::Up });
    let place = two.address();
    let master = one.eventually("sees its replica", |status| offset_of_replica(status, &place).is_some()).await?;
    assert_eq!(master.replication_id, followed.replication_id);
    one.set("b", "2").await?;
    let end = one.server.replication().await?;
    assert!(two.server.wait_for_all_of(&end, PATIENCE).await?);
    assert_eq!(two.get("b").await?.as_deref(), Some("2"));
    let more = Status { offset: end.offset + 1_000_000, ..end.clone() };
    assert!(!two.server.wait_for_all_of(&more, Duration::from_millis(20)).await?);
    let another = Status { replication_id: "0".repeat(40), offset: 1, ..end };
    assert!(!two.server.wait_for_all_of(&another, Duration::from_millis(20)).await?, "another history");
    Ok(())
}

#[tokio::test]
async fn a_planned_change_of_master_loses_nothing_and_costs_no_copy() -> TestResult {
    let world = World::new().await?;
    let mut one = world.start("one", &StartAs::ReplicaOfNobody).await?;
    one.server.promote().await?;
    let mut two = world.start("two", &one.replica_of_this()).await?;
    two.eventually("follows", |status| matches!(status.role, Role::Replica { link: Link::Up, .. })).await?;
    // A client that writes as fast as it can, until it is cut.
    let mut client = one.client().await?;
    let writer = tokio::spawn(async move {
        let mut written = 0u64;
        while client
            .call(&["SET", "n", &(written + 1).to_string()], PATIENCE)
            .await
            .is_ok_and(|it| it.as_error().is_none())
        {
            written += 1;
        }
        written
    });
    one.eventually("has writes", |status| status.offset > 10_000).await?;
    let began = Instant::now();
    one.server.pause_writes(Duration::from_secs(5)).await?;
    let end = one.server.replication().await?;
    assert!(two.server.wait_for_all_of(&end, PATIENCE).await?);
    one.server.demote(Some(&two.address())).await?;
    two.server.promote().await?;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let written = writer.await?;
    assert_eq!(two.get("n").await?, Some(written.to_string()));
    assert_eq!(two.set("n", "over").await?.as_error(), None);
    // It goes on where it was: the history before the change is the second one now.
    let old =
        one.eventually("follows the new one", |it| matches!(it.role, Role::Replica { link: Link::Up, .. })).await?;
    let new = two.server.probe(PATIENCE).await?;
    assert_eq!(old.replication_id, new.replication_id);
    let log = std::fs::read_to_string(two.settings.data_dir.join("log"))?;
    assert!(log.contains("Partial resynchronization request from") || !log.contains("Full resync requested"), "{log}");
    Ok(())
}

#[tokio::test]
async fn a_pause_ends_by_itself_and_by_request() -> TestResult {
    let world = World::new().await?;
    let mut one = world.start("one", &StartAs::ReplicaOfNobody).await?;
    one.server.promote().await?;
    one.server.pause_writes(Duration::from_millis(300)).await?;
    let began = Instant::now();
    assert_eq!(one.set("a", "1").await?.as_error(), None);
    assert!(began.elapsed() >= Duration::from_millis(200), "the write did not wait: {:?}", began.elapsed());
    one.server.pause_writes(Duration::from_secs(60)).await?;
    one.server.unpause().await?;
    let began = Instant::now();
    assert_eq!(one.set("a", "2").await?.as_error(), None);
    assert!(began.elapsed() < Duration::from_secs(5));
    Ok(())
}

#[tokio::test]
async fn a_demotion_cuts_the_clients_and_ends_the_writes() -> TestResult {
    let world = World::new().await?;
    let mut one = world.start("one", &StartAs::ReplicaOfNobody).await?;
    one.server.promote().await?;
    let mut client = one.client().await?;
    assert_eq!(client.call(&["SET", "a", "1"], PATIENCE).await?.as_error(), None);
    one.server.demote(None).await?;
    assert!(client.call(&["SET", "a", "2"], PATIENCE).await.is_err(), "the client was not cut");
    assert!(one.set("a", "3").await?.as_error().is_some());
    assert_eq!(one.get("a").await?.as_deref(), Some("1"));
    Ok(())
}

/// A planned change of master waits for the end of the stream after the demotion: that must still arrive.
#[tokio::test]
async fn what_a_master_had_sent_before_its_demotion_reaches_its_replica_after_it() -> TestResult {
    let world = World::new().await?;
    let mut one = world.start("one", &StartAs::ReplicaOfNobody).await?;
    one.server.promote().await?;
    let mut two = world.start("two", &one.replica_of_this()).await?;
    two.eventually("follows", |status| matches!(status.role, Role::Replica { link: Link::Up, .. })).await?;
    one.set("a", "1").await?;
    let known = one.server.replication().await?;
    assert!(two.server.wait_for_all_of(&known, PATIENCE).await?);
    two.signal("STOP");
    one.set("a", "2").await?;
    let end = one.server.demote(None).await?;
    assert!(end > known.offset);
    two.signal("CONT");
    // As the executor asks: the demoted one is the measure.
    let stands = one.server.replication().await?;
    assert_eq!((stands.offset, &stands.replication_id), (end, &known.replication_id));
    assert!(two.server.wait_for_all_of(&stands, PATIENCE).await?);
    two.server.promote().await?;
    assert_eq!(two.get("a").await?.as_deref(), Some("2"));
    // And it goes on from there without a copy.
    one.server.replica_of(&two.address()).await?;
    one.eventually("follows the new one", |it| matches!(it.role, Role::Replica { link: Link::Up, .. })).await?;
    let log = std::fs::read_to_string(two.settings.data_dir.join("log"))?;
    assert!(log.contains("Partial resynchronization request from") && !log.contains("Full resync requested"), "{log}");
    Ok(())
}

#[tokio::test]
async fn silence_refusal_and_wrong_passwords_are_told_apart() -> TestResult {
    let world = World::new().await?;
    let mut one = world.start("one", &StartAs::ReplicaOfNobody).await?;
    one.signal("STOP");
    let error = one.server.probe(Duration::from_millis(100)).await.unwrap_err();
    assert!(!error.is_an_answer() && !error.is_refused_connection(), "{error:?}");
    one.signal("CONT");
    one.eventually("answers again", |_| true).await?;
    let mut wrong = one.settings.clone();
    wrong.login = Some(Login { username: "default".to_owned(), password: Secret::new("hunter2") });
    let error = Server::new(wrong.target(one.address())?).probe(PATIENCE).await.unwrap_err();
    assert!(error.is_an_answer() && error.hint().contains("redis.authentication"), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    one.kill();
    let error = one.server.probe(PATIENCE).await.unwrap_err();
    assert!(error.is_refused_connection(), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn users_and_tls_work_between_servers_too() -> TestResult {
    let world = World::new().await?;
    let tls = world.tls()?;
    let mut settings = [world.settings("one")?, world.settings("two")?];
    for settings in &mut settings {
        settings.login = Some(Login { username: "app".to_owned(), password: Secret::new("p w") });
        settings.tls = Some(tls.clone());
    }
    let [one, two] = settings;
    let mut one = world.start_with(one, &StartAs::ReplicaOfNobody).await?;
    one.server.promote().await?;
    one.set("a", "1").await?;
    let mut two = world.start_with(two, &one.replica_of_this()).await?;
    two.eventually("follows over TLS", |status| status.keys == 1).await?;
    Ok(())
}

#[tokio::test]
async fn an_answer_that_is_an_error_is_told_with_its_text() -> TestResult {
    let world = World::new().await?;
    let mut one = world.start("one", &StartAs::ReplicaOfNobody).await?;
    let error = one.server.config_set("no-such-thing", "1").await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    let error = one.server.replica_of(&Address::new("no such host", 0)).await.err();
    assert!(error.is_none_or(|error| matches!(error, Error::Refused { .. })));
    Ok(())
}
