//! Lost messages, dead processes, empty and full disks.

use super::network::{Network, put};
use crate::{Event, StoreError, limits};
use types::Millis;

/// A small log, so that a few writes make snapshots.
fn small_log() -> fn(&mut crate::StoreConfig) {
    |config| {
        config.snapshot_entries = 20;
        config.trailing_entries = 5;
    }
}

#[test]
fn everything_answered_survives_the_loss_of_any_two_processes_one_after_the_other() {
    for seed in 0..30 {
        let mut network = Network::tuned(seed, 3, small_log());
        network.loss_percent = 2;
        network.elect();
        let mut answered = Vec::new();
        for round in 0..40_u64 {
            let victim = 1 + (seed + round) % 3;
            if round % 8 == 3 {
                network.kill(victim);
            }
            let alive: Vec<_> = (1..=3).filter(|id| network.nodes[id].store.is_some()).collect();
            let at = alive[round as usize % alive.len()];
            if network.put(at, &format!("k{round}"), "v").is_ok() {
                answered.push(round);
            }
            if round % 8 == 6 {
                for id in 1..=3 {
                    if network.nodes[&id].store.is_none() {
                        network.start(id);
                    }
                }
            }
        }
        assert!(answered.len() > 30, "seed {seed}: {}", answered.len());
        network.loss_percent = 0;
        network.run(Millis(5_000));
        for id in 1..=3 {
            for round in &answered {
                assert!(network.get(id, &format!("k{round}")).is_some(), "seed {seed}: k{round} missing at {id}");
            }
        }
    }
}

#[test]
fn no_write_is_applied_twice_however_often_it_was_sent() {
    for seed in 0..30 {
        let mut network = Network::new(seed, 3);
        network.loss_percent = 20;
        network.elect();
        let mut requests = Vec::new();
        for round in 0..30 {
            requests.push((round, network.propose(1 + round % 3, put(&format!("k{round}"), "v"))));
            network.run(Millis(30));
            if round == 15
                && let Some(leader) = network.leader()
            {
                let to = 1 + leader % 3;
                network.event(leader, Event::TransferLeader { to });
            }
        }
        network.loss_percent = 0;
        network.run(Millis(8_000));
        for (round, request) in requests {
            assert!(network.replies.contains_key(&request), "seed {seed}: no answer to {round}");
            let range = kv::RangeRequest::all(kv::KeyRange::One(format!("k{round}").into()));
            let found = network.store(1).kv().range(&range).unwrap().kvs;
            assert!(found.iter().all(|kv| kv.version == 1), "seed {seed}: k{round} written twice");
        }
    }
}

#[test]
fn a_write_in_flight_when_the_leader_dies_is_answered_by_the_next() {
    for seed in 0..20 {
        let mut network = Network::new(seed, 3);
        let leader = network.elect();
        network.run(Millis(300));
        let at = network.followers()[0];
        let request = network.propose(at, put("k", "v"));
        network.run(Millis(seed % 7));
        network.kill(leader);
        network.answer(request).unwrap();
        assert_eq!(network.get(at, "k").as_deref(), Some("v"), "seed {seed}");
    }
}

#[test]
fn a_silent_leader_is_replaced_within_the_election_timeout() {
    for seed in 0..20 {
        let mut network = Network::new(seed, 3);
        let leader = network.elect();
        network.run(Millis(300));
        network.kill(leader);
        let took = network.until("a new leader", |network| network.leader().is_some_and(|new| new != leader));
        assert!(took <= Millis(1_300), "seed {seed}: {took}");
    }
}

#[test]
fn a_dead_leader_is_replaced_much_faster() {
    for seed in 0..50 {
        let mut network = Network::new(seed, 3);
        let leader = network.elect();
        network.run(Millis(300));
        let followers = network.followers();
        network.kill(leader);
        network.event(followers[0], Event::PeerProcessGone { id: leader });
        network.run(Millis(seed % 5));
        network.event(followers[1], Event::PeerProcessGone { id: leader });
        let took = network.until("a new leader", |network| network.leader().is_some());
        assert!(took <= Millis(150), "seed {seed}: {took}");
    }
}

