//! PgBouncer in front of a cluster: a planned switchover is a pause to its clients, and no pause lasts.

use super::support::{World, eventually, options, run};
use drill::pgbouncer::PgBouncer;
use drill::pool_scenario::{Asked, Handover, Pools, hand_over, plans};
use drill::scenario::BOOTSTRAP_TIME_MAX;
use drill::writer;
use std::time::{Duration, Instant};

const SWITCHOVERS: u32 = 3;
/// A pause is as long as a switchover, which takes a tenth of a second; on a machine that stalls it takes longer.
const PAUSE_MAX_MS: f64 = 5000.0;
/// Longer than any wait for it.
const LONG_TRANSACTION: &str = "SELECT pg_sleep(60)";

#[test]
fn clients_of_pgbouncer_notice_a_switchover_as_a_pause() {
    run(async {
        let (mut world, pools) = start("pgbouncer", 31).await;
        for number in 1..=SWITCHOVERS {
            let name = format!("run{number}");
            let done = hand_over(&mut world, &pools, &name, Asked::ToSwitchOver, true).await.unwrap();
            assert_is_a_pause(&done);
            // Straight through the proxy: who was connected at that moment was cut off, everybody else was held.
            let without = done.without_pool.unwrap();
            println!(
                "without a pool: {} transactions, {} clients lost, {} refused",
                without.report.transactions, without.report.aborted_clients, without.refused
            );
            assert!(without.only_the_connected_failed(), "{without:?}");
        }
        pg3_leads(&mut world).await;
        // So is the end of the agent, as when its host is started anew.
        assert_is_a_pause(&hand_over(&mut world, &pools, "stop", Asked::ToStop, false).await.unwrap());
        a_failover_is_followed(&mut world, &pools).await;
    });
}

fn assert_is_a_pause(done: &Handover) {
    for (way, report) in [("the proxy", &done.through_proxy), ("the include file", &done.through_include)] {
        println!(
            "{} -> {} by {way}: {} transactions, longest pause {:.0} ms",
            done.old_leader, done.new_leader, report.transactions, report.longest_pause_ms
        );
        assert_eq!((report.failed, report.aborted_clients), (0, 0), "{way}: {report:?}");
        assert!(report.longest_pause_ms < PAUSE_MAX_MS, "{way}: {report:?}");
    }
}

/// The agents of the first two look after the PgBouncers.
async fn pg3_leads(world: &mut World) {
    if world.leader().await != "pg3" {
        world.quorate("pg1", &["switchover", "--candidate", "pg3", "--force"]).ok();
    }
    world.whole_again().await;
}

/// Errors are allowed here: there was nobody to hold the clients before.
async fn a_failover_is_followed(world: &mut World, pools: &Pools) {
    pg3_leads(world).await;
    world.member_mut("pg3").unwrap().kill().unwrap();
    for pool in pools.each() {
        let member = eventually("it leads to the new primary", async || ask(world, pool, WHO).await).await;
        assert_ne!(member, world.named("pg3").address.to_string());
    }
}

#[test]
fn a_pause_is_bounded_whatever_keeps_it_from_its_end() {
    run(async {
        let (mut world, pools) = start("pgbouncer-bounds", 32).await;
        a_long_transaction_is_cut_and_the_others_notice_nothing(&mut world, &pools).await;
        a_paused_pgbouncer_is_resumed_by_a_new_worker(&mut world, &pools).await;
        a_pgbouncer_that_is_gone_is_gone_without(&mut world, pools).await;
    });
}

async fn a_long_transaction_is_cut_and_the_others_notice_nothing(world: &mut World, pools: &Pools) {
    let (leader, _) = world.roles().await;
    let pool = &pools.through_proxy;
    let client = writer::connect(&pool.login(world.password())).await.unwrap();
    let transaction = tokio::spawn(async move { client.batch_execute(LONG_TRANSACTION).await });
    eventually("it runs", async || {
        let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(60)'";
        (world.ask(&leader, running).await == "1").then_some(())
    })
    .await;
    let begun = Instant::now();
    let done = hand_over(world, pools, "long", Asked::ToSwitchOver, false).await.unwrap();
    assert_eq!((done.through_proxy.failed, done.through_proxy.aborted_clients), (0, 0), "{:?}", done.through_proxy);
    assert_eq!(
        (done.through_include.failed, done.through_include.aborted_clients),
        (0, 0),
        "{:?}",
        done.through_include
    );
    // It waited as long as it is told to, which is two seconds.
    assert!(done.through_proxy.longest_pause_ms > 1900.0, "{:?}", done.through_proxy);
    assert!(begun.elapsed() < Duration::from_secs(59), "nothing waits for its end");
    let error = transaction.await.unwrap().unwrap_err();
    assert!(!error.to_string().is_empty(), "the transaction was cut");
    let log = std::fs::read_to_string(world.named("pg1").log_file()).unwrap();
    assert!(log.contains("had transactions that were still running after 2.0 s"), "no reason in pg1's log");
}

async fn a_paused_pgbouncer_is_resumed_by_a_new_worker(world: &mut World, pools: &Pools) {
    world.whole_again().await;
    let pool = &pools.through_proxy;
    pool.console("PAUSE app").await.unwrap();
    world.named("pg1").kill_worker().unwrap();
    let served = async || ask(world, pool, "SELECT 'served'").await;
    assert_eq!(eventually("it is resumed", served).await, "served");
}

async fn a_pgbouncer_that_is_gone_is_gone_without(world: &mut World, pools: Pools) {
    drop(pools);
    let (leader, _) = world.roles().await;
    world.switchover(&leader).await.unwrap();
    assert_ne!(world.leader().await, leader);
    let log = std::fs::read_to_string(world.named("pg1").log_file()).unwrap();
    assert!(
        log.contains("PgBouncer 'local' does not do what it is told: it cannot be reached"),
        "no reason in the log"
    );
    eventually("the explanation says it, too", async || {
        let (_, said) = world.get("pg1", "/quorate/explain").await;
        said["here"].to_string().contains("PgBouncer 'local' does not do what it is told").then_some(())
    })
    .await;
}

const WHO: &str = "SELECT host(inet_server_addr())";

/// The first column of the first row, through a PgBouncer.
async fn ask(world: &World, pool: &PgBouncer, question: &str) -> Option<String> {
    let client = writer::connect(&pool.login(world.password())).await.ok()?;
    let messages = client.simple_query(question).await.ok()?;
    messages.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    })
}

/// A whole cluster whose primary both PgBouncers reach.
async fn start(name: &str, range: u8) -> (World, Pools) {
    let mut options = options(name, range);
    let directory = options.directory.with_extension("pgbouncer");
    let plans = plans(&mut options, &directory);
    let mut world = World::starting(options);
    let pools = Pools::start(&plans, &world).unwrap();
    world.wait_whole(BOOTSTRAP_TIME_MAX).await.unwrap();
    for pool in pools.each() {
        eventually("PgBouncer reaches the primary", async || ask(&world, pool, WHO).await).await;
    }
    (world, pools)
}
