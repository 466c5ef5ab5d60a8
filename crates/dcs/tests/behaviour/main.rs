//! What the client promises, checked against every kind of store: one function per behaviour.

#![allow(clippy::unwrap_used)] // a behaviour that cannot be shown fails where it stands

mod scripted;
mod secured;
mod sign_in;
mod support;

use dcs::{DcsError, Lease, Written};
use ha::cluster::StoreWrite;
use std::time::{Duration, Instant};
use support::{
    Store, client,
    etcd::Etcd,
    eventually,
    network::{Link, Wire},
    own::Own,
    put_config, put_member, put_status, take_leader, until,
};
use types::{LeaseId, Lsn, Millis, Revision};

/// Longer than any of the client's own limits together, far shorter than waiting for a lease of the defaults.
const PROMPT: Duration = Duration::from_secs(8);

macro_rules! behaviours {
    ($($name:ident,)*) => {
        mod etcd {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name::<super::Etcd>().await; })*
        }
        mod own {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name::<super::Own>().await; })*
        }
    };
}

behaviours! {
    a_write_is_carried_out_once_and_refused_when_the_store_has_moved_on,
    a_lease_that_is_not_kept_takes_its_keys_along_and_the_watch_shows_it,
    a_lease_lives_while_it_is_kept_and_is_missing_after_it_ended,
    a_write_on_a_lease_that_is_gone_says_so,
    a_leader_that_lost_the_key_cannot_write_any_more,
    everything_continues_on_another_endpoint_and_comes_back,
    a_write_goes_elsewhere_when_it_was_certainly_not_sent,
    a_write_without_an_answer_is_not_repeated,
    a_lease_is_kept_through_a_frozen_endpoint,
    a_bounded_renewal_is_not_entrusted_to_an_endpoint_that_is_not_heard,
    a_watch_leaves_a_frozen_endpoint,
    a_watch_leaves_a_member_without_a_quorum,
    changes_that_were_compacted_away_are_loaded,
    a_cut_wire_loses_no_change,
    nothing_answers_without_a_quorum_and_the_error_says_so,
    the_stores_lead_can_be_moved,
}

/// A real etcd rounds up to seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_store_counts_leases_in_milliseconds() {
    let own = Own::start(1).await;
    let dcs = client(&own.endpoints());
    let lease = dcs.lease_grant(Millis(1300)).await.unwrap();
    assert_eq!(lease.ttl, Millis(1300));
    assert_ne!(dcs.lease_grant(Millis(1300)).await.unwrap().id, lease.id);
    assert_eq!(dcs.lease_keep_alive(lease.id, None).await, Ok(Some(Millis(1300))));
    let etcd = Etcd::start(1).await;
    let dcs = client(&etcd.endpoints());
    let lease = dcs.lease_grant(Millis(1300)).await.unwrap();
    assert_eq!(lease.ttl, Millis(2000));
}

fn revision(written: Written) -> Revision {
    match written {
        Written::Done { revision } => revision,
        Written::Refused => panic!("the write was refused"),
    }
}

async fn a_write_is_carried_out_once_and_refused_when_the_store_has_moved_on<S: Store>() {
    let store = S::start(1).await;
    let dcs = client(&store.endpoints());
    let empty = dcs.load().await.unwrap();
    assert!(empty.leader.is_none() && empty.members.is_empty() && empty.initialize.is_none());

    let lease = dcs.lease_grant(Millis::from_secs(60)).await.unwrap();
    let claim = StoreWrite::ClaimInitialize { lease: lease.id };
    let at = revision(dcs.write(&claim).await.unwrap());
    assert!(at > empty.revision);
    assert_eq!(dcs.write(&claim).await, Ok(Written::Refused));

    let cluster = dcs.load().await.unwrap();
    assert_eq!(cluster.revision, at);
    assert_eq!(cluster.initialize.map(|it| (it.value, it.revision)), Some((String::new(), at)));

    revision(dcs.write(&StoreWrite::PublishSystemId { system_id: "42".into(), expected: at }).await.unwrap());
    dcs.lease_revoke(lease.id).await.unwrap();
    let cluster = dcs.load().await.unwrap();
    assert_eq!(cluster.initialize.map(|it| it.value).as_deref(), Some("42"), "it is for good, not of the lease");
}

