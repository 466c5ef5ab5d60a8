//! The guard with one server, with two, and what must hold for each of them.

use super::*;

const PG: ServerKind = ServerKind::Postgres;
const REDIS: ServerKind = ServerKind::Redis;

fn command() -> StartCommand {
    StartCommand {
        program: "postgres".into(),
        arguments: vec![],
        environment: vec![],
        log_file: String::new(),
        working_directory: String::new(),
    }
}

fn running(fence: Option<Millis>) -> Guard {
    let mut guard = Guard::new(Millis(0));
    guard.handle(Millis(0), GuardEvent::Tick);
    let effects =
        guard.handle(Millis(0), GuardEvent::FromWorker(ToGuard::Start { server: PG, command: command(), fence }));
    assert_eq!(effects.last(), Some(&GuardEffect::Spawn { server: PG, command: command() }));
    guard.handle(Millis(0), GuardEvent::Spawned { server: PG, pid: 7 });
    guard
}

#[test]
fn the_fence_stops_then_kills_and_only_the_end_of_the_server_lifts_it() {
    let mut guard = running(Some(Millis(1000)));
    assert_eq!(guard.next_tick(), Some(Millis(1000)));
    assert_eq!(guard.handle(Millis(999), GuardEvent::Tick), []);
    let effects = guard.handle(Millis(1000), GuardEvent::Tick);
    assert!(effects.contains(&GuardEffect::Signal { server: PG, mode: StopMode::Immediate }));
    let effects = guard.handle(Millis(1001), GuardEvent::FromWorker(ToGuard::Arm { server: PG, until: Millis(9000) }));
    assert_eq!(effects, [GuardEffect::Send(FromGuard::Armed { server: PG, until: None })]);
    assert_eq!(guard.handle(Millis(1001) + KILL_AFTER, GuardEvent::Tick), [GuardEffect::KillTree { server: PG }]);
    guard.handle(Millis(1100), GuardEvent::ServerExited { server: PG, status: "killed".into() });
    let effects = guard.handle(Millis(1101), GuardEvent::TreeGone { server: PG });
    assert_eq!(effects, [GuardEffect::Send(FromGuard::Exited { server: PG, status: "killed".into() })]);
    assert_eq!(guard.next_tick(), None);
}

#[test]
fn a_renewal_moves_the_fence_and_a_late_one_does_not_move_it_back() {
    let mut guard = running(Some(Millis(1000)));
    guard.handle(Millis(500), GuardEvent::FromWorker(ToGuard::Arm { server: PG, until: Millis(1500) }));
    guard.handle(Millis(501), GuardEvent::FromWorker(ToGuard::Arm { server: PG, until: Millis(1200) }));
    assert_eq!(guard.next_tick(), Some(Millis(1500)));
}

#[test]
fn a_worker_that_dies_is_replaced_and_told_what_runs() {
    let mut guard = running(None);
    guard.handle(Millis(10), GuardEvent::FromWorker(ToGuard::Memo { text: "lease".into() }));
    assert_eq!(guard.handle(Millis(5000), GuardEvent::WorkerExited)[0], GuardEffect::SpawnWorker);
    guard.handle(Millis(5001), GuardEvent::WorkerExited);
    assert_eq!(guard.next_tick(), Some(Millis(5000) + WORKER_RESTART_PAUSE));
    let effects = guard.handle(Millis(5200), GuardEvent::Tick);
    let hello = FromGuard::Hello {
        servers: PerServer { postgres: ServerState { pid: Some(7), fence: None }, ..PerServer::default() },
        memo: "lease".into(),
        addresses: vec![],
    };
    assert_eq!(effects, [GuardEffect::SpawnWorker, GuardEffect::Send(hello)]);
}

