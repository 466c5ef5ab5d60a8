//! What could be lost, and do the settings say what was meant?

use super::super::facts::{ClusterFacts, Facts};
use super::super::finding::Finding;
use ha::cluster::Cluster;
use ha::config::SynchronousMode;

const CLUSTER: &str = "cluster";
/// More than this is more than most people would want to lose without having thought of it.
const LAG_CAREFREE_MAX: u64 = 64 * 1024 * 1024;
const LOST: &str = "docs/concepts/what-can-be-lost.md";

pub fn is_synchronous(view: &Cluster) -> bool {
    match view.config().synchronous_mode {
        SynchronousMode::On => true,
        SynchronousMode::Off => false,
    }
}

pub fn synchronous(facts: &Facts) -> Vec<Finding> {
    let Some(ClusterFacts { view, .. }) = &facts.cluster else { return Vec::new() };
    let config = view.config();
    let commit = config.parameters.get("synchronous_commit").map(|value| value.to_lowercase());
    let waits_for_nobody = matches!(commit.as_deref(), Some("off" | "local" | "false" | "no" | "0"));
    let mut findings = Vec::new();
    if !is_synchronous(view) {
        let wish = if config.synchronous_mode_strict {
            Some("synchronous_mode_strict is on")
        } else if matches!(commit.as_deref(), Some("remote_apply" | "remote_write")) {
            Some("synchronous_commit waits for replicas")
        } else if config.maximum_lag_on_failover == 0 {
            Some("maximum_lag_on_failover is 0")
        } else {
            None
        };
        findings.extend(wish.map(|wish| {
            Finding::warning(
                "doctor-sync-off",
                CLUSTER,
                format!("{wish}, but synchronous_mode is off, so commits can be lost with a host"),
                "quorate edit-config -s synchronous_mode=true",
            )
        }));
        return findings;
    }
    if waits_for_nobody {
        findings.push(Finding::error(
            "doctor-sync-commit",
            CLUSTER,
            "synchronous_mode is on, but synchronous_commit waits for no replica, so commits can be lost",
            "quorate edit-config -p synchronous_commit=on",
        ));
    }
    let Some(leader) = view.leader_name() else { return findings };
    let standbys = view.sync.as_ref().map_or(0, |sync| sync.value.standbys.len());
    if standbys == 0 {
        let (message, hint) = if config.synchronous_mode_strict {
            ("no replica is synchronous, so every commit waits", "start a replica")
        } else {
            ("no replica is synchronous, so what is committed now can be lost", "start a replica")
        };
        findings.push(Finding::error("doctor-sync-nobody", CLUSTER, message, hint));
    }
    let candidates = view
        .members
        .iter()
        .filter(|(name, member)| *name != leader && member.data.is_running() && !member.data.tags.nosync())
        .count();
    if candidates == 1 && standbys == 1 {
        let message = if config.synchronous_mode_strict {
            "one replica alone can be synchronous, and without it every commit waits"
        } else {
            "one replica alone can be synchronous, and without it commits can be lost"
        };
        findings.push(Finding::warning("doctor-sync-single", CLUSTER, message, "add a second replica"));
    }
    findings
}

pub fn lag(facts: &Facts) -> Vec<Finding> {
    let Some(ClusterFacts { view, .. }) = &facts.cluster else { return Vec::new() };
    let limit = view.config().maximum_lag_on_failover;
    if is_synchronous(view) || limit <= LAG_CAREFREE_MAX {
        return Vec::new();
    }
    let message = format!("up to {} may be lost with a host: maximum_lag_on_failover", super::members::bytes(limit));
    vec![Finding::hint("doctor-maximum-lag", CLUSTER, message, LOST)]
}

pub fn wal(facts: &Facts) -> Vec<Finding> {
    let Some(ClusterFacts { view, .. }) = &facts.cluster else { return Vec::new() };
    if view.members.is_empty() {
        return Vec::new();
    }
    let config = view.config();
    let parameter = |name: &str| config.parameters.get(name).map(String::as_str);
    if !config.use_slots && parameter("wal_keep_size").is_none() && parameter("wal_keep_segments").is_none() {
        return vec![Finding::warning(
            "doctor-wal-keep",
            CLUSTER,
            "without slots a replica that is away for longer than wal_keep_size lasts must be made anew",
            "quorate edit-config -s postgresql.use_slots=true, or a larger wal_keep_size",
        )];
    }
    let unbounded = parameter("max_slot_wal_keep_size").is_none_or(|value| value.trim() == "-1");
    if config.use_slots && unbounded {
        return vec![Finding::hint(
            "doctor-slots",
            CLUSTER,
            "a replica that runs and does not keep up lets the leader's WAL grow until the disk is full",
            "quorate edit-config -p max_slot_wal_keep_size=50GB, or as much as the disk has room for",
        )];
    }
    Vec::new()
}

pub fn pause(facts: &Facts) -> Vec<Finding> {
    let paused = facts.cluster.as_ref().is_some_and(|cluster| cluster.view.is_paused());
    let message = "the cluster is paused: no member takes over when the leader is lost";
    let finding = || Finding::warning("doctor-paused", CLUSTER, message, "quorate resume");
    paused.then(finding).into_iter().collect()
}