async fn a_lease_that_is_not_kept_takes_its_keys_along_and_the_watch_shows_it<S: Store>() {
    let store = S::start(1).await;
    let dcs = client(&store.endpoints());
    let _following = dcs.start();
    let lease = dcs.lease_grant(Millis::from_secs(1)).await.unwrap();
    let cluster = dcs.load().await.unwrap();
    let began = Instant::now();
    let at = revision(dcs.write(&take_leader("a", lease.id, &cluster)).await.unwrap());
    let view = eventually(&dcs, "a leads", |view| view.cluster.is_leader(&"a".into())).await;
    let leader = view.cluster.leader.as_ref().unwrap();
    assert_eq!((leader.epoch, leader.lease), (at, Some(lease.id)));
    assert!(view.connected && view.generation == 1);
    assert_eq!(view.cluster.members.len(), 1, "the member key came in the same revision");

    let view =
        eventually(&dcs, "nobody leads", |view| view.cluster.leader.is_none() && view.cluster.revision > at).await;
    assert!(view.cluster.members.is_empty());
    assert!(began.elapsed() >= Duration::from_millis(lease.ttl.0 / 2), "not before its time");
    assert_eq!(dcs.lease_keep_alive(lease.id, None).await, Ok(None));
    assert_eq!(view.generation, 1, "followed, not loaded again");
}

async fn a_lease_lives_while_it_is_kept_and_is_missing_after_it_ended<S: Store>() {
    let store = S::start(3).await;
    // Also through a member that is not the leader.
    for endpoint in store.endpoints() {
        let dcs = client(&[endpoint]);
        let Lease { id, ttl } = dcs.lease_grant(Millis::from_secs(1)).await.unwrap();
        assert!(ttl >= Millis::from_secs(1));
        let before = dcs.last_contact();
        let granted = Instant::now();
        while granted.elapsed() < Duration::from(ttl) * 2 {
            assert_eq!(dcs.lease_keep_alive(id, None).await, Ok(Some(ttl)));
            tokio::time::sleep(Duration::from(ttl) / 4).await;
        }
        assert!(dcs.last_contact() > before);
        dcs.lease_revoke(id).await.unwrap();
        assert_eq!(dcs.lease_keep_alive(id, None).await, Ok(None));
        assert_eq!(dcs.lease_revoke(id).await, Err(DcsError::LeaseNotFound));
    }
}

async fn a_write_on_a_lease_that_is_gone_says_so<S: Store>() {
    let store = S::start(1).await;
    let dcs = client(&store.endpoints());
    let before = dcs.load().await.unwrap();
    assert_eq!(dcs.write(&put_member("a", LeaseId(12345), 1, None)).await, Err(DcsError::LeaseNotFound));
    assert_eq!(dcs.load().await.unwrap(), before);
}

async fn a_leader_that_lost_the_key_cannot_write_any_more<S: Store>() {
    let store = S::start(1).await;
    let dcs = client(&store.endpoints());
    let lease = dcs.lease_grant(Millis::from_secs(60)).await.unwrap().id;
    let epoch = revision(dcs.write(&take_leader("a", lease, &dcs.load().await.unwrap())).await.unwrap());
    revision(dcs.write(&put_status("a", epoch, 5)).await.unwrap());
    dcs.lease_revoke(lease).await.unwrap();
    let again = dcs.lease_grant(Millis::from_secs(60)).await.unwrap().id;
    revision(dcs.write(&take_leader("a", again, &dcs.load().await.unwrap())).await.unwrap());
    assert_eq!(dcs.write(&put_status("a", epoch, 6)).await, Ok(Written::Refused), "the same name, another epoch");
    assert_eq!(dcs.load().await.unwrap().status.unwrap().value.optime, Lsn(5));
}

