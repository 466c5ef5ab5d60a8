//! Elections, writes from everywhere, reads that see them.

use super::network::{Network, put};
use crate::{Event, StoreError, limits};
use kv::{Command, KvError, Response};
use types::{LeaseId, Millis, Revision};

#[test]
fn a_cluster_elects_one_leader_and_keeps_it() {
    for seed in 0..20 {
        let mut network = Network::new(seed, 3);
        let leader = network.elect();
        let term = network.store(leader).status().term;
        network.run(Millis(10_000));
        assert_eq!(network.leader(), Some(leader), "seed {seed}");
        assert!(network.nodes.keys().all(|id| network.store(*id).status().term == term), "seed {seed}");
    }
}

#[test]
fn a_member_alone_serves_by_itself() {
    let mut network = Network::new(1, 1);
    let took = network.until("the election", |network| network.leader().is_some());
    assert!(took <= Millis(100), "{took}: there is nobody to wait for");
    let reply = network.put(1, "a", "1").unwrap();
    assert_eq!(reply.revision, Revision(2));
    let read = network.read(1);
    network.until("the read", |network| network.reads.contains_key(&read));
    network.kill(1);
    network.start(1);
    network.elect();
    assert_eq!(network.get(1, "a").as_deref(), Some("1"));
}

#[test]
fn a_write_from_any_member_is_answered_there_and_reaches_all() {
    let mut network = Network::new(2, 3);
    network.elect();
    for id in 1..=3 {
        let reply = network.put(id, &format!("k{id}"), "v").unwrap();
        assert_eq!(reply.response, Response::Put { prev_kv: None });
    }
    network.run(Millis(300));
    for at in 1..=3 {
        for key in 1..=3 {
            assert_eq!(network.get(at, &format!("k{key}")).as_deref(), Some("v"), "k{key} at {at}");
        }
    }
}

#[test]
fn writes_take_a_round_trip_and_two_disks_not_a_heartbeat() {
    let mut network = Network::new(3, 3);
    network.elect();
    network.run(Millis(500));
    for at in 1..=3 {
        let start = network.now;
        network.put(at, "k", "v").unwrap();
        assert!(network.now.since(start) <= Millis(40), "at {at}: {}", network.now.since(start));
    }
}

#[test]
fn a_read_at_any_member_sees_every_write_answered_before() {
    for seed in 0..20 {
        let mut network = Network::new(seed, 3);
        network.elect();
        for round in 0..10 {
            let writer = 1 + round % 3;
            network.put(writer, "k", &round.to_string()).unwrap();
            let reader = 1 + (round + 1) % 3;
            let start = network.now;
            let read = network.read(reader);
            network.until("the read", |network| network.reads.contains_key(&read));
            assert_eq!(network.reads[&read], Ok(()));
            assert_eq!(network.get(reader, "k"), Some(round.to_string()), "seed {seed}");
            assert!(network.now.since(start) <= Millis(60), "seed {seed}: {}", network.now.since(start));
        }
    }
}

#[test]
fn refusals_come_at_once_and_in_etcds_words() {
    let mut network = Network::new(4, 3);
    network.elect();
    let big = "x".repeat(kv::REQUEST_BYTES_MAX);
    assert_eq!(network.put(1, "k", &big), Err(StoreError::Kv(KvError::RequestTooLarge)));
    assert_eq!(network.put(1, "", "v"), Err(StoreError::Kv(KvError::EmptyKey)));
    assert_eq!(StoreError::NoSpace.to_string(), KvError::NoSpace.to_string());
    network.isolate(1);
    for _ in 0..limits::PROPOSALS_IN_FLIGHT_MAX {
        network.propose(1, put("k", "v"));
    }
    assert_eq!(network.put(1, "k", "v"), Err(StoreError::Overloaded));
}

