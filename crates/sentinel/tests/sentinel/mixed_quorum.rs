//! Three sentinels, some real and some ours: they find each other, agree, vote, and fail over.

use crate::support::process::{Group, Real, wait_until_known};
use crate::support::{Ours, ask, text, wait_for};

fn lines(master: u16) -> String {
    format!(
        "sentinel monitor db1 127.0.0.1 {master} 2\nsentinel down-after-milliseconds db1 1000\nsentinel failover-timeout db1 10000"
    )
}

async fn address(port: u16) -> String {
    text(&ask(port, "SENTINEL GET-MASTER-ADDR-BY-NAME db1").await)
}

async fn fails_over(real: usize, ours: usize) {
    let mut group = Group::start("").await;
    let lines = lines(group.master.port);
    let real: Vec<Real> = (0..real).map(|_| Real::start(&lines)).collect();
    let ours: Vec<Ours> = (0..ours).map(|_| Ours::start(&lines)).collect();
    let ports: Vec<u16> = real.iter().map(|real| real.port).chain(ours.iter().map(|ours| ours.port)).collect();
    for port in &ports {
        wait_until_known(*port, "db1", 2, ports.len() - 1).await;
        assert_eq!(
            text(&ask(*port, "SENTINEL CKQUORUM db1").await),
            "OK 3 usable Sentinels. Quorum and failover authorization can be reached"
        );
    }
    let old = address(ports[0]).await;
    group.master.kill();
    let new = wait_for("all sentinels to agree on a new master", || async {
        let first = address(ports[0]).await;
        let mut agreed = first != old;
        for port in &ports[1..] {
            agreed &= address(*port).await == first;
        }
        agreed.then_some(first)
    })
    .await;
    let promoted = group.replicas.iter().find(|replica| new.contains(&replica.port.to_string())).expect("a replica");
    assert_eq!(promoted.role().await, "master");
    let other = group.replicas.iter().find(|replica| replica.port != promoted.port).expect("another");
    wait_for("the other replica to follow the new master", || async {
        let info = ask(other.port, "INFO replication").await;
        info.as_text()?.contains(&format!("master_port:{}", promoted.port)).then_some(())
    })
    .await;
    let mut epochs = Vec::new();
    for port in &ports {
        let master = ask(*port, "SENTINEL MASTER db1").await;
        epochs.push(crate::support::field(&master, "config-epoch"));
    }
    assert!(epochs.iter().all(|epoch| *epoch == epochs[0]), "{epochs:?}");
}

#[tokio::test]
async fn two_real_ones_and_one_of_ours_fail_over() {
    fails_over(2, 1).await;
}

#[tokio::test]
async fn one_real_one_and_two_of_ours_fail_over() {
    fails_over(1, 2).await;
}

#[tokio::test]
async fn three_of_ours_fail_over() {
    fails_over(0, 3).await;
}
