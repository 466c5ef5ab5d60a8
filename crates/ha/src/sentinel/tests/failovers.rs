use super::super::*;
use super::rig::{MY_ID, Opinion, PEERS, Rig, configuration};
use types::Millis;

const ROUTINE: [&str; 2] = ["+role-change", "-role-change"];

#[test]
fn a_dead_master_is_replaced_and_everybody_is_told_in_sentinels_words() {
    let mut rig = Rig::settled();
    rig.opinion = Opinion::Votes;
    rig.kill(1);
    rig.pass(3_000);
    assert_eq!(
        rig.said_but(&ROUTINE),
        format!(
            "+sdown master db1 10.0.0.1 1
+odown master db1 10.0.0.1 1 #quorum 2/2
+new-epoch 1
+try-failover master db1 10.0.0.1 1
+vote-for-leader {MY_ID} 1
+elected-leader master db1 10.0.0.1 1
+failover-state-select-slave master db1 10.0.0.1 1
+selected-slave slave 10.0.0.1:3 10.0.0.1 3 @ db1 10.0.0.1 1
+failover-state-send-slaveof-noone slave 10.0.0.1:3 10.0.0.1 3 @ db1 10.0.0.1 1
+failover-state-wait-promotion slave 10.0.0.1:3 10.0.0.1 3 @ db1 10.0.0.1 1
+promoted-slave slave 10.0.0.1:3 10.0.0.1 3 @ db1 10.0.0.1 1
+failover-state-reconf-slaves master db1 10.0.0.1 1
+switch-master db1 10.0.0.1 1 10.0.0.1 3
+slave slave 10.0.0.1:2 10.0.0.1 2 @ db1 10.0.0.1 3
+slave slave 10.0.0.1:1 10.0.0.1 1 @ db1 10.0.0.1 3
+sdown slave 10.0.0.1:1 10.0.0.1 1 @ db1 10.0.0.1 3
+slave-reconf-sent slave 10.0.0.1:2 10.0.0.1 2 @ db1 10.0.0.1 3
+slave-reconf-inprog slave 10.0.0.1:2 10.0.0.1 2 @ db1 10.0.0.1 3
+slave-reconf-done slave 10.0.0.1:2 10.0.0.1 2 @ db1 10.0.0.1 3
+failover-end master db1 10.0.0.1 3"
        )
    );
    assert_eq!(rig.flags(), "master");
    assert_eq!(rig.master().config_epoch, 1);
    let promotion: Vec<&String> = rig.sent.iter().filter(|line| line.starts_with("3:")).collect();
    let expected =
        ["MULTI", "SLAVEOF NO ONE", "CONFIG REWRITE", "CLIENT KILL TYPE normal", "CLIENT KILL TYPE pubsub", "EXEC"];
    assert_eq!(promotion, expected.map(|words| format!("3: {words}")).iter().collect::<Vec<_>>());
    // The old one comes back as a master and is put right after eight seconds.
    rig.server(1).life = super::rig::Life::Up;
    rig.pass(25_000);
    let said = rig.said_but(&ROUTINE);
    assert!(said.contains("-sdown slave 10.0.0.1:1 10.0.0.1 1 @ db1 10.0.0.1 3"), "{said}");
    assert!(said.contains("+convert-to-slave slave 10.0.0.1:1 10.0.0.1 1 @ db1 10.0.0.1 3"), "{said}");
    assert_eq!(rig.server(1).follows, Some(3));
}

/// Nothing happens without the quorum, the majority, a replica, or when a peer has the vote.
fn check_no_failover(what: &str, arrange: impl Fn(&mut Rig), expected_last: &str) {
    let mut rig = Rig::settled();
    rig.opinion = Opinion::Votes;
    arrange(&mut rig);
    rig.kill(1);
    rig.pass(14_000);
    assert!(rig.sent.iter().all(|line| !line.contains("SLAVEOF")), "{what}: {:?}", rig.sent);
    let said = rig.said_but(&["+role-change", "+sdown sentinel", "-sdown"]);
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with(expected_last), "{what}: {said}");
}

#[test]
fn there_is_no_failover_when_something_speaks_against_it() {
    check_no_failover("nobody agrees", |rig| rig.opinion = Opinion::Fine, "+sdown master");
    check_no_failover("nobody votes", |rig| rig.opinion = Opinion::Down, "-failover-abort-not-elected");
    check_no_failover(
        "they vote for another",
        |rig| rig.opinion = Opinion::VotesFor(PEERS[0]),
        "-failover-abort-not-elected",
    );
    check_no_failover(
        "no replica may lead",
        |rig| {
            rig.server(2).priority = 0;
            rig.server(3).priority = 0;
            rig.pass(11_000);
            rig.said.clear();
        },
        "-failover-abort-no-good-slave",
    );
    check_no_failover("nothing can be saved", |rig| rig.disk_works = false, "-failover-abort-not-elected");
    check_no_failover(
        "peers are gone",
        |rig| {
            rig.kill(26_001);
            rig.kill(26_002);
            rig.pass(6_000);
            rig.said.clear();
        },
        "+sdown master",
    );
}

