use super::super::*;
use super::rig::{Opinion, Rig, configuration};

fn native() -> Rig {
    let mut configuration = configuration(&[2, 3], 2);
    configuration.masters[0].mode = Mode::Native;
    Rig::settled_with(configuration)
}

#[test]
fn a_refused_connection_is_evidence_at_once_and_the_store_gives_the_epoch() {
    let mut rig = native();
    rig.opinion = Opinion::Down;
    rig.kill(1);
    let said = rig.said_but(&[]);
    assert!(said.contains("+odown master db1 10.0.0.1 1 #quorum 2/2"), "within the same instant: {said}");
    assert!(said.ends_with("claim db1 1\n+try-failover master db1 10.0.0.1 1"), "{said}");
    rig.pass(200);
    assert!(!rig.said_but(&[]).contains("+elected-leader"), "not before the store has answered");
    rig.event(Event::EpochClaimed { master: "db1".into(), epoch: 1 });
    let said = rig.said_but(&[]);
    assert!(said.contains("+switch-master db1 10.0.0.1 1 10.0.0.1 3"), "{said}");
    assert_eq!(rig.master().config_epoch, 1);
    assert!(rig.sent.iter().all(|line| !line.contains("SENTINEL")), "{:?}", rig.sent);
    // The old one is put right soon after it is seen.
    rig.server(1).life = super::rig::Life::Up;
    rig.pass(11_500);
    assert_eq!(rig.server(1).follows, Some(3));
}

#[test]
fn an_epoch_that_another_owns_ends_the_attempt() {
    let mut rig = native();
    rig.opinion = Opinion::Down;
    rig.kill(1);
    rig.said.clear();
    rig.event(Event::EpochRefused { master: "db1".into(), epoch: 4 });
    assert_eq!(rig.said_but(&[]), "-failover-abort-not-elected master db1 10.0.0.1 1");
    rig.pass(1_500);
    assert_eq!(rig.said_but(&[]), "");
    rig.pass(1_000);
    assert!(rig.said_but(&[]).starts_with("claim db1 5"));
}

#[test]
fn a_master_that_was_never_seen_is_not_down_because_it_refuses() {
    let mut configuration = configuration(&[2, 3], 2);
    configuration.masters[0].mode = Mode::Native;
    let mut rig = Rig::new(configuration);
    rig.server(1).life = super::rig::Life::Down;
    rig.event(Event::Start);
    rig.pass(900);
    assert_eq!(rig.flags(), "master,disconnected");
}

#[test]
fn a_planned_failover_hands_over_and_is_answered_when_the_store_has_decided() {
    let mut rig = native();
    assert_eq!(rig.ask(Request::Failover { master: "db1".into(), option: None }), None);
    rig.event(Event::EpochClaimed { master: "db1".into(), epoch: 1 });
    assert_eq!(rig.last_answer(), Some(Answer::Ok));
    rig.pass(200);
    assert!(rig.said_but(&[]).contains("+switch-master db1 10.0.0.1 1 10.0.0.1 3"));
    assert!(rig.sent.iter().any(|line| line.starts_with("1: FAILOVER TO 10.0.0.1 3")), "{:?}", rig.sent);

    let mut rig = native();
    assert_eq!(rig.ask(Request::Failover { master: "db1".into(), option: None }), None);
    rig.event(Event::EpochRefused { master: "db1".into(), epoch: 1 });
    assert_eq!(rig.last_answer(), Some(Answer::Error("INPROG Failover already in progress".into())));
}

#[test]
fn the_old_master_is_fenced_before_a_forced_promotion() {
    let mut rig = native();
    assert_eq!(rig.ask(Request::Failover { master: "db1".into(), option: Some("force".into()) }), None);
    rig.event(Event::EpochClaimed { master: "db1".into(), epoch: 1 });
    let place = |words: &str| rig.sent.iter().position(|line| line == words).unwrap();
    assert!(place("1: SLAVEOF 10.0.0.1 3") < place("3: SLAVEOF NO ONE"));
    assert!(place("1: CLIENT KILL TYPE normal") < place("3: SLAVEOF NO ONE"));
}

#[test]
fn a_master_becomes_native_and_mixed_again_as_its_sentinels_come_and_go() {
    let mut rig = Rig::settled();
    rig.opinion = Opinion::Votes;
    rig.event(Event::ModeIs { master: "db1".into(), mode: Mode::Native });
    rig.kill(1);
    assert!(rig.said_but(&[]).contains("claim db1 1"));
    rig.event(Event::ModeIs { master: "db1".into(), mode: Mode::Mixed });
    assert!(rig.said_but(&[]).contains("-failover-abort-not-elected"));
    rig.pass(12_000);
    assert!(rig.said_but(&[]).contains("+switch-master"));
}