#[test]
fn orphans_are_killed_before_the_exit_is_reported() {
    let mut guard = running(None);
    let effects = guard.handle(Millis(1), GuardEvent::ServerExited { server: PG, status: "signal 9".into() });
    assert_eq!(effects, [GuardEffect::KillTree { server: PG }]);
    let refused =
        guard.handle(Millis(2), GuardEvent::FromWorker(ToGuard::Start { server: PG, command: command(), fence: None }));
    assert!(matches!(&refused[0], GuardEffect::Send(FromGuard::StartFailed { .. })));
}

#[test]
fn a_primary_is_not_started_under_a_lease_that_is_over() {
    let mut guard = Guard::new(Millis(0));
    let start = ToGuard::Start { server: PG, command: command(), fence: Some(Millis(100)) };
    let effects = guard.handle(Millis(100), GuardEvent::FromWorker(start));
    assert!(
        effects.contains(&GuardEffect::Send(FromGuard::StartFailed { server: PG, why: "the lease is over".into() }))
    );
}

#[test]
fn the_end_of_the_agent_waits_for_postgresql_unless_it_is_left_running() {
    let mut guard = running(None);
    guard.handle(Millis(1), GuardEvent::FromWorker(ToGuard::Finish { leave_running: true }));
    assert_eq!(guard.handle(Millis(2), GuardEvent::WorkerExited), [GuardEffect::Exit]);
    let mut guard = running(None);
    guard.handle(Millis(1), GuardEvent::FromWorker(ToGuard::Finish { leave_running: false }));
    let effects = guard.handle(Millis(2), GuardEvent::WorkerExited);
    assert_eq!(effects, [GuardEffect::Signal { server: PG, mode: StopMode::Fast }]);
    let later = Millis(2) + KILL_AFTER;
    assert_eq!(guard.handle(later, GuardEvent::Tick), [], "an orderly stop is left the time it needs");
    guard.handle(later, GuardEvent::ServerExited { server: PG, status: "0".into() });
    assert!(guard.handle(later, GuardEvent::TreeGone { server: PG }).contains(&GuardEffect::Exit));
}

#[test]
fn a_standby_that_starts_has_no_fence_and_the_worker_hears_of_it() {
    let mut guard = Guard::new(Millis(0));
    guard.handle(Millis(0), GuardEvent::FromWorker(ToGuard::Arm { server: PG, until: Millis(1000) }));
    let start = |fence| GuardEvent::FromWorker(ToGuard::Start { server: PG, command: command(), fence });
    let armed = |until| GuardEffect::Send(FromGuard::Armed { server: PG, until });
    assert_eq!(guard.clone().handle(Millis(1), start(None))[0], armed(None));
    assert_eq!(
        guard.clone().handle(Millis(1), start(Some(Millis(900)))),
        [GuardEffect::Spawn { server: PG, command: command() }]
    );
    guard.handle(Millis(1), start(Some(Millis(1100))));
    assert_eq!(guard.next_tick(), Some(Millis(1100)));
}

#[test]
fn a_late_report_about_an_old_tree_leaves_the_new_server_under_its_fence() {
    let mut guard = running(Some(Millis(1000)));
    guard.handle(Millis(1), GuardEvent::TreeGone { server: PG });
    assert_eq!(guard.next_tick(), Some(Millis(1000)));
    assert!(
        guard
            .handle(Millis(1000), GuardEvent::Tick)
            .contains(&GuardEffect::Signal { server: PG, mode: StopMode::Immediate })
    );
}

/// Both servers run; Redis under this fence.
fn with_redis(fence: Millis) -> Guard {
    let mut guard = running(None);
    let start = ToGuard::Start { server: REDIS, command: command(), fence: None };
    guard.handle(Millis(0), GuardEvent::FromWorker(start));
    guard.handle(Millis(0), GuardEvent::Spawned { server: REDIS, pid: 8 });
    guard.handle(Millis(0), GuardEvent::FromWorker(ToGuard::Arm { server: REDIS, until: fence }));
    guard
}