#[test]
fn a_replica_that_does_not_obey_ends_the_failover_in_time_and_the_next_one_waits() {
    let mut rig = Rig::settled();
    rig.opinion = Opinion::Votes;
    rig.server(3).obeys = false;
    rig.kill(1);
    rig.pass(13_000);
    assert!(rig.said_but(&[]).contains("-failover-abort-slave-timeout master db1 10.0.0.1 1"));
    assert_eq!(rig.sentinel.master_address("db1"), Some(("10.0.0.1".to_owned(), 1)));
    rig.server(3).obeys = true;
    rig.pass(6_000);
    assert!(!rig.said_but(&[]).contains("+try-failover"), "twice the failover timeout has not passed");
    rig.pass(6_000);
    assert_eq!(rig.sentinel.master_address("db1"), Some(("10.0.0.1".to_owned(), 3)));
}

#[test]
fn replicas_are_reconfigured_as_many_at_a_time_as_parallel_syncs_says() {
    for (parallel, expected) in [(1, 1), (2, 2)] {
        let mut configuration = configuration(&[2, 3], 2);
        configuration.masters[0].settings.parallel_syncs = parallel;
        configuration.masters[0].replicas.push(Address::new("10.0.0.1", 4));
        let mut rig = Rig::started(configuration);
        let replica = rig.servers[&2].clone();
        rig.servers.insert(4, super::rig::Server { run: 4, ..replica });
        rig.pass(30_000);
        for port in [2, 4] {
            rig.server(port).obeys = false;
        }
        rig.opinion = Opinion::Votes;
        rig.kill(1);
        rig.pass(3_000);
        let sent = |rig: &mut Rig| rig.said_but(&[]).matches("+slave-reconf-sent slave").count();
        assert_eq!(sent(&mut rig), expected, "parallel-syncs {parallel}");
        // Whoever does not do it in ten seconds is given up, and the next is told.
        rig.pass(9_500);
        let said = rig.said_but(&[]);
        assert!(said.contains("-slave-reconf-sent-timeout") || said.contains("+failover-end-for-timeout"), "{said}");
    }
}

#[test]
fn a_failover_that_a_person_asks_for_needs_no_votes_and_takes_the_old_master_along() {
    let mut rig = Rig::settled();
    let answer = rig.ask(Request::Failover { master: "db1".into(), option: None });
    assert_eq!(answer, Some(Answer::Ok));
    rig.pass(2_500);
    let said = rig.said_but(&ROUTINE);
    assert!(said.contains("+switch-master db1 10.0.0.1 1 10.0.0.1 3"), "{said}");
    assert!(said.contains("+convert-to-slave slave 10.0.0.1:1 10.0.0.1 1 @ db1 10.0.0.1 3"), "{said}");
    assert!(said.ends_with("+failover-end master db1 10.0.0.1 3"), "{said}");
    assert_eq!(rig.server(1).follows, Some(3));
    assert_eq!(rig.server(2).follows, Some(3));
    assert_eq!(rig.flags(), "master");
}

#[test]
fn a_coordinated_failover_is_elected_and_the_master_hands_over() {
    let mut rig = Rig::settled();
    rig.opinion = Opinion::Votes;
    rig.ask(Request::Failover { master: "db1".into(), option: Some("coordinated".into()) });
    rig.pass(2_500);
    let said = rig.said_but(&ROUTINE);
    assert!(said.contains("+elected-leader"), "{said}");
    assert!(said.contains("+switch-master db1 10.0.0.1 1 10.0.0.1 3"), "{said}");
    assert!(rig.sent.contains(&"1: CLIENT PAUSE 10000 WRITE".to_owned()), "{:?}", rig.sent);
    assert!(rig.sent.contains(&"1: FAILOVER TO 10.0.0.1 3 TIMEOUT 10000".to_owned()), "{:?}", rig.sent);
    assert!(rig.sent.contains(&"1: CLIENT UNPAUSE".to_owned()), "{:?}", rig.sent);
    assert!(!rig.sent.iter().any(|line| line.contains("SLAVEOF NO ONE")), "{:?}", rig.sent);
    assert_eq!(rig.server(2).follows, Some(3));
}

#[test]
fn a_coordinated_failover_that_does_not_come_about_is_taken_back() {
    let mut rig = Rig::settled();
    rig.opinion = Opinion::Votes;
    rig.server(1).obeys = false;
    rig.ask(Request::Failover { master: "db1".into(), option: Some("COORDINATED".into()) });
    rig.pass(12_000);
    let said = rig.said_but(&ROUTINE);
    assert!(said.ends_with("-failover-abort-slave-timeout master db1 10.0.0.1 1"), "{said}");
    assert!(rig.sent.ends_with(&["1: MULTI", "1: FAILOVER ABORT", "1: CLIENT UNPAUSE", "1: EXEC"].map(str::to_owned)));
    assert_eq!(rig.flags(), "master");
}

