//! The store: does it answer, and which faults does it survive?

use super::super::facts::Facts;
use super::super::finding::Finding;
use std::collections::BTreeMap;
use std::net::IpAddr;

const SUBJECT: &str = "store";

pub fn answers(facts: &Facts) -> Vec<Finding> {
    let finding = |why: &String| {
        Finding::error(
            "doctor-store-unreachable",
            SUBJECT,
            format!("the store does not answer: {why}"),
            "a majority of its members must run and reach each other; look at the agents' logs",
        )
    };
    facts.store.unreachable.iter().map(finding).collect()
}

pub fn voters(facts: &Facts) -> Vec<Finding> {
    let store = &facts.store;
    let mut findings = Vec::new();
    let (hosts, what) = if store.voters.is_empty() { (&store.etcd, "endpoints") } else { (&store.voters, "members") };
    let count = hosts.len();
    match count {
        0 => return findings,
        1 if !store.voters.is_empty() => findings.push(Finding::warning(
            "doctor-voters-few",
            SUBJECT,
            "the store has one member, so the cluster stops with that server",
            "three servers, one of which may be a witness, survive the loss of one",
        )),
        1 => findings.push(Finding::hint(
            "doctor-voters-few",
            SUBJECT,
            "one endpoint of etcd is configured, so the agent stops with that server",
            "name all members of the etcd cluster in etcd3.hosts",
        )),
        count if count % 2 == 0 => findings.push(Finding::warning(
            "doctor-voters-even",
            SUBJECT,
            format!("{count} {what} survive the loss of no more than {} would", count - 1),
            "add a witness, or leave one out",
        )),
        _ => {}
    }
    if count > 1 {
        findings.extend(together(hosts));
    }
    findings
}

/// One host with a majority takes the store with it.
fn together(hosts: &[String]) -> Option<Finding> {
    let mut on_each: BTreeMap<&str, usize> = BTreeMap::new();
    for host in hosts {
        let here = host.parse::<IpAddr>().map_or(host == "localhost", |address| address.is_loopback());
        *on_each.entry(if here { "this machine" } else { host }).or_default() += 1;
    }
    let (host, most) = on_each.into_iter().max_by_key(|(_, count)| *count)?;
    (most * 2 > hosts.len()).then(|| {
        Finding::warning(
            "doctor-voters-together",
            SUBJECT,
            format!("{most} of the store's {} members are on {host}, and the store stops with it", hosts.len()),
            "give every member a server of its own",
        )
    })
}
