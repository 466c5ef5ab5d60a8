use super::super::*;
use super::rig::{MY_ID, Opinion, PEERS, Rig, configuration};
use types::Millis;

fn down_question(epoch: u64, candidate: &str) -> Request {
    Request::IsMasterDown { host: "10.0.0.1".into(), port: 1, epoch, candidate: candidate.into() }
}

fn vote(down: bool, leader: Option<&str>, epoch: u64) -> Answer {
    Answer::MasterDown { down, leader: leader.map(str::to_owned), epoch }
}

#[test]
fn replicas_and_sentinels_are_found() {
    let mut rig = Rig::started(configuration(&[], 0));
    rig.pass(2_000);
    assert_eq!(
        rig.said_but(&[]),
        "+monitor master db1 10.0.0.1 1 quorum 2
+slave slave 10.0.0.1:2 10.0.0.1 2 @ db1 10.0.0.1 1
+slave slave 10.0.0.1:3 10.0.0.1 3 @ db1 10.0.0.1 1"
    );
    let hello = format!("10.0.0.1,26001,{},0,db1,10.0.0.1,1,0", PEERS[0]);
    assert_eq!(rig.ask(Request::Hello { payload: hello }), Some(Answer::Integer(1)));
    assert_eq!(rig.said_but(&[]), format!("+sentinel sentinel {} 10.0.0.1 26001 @ db1 10.0.0.1 1", PEERS[0]));
    let written = rig.sentinel.configuration();
    assert_eq!(written.masters[0].replicas.len(), 2);
    assert_eq!(written.masters[0].sentinels, [(PEERS[0].to_owned(), Address::new("10.0.0.1", 26_001))]);
}

#[test]
fn one_connection_and_one_ping_serve_all_masters_that_a_peer_watches() {
    let mut configuration = configuration(&[2, 3], 2);
    let mut second = configuration.masters[0].clone();
    second.name = "db2".into();
    configuration.masters.push(second);
    let rig = Rig::started(configuration);
    let opened = |kind: LinkKind| {
        let wanted =
            |effect: &&Effect| matches!(effect, Effect::Open { port, kind: of, .. } if *port > 26_000 && *of == kind);
        rig.effects.iter().filter(wanted).count()
    };
    assert_eq!((opened(LinkKind::Command), opened(LinkKind::PubSub)), (2, 0));
    let master = rig.sentinel.master("db2").unwrap();
    let fields = rig.sentinel.describe_peer(rig.now, master, &master.peers[0]);
    assert!(fields.contains(&("link-refcount", "2".to_owned())), "{fields:?}");
}

#[test]
fn an_idle_group_costs_what_it_costs_sentinel() {
    let mut rig = Rig::settled();
    rig.effects.clear();
    rig.pass(60_000);
    let sent = |word: &str| {
        let is =
            |effect: &&Effect| matches!(effect, Effect::Send { command, .. } if command.words().next() == Some(word));
        rig.effects.iter().filter(is).count()
    };
    // Three servers and two peers: a ping a second and a hello in two each, an INFO in ten seconds from each server.
    assert!((290..=300).contains(&sent("PING")), "{}", sent("PING"));
    assert!((15..=18).contains(&sent("INFO")), "{}", sent("INFO"));
    assert!((140..=150).contains(&sent("PUBLISH")), "{}", sent("PUBLISH"));
    assert_eq!(sent("SENTINEL"), 0);
}

#[test]
fn a_vote_is_answered_when_it_is_on_the_disk_and_never_twice() {
    let mut rig = Rig::settled();
    rig.disk_slow = true;
    assert_eq!(rig.ask(down_question(5, PEERS[0])), None);
    rig.release_saves();
    assert_eq!(rig.last_answer(), Some(vote(false, Some(PEERS[0]), 5)));
    assert_eq!(rig.said_but(&[]), format!("+new-epoch 5\n+vote-for-leader {} 5", PEERS[0]));
    // The same epoch is taken; an older one too.
    assert_eq!(rig.ask(down_question(5, PEERS[1])), Some(vote(false, Some(PEERS[0]), 5)));
    assert_eq!(rig.ask(down_question(4, PEERS[1])), Some(vote(false, Some(PEERS[0]), 5)));
    assert_eq!(rig.ask(down_question(9, "*")), Some(vote(false, None, 0)));
    // After a restart whom it voted for is forgotten, and that it voted is not.
    let mut again = Rig::settled_with(rig.sentinel.configuration());
    assert_eq!(again.ask(down_question(5, PEERS[1])), Some(vote(false, None, 0)));
    assert_eq!(again.ask(down_question(6, PEERS[1])), Some(vote(false, Some(PEERS[1]), 6)));
}

