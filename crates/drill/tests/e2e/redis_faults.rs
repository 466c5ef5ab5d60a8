//! Redis on the members: every fault that can meet its master, one after the other, while clients write.

use super::redis_support::RedisWorld;
use super::support::{eventually, run};
use drill::cluster::Cluster;
use drill::redis::MASTER;
use drill::redis::client::Login;
use drill::redis::scenario::Fault;
use std::collections::BTreeSet;

/// Planned changes in a row: each must lose nothing.
const SWITCHOVERS: usize = 5;

/// When everything on a host goes on at the same moment, the old master may answer what waited in its sockets before its guard
/// has ended it: some milliseconds' writes of the one client that stayed with it.
const CONFIRMED_WHEN_THAWED_MAX: usize = 20;

#[test]
fn a_planned_switchover_loses_nothing_and_no_fault_makes_two_masters() {
    run(async {
        let mut world = RedisWorld::whole_with_default_lease("redis-faults", 22).await;
        let listed = world.quorate("pg1", &["list"]).ok();
        assert!(listed.to_lowercase().contains("redis"), "{listed}");
        for _ in 0..SWITCHOVERS {
            let report = world.meet(Fault::Switchover).await;
            for (_, outcome) in &report.outcomes {
                assert_eq!((outcome.acked_lost, outcome.split_brain_writes), (0, 0), "{report:?}");
            }
        }
        for (fault, split_brain_max) in
            [(Fault::KillMaster, 0), (Fault::KillHost, 0), (Fault::FreezeHost, CONFIRMED_WHEN_THAWED_MAX)]
        {
            let report = world.meet(fault).await;
            for (_, outcome) in &report.outcomes {
                // What no replica had received yet may be lost; `meet` prints how much it was.
                assert!(outcome.split_brain_writes <= split_brain_max, "{report:?}");
            }
        }
    });
}

#[test]
fn postgresql_and_redis_fail_independently_and_data_outlives_an_empty_master() {
    run(async {
        let mut world = RedisWorld::whole("redis-apart", 23).await;
        a_killed_redis_moves_only_redis(&mut world).await;
        a_killed_postmaster_moves_only_postgresql(&mut world).await;
        a_killed_worker_moves_nothing(&mut world).await;
        two_failovers_at_once_make_one_master_with_one_epoch(&mut world).await;
        an_emptied_master_takes_the_data_of_the_others(&mut world).await;
    });
}

async fn a_killed_redis_moves_only_redis(world: &mut RedisWorld) {
    let before = world.whole_again().await;
    let master = world.redis_master().await;
    world.redis_member(master).unwrap().kill_redis().unwrap();
    world.redis_master_other_than(master).await;
    world.redis_master().await;
    let after = world.whole_again().await;
    assert_eq!((after.leader(), &after.members[0].timeline), (before.leader(), &before.members[0].timeline));
}

async fn a_killed_postmaster_moves_only_postgresql(world: &mut RedisWorld) {
    let (leader, _) = world.roles().await;
    let master = world.redis_master().await;
    let redis = world.redis_member(master).unwrap().redis().unwrap().pid;
    let postmaster = world.named(&leader).postmaster().unwrap().pid;
    world.named(&leader).kill_postmaster().unwrap();
    eventually("PostgreSQL runs again", async || {
        let now = world.named(&leader).postmaster();
        now.is_some_and(|now| now.pid != postmaster).then_some(())
    })
    .await;
    world.whole_again().await;
    assert_eq!(world.redis_master().await, master);
    assert_eq!(world.redis_member(master).unwrap().redis().unwrap().pid, redis);
}

async fn a_killed_worker_moves_nothing(world: &mut RedisWorld) {
    let master = world.redis_master().await;
    let member = world.redis_member(master).unwrap();
    let (worker, redis) = (member.worker().unwrap().pid, member.redis().unwrap().pid);
    member.kill_worker().unwrap();
    eventually("there is another worker", async || {
        let now = world.redis_member(master).unwrap().worker();
        now.is_some_and(|now| now.pid != worker).then_some(())
    })
    .await;
    assert_eq!(world.redis_master().await, master);
    assert_eq!(world.redis_member(master).unwrap().redis().unwrap().pid, redis);
}

async fn two_failovers_at_once_make_one_master_with_one_epoch(world: &mut RedisWorld) {
    let master = world.redis_master().await;
    let logins: Vec<Login> = world.members().iter().map(Cluster::sentinel_login).collect();
    let command = ["SENTINEL", "FAILOVER", MASTER];
    let (one, other) = tokio::join!(logins[0].ask(&command), logins[1].ask(&command));
    assert!(one.is_ok() || other.is_ok(), "{one:?} {other:?}");
    world.redis_master_other_than(master).await;
    world.redis_master().await; // one master, and every sentinel names it
    let epochs: BTreeSet<String> = world.config_epochs().await.into_iter().collect();
    assert_eq!(epochs.len(), 1, "{epochs:?}");
}

/// All servers lose their power, and the master's disk is empty afterwards.
async fn an_emptied_master_takes_the_data_of_the_others(world: &mut RedisWorld) {
    const KEYS: i64 = 1_000;
    let master = world.redis_master().await;
    let fill = format!("for n = 1, {KEYS} do redis.call('SET', 'kept:' .. n, n) end");
    world.redis_at(master).ask(&["EVAL", &fill, "0"]).await.unwrap();
    let servers: Vec<_> = world.members().iter().map(Cluster::redis_address).collect();
    for server in &servers {
        everything_arrived(world, *server, KEYS).await;
    }
    let name = world.redis_member(master).unwrap().name.clone();
    for member in world.members_mut() {
        member.kill().unwrap();
    }
    let directory = world.named(&name).directory.join("redis");
    std::fs::remove_dir_all(&directory).unwrap();
    for member in world.members_mut() {
        member.start().unwrap();
    }
    world.redis_master().await;
    for server in servers {
        everything_arrived(world, server, KEYS).await;
    }
}

async fn everything_arrived(world: &RedisWorld, server: std::net::SocketAddr, keys: i64) {
    let last = format!("kept:{keys}");
    eventually(&format!("{server} has all keys"), async || {
        let login = world.redis_at(server);
        let there = login.ask(&["EXISTS", "kept:1", &last]).await.ok()?.as_integer()?;
        let count = login.ask(&["DBSIZE"]).await.ok()?.as_integer()?;
        (there == 2 && count >= keys).then_some(())
    })
    .await;
}
