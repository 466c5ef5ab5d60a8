use super::super::*;
use super::rig::{Opinion, Rig, configuration};

fn with_scripts() -> Rig {
    let mut configuration = configuration(&[2, 3], 2);
    configuration.masters[0].settings.notification_script = Some("/notify".into());
    configuration.masters[0].settings.client_reconfig_script = Some("/reconfig".into());
    Rig::started(configuration)
}

/// The `number`th script that was started.
fn started(rig: &Rig, number: usize) -> ScriptId {
    let script = |effect: &Effect| match effect {
        Effect::RunScript { script, .. } => Some(*script),
        _ => None,
    };
    rig.effects.iter().filter_map(script).nth(number).unwrap()
}

#[test]
fn scripts_are_called_with_the_event_and_with_both_addresses() {
    let mut rig = with_scripts();
    assert!(rig.said_but(&[]).contains("script /notify +monitor master db1 10.0.0.1 1 quorum 2"));
    rig.pass(30_000);
    rig.opinion = Opinion::Votes;
    rig.kill(1);
    rig.pass(3_000);
    let said = rig.said_but(&[]);
    assert!(said.contains("script /notify +switch-master db1 10.0.0.1 1 10.0.0.1 3"), "{said}");
    assert!(said.contains("script /reconfig db1 leader start 10.0.0.1 1 10.0.0.1 3"), "{said}");
    assert!(!said.contains("script /notify +slave "), "only warnings are notified");
}

#[test]
fn a_script_that_asks_for_it_is_run_again_with_growing_pauses_up_to_ten_times() {
    let mut rig = with_scripts();
    let script = started(&rig, 0);
    let mut pause = 30_000;
    for run in 1..=10 {
        rig.event(Event::ScriptEnded { script, end: ScriptEnd::Exited(1) });
        let last = run == 10;
        let said = rig.said_but(&[]);
        assert_eq!(said.contains("-script-error /notify 0 1"), last, "{said}");
        assert_eq!(rig.sentinel.pending_scripts(rig.now).len(), usize::from(!last));
        rig.pass(pause + 10);
        assert_eq!(rig.said_but(&[]).contains("script /notify"), !last, "run {run}");
        pause *= 2;
    }
}

#[test]
fn a_script_that_ends_otherwise_is_not_run_again() {
    for (code, error) in [(0, ""), (2, "-script-error /notify 0 2")] {
        let mut rig = with_scripts();
        rig.said.clear();
        let script = started(&rig, 0);
        rig.event(Event::ScriptEnded { script, end: ScriptEnd::Exited(code) });
        assert_eq!(rig.said_but(&[]), error);
        assert!(rig.sentinel.pending_scripts(rig.now).is_empty());
    }
}

#[test]
fn a_script_that_takes_too_long_is_killed_once() {
    let mut rig = with_scripts();
    let script = started(&rig, 0);
    rig.event(Event::ScriptStarted { script, pid: 4711 });
    rig.said.clear();
    rig.pass(61_000);
    assert!(rig.said_but(&["+role"]).contains("kill script 1\n-script-timeout /notify 4711"));
    rig.pass(61_000);
    assert!(!rig.said_but(&[]).contains("kill script"));
    rig.event(Event::ScriptEnded { script, end: ScriptEnd::Signalled(9) });
    assert_eq!(rig.sentinel.pending_scripts(rig.now)[0].flags, "scheduled");
}

#[test]
fn the_queue_is_bounded_and_only_some_run_at_a_time() {
    let mut rig = with_scripts();
    for number in 0..400 {
        let arguments = ["parallel-syncs".to_owned(), (number + 1).to_string()].to_vec();
        rig.ask(Request::Set { master: "db1".into(), arguments, executable: vec![] });
    }
    let pending = rig.sentinel.pending_scripts(rig.now);
    assert_eq!(pending.len(), 256);
    assert_eq!(pending.iter().filter(|script| script.flags == "running").count(), 16);
}