#[test]
fn nobody_votes_about_a_native_master() {
    let mut rig = native();
    let answer = rig.ask(Request::IsMasterDown {
        host: "10.0.0.1".into(),
        port: 1,
        epoch: 3,
        candidate: super::rig::PEERS[0].into(),
    });
    assert_eq!(answer, Some(Answer::MasterDown { down: false, leader: None, epoch: 0 }));
}

#[test]
fn a_master_that_agents_run_is_shown_as_the_store_says() {
    let mut rig = Rig::settled();
    let says = |port: u16, epoch: u64| Event::StoreSays {
        master: "db1".into(),
        quorum: 2,
        address: Address::new("10.0.0.1", port),
        epoch,
        replicas: [1, 2, 3]
            .into_iter()
            .filter(|&other| other != port)
            .map(|port| Address::new("10.0.0.1", port))
            .collect(),
    };
    // An epoch from the time before the agents does not count.
    rig.ask(Request::Hello { payload: format!("10.0.0.1,26001,{},50,db1,10.0.0.1,1,50", super::rig::PEERS[0]) });
    rig.said.clear();
    rig.event(says(1, 10));
    assert_eq!(rig.said_but(&[]), "");
    assert_eq!(rig.master().config_epoch, 10);
    rig.event(says(2, 20));
    let said = rig.said_but(&[]);
    assert!(said.starts_with("+switch-master db1 10.0.0.1 1 10.0.0.1 2"), "{said}");
    rig.event(says(3, 15));
    assert_eq!(rig.said_but(&[]), "", "older news is none");
    assert_eq!(rig.sentinel.master_address("db1"), Some(("10.0.0.1".into(), 2)));
    // It never acts by itself.
    rig.opinion = Opinion::Votes;
    rig.kill(2);
    rig.pass(5_000);
    assert!(rig.flags().starts_with("s_down,master"), "{}", rig.flags());
    assert!(rig.sent.is_empty(), "{:?}", rig.sent);
    assert_eq!(rig.ask(Request::Failover { master: "db1".into(), option: None }), None);
    assert!(rig.said_but(&[]).ends_with("request db1 Coordinated"));
    rig.ask(Request::Failover { master: "db1".into(), option: Some("FORCE".into()) });
    assert!(rig.said_but(&[]).ends_with("request db1 Forced"));
    // A master that is new comes with its name, and goes with it.
    rig.event(Event::StoreSays {
        master: "db9".into(),
        quorum: 1,
        address: Address::new("10.0.0.1", 7),
        epoch: 1,
        replicas: vec![],
    });
    assert!(rig.said_but(&[]).starts_with("+monitor master db9 10.0.0.1 7 quorum 1"));
    rig.event(Event::StoreForgot { master: "db9".into() });
    assert!(rig.sentinel.master("db9").is_none());
}

/// Under another name a sentinel would promote one of these servers while the agents keep another one as the master.
#[test]
fn a_server_that_agents_run_has_one_name() {
    let mut rig = Rig::settled();
    let monitor = |master: &str, port: u16| Request::Monitor {
        master: master.into(),
        host: "10.0.0.1".into(),
        port: port.to_string(),
        quorum: "1".into(),
    };
    assert_eq!(rig.ask(monitor("mine", 2)), Some(Answer::Ok), "no agent yet");
    let says = Event::StoreSays {
        master: "db1".into(),
        quorum: 2,
        address: Address::new("10.0.0.1", 1),
        epoch: 10,
        replicas: vec![Address::new("10.0.0.1", 2), Address::new("10.0.0.1", 3)],
    };
    rig.said.clear();
    rig.event(says);
    assert_eq!(rig.said_but(&[]), "-monitor master mine 10.0.0.1 2");
    assert!(rig.sentinel.master("mine").is_none());
    for port in [1, 2, 3] {
        let Some(Answer::Error(text)) = rig.ask(monitor("mine", port)) else { panic!("{port} was taken") };
        assert!(text.contains("watched as 'db1' already"), "{text}");
    }
    let Some(Answer::Error(text)) = rig.ask(Request::Remove { master: "db1".into() }) else { panic!("removed") };
    assert!(text.contains("run by agents"), "{text}");
    assert!(rig.sentinel.master("db1").is_some());
}
