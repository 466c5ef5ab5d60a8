//! Failsafe mode: the store is gone, and the primary goes on as long as every other member consents.

use super::support::{World, eventually};
use drill::member::{Member, Part, ports};
use serde_json::json;
use std::time::{Duration, Instant};

/// Several times the lease of two seconds that a real etcd gives.
const WITHOUT_THE_STORE: Duration = Duration::from_secs(6);
const BETWEEN_WRITES: Duration = Duration::from_millis(100);

/// On a cluster with a real etcd beside each member.
pub async fn the_primary_goes_on_by_consent(world: &mut World) {
    let (leader, others) = world.roles().await;
    let (status, said) = world.get(&leader, "/failsafe").await;
    assert_eq!((status, said), (502, json!("Failsafe mode is disabled.")));
    world.quorate(&leader, &["edit-config", "-s", "failsafe_mode=true", "--force"]).ok();
    eventually("all members are listed", async || {
        let (_, listed) = world.get(&others[0], "/failsafe").await;
        (listed.as_object().is_some_and(|listed| listed.len() == 3)).then_some(())
    })
    .await;
    world.ask(&leader, "create table failsafe (at timestamptz)").await;
    let postmaster = world.named(&leader).postmaster().unwrap().pid;

    let etcds = |world: &mut World, change: fn(&mut Member)| world.members_mut().iter_mut().for_each(change);
    etcds(world, |member| member.kill_etcd().unwrap());
    let begun = Instant::now();
    let (mut consents, mut acknowledged) = (false, 0);
    while begun.elapsed() < WITHOUT_THE_STORE {
        world.ask(&leader, "insert into failsafe values (now())").await;
        acknowledged += 1;
        consents |= world.get(&leader, "/patroni").await.1["failsafe_mode_is_active"] == json!(true);
        tokio::time::sleep(BETWEEN_WRITES).await;
    }
    assert!(consents, "nobody was asked");
    assert_eq!(world.named(&leader).postmaster().map(|process| process.pid), Some(postmaster));
    let (_, explained) = world.get(&leader, "/quorate/explain").await;
    let here = explained["here"].to_string();
    assert!(here.contains("promised not to take over") && here.contains(&others[0]), "{explained}");
    // Who leads is not asked for its consent, and says so; nor is it refused to read who may take over.
    let question = json!({ "name": "somebody", "quorate_ttl_ms": 1000 });
    assert_eq!(world.post(&leader, "/failsafe", question).await.0, 500);

    etcds(world, |member| member.start().unwrap());
    let is_active =
        async |world: &World| world.get(&leader, "/patroni").await.1["failsafe_mode_is_active"] == json!(true);
    eventually("the store is back", async || (!is_active(world).await).then_some(())).await;
    assert_eq!(world.leader().await, leader);
    assert_eq!(world.named(&leader).postmaster().map(|process| process.pid), Some(postmaster), "it never stopped");

    // Again, and somebody who could take over cannot be asked.
    etcds(world, |member| member.kill_etcd().unwrap());
    eventually("the primary goes on by consent", async || is_active(world).await.then_some(())).await;
    world.named(&others[1]).freeze(Part::Everything).unwrap();
    eventually("the primary ends at its fence", async || world.named(&leader).postmaster().is_none().then_some(()))
        .await;
    world.named(&others[1]).resume(Part::Everything).unwrap();

    etcds(world, |member| member.start().unwrap());
    let written = eventually("somebody leads again", async || {
        let counted = world.try_ask(&others[0], ports::PROXY_PRIMARY, "select count(*)::text from failsafe").await;
        counted.ok()?.parse::<u64>().ok()
    })
    .await;
    // The cluster is in synchronous mode.
    assert_eq!(written, acknowledged);
    let (leader, _) = world.roles().await;

    let postmaster = eventually("failsafe mode is in use again", async || {
        let (_, listed) = world.get(&leader, "/failsafe").await;
        let all = listed.as_object().is_some_and(|listed| listed.len() == 3);
        all.then(|| world.named(&leader).postmaster().map(|process| process.pid)).flatten()
    })
    .await;
    world.quorate(&leader, &["edit-config", "-s", "failsafe_mode=false", "--force"]).ok();
    eventually("nobody is listed any more", async || world.key("failsafe").is_empty().then_some(())).await;
    assert_eq!(world.named(&leader).postmaster().map(|process| process.pid), Some(postmaster));
}