#[test]
fn without_a_leader_a_write_waits_and_then_says_that_nothing_happened() {
    let mut network = Network::new(5, 3);
    network.kill(2);
    network.kill(3);
    assert_eq!(network.put(1, "k", "v"), Err(StoreError::NoLeader));
    let read = network.read(1);
    network.until("the read", |network| network.reads.contains_key(&read));
    assert_eq!(network.reads[&read], Err(StoreError::NoLeader));
}

#[test]
fn a_write_that_waits_for_a_leader_is_given_up_with_its_caller() {
    const WITHIN: Millis = Millis(100);
    let mut network = Network::new(5, 3);
    network.elect();
    let (at, other) = (network.followers()[0], network.followers()[1]);
    network.kill(network.leader().unwrap());
    // Long enough for what is sent to wait.
    network.run(Millis(300));
    let request = network.propose_within(at, put("late", "v"), Some(WITHIN));
    let asked = network.now;
    assert_eq!(network.answer(request), Err(StoreError::NoLeader));
    assert!(network.now.since(asked) <= WITHIN + Millis(50), "{}", network.now.since(asked));
    network.until("another leader", |network| network.leader().is_some());
    network.put(other, "k", "v").unwrap();
    assert_eq!((network.get(at, "late"), network.get(other, "late")), (None, None));
}

#[test]
fn the_leadership_is_handed_over_from_any_member() {
    let mut network = Network::new(6, 3);
    let leader = network.elect();
    network.run(Millis(500));
    let to = network.followers()[0];
    let other = network.followers()[1];
    network.event(other, Event::TransferLeader { to });
    let took = network.until("the handover", |network| network.leader() == Some(to));
    assert!(took <= Millis(60), "{took}");
    network.event(to, Event::TransferLeader { to: leader });
    network.until("the way back", |network| network.leader() == Some(leader));
    network.put(other, "k", "v").unwrap();
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut network = Network::new(seed, 3);
        network.loss_percent = 5;
        let leader = network.elect();
        let requests: Vec<_> = (0..30).map(|n| network.propose(1 + n % 3, put("k", &n.to_string()))).collect();
        network.run(Millis(200));
        network.kill(leader);
        network.run(Millis(3_000));
        network.start(leader);
        network.run(Millis(8_000));
        assert!(requests.iter().all(|id| network.replies.contains_key(id) || network.nodes[&leader].store.is_some()));
        network.trace()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

/// Leases are renewed ten times a second: what that takes is what a member at rest takes.
#[test]
fn a_write_takes_one_write_to_each_disk_and_the_place_of_a_heartbeat() {
    let mut network = Network::new(5, 3);
    let leader = network.elect();
    network.run(Millis(500));
    let begin = |network: &mut Network| {
        for node in network.nodes.values_mut() {
            (node.said, node.wrote) = (0, 0);
        }
    };
    begin(&mut network);
    network.run(Millis(1_000));
    let said = network.nodes[&leader].said;
    assert!((18..=20).contains(&said), "{said}: a heartbeat to each of two followers every 100 ms");
    assert!(network.nodes.values().all(|node| node.wrote == 0));

    begin(&mut network);
    for _ in 0..20 {
        network.propose(leader, put("k", "v"));
        network.run(limits::TICK);
    }
    let said = network.nodes[&leader].said;
    assert_eq!(said, 20 * 2 * 2, "each write and that it is committed, to each of two followers, and nothing else");
    assert!(network.nodes.values().all(|node| node.wrote == 20));

    let granted = network.propose(leader, Command::LeaseGrant { id: Some(LeaseId(7)), ttl: Millis(5_000) });
    network.answer(granted).unwrap();
    network.run(Millis(200));
    for (origin, asked) in [(leader, 0), (network.followers()[0], 1)] {
        begin(&mut network);
        let start = network.now;
        let renewed = network.propose(origin, Command::LeaseKeepAlive { id: LeaseId(7) });
        network.answer(renewed).unwrap();
        assert!(network.now.since(start) <= Millis(40), "at {origin}: {}", network.now.since(start));
        let said = network.nodes[&leader].said;
        assert!(said <= 2 + asked + 2, "{said}: only who asked learns at once that a renewal is committed");
    }
}