async fn everything_continues_on_another_endpoint_and_comes_back<S: Store>() {
    let mut store = S::start(3).await;
    let endpoints = store.endpoints();
    let (dcs, other) = (client(&endpoints), client(&endpoints[1..]));
    let _following = dcs.start();
    let at = revision(dcs.write(&put_config(30, None)).await.unwrap());
    eventually(&dcs, "the first change", |view| view.cluster.revision >= at).await;
    assert_eq!(dcs.endpoint(), Some(endpoints[0].as_str()));

    store.kill(0).await;
    // The killed one may have led the store: others elect first.
    let at = until("a write after the kill", || async { other.write(&put_config(31, Some(at))).await.ok() }).await;
    let at = revision(at);
    let view = eventually(&dcs, "a change by another", |view| view.cluster.revision >= at && view.connected).await;
    assert_eq!(view.generation, 1, "followed on, not loaded again");
    let began = Instant::now();
    let at = revision(dcs.write(&put_config(32, Some(at))).await.unwrap());
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_ne!(dcs.endpoint(), Some(endpoints[0].as_str()));

    store.restart(0).await;
    until("back to the first", || async { (dcs.endpoint() == Some(endpoints[0].as_str())).then_some(()) }).await;
    let at = revision(other.write(&put_config(33, Some(at))).await.unwrap());
    eventually(&dcs, "a change after the return", |view| view.cluster.revision >= at && view.connected).await;
}

async fn a_write_goes_elsewhere_when_it_was_certainly_not_sent<S: Store>() {
    let store = S::start(1).await;
    // Gone with this line: a task that listens would end only later.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).unwrap().to_string();
    // The first is closed (its listener is gone), the second is no name at all.
    let endpoints = [closed, "no.such.host.invalid:1".to_owned(), store.endpoints()[0].clone()];
    let dcs = client(&endpoints);
    let at = revision(dcs.write(&put_config(30, None)).await.unwrap());
    assert_eq!(dcs.load().await.unwrap().revision, at);
    let nobody = client(&endpoints[..2]);
    let error = nobody.write(&put_config(31, None)).await.unwrap_err();
    assert!(matches!(error, DcsError::Unreachable { .. }), "{error}");
    let error = client(&[]).load().await.unwrap_err();
    assert!(error.to_string().contains("no endpoints are configured"), "{error}");
}

async fn a_write_without_an_answer_is_not_repeated<S: Store>() {
    let store = S::start(3).await;
    let direct = client(&store.endpoints());
    let link = Link::to(&store.endpoints()[0]).await;
    let mut endpoints = store.endpoints();
    link.address().clone_into(&mut endpoints[0]);
    let dcs = client(&endpoints);
    let before = dcs.load().await.unwrap().revision;
    link.set(Wire::OneWay);
    let write = put_config(30, None);
    let error = dcs.write(&write).await.unwrap_err();
    assert!(matches!(&error, DcsError::OutcomeUnknown { endpoint, .. } if endpoint == link.address()), "{error}");
    let cluster =
        until("the write", || async { direct.load().await.ok().filter(|cluster| cluster.config.is_some()) }).await;
    assert_eq!(cluster.revision, Revision(before.0 + 1), "carried out once, though nobody was told");
    // The next request goes elsewhere at once.
    let began = Instant::now();
    assert_eq!(dcs.write(&write).await, Ok(Written::Refused));
    assert!(began.elapsed() < Duration::from_millis(500));
}

