//! One sentinel of three is swapped on a running system: first for ours, then back. Nobody notices.

use crate::support::process::{Group, Real, wait_until_known};
use crate::support::{Ours, ask, call, connect, field, text, wait_for};

fn lines(master: u16) -> String {
    format!(
        "sentinel monitor db1 127.0.0.1 {master} 2\nsentinel down-after-milliseconds db1 2000\nsentinel failover-timeout db1 10000"
    )
}

#[tokio::test]
async fn a_real_sentinel_is_swapped_for_ours_and_back_and_a_client_sees_nothing_of_it() {
    let group = Group::start("").await;
    let lines = lines(group.master.port);
    let mut real: Vec<Real> = (0..3).map(|_| Real::start(&lines)).collect();
    for sentinel in &real {
        wait_until_known(sentinel.port, "db1", 2, 2).await;
    }
    // A client of the two others, which listens to everything that is said about failovers.
    let mut listener = connect(real[0].port).await;
    for event in ["+switch-master", "+odown", "+sentinel", "+sdown"] {
        call(&mut listener, &format!("SUBSCRIBE {event}")).await;
    }
    let ids: Vec<String> = known(real[0].port).await;

    let port = real[2].port;
    let id = text(&ask(port, "SENTINEL MYID").await);
    real[2].stop();
    let ours = Ours::take_over(&real[2].path(), port);
    assert_eq!(text(&ask(port, "SENTINEL MYID").await), id);
    // It knows the others from the file, and is heard by them.
    wait_until_known(port, "db1", 2, 2).await;
    usable_everywhere(&real).await;
    ours.stop().await;

    real[2].start_again();
    wait_until_known(port, "db1", 2, 2).await;
    assert_eq!(text(&ask(port, "SENTINEL MYID").await), id);
    usable_everywhere(&real).await;
    assert_eq!(known(real[0].port).await, ids);

    // Nothing was said in all that time; this is the first message.
    assert_eq!(
        text(&ask(real[0].port, &format!("SENTINEL MONITOR other 127.0.0.1 {} 1", group.replicas[0].port)).await),
        "OK"
    );
    let (_sender, mut receiver) = listener.into_split();
    let silent = tokio::time::timeout(std::time::Duration::from_millis(200), receiver.receive()).await;
    assert!(silent.is_err(), "{silent:?}");
}

async fn usable_everywhere(real: &[Real]) {
    for sentinel in real {
        wait_for("all three to be usable", || async {
            let reply = text(&ask(sentinel.port, "SENTINEL CKQUORUM db1").await);
            (reply == "OK 3 usable Sentinels. Quorum and failover authorization can be reached").then_some(())
        })
        .await;
    }
}

async fn known(port: u16) -> Vec<String> {
    let reply = ask(port, "SENTINEL SENTINELS db1").await;
    let mut ids: Vec<String> =
        reply.as_array().expect("an array").iter().filter_map(|peer| field(peer, "runid")).collect();
    ids.sort();
    ids
}