#[test]
fn redis_is_killed_at_its_fence_at_once_and_postgresql_is_left_alone() {
    let mut guard = with_redis(Millis(1000));
    assert_eq!(guard.next_tick(), Some(Millis(1000)));
    let fallen = GuardEffect::Send(FromGuard::Fenced { server: REDIS, at: Millis(1000) });
    assert_eq!(guard.handle(Millis(1000), GuardEvent::Tick), [GuardEffect::KillTree { server: REDIS }, fallen]);
    let late = ToGuard::Arm { server: REDIS, until: Millis(9000) };
    let effects = guard.handle(Millis(1001), GuardEvent::FromWorker(late));
    assert_eq!(effects, [GuardEffect::Send(FromGuard::Armed { server: REDIS, until: None })]);
    assert_eq!(guard.next_tick(), None, "one kill is enough, and PostgreSQL has no fence");
    let exited = guard.handle(Millis(1002), GuardEvent::ServerExited { server: REDIS, status: "signal 9".into() });
    assert!(exited.contains(&GuardEffect::Send(FromGuard::Exited { server: REDIS, status: "signal 9".into() })));
}

#[test]
fn each_server_has_its_own_fence() {
    let mut guard = with_redis(Millis(1000));
    guard.handle(Millis(1), GuardEvent::FromWorker(ToGuard::Arm { server: PG, until: Millis(500) }));
    assert_eq!(guard.next_tick(), Some(Millis(500)));
    let effects = guard.handle(Millis(500), GuardEvent::Tick);
    assert!(effects.contains(&GuardEffect::Signal { server: PG, mode: StopMode::Immediate }));
    assert!(!effects.contains(&GuardEffect::KillTree { server: REDIS }));
    let effects = guard.handle(Millis(501), GuardEvent::FromWorker(ToGuard::Disarm { server: REDIS }));
    assert_eq!(effects, [GuardEffect::Send(FromGuard::Armed { server: REDIS, until: None })]);
    assert_eq!(guard.next_tick(), Some(Millis(500) + KILL_AFTER), "the other's fence has nothing to do with it");
}

#[test]
fn what_redis_has_forked_is_killed_and_not_waited_for() {
    let mut guard = with_redis(Millis(1000));
    let effects = guard.handle(Millis(1), GuardEvent::ServerExited { server: REDIS, status: "signal 9".into() });
    let exited = FromGuard::Exited { server: REDIS, status: "signal 9".into() };
    assert_eq!(effects, [GuardEffect::KillTree { server: REDIS }, GuardEffect::Send(exited)]);
    let start = ToGuard::Start { server: REDIS, command: command(), fence: None };
    let effects = guard.handle(Millis(2), GuardEvent::FromWorker(start));
    assert_eq!(effects, [GuardEffect::Spawn { server: REDIS, command: command() }]);
    guard.handle(Millis(3), GuardEvent::Spawned { server: REDIS, pid: 9 });
    assert_eq!(guard.handle(Millis(4), GuardEvent::TreeGone { server: REDIS }), [], "of the tree before");
}

#[test]
fn an_immediate_stop_of_redis_is_a_kill_and_an_orderly_one_is_not() {
    for (mode, expected) in [
        (StopMode::Fast, GuardEffect::Signal { server: REDIS, mode: StopMode::Fast }),
        (StopMode::Immediate, GuardEffect::KillTree { server: REDIS }),
        (StopMode::Kill, GuardEffect::KillTree { server: REDIS }),
    ] {
        let mut guard = with_redis(Millis(1000));
        let stop = GuardEvent::FromWorker(ToGuard::Stop { server: REDIS, mode });
        assert_eq!(guard.handle(Millis(1), stop), [expected]);
    }
}

