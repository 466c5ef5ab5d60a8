//! A store that demands a user name and a password. Only a real etcd does.

use crate::support::{self, Store, etcd::Etcd, eventually, keys, put_config, until};
use dcs::{Code, Dcs, DcsConfig, DcsError};
use types::Millis;

fn user(etcd: &Etcd, password: &str) -> Dcs {
    let mut config = DcsConfig::new(etcd.endpoints(), keys());
    config.username = Some("root".to_owned());
    config.password = Some(password.to_owned());
    assert!(!format!("{config:?}").contains(password), "a password is never shown");
    Dcs::new(config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_signs_in_and_does_so_again_when_the_store_forgot() {
    let mut etcd = Etcd::start(1).await;
    let dcs = user(&etcd, "secret");
    // A name where none is needed does no harm.
    assert!(dcs.load().await.is_ok());
    etcd.control(&["user", "add", "root:secret"]);
    etcd.control(&["auth", "enable"]);

    let stranger = support::client(&etcd.endpoints());
    assert!(matches!(stranger.load().await, Err(DcsError::Refused { code: Code::InvalidArgument, .. })));
    let error = user(&etcd, "wrong").load().await.unwrap_err();
    assert!(matches!(&error, DcsError::Refused { .. }) && error.hint().is_some(), "{error}");

    let dcs = user(&etcd, "secret");
    let _following = dcs.start();
    let lease = dcs.lease_grant(Millis::from_secs(60)).await.unwrap();
    assert!(dcs.write(&put_config(30, None)).await.is_ok());
    eventually(&dcs, "the change", |view| view.connected && view.cluster.config.is_some()).await;

    // Tokens are in etcd's memory only.
    etcd.kill(0).await;
    eventually(&dcs, "the loss", |view| !view.connected).await;
    etcd.restart(0).await;
    until("the same client again", || async { dcs.load().await.ok() }).await;
    assert_eq!(dcs.lease_keep_alive(lease.id, None).await, Ok(Some(lease.ttl)));
    let config = dcs.load().await.unwrap().config.unwrap();
    assert!(dcs.write(&put_config(31, Some(config.revision))).await.is_ok());
    let ttl = Millis::from_secs(31);
    eventually(&dcs, "the next change", |view| view.connected && view.cluster.config().ttl == ttl).await;
}