#[test]
fn a_vote_that_cannot_be_saved_is_not_given() {
    let mut rig = Rig::settled();
    rig.disk_works = false;
    assert_eq!(rig.ask(down_question(5, PEERS[0])), Some(vote(false, None, 0)));
    rig.disk_works = true;
    // The vote is still the first one's.
    assert_eq!(rig.ask(down_question(5, PEERS[1])), Some(vote(false, Some(PEERS[0]), 5)));
}

#[test]
fn whoever_voted_for_another_makes_no_attempt_for_twice_the_failover_timeout() {
    let mut rig = Rig::settled();
    rig.opinion = Opinion::Votes;
    rig.ask(down_question(5, PEERS[0]));
    rig.kill(1);
    rig.pass(19_000);
    assert!(!rig.said_but(&[]).contains("+try-failover"));
    assert_eq!(rig.flags(), "s_down,o_down,master,disconnected");
    rig.pass(4_000);
    assert!(rig.said_but(&[]).contains("+switch-master"));
}

#[test]
fn a_configuration_with_a_greater_epoch_is_taken_over_and_no_other() {
    for (epoch, port, taken) in [(0, 3, false), (1, 3, true), (1, 1, false), (7, 9, true)] {
        let mut rig = Rig::settled();
        let hello = format!("10.0.0.1,26001,{},{epoch},db1,10.0.0.1,{port},{epoch}", PEERS[0]);
        rig.ask(Request::Hello { payload: hello });
        let said = rig.said_but(&["+new-epoch"]);
        let expected = format!(
            "+config-update-from sentinel {} 10.0.0.1 26001 @ db1 10.0.0.1 1\n+switch-master db1 10.0.0.1 1 10.0.0.1 {port}",
            PEERS[0]
        );
        assert_eq!(said.starts_with(&expected), taken, "{epoch} {port}: {said}");
        assert_eq!(rig.master().config_epoch, epoch);
        let now = if taken { port } else { 1 };
        assert_eq!(rig.sentinel.master_address("db1"), Some(("10.0.0.1".to_owned(), now)));
        if taken {
            assert!(rig.master().replicas.iter().any(|replica| replica.address.port == 1), "the old master is kept");
            assert!(rig.master().replicas.iter().all(|replica| replica.address.port != port));
        }
    }
}

#[test]
fn own_and_broken_hellos_change_nothing() {
    let mut rig = Rig::settled();
    for payload in [
        format!("10.0.0.1,26379,{MY_ID},9,db1,10.0.0.1,3,9"),
        format!("10.0.0.1,26001,{},9,other,10.0.0.1,3,9", PEERS[0]),
        "nonsense".to_owned(),
        String::new(),
    ] {
        assert_eq!(rig.ask(Request::Hello { payload }), Some(Answer::Integer(1)));
    }
    assert_eq!(rig.said_but(&[]), "");
    assert_eq!(rig.sentinel.current_epoch(), 0);
}

#[test]
fn a_sentinel_that_moves_or_takes_anothers_place_is_followed() {
    let mut rig = Rig::settled();
    let hello = |id: &str, port: u16| Request::Hello { payload: format!("10.0.0.1,{port},{id},0,db1,10.0.0.1,1,0") };
    rig.ask(hello(PEERS[0], 26_005));
    assert_eq!(
        rig.said_but(&[]),
        format!("+sentinel-address-switch master db1 10.0.0.1 1 ip 10.0.0.1 port 26005 for {}", PEERS[0])
    );
    let stranger = "d000000000000000000000000000000000000000";
    rig.ask(hello(stranger, 26_002));
    assert_eq!(
        rig.said_but(&[]),
        format!(
            "+sentinel-invalid-addr sentinel {} 10.0.0.1 26002 @ db1 10.0.0.1 1\n+sentinel sentinel {stranger} 10.0.0.1 26002 @ db1 10.0.0.1 1",
            PEERS[1]
        )
    );
    assert_eq!(rig.master().peers.len(), 2);
}

#[test]
fn answers_to_pings_count_as_life_or_do_not() {
    for (answer, down) in [
        ("PONG", false),
        ("LOADING Redis is loading the dataset in memory", false),
        ("MASTERDOWN Link with MASTER is down", false),
        ("MISCONF Redis is configured to save", true),
        ("NOAUTH Authentication required.", true),
        ("BUSY Redis is busy running a script", true),
    ] {
        let mut rig = Rig::settled();
        rig.server(1).ping = answer;
        rig.pass(4_000);
        assert_eq!(rig.flags().contains("s_down"), down, "{answer}: {}", rig.flags());
        let kills = rig.sent.iter().filter(|line| *line == "1: SCRIPT KILL").count();
        assert_eq!(kills, usize::from(answer.starts_with("BUSY")), "{answer}");
        if down {
            rig.server(1).ping = "PONG";
            rig.pass(1_100);
            assert_eq!(rig.flags(), "master");
            assert!(rig.said_but(&[]).ends_with("-sdown master db1 10.0.0.1 1"));
        }
    }
}