#[test]
fn a_false_alarm_about_the_leader_changes_nothing() {
    let mut network = Network::new(1, 3);
    let leader = network.elect();
    network.run(Millis(300));
    let term = network.store(leader).status().term;
    network.event(network.followers()[1], Event::PeerProcessGone { id: leader });
    network.run(Millis(5_000));
    assert_eq!((network.leader(), network.store(leader).status().term), (Some(leader), term));
}

#[test]
fn an_isolated_leader_steps_down_and_its_waiting_writes_are_applied_once_by_the_next() {
    let mut network = Network::new(2, 3);
    let leader = network.elect();
    network.isolate(leader);
    let request = network.propose(leader, put("k", "v"));
    network.until("a new leader", |network| network.leader().is_some_and(|new| new != leader));
    network.run(Millis(1_000));
    assert!(!network.store(leader).status().takes_writes, "without a quorum it steps down");
    network.cut.clear();
    network.answer(request).unwrap();
}

#[test]
fn a_member_that_was_away_for_long_catches_up_by_snapshot() {
    let mut network = Network::tuned(3, 3, small_log());
    network.elect();
    let away = network.followers()[0];
    network.kill(away);
    let at = network.leader().unwrap();
    for n in 0..100 {
        network.put(at, &format!("k{n}"), "v").unwrap();
    }
    network.start(away);
    let took = network.until("the last key", |network| network.get(away, "k99").is_some());
    assert!(took <= Millis(1_000), "{took}");
    assert_eq!(network.nodes[&away].restored, 1);
    assert!(network.nodes[&away].disk.snapshot.is_some());
    network.kill(away);
    network.start(away);
    assert_eq!(network.get(away, "k0").as_deref(), Some("v"), "from its own disk");
    network.put(away, "again", "v").unwrap();
}

#[test]
fn a_lost_snapshot_is_sent_again() {
    let mut network = Network::tuned(4, 3, small_log());
    network.elect();
    let away = network.followers()[0];
    network.kill(away);
    let at = network.leader().unwrap();
    for n in 0..100 {
        network.put(at, &format!("k{n}"), "v").unwrap();
    }
    network.start(away);
    network.until("the snapshot to leave", |network| {
        network.store(at).raft.raft.prs().get(away).unwrap().state == raft::ProgressState::Snapshot
    });
    network.cut.insert((at, away));
    network.run(Millis(300));
    network.cut.clear();
    let took = network.until("the last key", |network| network.get(away, "k99").is_some());
    assert!(took <= Millis(u64::from(limits::SNAPSHOT_RETRY_TICKS) * limits::TICK.0 + 500), "{took}");
}

#[test]
fn a_member_that_lost_its_data_gets_them_back_and_does_not_vote_before() {
    for seed in 0..20 {
        let mut network = Network::tuned(seed, 3, small_log());
        let leader = network.elect();
        let [lagging, wiped] = network.followers()[..] else { panic!() };
        network.put(leader, "early", "v").unwrap();
        network.run(Millis(300));
        network.kill(lagging);
        network.put(leader, "late", "v").unwrap();
        network.kill(wiped);
        network.kill(leader);
        network.nodes.get_mut(&wiped).unwrap().disk = crate::Persisted::default();
        network.start(wiped);
        network.start(lagging);
        network.run(Millis(5_000));
        assert_eq!(network.leader(), None, "seed {seed}: these two would forget an answered write");
        network.start(leader);
        network.until("the data", |network| network.get(wiped, "late").is_some());
        assert_eq!(network.get(wiped, "early").as_deref(), Some("v"), "seed {seed}");
    }
}

#[test]
fn a_member_that_lost_its_data_while_the_leader_stays_is_brought_up_to_date() {
    for seed in 0..10 {
        let mut network = Network::new(seed, 3);
        let leader = network.elect();
        for n in 0..10 {
            network.put(leader, &format!("k{n}"), "v").unwrap();
        }
        network.run(Millis(300));
        let wiped = network.followers()[0];
        network.kill(wiped);
        network.nodes.get_mut(&wiped).unwrap().disk = crate::Persisted::default();
        network.start(wiped);
        network.until("the data", |network| network.get(wiped, "k9").is_some());
        network.put(leader, "new", "v").unwrap();
        network.until("new data", |network| network.get(wiped, "new").is_some());
    }
}