#[test]
fn a_request_that_cannot_be_met_is_answered_in_sentinels_words() {
    let check = |arrange: &dyn Fn(&mut Rig), option: Option<&str>, expected: &str| {
        let mut rig = Rig::settled();
        arrange(&mut rig);
        let answer = rig.ask(Request::Failover { master: "db1".into(), option: option.map(str::to_owned) });
        assert_eq!(answer, Some(Answer::Error(expected.to_owned())));
    };
    check(&|_| (), Some("fast"), "ERR Unknown failover option specified");
    check(&|_| (), Some("force"), "ERR Unknown failover option specified");
    check(
        &|rig| {
            rig.server(2).priority = 0;
            rig.server(3).priority = 0;
            rig.pass(11_000);
        },
        None,
        "NOGOODSLAVE No suitable replica to promote",
    );
    check(
        &|rig| {
            rig.server(3).obeys = false;
            rig.ask(Request::Failover { master: "db1".into(), option: None });
        },
        None,
        "INPROG Failover already in progress",
    );
    let mut rig = Rig::new(configuration(&[2, 3], 2));
    rig.server(1).old = true;
    rig.event(Event::Start);
    rig.pass(30_000);
    let answer = rig.ask(Request::Failover { master: "db1".into(), option: Some("coordinated".into()) });
    let expected = "NOGOODPRIMARY Primary does not support FAILOVER command";
    assert_eq!(answer, Some(Answer::Error(expected.to_owned())));
}

#[test]
fn a_master_that_is_only_stopped_finds_the_order_to_follow_when_it_goes_on() {
    let mut rig = Rig::settled();
    rig.opinion = Opinion::Votes;
    rig.server(1).life = super::rig::Life::Frozen;
    rig.pass(3_000);
    let said = rig.said_but(&ROUTINE);
    assert!(said.contains("+switch-master db1 10.0.0.1 1 10.0.0.1 3"), "{said}");
    assert!(!said.contains("+convert-to-slave"), "it has not been seen doing so: {said}");
    let ordered = |effect: &Effect| match effect {
        Effect::Send { command, .. } => command.words().collect::<Vec<_>>() == ["SLAVEOF", "10.0.0.1", "3"],
        _ => false,
    };
    // To the replica on port 2, and to the old master.
    assert_eq!(rig.effects.iter().filter(|effect| ordered(effect)).count(), 2);
}

#[test]
fn an_election_with_a_slow_disk_waits_for_the_disk() {
    let mut rig = Rig::settled();
    rig.opinion = Opinion::Votes;
    rig.disk_slow = true;
    rig.kill(1);
    rig.pass(3_000);
    assert!(!rig.said_but(&[]).contains("+elected-leader"));
    rig.release_saves();
    rig.pass(500);
    assert!(rig.said_but(&[]).contains("+switch-master"));
}

#[test]
fn a_simulated_failure_ends_the_process_where_it_was_asked_to() {
    for (when, expected, unexpected) in
        [("crash-after-election", "+elected-leader", "never"), ("Crash-After-Promotion", "+promoted-slave", "never")]
    {
        let mut rig = Rig::settled();
        rig.opinion = Opinion::Votes;
        assert_eq!(rig.ask(Request::SimulateFailure { arguments: vec![when.to_owned()] }), Some(Answer::Ok));
        rig.kill(1);
        rig.pass(3_000);
        let said = rig.said_but(&[]);
        let exit = said.find("exit 99").unwrap_or(0);
        assert!(said.find(expected).is_some_and(|at| at < exit), "{said}");
        assert!(!said.contains(unexpected));
    }
    let mut rig = Rig::settled();
    let answer = rig.ask(Request::SimulateFailure { arguments: vec!["nonsense".to_owned()] });
    assert_eq!(answer, Some(Answer::Error("ERR Unknown failure simulation specified".to_owned())));
}

#[test]
fn a_sentinel_that_was_stopped_watches_before_it_acts() {
    let mut rig = Rig::settled();
    rig.opinion = Opinion::Votes;
    rig.kill(1);
    rig.now = rig.now + Millis(10_000);
    rig.pass(29_000);
    let said = rig.said_but(&[]);
    assert_eq!(said, "+tilt #tilt mode entered");
    rig.pass(4_000);
    let said = rig.said_but(&[]);
    assert!(said.starts_with("-tilt #tilt mode exited\n+sdown master db1 10.0.0.1 1"), "{said}");
    assert!(said.contains("+switch-master"), "{said}");
}
