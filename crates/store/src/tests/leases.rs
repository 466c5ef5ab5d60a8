//! Leases run by the replicated clock, through changes of leader.

use super::network::{Network, put};
use kv::{Command, PutRequest, Response};
use types::{LeaseId, Millis};

fn grant(network: &mut Network, at: u64, ttl: Millis) -> LeaseId {
    let request = network.propose(at, Command::LeaseGrant { id: None, ttl });
    let Response::LeaseGrant { id, .. } = network.answer(request).unwrap().response else { panic!() };
    let Command::Put(request) = put("leased", "v") else { panic!() };
    let request = network.propose(at, Command::Put(PutRequest { lease: Some(id), ..request }));
    network.answer(request).unwrap();
    id
}

fn all_lack_the_key(network: &Network) -> bool {
    network.nodes.iter().filter(|(_, node)| node.store.is_some()).all(|(id, _)| network.get(*id, "leased").is_none())
}

#[test]
fn a_lease_ends_on_time_everywhere() {
    for seed in 0..10 {
        let mut network = Network::new(seed, 3);
        network.elect();
        network.run(Millis(300));
        let start = network.now;
        grant(&mut network, 1 + seed % 3, Millis(2_000));
        network.until("the end of the lease", all_lack_the_key);
        let lived = network.now.since(start);
        assert!((2_000..2_200).contains(&lived.0), "seed {seed}: {lived}");
    }
}

#[test]
fn a_change_of_leader_neither_shortens_nor_restarts_a_lease() {
    for seed in 0..30 {
        let mut network = Network::new(seed, 3);
        let leader = network.elect();
        network.run(Millis(300));
        let at = network.followers()[0];
        let start = network.now;
        let id = grant(&mut network, at, Millis(5_000));
        let granted = network.now;
        network.run(Millis(2_500));
        network.kill(leader);
        network.until("a new leader", |network| network.leader().is_some());
        let new = network.leader().unwrap();
        let remaining = network.store(new).kv().lease_status(id, network.store(new).store_time(network.now)).unwrap();
        let truth = Millis(5_000) - network.now.since(start);
        assert!(remaining.remaining.0.abs_diff(truth.0) <= 30, "seed {seed}: {} is not {truth}", remaining.remaining);
        network.until("the end of the lease", all_lack_the_key);
        assert!(network.now.since(granted) >= Millis(4_980), "seed {seed}: too early");
        assert!(network.now.since(start) <= Millis(5_150), "seed {seed}: {} is too late", network.now.since(start));
    }
}

#[test]
fn a_renewed_lease_lives_on_and_its_clock_outlives_restarts_of_everybody() {
    let mut network = Network::new(1, 3);
    network.elect();
    let id = grant(&mut network, 1, Millis(2_000));
    for _ in 0..5 {
        network.run(Millis(1_500));
        let request = network.propose(2, Command::LeaseKeepAlive { id });
        network.answer(request).unwrap();
    }
    for id in 1..=3 {
        network.kill(id);
    }
    network.run(Millis(60_000));
    for id in 1..=3 {
        network.start(id);
    }
    network.elect();
    let request = network.propose(3, Command::LeaseKeepAlive { id });
    network.answer(request).expect("the clock stood still while nobody was there");
}

#[test]
fn a_member_that_is_heard_and_hears_nobody_keeps_no_lease_alive() {
    const TTL: Millis = Millis(1_500);
    /// Until it notices that the leader is silent, and what the end of any lease may take.
    const AFTER: Millis = Millis(250 + 150);
    for seed in 0..20 {
        let mut network = Network::new(seed, 3);
        network.elect();
        let at = network.followers()[0];
        let id = grant(&mut network, at, TTL);
        network.run(Millis(300));
        let request = network.propose(at, Command::LeaseKeepAlive { id });
        network.answer(request).unwrap();
        let others: Vec<_> = network.nodes.keys().copied().filter(|id| *id != at).collect();
        network.cut.extend(others.iter().map(|other| (*other, at)));
        let cut = network.now;
        while network.now.since(cut) < TTL {
            network.propose(at, Command::LeaseKeepAlive { id });
            network.run(Millis(100));
        }
        network.until("the end of the lease", |network| others.iter().all(|id| network.get(*id, "leased").is_none()));
        let lived = network.now.since(cut);
        assert!(lived <= TTL + AFTER, "seed {seed}: {lived} after the cut");
    }
}

/// Its successor commits it long after, and must not take that for the time at which it was asked for.
#[test]
fn a_renewal_that_a_leader_left_behind_counts_from_when_it_was_asked_for() {
    const TTL: Millis = Millis(1_500);
    for seed in 0..20 {
        let mut network = Network::new(seed, 3);
        let at = network.elect();
        let id = grant(&mut network, at, TTL);
        let others: Vec<_> = network.nodes.keys().copied().filter(|id| *id != at).collect();
        network.cut.extend(others.iter().map(|other| (*other, at)));
        let asked = network.now;
        network.propose(at, Command::LeaseKeepAlive { id });
        network.until("another leader", |network| network.leader().is_some_and(|leader| leader != at));
        assert!(others.iter().all(|id| network.get(*id, "leased").is_some()), "seed {seed}: it has not ended");
        network.until("the end of the lease", |network| others.iter().all(|id| network.get(*id, "leased").is_none()));
        let lived = network.now.since(asked);
        assert!((TTL..TTL + Millis(150)).contains(&lived), "seed {seed}: {lived} after it was asked for");
    }
}

#[test]
fn a_leader_that_is_heard_and_hears_nobody_renews_nothing() {
    for seed in 0..20 {
        let mut network = Network::new(seed, 3);
        let at = network.elect();
        network.run(Millis(300));
        let others: Vec<_> = network.nodes.keys().copied().filter(|id| *id != at).collect();
        network.cut.extend(others.iter().map(|other| (*other, at)));
        network.run(Millis(250));
        let Command::Put(request) = put("late", "v") else { panic!() };
        network.propose(at, Command::Put(request));
        network.until("another leader", |network| network.leader().is_some_and(|leader| leader != at));
        network.run(Millis(500));
        assert!(others.iter().all(|id| network.get(*id, "late").is_none()), "seed {seed}: its successor commits it");
    }
}
