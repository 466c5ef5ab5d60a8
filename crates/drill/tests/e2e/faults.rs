//! Every fault that can meet the leader, one after the other, while clients write.

use super::bootstrap::the_keys_are_patronis;
use super::failsafe::the_primary_goes_on_by_consent;
use super::support::{World, options_with_default_lease, run};
use drill::cluster::StoreKind;
use drill::scenario::{self, LeaderMoved, Report, Scenario};

/// With the default lease a machine that stalls for a second or two makes the leader move, which is as it should be, and
/// not what is tested here.
const ATTEMPTS_MAX: usize = 4;

#[test]
fn in_synchronous_mode_no_fault_loses_an_acknowledged_write() {
    run(async {
        let mut options = options_with_default_lease("sync", 6);
        options.synchronous = true;
        let mut world = World::whole(options).await;
        for scenario in [
            Scenario::Switchover,
            Scenario::KillPostmaster,
            Scenario::KillGuard,
            Scenario::KillHost,
            Scenario::KillHostAndStoreLeader,
            Scenario::FreezeWorker,
            Scenario::FreezeGuard,
            Scenario::FreezeAgent,
            Scenario::FreezeHost,
        ] {
            let report = meet(&mut world, scenario).await;
            assert_eq!(report.outcome.acked_lost, 0, "{report:?}");
            assert_eq!(report.outcome.split_brain_writes, 0, "{report:?}");
        }
        a_killed_worker_costs_nothing(&mut world).await;
    });
}

#[test]
fn in_asynchronous_mode_no_fault_makes_two_primaries() {
    run(async {
        let mut world = World::whole(options_with_default_lease("async", 11)).await;
        for scenario in [
            Scenario::FreezeWorker,
            Scenario::FreezeGuard,
            Scenario::KillHost,
            Scenario::KillPostmaster,
            Scenario::Switchover,
        ] {
            let report = meet(&mut world, scenario).await;
            // What the new primary had not received yet may be lost; `meet` prints how much it was.
            assert_eq!(report.outcome.split_brain_writes, 0, "{report:?}");
            if scenario == Scenario::Switchover {
                assert_eq!(report.outcome.acked_lost, 0, "a planned change waits for the candidate: {report:?}");
            }
        }
    });
}

#[test]
fn on_a_real_etcd_the_same_agent_does_the_same() {
    run(async {
        let mut options = options_with_default_lease("etcd", 12);
        options.store = StoreKind::Etcd;
        options.synchronous = true;
        let mut world = World::whole(options).await;
        let (leader, replicas) = world.roles().await;
        the_keys_are_patronis(&world, &leader, &replicas).await;
        for scenario in [Scenario::Switchover, Scenario::KillHost, Scenario::FreezeWorker] {
            let report = meet(&mut world, scenario).await;
            assert_eq!(report.outcome.acked_lost, 0, "{report:?}");
            assert_eq!(report.outcome.split_brain_writes, 0, "{report:?}");
        }
        let (leader, replicas) = world.roles().await;
        world.quorate(&replicas[0], &["restart", "demo", "--force"]).ok();
        assert_eq!(world.leader().await, leader);
        the_primary_goes_on_by_consent(&mut world).await;
    });
}

/// One fault; the cluster is whole before and after.
pub async fn meet(world: &mut World, scenario: Scenario) -> Report {
    let mut attempts = 1..=ATTEMPTS_MAX;
    let report = loop {
        attempts.next().unwrap_or_else(|| panic!("{scenario}: the leader moves all the time"));
        match scenario::run(world, scenario, &mut |step| println!("  {step}")).await {
            Ok(report) => break report,
            Err(error) if error.is::<LeaderMoved>() => println!("{scenario}: {error}; again"),
            Err(error) => panic!("{scenario}: {error:#}"),
        }
    };
    let outcome = &report.outcome;
    println!(
        "{scenario}: {} -> {}, gap {} ms, {} of {} acknowledged writes lost, {} split-brain writes, {} errors, whole again in {:.1} s",
        report.old_leader,
        report.new_leader,
        outcome.gap_ms,
        outcome.acked_lost,
        report.acknowledged,
        outcome.split_brain_writes,
        outcome.errors,
        report.whole_again.as_secs_f64()
    );
    report
}

async fn a_killed_worker_costs_nothing(world: &mut World) {
    for _ in 0..ATTEMPTS_MAX {
        let before = world.whole_again().await;
        let leader = before.leader().unwrap().clone();
        let (postmaster, worker) = processes(world, &leader.name);
        let report = meet(world, Scenario::KillWorker).await;
        assert_eq!(report.outcome.acked_lost, 0, "{report:?}");
        assert_eq!(report.outcome.split_brain_writes, 0, "{report:?}");
        let after = world.whole_again().await;
        let (postmaster_after, worker_after) = processes(world, &leader.name);
        assert_ne!(worker, worker_after, "the worker was not killed");
        if after.leader() == Some(&leader) && postmaster == postmaster_after && report.outcome.errors == 0 {
            return;
        }
        println!("{leader:?} became {:?}, errors: {:?}; again", after.leader(), report.errors);
    }
    panic!("{ATTEMPTS_MAX} times, killing the worker cost a failover, a restart of PostgreSQL or a connection");
}

fn processes(world: &World, member: &str) -> (i32, i32) {
    let member = world.named(member);
    (member.postmaster().unwrap().pid, member.worker().unwrap().pid)
}