#[test]
fn the_end_of_the_agent_waits_for_both_servers() {
    let mut guard = with_redis(Millis(1000));
    guard.handle(Millis(1), GuardEvent::FromWorker(ToGuard::Finish { leave_running: false }));
    let effects = guard.handle(Millis(2), GuardEvent::WorkerExited);
    let stop = |server| GuardEffect::Signal { server, mode: StopMode::Fast };
    assert_eq!(effects, [stop(PG), stop(REDIS)]);
    let effects = guard.handle(Millis(3), GuardEvent::ServerExited { server: REDIS, status: "0".into() });
    assert!(!effects.contains(&GuardEffect::Exit));
    guard.handle(Millis(4), GuardEvent::ServerExited { server: PG, status: "0".into() });
    assert!(guard.handle(Millis(5), GuardEvent::TreeGone { server: PG }).contains(&GuardEffect::Exit));
}

#[test]
fn a_message_that_names_no_server_is_about_postgresql() {
    let message: ToGuard = serde_json::from_str(r#"{"Arm":{"until":7}}"#).unwrap();
    assert_eq!(message, ToGuard::Arm { server: PG, until: Millis(7) });
    let text = serde_json::to_string(&ToGuard::Disarm { server: REDIS }).unwrap();
    assert_eq!(text, r#"{"Disarm":{"server":"redis"}}"#);
}

fn watched() -> Guard {
    let mut guard = Guard::new(Millis(0)).watched(Some(Watchdog::new(Millis(0), Millis(3000))));
    guard.handle(Millis(0), GuardEvent::Tick);
    guard
}

/// When the service manager is told, from tick to tick until `end`.
fn signs(guard: &mut Guard, end: Millis) -> Vec<Millis> {
    let mut signs = Vec::new();
    while let Some(at) = guard.next_tick().filter(|at| *at <= end) {
        if guard.handle(at, GuardEvent::Tick).contains(&GuardEffect::SignOfLife) {
            signs.push(at);
        }
    }
    signs
}

#[test]
fn the_service_manager_hears_of_a_worker_that_decides_and_not_of_one_that_is_silent() {
    let mut guard = watched();
    let until_silence = signs(&mut guard, Millis(60_000));
    assert_eq!(until_silence.first(), Some(&Millis(750)));
    assert_eq!(until_silence.last(), Some(&Millis(19_500)), "a quarter of three seconds apart, for twenty seconds");
    guard.handle(Millis(60_100), GuardEvent::FromWorker(ToGuard::Well));
    assert!(!signs(&mut guard, Millis(62_000)).is_empty(), "it is well again");
    guard.handle(Millis(70_000), GuardEvent::FromWorker(ToGuard::Heartbeat { sequence: 1 }));
    assert_eq!(
        signs(&mut guard, Millis(90_000)).last(),
        Some(&Millis(79_750)),
        "a heartbeat says nothing of decisions"
    );
}

#[test]
fn a_worker_that_is_started_anew_counts_as_well_and_so_does_a_guard_that_finishes_without_one() {
    let mut guard = watched();
    signs(&mut guard, Millis(60_000));
    guard.handle(Millis(60_000), GuardEvent::WorkerExited);
    assert!(!signs(&mut guard, Millis(61_000)).is_empty());
    guard
        .handle(Millis(61_000), GuardEvent::FromWorker(ToGuard::Start { server: PG, command: command(), fence: None }));
    guard.handle(Millis(61_000), GuardEvent::Spawned { server: PG, pid: 7 });
    guard.handle(Millis(61_000), GuardEvent::FromWorker(ToGuard::Finish { leave_running: false }));
    guard.handle(Millis(61_000), GuardEvent::WorkerExited);
    assert_eq!(signs(&mut guard, Millis(161_000)).last(), Some(&Millis(160_500)), "a long shutdown is not cut short");
}

#[test]
fn without_a_service_manager_there_is_no_sign_of_life() {
    let mut guard = running(None);
    assert_eq!(guard.next_tick(), None);
    assert_eq!(guard.handle(Millis(10), GuardEvent::Tick), []);
}