async fn a_lease_is_kept_through_a_frozen_endpoint<S: Store>() {
    let store = S::start(3).await;
    let link = Link::to(&store.endpoints()[0]).await;
    let mut endpoints = store.endpoints();
    link.address().clone_into(&mut endpoints[0]);
    let dcs = client(&endpoints);
    let lease = dcs.lease_grant(Millis::from_secs(30)).await.unwrap();
    assert_eq!(dcs.endpoint(), Some(link.address()));
    link.set(Wire::Silent);
    assert_eq!(dcs.lease_keep_alive(lease.id, None).await, Ok(Some(lease.ttl)));
    assert_ne!(dcs.endpoint(), Some(link.address()), "avoided from now on");
    assert_eq!(dcs.lease_keep_alive(lease.id, None).await, Ok(Some(lease.ttl)));
}

async fn a_bounded_renewal_is_not_entrusted_to_an_endpoint_that_is_not_heard<S: Store>() {
    const TTL: Millis = Millis(4000);
    /// Within the hearing that earlier answers gave, and not.
    const LATER: Duration = Duration::from_millis(500);
    let store = S::start(1).await;
    let link = Link::to(&store.endpoints()[0]).await;
    let (dcs, other) = (client(&[link.address().to_owned()]), client(&store.endpoints()));
    let lease = dcs.lease_grant(TTL).await.unwrap();
    assert_eq!(dcs.lease_keep_alive(lease.id, Some(PROMPT)).await, Ok(Some(lease.ttl)));
    let heard = Instant::now();
    other.write(&put_member("a", lease.id, 1, None)).await.unwrap();
    link.set(Wire::OneWay);
    tokio::time::sleep(LATER).await;
    // Each arrives, and none is answered.
    while heard.elapsed() < Duration::from(TTL) {
        let answer = dcs.lease_keep_alive(lease.id, Some(Duration::from_millis(300))).await;
        assert!(matches!(answer, Err(DcsError::Unreachable { .. })), "{answer:?}");
    }
    let is_gone = || async { other.load().await.unwrap().members.is_empty().then_some(()) };
    until("the end of the lease", is_gone).await;
    assert!(heard.elapsed() < Duration::from(TTL) + Duration::from_millis(1500), "{:?}", heard.elapsed());
    link.set(Wire::Whole);
    let renewed = || async { (dcs.lease_keep_alive(lease.id, Some(PROMPT)).await == Ok(None)).then_some(()) };
    until("heard again", renewed).await;
}

async fn a_watch_leaves_a_frozen_endpoint<S: Store>() {
    let store = S::start(3).await;
    let link = Link::to(&store.endpoints()[0]).await;
    let mut endpoints = store.endpoints();
    link.address().clone_into(&mut endpoints[0]);
    let (dcs, other) = (client(&endpoints), client(&store.endpoints()[1..]));
    let _following = dcs.start();
    eventually(&dcs, "connected", |view| view.connected).await;
    link.set(Wire::Silent);
    let began = Instant::now();
    let at = revision(other.write(&put_config(30, None)).await.unwrap());
    // No request of this client helps: the pings alone must notice.
    eventually(&dcs, "the change", |view| view.cluster.revision >= at).await;
    assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
    link.set(Wire::Whole);
    until("back to the first", || async { (dcs.endpoint() == Some(link.address())).then_some(()) }).await;
}

async fn a_watch_leaves_a_member_without_a_quorum<S: Store>() {
    let mut store = S::start(3).await;
    let dcs = client(&store.endpoints());
    let _following = dcs.start();
    let at = revision(dcs.write(&put_config(30, None)).await.unwrap());
    eventually(&dcs, "connected", |view| view.connected && view.cluster.revision >= at).await;
    store.kill(1).await;
    store.kill(2).await;
    eventually(&dcs, "the silence is noticed", |view| !view.connected).await;
    store.restart(1).await;
    let at = until("a quorum", || async { dcs.write(&put_config(31, Some(at))).await.ok() }).await;
    let view =
        eventually(&dcs, "connected again", |view| view.connected && view.cluster.revision >= revision(at)).await;
    assert_eq!(view.generation, 1);
}