#[test]
fn with_full_disks_everywhere_reads_go_on_and_writes_come_back() {
    let mut network = Network::new(5, 3);
    let leader = network.elect();
    network.put(leader, "k", "v").unwrap();
    network.run(Millis(300));
    for id in 1..=3 {
        network.nodes.get_mut(&id).unwrap().disk_is_full = true;
    }
    let stuck = network.propose(leader, put("stuck", "v"));
    network.run(Millis(100));
    for id in 1..=3 {
        network.event(id, Event::StorageFull(true));
    }
    network.run(Millis(2_000));
    for id in 1..=3 {
        assert_eq!(network.put(id, "k", "w"), Err(StoreError::NoSpace));
    }
    let read = network.read(leader);
    network.until("the read", |network| network.reads.contains_key(&read));
    assert_eq!(network.reads[&read], Ok(()));
    for id in 1..=3 {
        network.nodes.get_mut(&id).unwrap().disk_is_full = false;
        network.event(id, Event::StorageFull(false));
    }
    network.answer(stuck).unwrap();
    network.put(leader, "k", "w").unwrap();
}

#[test]
fn a_member_with_a_slow_disk_gets_a_snapshot_and_then_an_election() {
    let mut network = Network::tuned(8, 3, small_log());
    let leader = network.elect();
    let slow = network.followers()[0];
    network.kill(slow);
    for n in 0..100 {
        network.put(leader, &format!("k{n}"), "v").unwrap();
    }
    network.start(slow);
    // From here on it writes nothing for a while, though nobody says that its disk is full.
    network.nodes.get_mut(&slow).unwrap().disk_is_full = true;
    network.until("the snapshot to arrive", |network| network.nodes[&slow].restored == 1);
    network.event(leader, Event::TransferLeader { to: slow });
    network.kill(leader);
    network.run(Millis(3_000));
    network.nodes.get_mut(&slow).unwrap().disk_is_full = false;
    network.elect();
    network.put(slow, "k", "v").unwrap();
}

#[test]
fn a_leader_that_is_to_stop_hands_over_to_a_member_that_is_there() {
    for seed in 0..10 {
        let mut network = Network::new(seed, 3);
        let leader = network.elect();
        network.run(Millis(300));
        let [dead, alive] = network.followers()[..] else { panic!() };
        network.kill(dead);
        network.event(leader, Event::PeerProcessGone { id: dead });
        network.event(leader, Event::HandOver);
        let took = network.until("the handover", |network| network.leader() == Some(alive));
        assert!(took <= Millis(60), "seed {seed}: {took}");
    }
}

#[test]
fn a_leader_with_a_full_disk_hands_over() {
    let mut network = Network::new(6, 3);
    let leader = network.elect();
    network.run(Millis(300));
    network.nodes.get_mut(&leader).unwrap().disk_is_full = true;
    network.event(leader, Event::StorageFull(true));
    network.until("a new leader", |network| network.leader().is_some_and(|new| new != leader));
    let at = network.leader().unwrap();
    network.put(at, "k", "v").unwrap();
    network.nodes.get_mut(&leader).unwrap().disk_is_full = false;
    network.event(leader, Event::StorageFull(false));
    network.until("the old leader to follow", |network| network.get(leader, "k").is_some());
}

#[test]
fn senseless_messages_are_dropped() {
    use crate::PeerMessage;
    use raft::eraftpb::{Entry, Message, MessageType};
    let mut network = Network::new(7, 3);
    let leader = network.elect();
    network.run(Millis(300));
    let from = network.followers()[0];
    let term = network.store(leader).status().term;
    for kind in 0..=18 {
        for index in [0, 1, u64::MAX] {
            for entries in [vec![], vec![Entry { index, term, ..Entry::default() }]] {
                let mut message =
                    Message { from, to: leader, term: term - 1, index, log_term: 1, entries, ..Message::default() };
                message.set_msg_type(MessageType::from_i32(kind).unwrap());
                for term in [0, term - 1] {
                    message.term = term;
                    let message = PeerMessage::Raft(Box::new(message.clone()));
                    network.event(leader, Event::Received { from, message });
                }
            }
        }
    }
    for garbage in [&[][..], &[0], &[1, 0xFF], &[1, 8, 99], &[2], &[2, 0xFF, 0xFF], &[9, 9]] {
        assert!(PeerMessage::decode(garbage).is_err(), "{garbage:?}");
    }
    network.put(leader, "k", "v").unwrap();
    assert_eq!(network.leader(), Some(leader));
}