#[test]
fn a_frozen_master_is_down_after_its_time_and_not_before() {
    let mut rig = Rig::settled();
    rig.server(1).life = super::rig::Life::Frozen;
    rig.pass(1_000);
    assert!(!rig.flags().contains("s_down"), "{}", rig.flags());
    rig.pass(1_100);
    assert_eq!(rig.flags(), "s_down,master");
}

#[test]
fn a_killed_master_is_down_after_its_time_and_stays_down() {
    // Long enough after a connection was made, and soon after.
    for before in [10_400, 10_000] {
        let mut rig = Rig::settled();
        rig.cut(1);
        rig.pass(before - 10_000);
        rig.kill(1);
        rig.pass(950);
        assert_eq!(rig.said_but(&[]), "");
        rig.pass(5_000);
        assert_eq!(rig.said_but(&[]), "+sdown master db1 10.0.0.1 1");
    }
}

#[test]
fn a_master_that_says_it_is_a_replica_is_down_after_two_more_infos() {
    let mut rig = Rig::settled();
    rig.server(1).follows = Some(9);
    rig.pass(20_000);
    assert_eq!(rig.flags(), "master");
    rig.pass(12_500);
    assert_eq!(rig.flags(), "s_down,master");
    assert!(rig.said_but(&[]).contains("-role-change master db1 10.0.0.1 1 new reported role is slave"));
}

#[test]
fn a_replica_of_another_master_is_put_right_after_the_failover_timeout() {
    let mut rig = Rig::settled();
    rig.server(2).follows = Some(9);
    rig.pass(10_000);
    assert_eq!(rig.said_but(&[]), "");
    rig.pass(15_000);
    assert_eq!(rig.said_but(&[]), "+fix-slave-config slave 10.0.0.1:2 10.0.0.1 2 @ db1 10.0.0.1 1");
    assert_eq!(rig.server(2).follows, Some(1));
}

#[test]
fn a_master_that_came_back_as_another_process_is_down_when_it_does_not_answer_in_time() {
    let mut configuration = configuration(&[2, 3], 2);
    configuration.masters[0].settings.reboot_down_after = Millis(500);
    configuration.masters[0].settings.down_after = Millis(60_000);
    let mut rig = Rig::settled_with(configuration);
    rig.server(1).run = 99;
    rig.server(1).ping = "LOADING Redis is loading the dataset in memory";
    rig.pass(11_500);
    assert!(rig.said_but(&[]).starts_with("+reboot master db1 10.0.0.1 1\n+sdown master db1 10.0.0.1 1"));
    assert_eq!(rig.flags(), "s_down,master,master_reboot");
    rig.server(1).ping = "PONG";
    rig.pass(1_500);
    assert_eq!(rig.flags(), "master");
}

#[test]
fn a_stuck_connection_is_replaced() {
    let mut rig = Rig::settled();
    rig.server(1).life = super::rig::Life::Frozen;
    rig.effects.clear();
    rig.pass(3_000);
    let closed = rig.effects.iter().filter(|effect| matches!(effect, Effect::Close { .. })).count();
    assert!(closed >= 1);
    rig.server(1).life = super::rig::Life::Up;
    rig.pass(2_500);
    assert_eq!(rig.flags(), "master");
}

#[test]
fn hellos_announce_what_was_asked_for() {
    let mut rig = Rig::settled();
    let sent = |rig: &Rig| {
        let payload = |effect: &Effect| match effect {
            Effect::Send { command, .. } if command.words().next() == Some("PUBLISH") => {
                command.words().nth(2).map(str::to_owned)
            }
            _ => None,
        };
        rig.effects.iter().rev().find_map(payload).unwrap()
    };
    rig.pass(2_500);
    assert_eq!(sent(&rig), format!("10.0.0.9,26379,{MY_ID},0,db1,10.0.0.1,1,0"));
    let arguments = ["announce-ip", "192.0.2.7", "announce-port", "1234"].map(str::to_owned).to_vec();
    assert_eq!(rig.ask(Request::ConfigSet { arguments }), Some(Answer::Ok));
    rig.pass(2_500);
    assert_eq!(sent(&rig), format!("192.0.2.7,1234,{MY_ID},0,db1,10.0.0.1,1,0"));
}