async fn changes_that_were_compacted_away_are_loaded<S: Store>() {
    let store = S::start(1).await;
    let link = Link::to(&store.endpoints()[0]).await;
    let (dcs, other) = (client(&[link.address().to_owned()]), client(&store.endpoints()));
    let _following = dcs.start();
    eventually(&dcs, "connected", |view| view.connected).await;
    link.set(Wire::Cut);
    eventually(&dcs, "cut off", |view| !view.connected).await;
    let mut at = None;
    for ttl in 30..35 {
        at = Some(revision(other.write(&put_config(ttl, at)).await.unwrap()));
    }
    let at = at.unwrap();
    support::compact(&store.endpoints()[0], at).await;
    link.set(Wire::Whole);
    let view = eventually(&dcs, "loaded", |view| view.cluster.revision >= at && view.connected).await;
    assert_eq!(view.generation, 2);
    assert_eq!(view.cluster.config().ttl, Millis::from_secs(34));
}

async fn a_cut_wire_loses_no_change<S: Store>() {
    let store = S::start(1).await;
    let link = Link::to(&store.endpoints()[0]).await;
    let (dcs, other) = (client(&[link.address().to_owned()]), client(&store.endpoints()));
    let _following = dcs.start();
    eventually(&dcs, "connected", |view| view.connected).await;
    let mut at = None;
    for ttl in 30..60 {
        link.set(if ttl % 3 == 0 { Wire::Cut } else { Wire::Whole });
        at = Some(revision(other.write(&put_config(ttl, at)).await.unwrap()));
    }
    let began = Instant::now();
    let view = eventually(&dcs, "the last change", |view| Some(view.cluster.revision) >= at && view.connected).await;
    assert!(began.elapsed() < PROMPT);
    assert_eq!(view.cluster, other.load().await.unwrap());
    assert_eq!(view.generation, 1);
}

async fn nothing_answers_without_a_quorum_and_the_error_says_so<S: Store>() {
    let mut store = S::start(3).await;
    let dcs = client(&store.endpoints());
    let lease = dcs.lease_grant(Millis::from_secs(60)).await.unwrap();
    store.kill(0).await;
    store.kill(1).await;
    for _ in 0..3 {
        let began = Instant::now();
        let error = dcs.lease_keep_alive(lease.id, None).await.unwrap_err();
        assert!(matches!(error, DcsError::Unreachable { .. }), "{error}");
        assert!(error.hint().is_some());
        let error = dcs.load().await.unwrap_err();
        assert!(matches!(error, DcsError::Unreachable { .. }), "{error}");
        assert!(began.elapsed() < Duration::from_secs(3), "bounded by the limit of each request");
    }
    let error = dcs.write(&put_config(30, None)).await.unwrap_err();
    assert!(matches!(error, DcsError::Unreachable { .. } | DcsError::OutcomeUnknown { .. }), "{error}");
    store.restart(1).await;
    until("a quorum", || async { dcs.load().await.ok() }).await;
}

async fn the_stores_lead_can_be_moved<S: Store>() {
    let store = S::start(3).await;
    let endpoints = store.endpoints();
    let dcs = client(&endpoints);
    let members = dcs.members().await.unwrap();
    assert_eq!(members.len(), 3);
    let leader = dcs.status(&endpoints[0]).await.unwrap().leader.unwrap();
    let next = members.iter().find(|member| member.id != leader).unwrap();
    assert!(next.client_urls.iter().any(|url| endpoints.iter().any(|endpoint| url.ends_with(endpoint.as_str()))));
    dcs.move_leader(next.id).await.unwrap();
    until("the lead moves", || async {
        let status = dcs.status(&endpoints[2]).await.ok()?;
        (status.leader == Some(next.id)).then_some(())
    })
    .await;
    let error = dcs.status("elsewhere:1").await.unwrap_err();
    assert!(matches!(error, DcsError::NoSuchEndpoint { .. }), "{error}");
}
